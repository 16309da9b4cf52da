//! What needs the cluster for itself: speed, memory, silence, and a killed operator. Run with `--test-threads=1`, after
//! everything else has come to rest.

mod budget;
mod operator;

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use kube::api::{Api, ListParams};
use portolan_e2e::image::{self, Image};
use portolan_e2e::install;
use portolan_e2e::scene::Scene;

async fn hello(scene: &Scene, about: &str) -> Result<Image> {
    let message = format!("hello from {} about {about}", scene.namespace);
    image::build(
        &scene.directory()?,
        Path::new(env!("CARGO_BIN_EXE_hello")),
        &message,
    )
    .await
}

/// The operator's one Pod, ready and not going away.
async fn operator_pod(scene: &Scene) -> Result<Pod> {
    let pods: Api<Pod> = Api::namespaced(scene.client().clone(), install::NAMESPACE);
    let found = pods.list(&ListParams::default()).await?;
    let mut live = found
        .items
        .into_iter()
        .filter(|pod| pod.metadata.deletion_timestamp.is_none());
    let pod = live
        .find(|pod| pod.name_any().starts_with(install::OPERATOR))
        .context("the operator has no Pod")?;
    let status = pod.status.clone().unwrap_or_default();
    let ready = status
        .container_statuses
        .unwrap_or_default()
        .iter()
        .all(|container| container.ready);
    ensure!(
        ready && status.phase.as_deref() == Some("Running"),
        "the operator's Pod is not ready"
    );
    Ok(pod)
}
