//! The life of the operator process: arguments come in, what `main` has to report goes out. IO.
//!
//! Order: client, are the CRDs there, HTTP endpoint, leadership, controllers. It ends by a signal, by the loss of
//! leadership or by a watch that got stuck; only the first is a clean end.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use jiff::Timestamp;
use kube::Client;
use kube::api::{Api, ListParams};
use portolan_config::Address;
use portolan_crds::v1alpha1::Registry;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::admin::{self, Admin};
use crate::args::RunArgs;
use crate::context::Settings;
use crate::events::Publisher;
use crate::kube_api::{self, ReachError};
use crate::leader::{Election, Timing};
use crate::metrics::{Metrics, RegistrySeries};
use crate::registry_controller;
use crate::streams::{self, Monitor, Scope};

/// The Lease that all replicas compete for.
const LEASE: &str = "portolan-operator-leader";
/// How long passes that run may go on after a signal; the Pod has 30 s in all.
const STOP_TIMEOUT: Duration = Duration::from_secs(20);
/// The same before every watch has its first list: hardly anything runs then.
const STOP_TIMEOUT_WITHOUT_LISTS: Duration = Duration::from_secs(1);
const WATCHDOG_PERIOD: Duration = Duration::from_secs(15);

/// Why the process ended.
#[derive(Debug, PartialEq, Eq)]
pub enum End {
    /// By a signal, with everything put away.
    Clean,
    /// Somebody else may lead now; nothing more must be written.
    LeadershipLost,
    /// These watches stopped moving.
    Stuck(Vec<String>),
}

/// Why the process could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// There is no client.
    #[error(transparent)]
    Reach(#[from] ReachError),
    /// The API server does not know the kind.
    #[error(
        "the API server does not know registries.portolan.dev/v1alpha1; install the CRDs first \
         (helm chart portolan-crds, or crds.enabled=true of chart portolan)"
    )]
    CrdsMissing,
    /// The API server refuses.
    #[error(
        "not allowed to list registries.portolan.dev in {place}; grant it to the operator's ServiceAccount ({said})"
    )]
    Forbidden {
        /// A namespace, or all of them.
        place: String,
        /// What the API server said.
        said: String,
    },
    /// The API server does not know who we are.
    #[error(
        "the Kubernetes API refuses the credentials of the kubeconfig or the ServiceAccount; give it ones that are valid"
    )]
    Unauthorized,
    /// The API server cannot be reached, or answers with an error.
    #[error(
        "the Kubernetes API does not list registries.portolan.dev: {0}; check that it runs, and the server of the kubeconfig"
    )]
    Api(String),
    /// The HTTP address cannot be bound.
    #[error(
        "cannot listen on {address}: {why}; give another with --http-address or in PORTOLAN_HTTP_ADDRESS, such as :8080"
    )]
    Listen {
        /// What was asked for.
        address: Address,
        /// In words.
        why: String,
    },
}

impl End {
    /// The status that the process exits with.
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Clean => 0,
            Self::LeadershipLost => 4,
            Self::Stuck(_) => 5,
        })
    }
}

impl StartError {
    /// The status that the process exits with.
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::CrdsMissing => 3,
            _ => 1,
        })
    }
}

