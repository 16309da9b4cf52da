//! A server to ask, and what tests put into it: directories, users, certificates, blobs, images.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use http::Method;
use jiff::{SignedDuration, Timestamp};
use portolan_config::{Action, Auth, Config, Health, Permission, ServerTls, Token, User, Users};
use portolan_oci::{Algorithm, Digest};
use portolan_registry::serve::{self, Running, Surroundings};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::json;

use crate::client::{Answer, Target};

pub(crate) const PASSWORD: &str = "correct-horse-battery-staple";

/// A running server over a directory that goes away with it.
pub(crate) struct Registry {
    pub(crate) target: Target,
    pub(crate) directory: tempfile::TempDir,
    pub(crate) running: Option<Running>,
    /// Seconds by which the server's clock is ahead.
    pub(crate) ahead: Arc<AtomicI64>,
}

impl std::ops::Deref for Registry {
    type Target = Target;

    fn deref(&self) -> &Target {
        &self.target
    }
}

/// A plain server that lets everybody do everything.
pub(crate) async fn open() -> Registry {
    started(|_, _| {}).await
}

/// A server with users and the token service.
pub(crate) async fn guarded() -> Registry {
    started(with_auth).await
}

/// A server whose configuration is changed first; the path is of an empty directory for its files.
pub(crate) async fn started(change: impl FnOnce(&mut Config, &Path)) -> Registry {
    let directory = tempfile::tempdir().unwrap();
    let files = directory.path().join("files");
    std::fs::create_dir(&files).unwrap();
    let mut config = Config::default();
    config.http.address = "127.0.0.1:0".parse().unwrap();
    config.health = Some(Health {
        address: "127.0.0.1:0".parse().unwrap(),
    });
    config.storage.volume.path = directory.path().join("volume");
    config.shutdown.drain_timeout = portolan_config::Duration::from_secs(10);
    std::fs::create_dir(&config.storage.volume.path).unwrap();
    change(&mut config, &files);
    let ahead = Arc::new(AtomicI64::new(0));
    let offset = ahead.clone();
    let surroundings = Surroundings {
        clock: Arc::new(move || now() + SignedDuration::from_secs(offset.load(Ordering::Relaxed))),
        ..surroundings()
    };
    let running = serve::start(&config, surroundings).await.unwrap();
    let target = Target {
        address: running.address,
        host: running.address.to_string(),
        tls: None,
    };
    Registry {
        target,
        directory,
        running: Some(running),
        ahead,
    }
}

/// The world as it is.
pub(crate) fn surroundings() -> Surroundings {
    Surroundings {
        clock: Arc::new(now),
        random: Arc::new(rand::random),
        lock_timeout: Duration::from_secs(5),
    }
}

#[expect(clippy::disallowed_methods, reason = "tests are where the clock comes from")]
fn now() -> Timestamp {
    Timestamp::now()
}

impl Registry {
    pub(crate) fn files(&self) -> PathBuf {
        self.directory.path().join("files")
    }

    /// The listener for probes and metrics.
    pub(crate) fn health(&self) -> Target {
        let address = self.running.as_ref().unwrap().health_address.unwrap();
        Target {
            address,
            host: address.to_string(),
            tls: None,
        }
    }

    pub(crate) async fn metrics(&self) -> String {
        self.health().get("/metrics").await.expect(200).text().to_owned()
    }

    pub(crate) async fn token(&self, name: &str, password: &str, scope: &str) -> String {
        let path = format!("/token?service=svc&scope={}", scope.replace(' ', "&scope="));
        let answer = self
            .asking(Method::GET, &path)
            .basic(name, password)
            .send()
            .await
            .expect(200);
        answer.json()["token"].as_str().unwrap().to_owned()
    }

    /// Pushes in two requests and checks nothing but success.
    pub(crate) async fn push_blob(&self, repository: &str, content: &[u8]) -> Digest {
        let digest = Digest::of(Algorithm::Sha256, content);
        let path = format!("/v2/{repository}/blobs/uploads/?digest={digest}");
        self.asking(Method::POST, &path)
            .body(content.to_vec())
            .send()
            .await
            .expect(201);
        digest
    }

    pub(crate) async fn put_manifest(
        &self,
        repository: &str,
        reference: &str,
        manifest: &Manifest,
    ) -> Answer {
        self.asking(Method::PUT, &format!("/v2/{repository}/manifests/{reference}"))
            .header("content-type", manifest.media_type)
            .body(manifest.text.clone())
            .send()
            .await
    }

    /// Pushes an image with one layer; different for every seed.
    pub(crate) async fn push_image(&self, repository: &str, tag: &str, seed: &str) -> Manifest {
        self.push_blob(repository, b"{}").await;
        let layer = self.push_blob(repository, seed.as_bytes()).await;
        let manifest = Manifest::image(&layer, seed.len(), None);
        self.put_manifest(repository, tag, &manifest).await.expect(201);
        manifest
    }
}

pub(crate) const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// A document that can be pushed.
#[derive(Clone)]
pub(crate) struct Manifest {
    pub(crate) text: String,
    pub(crate) media_type: &'static str,
    pub(crate) digest: Digest,
}

