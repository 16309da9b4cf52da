//! Certificates that somebody else issues (`tls.secretRef`), and managed ones that are renewed: served without a
//! restart, and nothing unusable ever replaces what is served.

use std::time::Duration;

use anyhow::{Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use portolan_e2e::certificate::{Authority, Leaf};
use portolan_e2e::crane::Crane;
use portolan_e2e::objects::{Kind, apply, text, uid};
use portolan_e2e::registry::{Login, Registry};
use portolan_e2e::report::say;
use portolan_e2e::scene::{self, Scene};
use portolan_e2e::wait::{REACTION, throughout, until};
use serde_json::json;
use tokio::time::Instant;

use crate::hello;

const SECRET: &str = "own-certificate";
/// "Within seconds": kubelet, reload and probe together.
const SECONDS: Duration = Duration::from_secs(20);

async fn write(scene: &Scene, leaf: &Leaf) -> Result<()> {
    let data = json!({"tls.crt": STANDARD.encode(&leaf.certificate), "tls.key": STANDARD.encode(&leaf.key),
        "ca.crt": STANDARD.encode(&leaf.authority)});
    let body = json!({"type": "kubernetes.io/tls", "data": data});
    apply(&scene.api(Kind::Secret), Kind::Secret, SECRET, body)
        .await
        .map(drop)
}

fn hosts(scene: &Scene) -> Vec<String> {
    let (name, namespace) = ("registry", &scene.namespace);
    vec![
        name.into(),
        format!("{name}.{namespace}"),
        format!("{name}.{namespace}.svc"),
        format!("{name}.{namespace}.svc.cluster.local"),
    ]
}

/// A client that trusts only this authority.
async fn trusting(registry: &Registry<'_>, authority: &Authority) -> Result<Crane> {
    let login = registry.login("push").await?;
    Crane::with(
        registry,
        &Login {
            certificate_authority: authority.pem.clone(),
            ..login
        },
    )
    .await
}

async fn with_own_certificate<'a>(scene: &'a Scene, authority: &Authority) -> Result<Registry<'a>> {
    write(scene, &authority.issue(&hosts(scene))?).await?;
    let spec = json!({"storage": {"volume": {"size": "64Mi"}}, "tls": {"secretRef": {"name": SECRET}}});
    let registry = Registry::apply(scene, "registry", spec).await?;
    registry.until_ready().await?;
    Ok(registry)
}

