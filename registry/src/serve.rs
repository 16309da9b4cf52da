//! The server as a whole: a configuration in, running listeners out, and an orderly stop. IO.

mod sources;

use std::net::SocketAddr;
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use jiff::Timestamp;
use portolan_config::{Config, Missing, Scrub, Storage};
use prometheus_client::metrics::gauge::Gauge;
use rustix::process::{Resource, getrlimit};
use tokio::net::{TcpListener, UnixListener};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::admin::{Admin, Collections};
use crate::app::{self, App};
use crate::buffers::Buffers;
use crate::files::FileProblem;
use crate::health::Health;
use crate::metrics::Metrics;
use crate::reload::{self, Current, Poll};
use crate::server::{self, Deadlines, ListenError, Serving, socket};
use crate::store::{
    OpenError, ReadOnlyReason, Requirements, ReserveSize, Store, StoreOptions, VolumeOptions,
};
use crate::tls::Tls;
use crate::{admin, health, scrubbing, store};

use self::sources::{admin_tls, public_tls, read_auth};

/// What the server takes from the world beside its configuration.
#[derive(Clone)]
pub struct Surroundings {
    /// The wall clock.
    pub clock: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    /// Cryptographic randomness.
    pub random: Arc<dyn Fn() -> [u8; 16] + Send + Sync>,
    /// How long a predecessor on the same volume may take to go; [`LOCK_TIMEOUT`], unless nobody can be there.
    pub lock_timeout: Duration,
}

impl std::fmt::Debug for Surroundings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Surroundings").finish_non_exhaustive()
    }
}

