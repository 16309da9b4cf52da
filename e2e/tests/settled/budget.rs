//! How fast, how small and how quiet: the figures are printed, and the bounds hold.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use kube::ResourceExt as _;
use portolan_e2e::audit::{AuditLog, OPERATOR};
use portolan_e2e::command::{command, output};
use portolan_e2e::crane::Crane;
use portolan_e2e::memory::{anonymous_bytes, mebibytes};
use portolan_e2e::objects::uid;
use portolan_e2e::registry::{Registry, demand, is_current, volume};
use portolan_e2e::report::say;
use portolan_e2e::scene::{self, Scene};
use portolan_e2e::wait::{REACTION, READY, until};
use tokio::time::Instant;

use crate::{hello, operator_pod};

/// From the Pod's readiness to the Registry's.
const READY_AFTER_POD: Duration = Duration::from_secs(5);
const OPERATOR_BYTES: u64 = 40 << 20;
const REGISTRY_BYTES: u64 = 20 << 20;
const IMAGE_BYTES: u64 = 25_000_000;
const IDLE: Duration = Duration::from_mins(1);

#[tokio::test]
async fn a_registry_is_ready_within_seconds_of_its_pod() {
    scene::play("speed", async |scene| {
        let start = Instant::now();
        let registry = Registry::apply(scene, "registry", volume("64Mi")).await?;
        let pod = until("the Pod is ready", READY, async || {
            registry.ready_pod().await?;
            Ok(start.elapsed())
        })
        .await?;
        let ready = until("the Registry is Ready", READY, async || {
            let object = registry.object().await?;
            is_current(&object)?;
            demand(&object, "Ready", "True", "")?;
            Ok(start.elapsed())
        })
        .await?;
        let lag = ready.saturating_sub(pod);
        let seconds = |span: Duration| format!("{:.1} s", span.as_secs_f64());
        say(format!(
            "create to Pod ready {}, Registry Ready {} later (bound {})",
            seconds(pod),
            seconds(lag),
            seconds(READY_AFTER_POD)
        ));
        ensure!(
            lag <= READY_AFTER_POD,
            "Ready came {lag:?} after the Pod was ready"
        );
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_settled_cluster_costs_no_requests_and_little_memory() {
    scene::play("idle", async |scene| {
        let registry = Registry::apply(scene, "registry", volume("64Mi")).await?;
        registry.until_ready().await?;
        let image = hello(scene, "idleness").await?;
        let client = Crane::login(&registry, "push").await?;
        client.push(&image, "team/hello:v1").await?;
        client.validate("team/hello:v1").await?;

        let log = AuditLog::of(&scene.cluster)?;
        until_quiet(&log).await?;
        let start = log.end()?;
        // The span itself is what is measured; nothing is waited for.
        tokio::time::sleep(IDLE).await;
        let busy: Vec<_> = log
            .requests_of(OPERATOR, start)?
            .into_iter()
            .filter(|request| !request.is_idle())
            .collect();
        say(format!(
            "settled for {IDLE:?}: {} requests beside watches and the Lease",
            busy.len()
        ));

        let operator = anonymous_bytes(&operator_pod(scene).await?.uid().unwrap_or_default())?;
        let served = anonymous_bytes(&uid(&registry.ready_pod().await?))?;
        say(format!(
            "anonymous memory: operator {} (bound {})",
            mebibytes(operator),
            mebibytes(OPERATOR_BYTES)
        ));
        say(format!(
            "anonymous memory: registry {} (bound {})",
            mebibytes(served),
            mebibytes(REGISTRY_BYTES)
        ));
        ensure!(busy.is_empty(), "a settled cluster saw {busy:#?}");
        ensure!(operator < OPERATOR_BYTES, "the operator holds {operator} bytes");
        ensure!(served < REGISTRY_BYTES, "the registry holds {served} bytes");
        Ok(())
    })
    .await;
}

/// Other tests' namespaces may still be going away; their end is not idleness.
async fn until_quiet(log: &AuditLog) -> Result<()> {
    let mut seen = 0;
    until(
        "the operator has nothing to do for some seconds",
        REACTION,
        async || {
            let requests = log
                .requests_of(OPERATOR, 0)?
                .into_iter()
                .filter(|request| !request.is_idle())
                .count();
            let changed = requests != seen;
            seen = requests;
            if changed {
                bail!("{requests} requests so far");
            }
            tokio::time::sleep(Duration::from_secs(3)).await;
            let later = log
                .requests_of(OPERATOR, 0)?
                .into_iter()
                .filter(|request| !request.is_idle())
                .count();
            ensure!(later == requests, "{} requests more within 3 s", later - requests);
            Ok(())
        },
    )
    .await
}

#[tokio::test]
async fn the_images_are_small() {
    scene::play("images", async |_: &Scene| {
        let listed = output(command(
            "ctr",
            ["-n", "k8s.io", "images", "ls", "name~=portolan-"],
        ))
        .await?;
        let mut found = 0;
        for line in listed.lines().skip(1) {
            let words: Vec<_> = line.split_whitespace().collect();
            let [name, _, _, size, unit, ..] = words[..] else {
                bail!("ctr says {line:?}")
            };
            let factor = match unit {
                "KiB" => 1024.0,
                "MiB" => 1024.0 * 1024.0,
                "GiB" => 1024.0 * 1024.0 * 1024.0,
                other => bail!("ctr gives the size of {name} in {other}"),
            };
            let bytes = size.parse::<f64>()? * factor;
            say(format!(
                "image {name}: {size} {unit} (bound {} MB)",
                IMAGE_BYTES / 1_000_000
            ));
            ensure!(bytes < 25_000_000.0, "{name} has {bytes} bytes");
            found += 1;
        }
        ensure!(found >= 2, "the node has {found} of our images:\n{listed}");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn the_operator_was_never_refused_by_its_own_role() {
    scene::play("rbac", async |scene| {
        let refused: Vec<_> = AuditLog::of(&scene.cluster)?
            .requests_of(OPERATOR, 0)?
            .into_iter()
            .filter(|request| request.is_forbidden)
            .collect();
        let unexplained: BTreeSet<_> = refused
            .iter()
            .map(|request| format!("{} {}", request.verb, request.resource))
            .collect();
        ensure!(unexplained.is_empty(), "refused: {unexplained:?}");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn the_operator_never_crashed() {
    scene::play("crashes", async |scene| {
        let pod = operator_pod(scene).await?;
        let containers = pod
            .status
            .unwrap_or_default()
            .container_statuses
            .unwrap_or_default();
        let restarts: i32 = containers.iter().map(|container| container.restart_count).sum();
        let last: Vec<_> = containers
            .iter()
            .filter_map(|container| container.last_state.as_ref())
            .collect();
        ensure!(restarts == 0, "it was restarted {restarts} times: {last:?}");
        Ok(())
    })
    .await;
}