/// Runs until `stop` is done or something ends the process. `now` is the clock, `identity` is unique among replicas.
pub async fn run(
    args: &RunArgs,
    identity: String,
    now: fn() -> Timestamp,
    stop: impl Future<Output = ()>,
) -> Result<End, StartError> {
    let metrics = Arc::new(Metrics::new(env!("CARGO_PKG_VERSION")));
    let monitor = Monitor::new(Arc::clone(&metrics), now);
    let client = kube_api::client(args.kubeconfig.as_deref(), Arc::clone(&metrics)).await?;
    let scopes = Scope::all(&args.namespaces());
    for scope in &scopes {
        find_crds(&client, scope).await?;
    }
    listen(
        args,
        Admin {
            monitor: monitor.clone(),
            metrics: Arc::clone(&metrics),
        },
    )
    .await?;

    let mut stop = std::pin::pin!(stop);
    let mut election = args
        .leader_election
        .then(|| election(args, &client, identity, now));
    if let Some(election) = &mut election {
        tokio::select! {
            () = &mut stop => return Ok(End::Clean),
            () = election.acquire() => tracing::info!("leading"),
        }
    }
    metrics.leads(true);

    let (stopping, stopped) = watch::channel(false);
    let controllers = controllers(args, &client, &scopes, &monitor, &metrics, &stopped);
    let mut controllers = std::pin::pin!(controllers);
    let mut end = tokio::select! {
        () = leadership_lost(&mut election) => End::LeadershipLost,
        stuck = watchdog(&monitor, WATCHDOG_PERIOD) => End::Stuck(stuck),
        () = &mut controllers => End::Stuck(vec!["all".to_owned()]),
        () = &mut stop => End::Clean,
    };
    if end == End::Clean {
        tracing::info!("stopping");
        let _ = stopping.send(true);
        // Before the first lists no pass has begun, and a controller would wait for lists that no longer come.
        let limit = if monitor.has_all_first_lists() {
            STOP_TIMEOUT
        } else {
            STOP_TIMEOUT_WITHOUT_LISTS
        };
        end = wind_down(&mut controllers, leadership_lost(&mut election), limit).await;
    }
    metrics.leads(false);
    if let (End::Clean, Some(election)) = (&end, &mut election) {
        election.release().await;
    }
    Ok(end)
}

/// Ends when somebody else may lead; never where nobody is elected.
async fn leadership_lost(election: &mut Option<Election>) {
    match election {
        Some(election) => election.hold().await,
        None => std::future::pending().await,
    }
}

/// Lets the passes that run come to their end, for as long as nobody else may lead: they write.
async fn wind_down(passes: impl Future<Output = ()>, lost: impl Future<Output = ()>, limit: Duration) -> End {
    tokio::select! {
        () = lost => return End::LeadershipLost,
        ended = tokio::time::timeout(limit, passes) => {
            if ended.is_err() {
                tracing::warn!("some passes did not end in time");
            }
        }
    }
    End::Clean
}

fn election(args: &RunArgs, client: &Client, identity: String, now: fn() -> Timestamp) -> Election {
    let namespace = args.leader_election_namespace.as_deref();
    let namespace = namespace.unwrap_or_else(|| client.default_namespace());
    Election::new(
        Api::namespaced(client.clone(), namespace),
        LEASE,
        identity,
        Timing::default(),
        now,
    )
}

/// One controller per scope; ends when all have stopped.
async fn controllers(
    args: &RunArgs,
    client: &Client,
    scopes: &[Scope],
    monitor: &Monitor,
    metrics: &Arc<Metrics>,
    stopped: &watch::Receiver<bool>,
) {
    let publisher = Publisher::new(client.clone(), &args.pod_name);
    let controllers = scopes.iter().map(|scope| {
        let streams = streams::open(client, scope, monitor);
        metrics.add_registries(RegistrySeries(streams.registries.store.clone()));
        let settings = Settings {
            registry_image: args.registry_image.clone(),
            cluster_domain: args.cluster_domain.clone(),
        };
        let context = registry_controller::Context::new(
            client.clone(),
            settings,
            (&streams, monitor),
            publisher.clone(),
            Arc::clone(metrics),
        );
        let mut stopped = stopped.clone();
        let stop = async move {
            let _ = stopped.wait_for(|stopped| *stopped).await;
        };
        registry_controller::run(context, streams, args.concurrency, stop)
    });
    join_all(controllers).await;
}

/// Asks before anything else starts: a watch on an unknown kind would only fail for ever.
async fn find_crds(client: &Client, scope: &Scope) -> Result<(), StartError> {
    let registries: Api<Registry> = scope.api(client);
    match registries.list_metadata(&ListParams::default().limit(1)).await {
        Ok(_) => Ok(()),
        Err(error) => Err(refusal(error, scope)),
    }
}

/// What an unsuccessful first list means. An unknown kind is a 404 without a Status object, hence without a reason.
fn refusal(error: kube::Error, scope: &Scope) -> StartError {
    match error {
        kube::Error::Api(status) if status.code == 404 => StartError::CrdsMissing,
        kube::Error::Api(status) if status.is_forbidden() => StartError::Forbidden {
            place: match scope {
                Scope::Cluster => "all namespaces".to_owned(),
                Scope::Namespace(namespace) => format!("namespace {namespace}"),
            },
            said: status.message.clone(),
        },
        kube::Error::Api(status) if status.code == 401 => StartError::Unauthorized,
        error => StartError::Api(kube_api::cause(&error)),
    }
}