/// Why the server does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A file that the configuration names cannot be used.
    #[error(transparent)]
    File(#[from] FileProblem),
    /// An address cannot be listened on.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The volume cannot be opened.
    #[error(transparent)]
    Store(#[from] OpenError),
}

/// How long a predecessor on the same volume may take to go: it drains, and its node may be slow.
pub const LOCK_TIMEOUT: Duration = Duration::from_secs(30);
/// Uploads that nobody goes on with are removed after so long.
const UPLOAD_IDLE_TIMEOUT: Duration = Duration::from_hours(24);
/// The inner listeners need few connections.
const INNER_CONNECTIONS: usize = 64;

/// A server that is up.
#[derive(Debug)]
pub struct Running {
    /// Where registry clients connect.
    pub address: SocketAddr,
    /// Where administration connects.
    pub admin_address: Option<SocketAddr>,
    /// Where probes connect.
    pub health_address: Option<SocketAddr>,
    /// Where administration connects on this machine.
    socket: PathBuf,
    store: Store,
    draining: Arc<AtomicBool>,
    stop_clients: CancellationToken,
    stop_rest: CancellationToken,
    clients: TaskTracker,
    rest: TaskTracker,
    drain_timeout: Duration,
}

/// Reads every file, opens every listener and the volume, and only then begins to serve.
pub async fn start(config: &Config, surroundings: Surroundings) -> Result<Running, StartError> {
    let metrics = Metrics::new();
    let mut sources: Vec<Box<dyn Poll>> = Vec::new();
    let tls = config
        .http
        .tls
        .as_ref()
        .map(|tls| public_tls(tls, &config.http.hosts, &surroundings, &metrics, &mut sources))
        .transpose()?;
    let auth = read_auth(config, &mut sources)?;
    let admin_tls = config
        .admin
        .as_ref()
        .map(|admin| admin_tls(&admin.tls, &metrics, &mut sources))
        .transpose()?;

    let public = server::bind("http.address", config.http.address).await?;
    let admin = bind_optional("admin.address", config.admin.as_ref().map(|admin| admin.address)).await?;
    let health = bind_optional("health.address", config.health.as_ref().map(|it| it.address)).await?;

    let store = open_store(config, &surroundings).await?;
    let app = Arc::new(App {
        store: store.clone(),
        auth,
        tls: tls.clone(),
        hosts: config.http.hosts.clone(),
        external_url: config.http.external_url.clone(),
        delete_enabled: config.storage.delete_enabled,
        max_blob_bytes: config.uploads.max_blob_bytes.map_or(u64::MAX, NonZeroU64::get),
        manifests: Buffers::for_manifests(),
        forms: Buffers::for_forms(),
        metrics: metrics.clone(),
        clock: surroundings.clock.clone(),
        random: surroundings.random,
    });

    let running = Running {
        address: local(&public),
        admin_address: admin.as_ref().map(local),
        health_address: health.as_ref().map(local),
        socket: store::admin_socket(&config.storage.volume.path),
        store: store.clone(),
        draining: Arc::default(),
        stop_clients: CancellationToken::new(),
        stop_rest: CancellationToken::new(),
        clients: TaskTracker::new(),
        rest: TaskTracker::new(),
        drain_timeout: config.shutdown.drain_timeout.0,
    };
    let clients = Serving {
        router: app::router(app.clone()),
        tls,
        max_connections: usize::try_from(config.http.max_connections).unwrap_or(usize::MAX),
        connections: metrics.connections.clone(),
        deadlines: Deadlines::default(),
        stop: running.stop_clients.clone(),
        tasks: running.clients.clone(),
    };
    running.clients.spawn(clients.run(public));
    let administration = admin::router(Admin {
        collections: Collections::new(store, metrics.clone(), surroundings.clock.clone()),
        app,
    });
    running.administer(administration, admin, admin_tls);
    running.answer_probes(health, &metrics);
    running.scrub(config.scrub.clone(), surroundings.clock);
    running
        .rest
        .spawn(reload::run(sources, metrics, running.stop_rest.clone()));
    running.announce(config);
    Ok(running)
}

impl Running {
    fn inner(&self, router: Router, tls: Option<Arc<Current<Tls>>>) -> Serving {
        Serving {
            router,
            tls,
            max_connections: INNER_CONNECTIONS,
            connections: Gauge::default(),
            deadlines: Deadlines::default(),
            stop: self.stop_rest.clone(),
            tasks: self.rest.clone(),
        }
    }

    /// Answers probes, if there is a listener for them.
    fn answer_probes(&self, listener: Option<TcpListener>, metrics: &Metrics) {
        let Some(listener) = listener else { return };
        let health = Health {
            store: self.store.clone(),
            metrics: metrics.clone(),
            draining: self.draining.clone(),
        };
        self.rest
            .spawn(self.inner(health::router(health), None).run(listener));
    }

    /// Reads stored bytes again until the registry stops.
    fn scrub(&self, scrub: Scrub, clock: Arc<dyn Fn() -> Timestamp + Send + Sync>) {
        let (stop, passes) = (
            self.stop_clients.clone(),
            scrubbing::run(self.store.clone(), scrub, clock),
        );
        self.rest
            .spawn(async move { stop.run_until_cancelled(passes).await });
    }

    /// Opens both doors of the administration.
    fn administer(&self, router: Router, listener: Option<TcpListener>, tls: Option<Arc<Current<Tls>>>) {
        if let Some(socket) = admin_socket(&self.socket, &self.store) {
            self.rest.spawn(self.inner(router.clone(), None).run(socket));
        }
        if let Some(listener) = listener {
            self.rest.spawn(self.inner(router, tls).run(listener));
        }
    }

    fn announce(&self, config: &Config) {
        match self.store.read_only() {
            None | Some(ReadOnlyReason::Failed(_)) => {} // a failure is told when it is met
            Some(reason) => tracing::warn!("storage.volume.path: {reason}"),
        }
        if config.auth.is_none() {
            tracing::warn!("no auth in the configuration: everybody who can connect may do everything");
        }
        let has_tokens = config.auth.as_ref().is_some_and(|auth| auth.token.is_some());
        if has_tokens && config.http.tls.is_none() && config.http.external_url.is_none() {
            tracing::warn!(
                "http.tls: clients are asked for their passwords over plain HTTP; write a certificate there, or in http.externalUrl where a proxy serves one"
            );
        }
        tracing::info!(
            address = %self.address,
            admin = self.admin_address.map(tracing::field::display),
            health = self.health_address.map(tracing::field::display),
            tls = config.http.tls.is_some(),
            volume = %config.storage.volume.path.display(),
            version = env!("CARGO_PKG_VERSION"),
            "serving"
        );
    }

    /// Takes no new clients, lets requests in flight finish, then ends everything and releases the volume. True when
    /// every request was finished in time.
    pub async fn stop(self) -> bool {
        self.draining.store(true, Ordering::Relaxed);
        self.stop_clients.cancel();
        self.clients.close();
        let drained = tokio::time::timeout(self.drain_timeout, self.clients.wait())
            .await
            .is_ok();
        // a successor makes its own as soon as it has the volume; whoever has it now has one there
        if self.store.has_volume() {
            let _ = std::fs::remove_file(&self.socket);
        }
        self.store.close().await;
        self.stop_rest.cancel();
        self.rest.close();
        // probes and administration have no request that is worth waiting for
        let _ = tokio::time::timeout(Duration::from_secs(1), self.rest.wait()).await;
        drained
    }
}

fn local(listener: &TcpListener) -> SocketAddr {
    listener.local_addr().expect("a bound listener has an address")
}

async fn bind_optional(
    key: &'static str,
    address: Option<portolan_config::Address>,
) -> Result<Option<TcpListener>, ListenError> {
    match address {
        None => Ok(None),
        Some(address) => server::bind(key, address).await.map(Some),
    }
}

/// Without it the registry serves all the same. A volume that is not written to gets none.
fn admin_socket(path: &Path, store: &Store) -> Option<UnixListener> {
    if store.read_only().is_some() {
        return None;
    }
    match store.with_reserve(|| socket::bind(path)) {
        Ok(listener) => Some(listener),
        Err(error) => {
            let path = path.display();
            tracing::warn!("no local administration: cannot listen at socket \"{path}\": {error}");
            None
        }
    }
}

async fn open_store(config: &Config, surroundings: &Surroundings) -> Result<Store, OpenError> {
    let clock = surroundings.clock.clone();
    Store::open(StoreOptions {
        path: config.storage.volume.path.clone(),
        volume: volume_options(&config.storage),
        lock_timeout: surroundings.lock_timeout,
        upload_idle_timeout: UPLOAD_IDLE_TIMEOUT,
        open_uploads: open_uploads(),
        requirements: Requirements {
            layers: config.manifests.missing_layers == Missing::Refuse,
            children: config.manifests.missing_children == Missing::Refuse,
        },
        clock: Arc::new(move || clock().into()),
        random: surroundings.random.clone(),
    })
    .await
}

/// A quarter of the files that the process may have open: the others are for connections and for what requests open.
fn open_uploads() -> usize {
    let open_files = getrlimit(Resource::Nofile).current;
    open_files.map_or(usize::MAX, |most| usize::try_from(most / 4).unwrap_or(usize::MAX))
}

fn volume_options(storage: &Storage) -> VolumeOptions {
    VolumeOptions {
        read_only: storage.read_only,
        allow_unsafe_filesystem: storage.volume.allow_unsafe_filesystem,
        reserve: storage
            .volume
            .reserve_bytes
            .map_or(ReserveSize::Usual, ReserveSize::Bytes),
    }
}
