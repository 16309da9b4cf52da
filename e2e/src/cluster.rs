//! Which cluster the tests use: the throwaway one inside whose namespaces this process runs (`e2e/cluster/in`), or,
//! only when `PORTOLAN_CLUSTER=current` says so, the user's current context, whose name is printed first.

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use kube::{Client, Config};

use crate::report::say;

/// A cluster that answers.
#[derive(Clone)]
pub struct Cluster {
    pub client: Client,
    pub place: Place,
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cluster")
            .field("place", &self.place)
            .finish_non_exhaustive()
    }
}

/// Where the cluster is, and so what can be done to its node.
#[derive(Clone, Debug)]
pub enum Place {
    /// We run inside its namespaces: `ClusterIPs`, the node's files and the audit log are at hand.
    Inside { directory: PathBuf },
    /// Only its API is at hand; images come from `images`, a repository that its nodes can pull.
    Current { context: String, images: String },
}

impl Cluster {
    /// Finds the cluster and asks it for its version.
    pub async fn reach() -> Result<Cluster> {
        // Fails when another part of the process was first, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let place = Place::from_environment(|name| std::env::var(name).ok())?;
        let config = Config::infer()
            .await
            .context("no kubeconfig that names a cluster")?;
        let server = config.cluster_url.to_string();
        let client = Client::try_from(config)?;
        let version = tokio::time::timeout(std::time::Duration::from_secs(10), client.apiserver_version())
            .await
            .with_context(|| format!("the cluster at {server} does not answer within 10 s"))?
            .with_context(|| format!("the cluster at {server} does not answer"))?;
        if let Place::Current { context, .. } = &place {
            say(format!(
                "uses the current context {context:?} ({server}, Kubernetes {})",
                version.git_version
            ));
        }
        Ok(Cluster { client, place })
    }
}

impl Place {
    fn from_environment(variable: impl Fn(&str) -> Option<String>) -> Result<Place> {
        match variable("PORTOLAN_CLUSTER").as_deref() {
            Some("current") => {
                let context = kube::config::Kubeconfig::read()
                    .context("PORTOLAN_CLUSTER=current, but there is no kubeconfig")?
                    .current_context
                    .context("PORTOLAN_CLUSTER=current, but the kubeconfig has no current context")?;
                let Some(images) = variable("PORTOLAN_IMAGES") else {
                    bail!(
                        "PORTOLAN_CLUSTER=current (context {context:?}) needs PORTOLAN_IMAGES=<repository that its nodes can pull>, \
                         with portolan-operator and portolan-registry below it"
                    );
                };
                Ok(Place::Current { context, images })
            }
            Some(other) => bail!(
                "PORTOLAN_CLUSTER={other:?}: only \"current\" is known; leave it out for the throwaway cluster"
            ),
            None => match variable("PORTOLAN_CLUSTER_STATE") {
                Some(directory) => Ok(Place::Inside {
                    directory: directory.into(),
                }),
                None => bail!(
                    "no cluster is up around this test: `make e2e` brings one up and runs the tests inside, `make cluster-up` \
                     and `e2e/cluster/in COMMAND` do it by hand, PORTOLAN_CLUSTER=current uses your own"
                ),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Place;

    #[test]
    fn without_a_cluster_the_error_tells_what_to_run() {
        let error = Place::from_environment(|_| None).unwrap_err().to_string();
        assert!(error.contains("make e2e"), "{error}");
    }

    #[test]
    fn a_users_own_cluster_is_never_used_unasked() {
        let error = Place::from_environment(|name| (name == "KUBECONFIG").then(|| "/nowhere".into()));
        assert!(error.is_err());
    }

    #[test]
    fn an_unknown_cluster_is_refused() {
        let error =
            Place::from_environment(|name| (name == "PORTOLAN_CLUSTER").then(|| "kind".into())).unwrap_err();
        assert!(error.to_string().contains("only \"current\" is known"), "{error}");
    }
}