#[tokio::test]
async fn a_swapped_certificate_is_served_within_seconds_by_the_same_pod() {
    scene::play("swapped", async |scene| {
        let (first, second) = (Authority::new("first")?, Authority::new("second")?);
        let registry = with_own_certificate(scene, &first).await?;
        let image = hello(scene, "certificates").await?;
        trusting(&registry, &first)
            .await?
            .push(&image, "team/hello:v1")
            .await?;
        let pod = registry.ready_pod().await?;
        let serial = text(&registry.object().await?, "/status/tls/servedSerial").to_owned();

        write(scene, &second.issue(&hosts(scene))?).await?;
        let start = Instant::now();
        let client = trusting(&registry, &second).await?;
        until("the new certificate is served", SECONDS, async || {
            client.digest("team/hello:v1").await.map(drop)
        })
        .await?;
        say(format!(
            "a swapped certificate is served after {:.1} s",
            start.elapsed().as_secs_f64()
        ));
        until("the status tells the new serial", REACTION, async || {
            let status = registry.object().await?;
            ensure!(
                text(&status, "/status/tls/servedSerial") != serial,
                "it still tells {serial}"
            );
            Ok(())
        })
        .await?;
        registry.until_ready().await?;
        let login = registry.login("push").await?;
        ensure!(
            login.certificate_authority == second.pem,
            "the push Secret still has the first authority"
        );
        ensure!(
            uid(&registry.ready_pod().await?) == uid(&pod),
            "the Pod was replaced"
        );
        let restarts =
            registry.ready_pod().await?.data["status"]["containerStatuses"][0]["restartCount"].clone();
        ensure!(
            restarts == json!(0),
            "the container was restarted {restarts} times"
        );
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn garbage_in_the_certificate_leaves_the_old_one_served_and_is_told() {
    scene::play("garbage", async |scene| {
        let authority = Authority::new("ours")?;
        let registry = with_own_certificate(scene, &authority).await?;
        let image = hello(scene, "garbage").await?;
        let client = trusting(&registry, &authority).await?;
        client.push(&image, "team/hello:v1").await?;

        write(
            scene,
            &Leaf {
                certificate: "garbage".into(),
                key: "garbage".into(),
                authority: authority.pem.clone(),
            },
        )
        .await?;
        let stalled = registry.until_condition("Stalled", "True", "").await?;
        ensure!(
            stalled.message.contains(SECRET) && stalled.message.contains("tls."),
            "no Secret and key named: {}",
            stalled.message
        );
        throughout(
            "the old certificate is served",
            Duration::from_secs(5),
            async || client.digest("team/hello:v1").await.map(drop),
        )
        .await?;
        registry.ready_pod().await?;
        // A new Pod would find only garbage; one that stays has the certificate it started with. Healing needs no restart.
        write(scene, &authority.issue(&hosts(scene))?).await?;
        registry.until_ready().await?;
        client.validate("team/hello:v1").await
    })
    .await;
}

#[tokio::test]
async fn a_certificate_for_another_host_stalls_until_the_right_one_comes() {
    scene::play("other-host", async |scene| {
        let authority = Authority::new("ours")?;
        write(scene, &authority.issue(&["elsewhere.example.com".into()])?).await?;
        let spec = json!({"storage": {"volume": {"size": "16Mi"}}, "tls": {"secretRef": {"name": SECRET}}});
        let registry = Registry::apply(scene, "registry", spec).await?;
        let stalled = registry.until_condition("Stalled", "True", "").await?;
        ensure!(
            stalled.message.contains(SECRET),
            "the Secret is not named: {}",
            stalled.message
        );
        write(scene, &authority.issue(&hosts(scene))?).await?;
        registry.until_ready().await.map(drop)
    })
    .await;
}

#[tokio::test]
async fn switching_from_managed_to_own_certificate_and_back_loses_nothing() {
    scene::play("tls-modes", async |scene| {
        let registry = Registry::ready(scene, "registry").await?;
        let image = hello(scene, "both modes").await?;
        Crane::login(&registry, "push")
            .await?
            .push(&image, "team/hello:v1")
            .await?;
        let authority = Authority::new("ours")?;
        write(scene, &authority.issue(&hosts(scene))?).await?;
        registry
            .patch(json!({"tls": {"secretRef": {"name": SECRET}}}))
            .await?;
        registry.until_ready().await?;
        trusting(&registry, &authority)
            .await?
            .validate("team/hello:v1")
            .await?;
        registry.patch(json!({"tls": null})).await?;
        registry.until_ready().await?;
        Crane::login(&registry, "pull")
            .await?
            .validate("team/hello:v1")
            .await
    })
    .await;
}

#[tokio::test]
async fn a_renewed_managed_certificate_is_served_by_the_same_pod() {
    scene::play("renewed", async |scene| {
        // Due half a minute after it was issued.
        let times = json!({"managed": {"duration": "10m", "renewBefore": "9m30s"}});
        let spec = json!({"storage": {"volume": {"size": "32Mi"}}, "tls": times});
        let registry = Registry::apply(scene, "registry", spec).await?;
        registry.until_ready().await?;
        let image = hello(scene, "a renewal").await?;
        let client = Crane::login(&registry, "push").await?;
        client.push(&image, "team/hello:v1").await?;
        let pod = uid(&registry.ready_pod().await?);
        let served = async || -> Result<String> {
            let registry = registry.object().await?;
            Ok(text(&registry, "/status/tls/servedSerial").to_owned())
        };
        let before = served().await?;
        until("another certificate is served", REACTION, async || {
            ensure!(served().await? != before, "it is still {before}");
            Ok(())
        })
        .await?;
        registry.until_condition("TLSReady", "True", "").await?;
        // The client knows the authority from before the renewal.
        client.validate("team/hello:v1").await?;
        let now = registry.ready_pod().await?;
        ensure!(uid(&now) == pod, "the Pod was replaced");
        let restarts = &now.data["status"]["containerStatuses"][0]["restartCount"];
        ensure!(
            *restarts == json!(0),
            "the container was restarted {restarts} times"
        );
        Ok(())
    })
    .await;
}