async fn listen(args: &RunArgs, admin: Admin) -> Result<(), StartError> {
    let address = args.http_address;
    let listener = bind(address).await.map_err(|error| StartError::Listen {
        address,
        why: match error.kind() {
            ErrorKind::AddrInUse => "another program listens there".to_owned(),
            ErrorKind::PermissionDenied => "ports below 1024 need a right of their own".to_owned(),
            ErrorKind::AddrNotAvailable => "this machine does not have that address".to_owned(),
            _ => error.to_string(),
        },
    })?;
    tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, admin::router(admin)).await {
            tracing::error!(error = %error, "the HTTP endpoint ended");
        }
    });
    Ok(())
}

async fn bind(address: Address) -> std::io::Result<TcpListener> {
    let Some(ip) = address.ip else {
        // IPv6 and IPv4 at once; a machine without IPv6 cannot do that.
        return match TcpListener::bind((Ipv6Addr::UNSPECIFIED, address.port)).await {
            Err(error) if error.kind() != ErrorKind::AddrInUse => {
                TcpListener::bind((Ipv4Addr::UNSPECIFIED, address.port)).await
            }
            bound => bound,
        };
    };
    TcpListener::bind((ip, address.port)).await
}

async fn watchdog(monitor: &Monitor, period: Duration) -> Vec<String> {
    loop {
        tokio::time::sleep(period).await;
        let stuck = monitor.stuck();
        if !stuck.is_empty() {
            return stuck;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, Ordering};

    use kube::core::Status;
    use kube::runtime::watcher;

    use super::*;

    fn refused(message: &str, reason: &str, code: u16) -> StartError {
        let status = Status::failure(message, reason).with_code(code).boxed();
        refusal(kube::Error::Api(status), &Scope::Namespace("team-a".to_owned()))
    }

    #[test]
    fn unknown_kind_means_that_the_crds_are_missing() {
        // As the API server answers and the client reports it.
        let error = refused("404 page not found", "Failed to parse error data", 404);
        assert!(error.to_string().contains("install the CRDs first"), "{error}");
        assert_eq!(error.exit_code(), ExitCode::from(3));
    }

    #[test]
    fn missing_permission_is_named_with_its_place() {
        let error = refused("registries is forbidden", "Forbidden", 403);
        assert!(error.to_string().contains("namespace team-a"), "{error}");
        assert_eq!(error.exit_code(), ExitCode::from(1));
    }

    #[tokio::test]
    async fn watch_that_nobody_polls_ends_the_process_with_status_5() {
        static SECOND: AtomicI64 = AtomicI64::new(1_700_000_000);
        let clock = || Timestamp::from_second(SECOND.load(Ordering::Relaxed)).unwrap();
        let monitor = Monitor::new(Arc::new(Metrics::new("0.1.0")), clock);
        let events = futures::stream::pending::<watcher::Result<watcher::Event<u8>>>();
        let _watch = monitor.observe("pods".to_owned(), events);
        let period = Duration::from_millis(1);
        let early = tokio::time::timeout(period * 20, watchdog(&monitor, period)).await;
        assert!(early.is_err(), "{early:?}");
        SECOND.fetch_add(601, Ordering::Relaxed);
        let stuck = watchdog(&monitor, period).await;
        assert_eq!(stuck, ["pods"]);
        assert_eq!(End::Stuck(stuck).exit_code(), ExitCode::from(5));
    }

    #[tokio::test]
    async fn passes_that_run_at_the_end_are_given_up_when_somebody_else_may_lead() {
        let (never, at_once) = (std::future::pending::<()>, || std::future::ready(()));
        let end = tokio::time::timeout(STOP_TIMEOUT / 4, wind_down(never(), at_once(), STOP_TIMEOUT));
        assert_eq!(end.await, Ok(End::LeadershipLost));
        assert_eq!(wind_down(at_once(), never(), STOP_TIMEOUT).await, End::Clean);
        assert_eq!(
            wind_down(never(), never(), Duration::from_millis(1)).await,
            End::Clean
        );
    }

    #[test]
    fn every_end_has_a_status_of_its_own() {
        let codes = [End::Clean, End::LeadershipLost, End::Stuck(Vec::new())].map(|end| end.exit_code());
        assert_eq!(codes, [0, 4, 5].map(ExitCode::from));
    }
}
