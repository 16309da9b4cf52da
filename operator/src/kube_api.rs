//! How to reach the Kubernetes API: the flag's kubeconfig, else the user's own, else the Pod's service account come in, a
//! client goes out. IO, but no request yet.
//!
//! What the libraries say about a kubeconfig quotes it, tokens and all: here every sentence is our own.

use std::error::Error as StdError;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use kube::client::{AuthError, ClientBuilder};
use kube::config::{InClusterError, KubeConfigOptions, Kubeconfig, KubeconfigError, LoadDataError};
use kube::{Client, Config};
use thiserror::Error;

use crate::metrics::{CountRequests, Metrics};

/// Less than a pass may take, so that the pass can still say what was wrong.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Why there is no client.
#[derive(Debug, Error)]
pub enum ReachError {
    #[error(
        "cannot find out how to reach the Kubernetes API: there is neither a kubeconfig nor a ServiceAccount; write \
         --kubeconfig FILE (or the variable KUBECONFIG), or run in a Pod whose token is mounted"
    )]
    Nowhere,
    #[error("cannot find out how to reach the Kubernetes API: kubeconfig {} {problem}", file.display())]
    Kubeconfig { file: PathBuf, problem: String },
    #[error(
        "cannot find out how to reach the Kubernetes API: this is a Pod, but {0}; let it mount the token of its \
         ServiceAccount (automountServiceAccountToken)"
    )]
    Pod(InClusterError),
    #[error("cannot set up the client of the Kubernetes API: the kubeconfig {0}")]
    Client(String),
}

/// A client that counts its requests and repeats none: when to try again is for the caller to say.
pub async fn client(kubeconfig: Option<&OsStr>, metrics: Arc<Metrics>) -> Result<Client, ReachError> {
    let config = match kubeconfig.filter(|paths| !paths.is_empty()) {
        Some(paths) => named(paths).await?,
        None => usual().await?,
    };
    build(config, metrics)
}

/// The same for a known configuration.
pub fn build(mut config: Config, metrics: Arc<Metrics>) -> Result<Client, ReachError> {
    config.connect_timeout = Some(CONNECT_TIMEOUT);
    config.default_retry = false;
    let builder = ClientBuilder::try_from(config).map_err(|error| {
        ReachError::Client(match &error {
            kube::Error::InferKubeconfig(error) => problem(error),
            kube::Error::Auth(_) => "names credentials that cannot be had; try it with kubectl".to_owned(),
            kube::Error::RustlsTls(_) => {
                "has certificates or a key that cannot be used; write them as PEM".to_owned()
            }
            _ => "asks for something that is not supported, such as a proxy; leave it out".to_owned(),
        })
    })?;
    Ok(builder.with_layer(&CountRequests::new(metrics)).build())
}

/// Several files as kubectl merges them.
async fn named(paths: &OsStr) -> Result<Config, ReachError> {
    let mut merged = Kubeconfig::default();
    let mut last = PathBuf::new();
    for file in std::env::split_paths(paths).filter(|file| !file.as_os_str().is_empty()) {
        merged = Kubeconfig::read_from(&file)
            .and_then(|next| merged.merge(next))
            .map_err(|error| unusable(&file, &error))?;
        last = file;
    }
    Config::from_custom_kubeconfig(merged, &KubeConfigOptions::default())
        .await
        .map_err(|error| unusable(&last, &error))
}

async fn usual() -> Result<Config, ReachError> {
    let error = match Config::from_kubeconfig(&KubeConfigOptions::default()).await {
        Ok(config) => return Ok(config),
        Err(error) => error,
    };
    Config::incluster().map_err(|in_pod| match in_pod {
        InClusterError::ReadEnvironmentVariable(_) if is_absent(&error) => ReachError::Nowhere,
        InClusterError::ReadEnvironmentVariable(_) => unusable(Path::new("~/.kube/config"), &error),
        in_pod => ReachError::Pod(in_pod),
    })
}

fn is_absent(error: &KubeconfigError) -> bool {
    match error {
        KubeconfigError::FindPath => true,
        KubeconfigError::ReadConfig(source, _) => source.kind() == std::io::ErrorKind::NotFound,
        _ => false,
    }
}

fn unusable(file: &Path, error: &KubeconfigError) -> ReachError {
    ReachError::Kubeconfig {
        file: file.to_owned(),
        problem: problem(error),
    }
}

/// What is wrong with a kubeconfig, and the remedy; the subject comes before.
fn problem(error: &KubeconfigError) -> String {
    match error {
        KubeconfigError::FindPath => {
            "cannot be looked for without a home; write --kubeconfig FILE".to_owned()
        }
        error if is_absent(error) => {
            "does not exist; name one that does with --kubeconfig or KUBECONFIG".to_owned()
        }
        KubeconfigError::ReadConfig(source, _) if source.kind() == std::io::ErrorKind::PermissionDenied => {
            format!("cannot be read ({source}); let this user read it")
        }
        KubeconfigError::ReadConfig(source, _) => {
            format!("cannot be read ({source}); name a kubeconfig file with --kubeconfig or KUBECONFIG")
        }
        KubeconfigError::Parse(source) => {
            let place = source.location().map_or_else(String::new, |at| {
                format!(": line {}, column {} is wrong", at.line(), at.column())
            });
            format!("is no kubeconfig{place}; write it anew, as `kubectl config view --raw` prints one")
        }
        KubeconfigError::CurrentContextNotSet => {
            "has no current-context; choose one with `kubectl config use-context`".to_owned()
        }
        KubeconfigError::LoadContext(name) => format!("has no context {name:?}; add it or choose another"),
        KubeconfigError::LoadClusterOfContext(name) => {
            format!("has no cluster {name:?}, which its context names; add it")
        }
        KubeconfigError::MissingClusterUrl | KubeconfigError::ParseClusterUrl(_) => {
            "has no usable server for its cluster; write one such as https://192.0.2.1:6443".to_owned()
        }
        KubeconfigError::ParseProxyUrl(_) => "has a proxy-url that is no URL; correct it".to_owned(),
        KubeconfigError::LoadCertificateAuthority(source) => data("certificate-authority", source),
        KubeconfigError::LoadClientCertificate(source) => data("client-certificate", source),
        KubeconfigError::LoadClientKey(source) => data("client-key", source),
        KubeconfigError::ParseCertificates(_) => {
            "has a certificate-authority that is no PEM; correct it".to_owned()
        }
        KubeconfigError::KindMismatch | KubeconfigError::ApiVersionMismatch => {
            "is of another kind or version than the files before it; name one of them only".to_owned()
        }
    }
}

fn data(key: &str, error: &LoadDataError) -> String {
    match error {
        LoadDataError::ReadFile(source, file) => {
            format!(
                "names {} as {key}, which cannot be read ({source}); put it there",
                file.display()
            )
        }
        LoadDataError::DecodeBase64(_) => format!("has a {key}-data that is no base64; correct it"),
        LoadDataError::NoBase64DataOrFile => format!("has no {key}; add it"),
    }
}

/// Why a request got no answer, or which: the innermost cause in few words, without what credentials were made of.
pub fn cause(error: &kube::Error) -> String {
    if let kube::Error::Api(status) = error {
        return status.message.clone();
    }
    let mut innermost: &(dyn StdError + 'static) = error;
    loop {
        if innermost.is::<AuthError>() {
            return "the credentials of the kubeconfig cannot be had".to_owned();
        }
        match innermost.source() {
            Some(source) => innermost = source,
            None => return innermost.to_string(),
        }
    }
}
