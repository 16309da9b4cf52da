//! Installs Portolan as its users do, with helm from the chart of this repository, once per test program.

use std::path::Path;

use anyhow::{Context as _, Result};
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, Patch, PatchParams};
use serde_json::json;
use tokio::sync::OnceCell;

use crate::cluster::{Cluster, Place};
use crate::command::{command, output};

/// The namespace, release and Deployment that the project's own documents use.
pub const NAMESPACE: &str = "portolan-system";
pub const RELEASE: &str = "portolan";
pub const OPERATOR: &str = "portolan-operator";

static INSTALLED: OnceCell<()> = OnceCell::const_new();

/// Installs (or upgrades to) this work tree's chart and waits until the operator is ready; later calls do nothing.
pub async fn once(cluster: &Cluster) -> Result<()> {
    INSTALLED
        .get_or_try_init(|| install(cluster))
        .await
        .copied()
        .context("Portolan cannot be installed")
}

async fn install(cluster: &Cluster) -> Result<()> {
    let namespaces: Api<Namespace> = Api::all(cluster.client.clone());
    let namespace = json!({
        "apiVersion": "v1", "kind": "Namespace",
        "metadata": {"name": NAMESPACE, "labels": {"pod-security.kubernetes.io/enforce": "restricted"}},
    });
    namespaces
        .patch(NAMESPACE, &PatchParams::apply("e2e"), &Patch::Apply(&namespace))
        .await?;
    let chart = Path::new(env!("CARGO_MANIFEST_DIR")).join("../charts/portolan");
    let mut helm = command("helm", ["upgrade", "--install", RELEASE]);
    helm.arg(&chart)
        .args(["--namespace", NAMESPACE, "--wait", "--timeout", "2m"]);
    if let Place::Current { images, .. } = &cluster.place {
        helm.args(["--set", &format!("image.repository={images}/portolan-operator")]);
        helm.args([
            "--set",
            &format!("registryImage.repository={images}/portolan-registry"),
        ]);
    }
    output(helm).await.map(drop)
}
