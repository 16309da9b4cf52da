//! The other ways to expose a registry and to shape its Pod.

use anyhow::ensure;
use portolan_e2e::crane::Crane;
use portolan_e2e::objects::{Kind, text};
use portolan_e2e::registry::Registry;
use portolan_e2e::wait::{REACTION, until};
use portolan_e2e::{node, pod, scene};
use serde_json::{Value, json};

use crate::hello;

#[tokio::test]
async fn another_port_is_part_of_the_endpoint_and_works_for_push_and_pull() {
    scene::play("port", async |scene| {
        let spec = json!({
            "storage": {"volume": {"size": "64Mi"}},
            "expose": {"service": {"port": 5443, "annotations": {"example.com/team": "a"}}},
        });
        let registry = Registry::apply(scene, "registry", spec).await?;
        let status = registry.until_ready().await?;
        let endpoint = format!("registry.{}.svc:5443", scene.namespace);
        ensure!(
            text(&status, "/status/endpoint") == endpoint,
            "status.endpoint is {:?}",
            text(&status, "/status/endpoint")
        );
        let image = hello(scene, "another port").await?;
        let name = Crane::login(&registry, "push")
            .await?
            .push(&image, "team/hello:v1")
            .await?;
        node::trust(&registry, &registry.login("pull").await?).await?;
        let log = pod::run(scene, "hello", &name, "registry-pull").await?;
        ensure!(log == image.message, "the Pod printed {log:?}");
        let annotations = scene
            .api(Kind::Service)
            .get("registry")
            .await?
            .metadata
            .annotations
            .unwrap_or_default();
        ensure!(
            annotations
                .get("example.com/team")
                .is_some_and(|team| team == "a"),
            "{annotations:?}"
        );
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_further_hostname_becomes_the_endpoint_and_a_login() {
    scene::play("hostname", async |scene| {
        let registry = Registry::ready(scene, "registry").await?;
        let host = "registry.example.com";
        registry.patch(json!({"expose": {"hostnames": [host]}})).await?;
        let status = registry.until_ready().await?;
        ensure!(
            text(&status, "/status/endpoint") == host,
            "status.endpoint is {:?}",
            text(&status, "/status/endpoint")
        );
        let internal = format!("registry.{}.svc", scene.namespace);
        ensure!(
            text(&status, "/status/endpoints/internal") == internal,
            "{}",
            status.data["status"]["endpoints"]
        );
        let login = registry.login("push").await?;
        let config: Value = serde_json::from_str(&login.docker_config)?;
        for name in [host, &internal] {
            ensure!(
                config["auths"][name].is_object(),
                "the push Secret has no login for {name}"
            );
        }
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn the_pod_takes_what_the_spec_says_about_it() {
    scene::play("pod", async |scene| {
        let spec = json!({
            "storage": {"ephemeral": {"sizeLimit": "16Mi"}},
            "pod": {
                "resources": {"requests": {"memory": "24Mi"}, "limits": {"memory": "96Mi"}},
                "labels": {"example.com/team": "a"},
                "annotations": {"example.com/note": "b"},
                "nodeSelector": {"kubernetes.io/os": "linux"},
                "logLevel": "debug",
            },
        });
        let registry = Registry::apply(scene, "registry", spec).await?;
        registry.until_ready().await?;
        let pod = registry.ready_pod().await?;
        let container = &pod.data["spec"]["containers"][0];
        ensure!(
            container["resources"]["limits"]["memory"] == json!("96Mi"),
            "{}",
            container["resources"]
        );
        ensure!(
            pod.data["spec"]["nodeSelector"] == json!({"kubernetes.io/os": "linux"}),
            "{}",
            pod.data["spec"]["nodeSelector"]
        );
        ensure!(
            pod.data["spec"]["enableServiceLinks"] == json!(false),
            "service links are on"
        );
        ensure!(
            pod.data["spec"]["automountServiceAccountToken"] == json!(false),
            "a token is mounted"
        );
        let labels = pod.metadata.labels.unwrap_or_default();
        ensure!(
            labels.get("example.com/team").is_some_and(|team| team == "a"),
            "{labels:?}"
        );
        let annotations = pod.metadata.annotations.unwrap_or_default();
        ensure!(
            annotations
                .get("example.com/note")
                .is_some_and(|note| note == "b"),
            "{annotations:?}"
        );

        // Changing it moves the Pod to the new template.
        registry
            .patch(json!({"pod": {"annotations": {"example.com/note": "c"}}}))
            .await?;
        until("the Pod has the new annotation", REACTION, async || {
            let pod = registry.ready_pod().await?;
            let annotations = pod.metadata.annotations.unwrap_or_default();
            ensure!(
                annotations
                    .get("example.com/note")
                    .is_some_and(|note| note == "c"),
                "{annotations:?}"
            );
            Ok(())
        })
        .await?;
        registry.until_ready().await.map(drop)
    })
    .await;
}
