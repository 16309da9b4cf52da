//! Pods of the user's: run an image from the registry under test and tell what it printed, or why it was not pulled.

use anyhow::{Result, bail, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, LogParams};
use serde_json::{Value, json};

use crate::objects::{Kind, apply, text};
use crate::scene::Scene;
use crate::wait::{REACTION, until};

/// Runs the image to its end and returns its log. The node asks the registry even when it has the image.
pub async fn run(scene: &Scene, name: &str, image: &str, pull_secret: &str) -> Result<String> {
    start(scene, name, image, Some(pull_secret)).await?;
    until(&format!("Pod {name} ran {image}"), REACTION, async || {
        let pod = scene.api(Kind::Pod).get(name).await?;
        match text(&pod, "/status/phase") {
            "Succeeded" => Ok(()),
            phase => bail!("it is {phase}: {}", pod.data["status"]["containerStatuses"]),
        }
    })
    .await?;
    let pods: Api<Pod> = Api::namespaced(scene.client().clone(), &scene.namespace);
    Ok(pods.logs(name, &LogParams::default()).await?)
}

/// Starts a Pod whose image the node must not get, and returns what the kubelet says about it.
pub async fn refused(scene: &Scene, name: &str, image: &str, pull_secret: Option<&str>) -> Result<String> {
    start(scene, name, image, pull_secret).await?;
    until(&format!("the pull of {image} is refused"), REACTION, async || {
        let pod = scene.api(Kind::Pod).get(name).await?;
        ensure!(text(&pod, "/status/phase") == "Pending", "Pod {name} runs");
        let waiting = "/status/containerStatuses/0/state/waiting";
        let reason = text(&pod, &format!("{waiting}/reason"));
        ensure!(reason == "ErrImagePull", "the container waits for {reason:?}");
        Ok(text(&pod, &format!("{waiting}/message")).to_owned())
    })
    .await
}

async fn start(scene: &Scene, name: &str, image: &str, pull_secret: Option<&str>) -> Result<()> {
    let secrets: Vec<Value> = pull_secret
        .into_iter()
        .map(|name| json!({"name": name}))
        .collect();
    let spec = json!({
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": 0,
        "automountServiceAccountToken": false,
        "imagePullSecrets": secrets,
        "securityContext": {"runAsNonRoot": true, "runAsUser": 65532, "runAsGroup": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [{
            "name": "hello", "image": image, "imagePullPolicy": "Always",
            "securityContext": {"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"]}},
        }],
    });
    apply(&scene.api(Kind::Pod), Kind::Pod, name, json!({"spec": spec}))
        .await
        .map(drop)
}