impl Manifest {
    pub(crate) fn new(media_type: &'static str, text: String) -> Self {
        let digest = Digest::of(Algorithm::Sha256, text.as_bytes());
        Self {
            text,
            media_type,
            digest,
        }
    }

    /// With the blob `{}` as its configuration.
    pub(crate) fn image(layer: &Digest, size: usize, subject: Option<(&Self, &str)>) -> Self {
        let mut document = json!({
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": {"mediaType": "application/vnd.oci.empty.v1+json", "size": 2, "digest": Digest::of(Algorithm::Sha256, b"{}")},
            "layers": [{"mediaType": "application/octet-stream", "size": size, "digest": layer}],
        });
        if let Some((subject, artifact_type)) = subject {
            document["subject"] =
                json!({"mediaType": OCI_MANIFEST, "size": subject.text.len(), "digest": subject.digest});
            document["artifactType"] = json!(artifact_type);
        }
        Self::new(OCI_MANIFEST, document.to_string())
    }

    pub(crate) fn index(children: &[&Self]) -> Self {
        let children: Vec<_> = children
            .iter()
            .map(|it| json!({"mediaType": it.media_type, "size": it.text.len(), "digest": it.digest}))
            .collect();
        let document = json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": children});
        Self::new(OCI_INDEX, document.to_string())
    }
}

/// One user with the usual password.
pub(crate) fn user(name: &str, repositories: &str, actions: &[Action]) -> User {
    let permission = Permission {
        repositories: vec![repositories.parse().unwrap()],
        actions: actions.to_vec(),
    };
    User {
        name: name.to_owned(),
        password_sha256: vec![
            Digest::of(Algorithm::Sha256, PASSWORD.as_bytes())
                .hex()
                .to_owned(),
        ],
        permissions: vec![permission],
    }
}

pub(crate) fn write_users(files: &Path, users: Vec<User>) {
    replace(&files.join("users.yaml"), Users { users }.to_yaml().as_bytes());
}

/// `root` everywhere, `reader` and `writer` under `team/`, `dropbox` may only push there.
pub(crate) fn usual_users() -> Vec<User> {
    vec![
        user("root", "**", &[Action::Pull, Action::Push, Action::Delete]),
        user("writer", "team/**", &[Action::Pull, Action::Push]),
        user("reader", "team/**", &[Action::Pull]),
        user("dropbox", "team/**", &[Action::Push]),
    ]
}

/// Users and the token service.
pub(crate) fn with_auth(config: &mut Config, files: &Path) {
    write_users(files, usual_users());
    let keys = files.join("keys");
    std::fs::create_dir(&keys).unwrap();
    write_token_keys(&keys, "k1", &["k1"]);
    config.auth = Some(Auth {
        users_file: files.join("users.yaml"),
        token: Some(Token {
            keys_directory: keys,
            service: "svc".to_owned(),
            lifetime: portolan_config::Duration::from_secs(300),
        }),
    });
}

/// Writes fresh keys for those names that have none, then says which one signs.
pub(crate) fn write_token_keys(directory: &Path, active: &str, names: &[&str]) {
    for name in names {
        let path = directory.join(format!("{name}.pem"));
        if !path.exists() {
            std::fs::write(path, KeyPair::generate().unwrap().serialize_pem()).unwrap();
        }
    }
    replace(&directory.join("active"), active.as_bytes());
}

/// An authority and what it has signed.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate for these names, with its key; both PEM.
    pub(crate) fn issue(&self, names: &[&str]) -> (String, String) {
        self.issue_changed(names, |_| {})
    }

    /// The same, with something about it changed first.
    pub(crate) fn issue_changed(
        &self,
        names: &[&str],
        change: impl FnOnce(&mut CertificateParams),
    ) -> (String, String) {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(names).unwrap();
        change(&mut params);
        let certificate = params.signed_by(&key, &self.0).unwrap();
        (certificate.pem(), key.serialize_pem())
    }

    /// Writes `tls.crt` and `tls.key`.
    pub(crate) fn write(&self, files: &Path, names: &[&str]) -> ServerTls {
        let (certificate, key) = self.issue(names);
        let tls = ServerTls {
            certificate_file: files.join("tls.crt"),
            key_file: files.join("tls.key"),
        };
        replace(&tls.certificate_file, certificate.as_bytes());
        replace(&tls.key_file, key.as_bytes());
        tls
    }

    /// A client that trusts this authority, perhaps with a certificate of its own.
    pub(crate) fn client(&self, own: Option<(String, String)>) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_slice(self.pem().as_bytes()).unwrap())
            .unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        Arc::new(match own {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => {
                let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()];
                let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
                builder.with_client_auth_cert(chain, key).unwrap()
            }
        })
    }
}

/// Writes a file as careful people do: nobody sees half of it.
pub(crate) fn replace(path: &Path, content: &[u8]) {
    let next = path.with_extension("next");
    std::fs::write(&next, content).unwrap();
    std::fs::rename(next, path).unwrap();
}

/// Asks again until it is so; panics after a while.
pub(crate) async fn eventually<F: Future<Output = bool>>(what: &str, mut check: impl FnMut() -> F) {
    for _ in 0..400 {
        if check().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("never happened: {what}");
}
