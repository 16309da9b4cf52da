//! The stock client: crane with the generated Secret as its docker configuration and the CA from the same Secret, as
//! a job in the cluster would use it. It resolves names as a Pod does; where only the API is at hand, it goes
//! through a port-forward of kubectl under the registry's own name.

mod tunnel;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use tokio::process::Command;

use crate::cluster::Place;
use crate::command::{command, output};
use crate::image::Image;
use crate::registry::{Login, Registry};
use crate::wait::until;
use tunnel::Tunnel;

/// What the Service's own address may lag behind readiness.
const SERVICE_LAG: Duration = Duration::from_secs(2);

/// A logged-in client of one registry.
#[derive(Debug)]
pub struct Crane {
    endpoint: String,
    directory: PathBuf,
    reach: Reach,
}

#[derive(Debug)]
enum Reach {
    /// By the cluster's DNS and `ClusterIP`: a mount namespace with a Pod's resolv.conf.
    ClusterDns,
    Forwarded(Box<Tunnel>),
}

impl Crane {
    /// A client with the registry's Secret `<registry>-<purpose>`.
    pub async fn login(registry: &Registry<'_>, purpose: &str) -> Result<Crane> {
        let login = registry.login(purpose).await?;
        Crane::with(registry, &login).await
    }

    /// A client with this login, right or wrong.
    pub async fn with(registry: &Registry<'_>, login: &Login) -> Result<Crane> {
        let scene = registry.scene;
        let directory = scene.directory()?;
        std::fs::write(directory.join("config.json"), &login.docker_config)?;
        std::fs::write(directory.join("ca.crt"), &login.certificate_authority)?;
        let reach = match &scene.cluster.place {
            Place::Inside { .. } => {
                let dns = scene.service_address("kube-system", "kube-dns").await?;
                let search = format!(
                    "{}.svc.cluster.local svc.cluster.local cluster.local",
                    scene.namespace
                );
                let resolv = format!("nameserver {dns}\nsearch {search}\noptions ndots:5\n");
                std::fs::write(directory.join("resolv.conf"), resolv)?;
                Reach::ClusterDns
            }
            Place::Current { .. } => {
                Reach::Forwarded(Box::new(Tunnel::open(&scene.namespace, registry.name).await?))
            }
        };
        Ok(Crane {
            endpoint: login.endpoint.clone(),
            directory,
            reach,
        })
    }

    /// Pushes and returns the image's full name.
    pub async fn push(&self, image: &Image, repository: &str) -> Result<String> {
        let name = self.name(repository);
        let layout = image.layout.to_str().context("a path in UTF-8")?;
        self.call(&["push", layout, &name]).await?;
        Ok(name)
    }

    /// The digest behind a tag.
    pub async fn digest(&self, repository: &str) -> Result<String> {
        Ok(self
            .call(&["digest", &self.name(repository)])
            .await?
            .trim()
            .to_owned())
    }

    /// Reads every layer back and checks its digest.
    pub async fn validate(&self, repository: &str) -> Result<()> {
        self.call(&["validate", "--remote", &self.name(repository)])
            .await
            .map(drop)
    }

    /// What the registry answers to a request that must fail.
    pub async fn refusal(&self, arguments: &[&str]) -> Result<String> {
        match self.call(arguments).await {
            Ok(said) => bail!("crane {arguments:?} succeeded: {said}"),
            Err(error) => Ok(format!("{error:#}")),
        }
    }

    /// `<endpoint>/<repository>`.
    pub fn name(&self, repository: &str) -> String {
        format!("{}/{repository}", self.endpoint)
    }

    /// Runs crane; only a refused connection right after readiness is tried again.
    pub async fn call(&self, arguments: &[&str]) -> Result<String> {
        until(
            "the Service accepts connections",
            SERVICE_LAG,
            async || match output(self.command(arguments)).await {
                Err(error) if format!("{error:#}").contains("connection refused") => Err(error),
                other => Ok(other),
            },
        )
        .await
        .map_err(|error| anyhow!(error))?
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = match &self.reach {
            Reach::ClusterDns => {
                let script =
                    r#"mount -n --bind "$DOCKER_CONFIG/resolv.conf" /etc/resolv.conf && exec crane "$@""#;
                command(
                    "unshare",
                    ["--mount", "--propagation", "private", "sh", "-c", script, "crane"],
                )
            }
            Reach::Forwarded(tunnel) => {
                let mut command = command("crane", [""; 0]);
                command.env("HTTPS_PROXY", tunnel.proxy());
                command
            }
        };
        command
            .args(arguments)
            .env("DOCKER_CONFIG", &self.directory)
            .env("SSL_CERT_FILE", self.directory.join("ca.crt"));
        command
    }
}
