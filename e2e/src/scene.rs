//! Where a test plays: a namespace of its own under Pod Security "restricted", with Portolan installed, every status
//! of its Registries judged as it appears, and diagnostics saved when the test fails.

use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use anyhow::{Context as _, Result, anyhow};
use futures::{FutureExt as _, TryStreamExt as _};
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, DeleteParams, DynamicObject, PostParams};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Client, ResourceExt as _};
use serde_json::json;
use tempfile::TempDir;

use crate::cluster::Cluster;
use crate::command::{command, output};
use crate::objects::{Kind, api, text};
use crate::report::say;
use crate::{conditions, install};

/// One test's namespace and scratch directory.
#[derive(Debug)]
pub struct Scene {
    pub cluster: Cluster,
    pub namespace: String,
    scratch: TempDir,
}

impl Scene {
    pub fn client(&self) -> &Client {
        &self.cluster.client
    }

    pub fn api(&self, kind: Kind) -> Api<DynamicObject> {
        api(self.client(), &self.namespace, kind)
    }

    /// The `ClusterIP` of a Service of any namespace.
    pub async fn service_address(&self, namespace: &str, name: &str) -> Result<String> {
        let service = api(self.client(), namespace, Kind::Service).get(name).await?;
        Ok(text(&service, "/spec/clusterIP").to_owned())
    }

    /// A new directory that goes with the test.
    pub fn directory(&self) -> Result<PathBuf> {
        Ok(tempfile::tempdir_in(self.scratch.path())?.keep())
    }
}

/// Runs `body` in a new namespace `e2e-<topic>-<random>`; panics with everything that went wrong.
pub async fn play(topic: &str, body: impl AsyncFnOnce(&Scene) -> Result<()>) {
    if let Err(error) = prepare_and_play(topic, body).await {
        panic!("{topic}: {error:#}");
    }
}

async fn prepare_and_play(topic: &str, body: impl AsyncFnOnce(&Scene) -> Result<()>) -> Result<()> {
    let cluster = Cluster::reach().await?;
    install::once(&cluster).await?;
    let namespaces: Api<Namespace> = Api::all(cluster.client.clone());
    let request = serde_json::from_value(json!({
        "metadata": {"generateName": format!("e2e-{topic}-"), "labels": {
            "pod-security.kubernetes.io/enforce": "restricted",
            "pod-security.kubernetes.io/warn": "restricted",
        }},
    }))?;
    let namespace = namespaces
        .create(&PostParams::default(), &request)
        .await?
        .name_any();
    let scene = Scene {
        cluster,
        namespace,
        scratch: tempfile::tempdir()?,
    };

    let verdicts = Arc::new(Mutex::new(Vec::new()));
    let judge = tokio::spawn(judge(scene.api(Kind::Registry), Arc::clone(&verdicts)));
    let outcome = AssertUnwindSafe(body(&scene)).catch_unwind().await;
    let watched = judge.is_finished();
    judge.abort();
    let outcome = match outcome {
        Ok(result) => result,
        Err(panic) => Err(anyhow!("{}", said(panic.as_ref()))),
    };
    let verdicts = std::mem::take(&mut *verdicts.lock().map_err(|_| anyhow!("the judge panicked"))?);
    let outcome = match (outcome, verdicts.is_empty()) {
        (Err(error), _) => Err(error),
        (Ok(()), false) => Err(anyhow!(
            "a status broke the rules for conditions:\n{}",
            verdicts.join("\n")
        )),
        (Ok(()), true) if watched => Err(anyhow!("nobody judged the statuses: the watch ended")),
        (Ok(()), true) => Ok(()),
    };
    if outcome.is_err() {
        match save_diagnostics(&scene).await {
            Ok(directory) => say(format!(
                "{topic} failed; what the cluster says about it: {}",
                directory.display()
            )),
            Err(error) => say(format!(
                "{topic} failed, and its diagnostics could not be saved: {error:#}"
            )),
        }
    }
    // Deletion takes the namespace controller seconds; nothing waits for it.
    namespaces
        .delete(&scene.namespace, &DeleteParams::background())
        .await
        .map(drop)
        .or_else(|error| match error {
            kube::Error::Api(status) if status.is_not_found() => Ok(()),
            other => Err(other).context("cannot delete the namespace"),
        })?;
    outcome
}

/// Watches the namespace's Registries and collects what any status of them says against the rules.
async fn judge(registries: Api<DynamicObject>, verdicts: Arc<Mutex<Vec<String>>>) {
    let events = watcher(registries, watcher::Config::default())
        .default_backoff()
        .applied_objects();
    let ended = events
        .try_for_each(async |registry| {
            let name = registry.name_any();
            if let Ok(mut verdicts) = verdicts.lock() {
                for broken in conditions::violations(&registry) {
                    let verdict = format!("{name}: {broken}: {}", registry.data["status"]["conditions"]);
                    if !verdicts.contains(&verdict) {
                        verdicts.push(verdict);
                    }
                }
            }
            Ok(())
        })
        .await;
    if let Err(error) = ended {
        say(format!("the watch of Registries ended: {error}"));
    }
}

fn said(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
        .unwrap_or_else(|| "panicked".into())
}

/// Where diagnostics go: `PORTOLAN_E2E_LOGS`, else below the build's own directory.
fn diagnostics_root() -> PathBuf {
    std::env::var_os("PORTOLAN_E2E_LOGS").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/e2e-logs"),
        PathBuf::from,
    )
}

async fn save_diagnostics(scene: &Scene) -> Result<PathBuf> {
    let directory = diagnostics_root().join(&scene.namespace);
    std::fs::create_dir_all(&directory)?;
    let namespace = format!("--namespace={}", scene.namespace);
    let operator = "--namespace=portolan-system";
    // Secrets are described (names and sizes), never printed.
    let questions: [(&str, Vec<&str>); 7] = [
        (
            "registries.yaml",
            vec!["get", "registries", "-o=yaml", &namespace],
        ),
        (
            "describe.txt",
            vec![
                "describe",
                "registries,statefulsets,pods,services,pvc,secrets",
                &namespace,
            ],
        ),
        (
            "objects.txt",
            vec![
                "get",
                "all,pvc,secrets,configmaps,endpointslices",
                "-o=wide",
                "--show-labels",
                &namespace,
            ],
        ),
        (
            "events.txt",
            vec![
                "get",
                "events",
                "--sort-by=.metadata.creationTimestamp",
                &namespace,
            ],
        ),
        (
            "registry.log",
            vec![
                "logs",
                "-l",
                "portolan.dev/registry",
                "--tail=-1",
                "--prefix",
                &namespace,
            ],
        ),
        (
            "operator.log",
            vec!["logs", "deployment/portolan-operator", "--tail=-1", operator],
        ),
        ("operator.txt", vec!["describe", "pods", operator]),
    ];
    for (file, arguments) in questions {
        let text = output(command("kubectl", arguments))
            .await
            .unwrap_or_else(|error| format!("{error:#}\n"));
        std::fs::write(directory.join(file), text)?;
    }
    Ok(directory)
}
