//! From `Registry` objects to running registries: one pass per event and object, which calls the steps in order and
//! decides nothing itself. IO.
//!
//! `Registry` -> `Dereferenced` -> `ValidatedRegistry` -> `Resources<Prepared>` -> `Resources<Applied>` ->
//! `RegistryStatus`. Whatever a step ends in, a status is written that says so.

pub mod apply;
pub mod build;
pub mod dereference;
mod failure;
pub mod material;
pub mod notices;
pub mod observed;
pub mod probing;
mod schedule;
pub mod status;
#[cfg(test)]
mod test_support;
mod triggers;
pub mod update_status;
pub mod validate;

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use jiff::Timestamp;
use kube::core::DeserializeGuard;
use kube::runtime::controller::Action;
use kube::runtime::reflector::Lookup as _;
use kube::{Resource, ResourceExt as _};
use portolan_crds::v1alpha1::Registry;
use thiserror::Error;

use self::dereference::Dereferenced;
use self::material::Sources;
use self::status::{Failure, Outcome, Progress};
use self::update_status::UpdateStatusError;
use crate::context::{Context, PASS_DEADLINE};
use crate::events::Notice;
use crate::metrics::PassResult;
use crate::streams::Streams;

const CONTROLLER: &str = "registry";
/// For the status of a pass that was given up.
const REPORT_DEADLINE: Duration = Duration::from_secs(5);

type Guarded = DeserializeGuard<Registry>;

/// Why a pass is tried again later.
#[derive(Debug, Error)]
pub enum Error {
    #[error("{step}: {message}")]
    Step { step: &'static str, message: String },
    #[error("{0}")]
    Stale(String),
    #[error("update_status")]
    UpdateStatus(#[from] UpdateStatusError),
    #[error("the pass took longer than {}s", PASS_DEADLINE.as_secs())]
    Deadline,
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        let Failure { step, message, .. } = failure;
        if failure.is_stale {
            Self::Stale(message)
        } else {
            Self::Step { step, message }
        }
    }
}

impl Error {
    fn step(&self) -> &'static str {
        match self {
            Self::Step { step, .. } => step,
            Self::Stale(_) => "apply",
            Self::UpdateStatus(_) => "update_status",
            Self::Deadline => "deadline",
        }
    }
}

/// Reconciles every Registry of one scope until `stop` is done and the passes in flight have ended.
pub async fn run(
    context: Context,
    streams: Streams,
    concurrency: u16,
    stop: impl Future<Output = ()> + Send + Sync + 'static,
) {
    let context = Arc::new(context);
    triggers::controller(streams, &context, concurrency)
        .graceful_shutdown_on(stop)
        .run(reconcile, error_policy, context)
        .for_each(|ended| async {
            if let Err(error @ kube::runtime::controller::Error::QueueError(_)) = ended {
                tracing::warn!(error = %error, "a watch failed and is opened again");
            }
        })
        .await;
}

/// One pass within its deadline.
async fn reconcile(guarded: Arc<Guarded>, context: Arc<Context>) -> Result<Action, Error> {
    let began = Instant::now();
    context.metrics.pass_began(CONTROLLER);
    let ended = match tokio::time::timeout(PASS_DEADLINE, Box::pin(pass(&guarded, &context))).await {
        Ok(ended) => ended,
        Err(_) => Err(give_up(&guarded, &context).await),
    };
    let (result, action) = match ended {
        Ok(delay) => {
            context.backoff.reset(&guarded.to_object_ref(()));
            (
                PassResult::success,
                Ok(delay.map_or_else(Action::await_change, Action::requeue)),
            )
        }
        // Nothing failed, but who waits for it again and again waits longer each time.
        Err(error @ Error::Stale(_)) => (PassResult::success, Err(error)),
        Err(error) => {
            context.metrics.step_failed(CONTROLLER, error.step());
            (PassResult::error, Err(error))
        }
    };
    context.metrics.pass_ended(CONTROLLER, result, began.elapsed());
    action
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "the signature that the controller calls"
)]
fn error_policy(guarded: Arc<Guarded>, error: &Error, context: Arc<Context>) -> Action {
    let delay = context
        .backoff
        .delay_after_failure(guarded.to_object_ref(()), rand::random());
    if let Error::Stale(what) = error {
        tracing::debug!(name = guarded.name_any(), again_after = ?delay, "{what}");
        return Action::requeue(delay);
    }
    tracing::warn!(
        namespace = guarded.meta().namespace,
        name = guarded.name_any(),
        error = failure::explain(error),
        again_after = ?delay,
        "a pass failed"
    );
    Action::requeue(delay)
}

/// Says in the status that a pass took too long, if the API server answers that at least.
async fn give_up(guarded: &Guarded, context: &Context) -> Error {
    if let Ok(registry) = &guarded.0 {
        let registry = with_newest_status(registry, context);
        let failure = Failure {
            step: "pass",
            message: Error::Deadline.to_string(),
            stalled_reason: None,
            is_stale: false,
        };
        let work = Work::new(context);
        let outcome = Outcome::Failed(failure);
        let report = report(&registry, context, &work, &outcome);
        if let Ok(Err(error)) = tokio::time::timeout(REPORT_DEADLINE, report).await {
            return Error::UpdateStatus(error);
        }
    }
    Error::Deadline
}

/// The watch may not have shown yet what the last pass wrote.
fn with_newest_status(registry: &Registry, context: &Context) -> Registry {
    let status = context
        .written
        .newest(&registry.metadata, registry.status.as_ref());
    Registry {
        status: Some(status),
        ..registry.clone()
    }
}

/// The steps in order. How soon to come again, if no event does.
async fn pass(guarded: &Guarded, context: &Context) -> Result<Option<Duration>, Error> {
    if guarded.meta().deletion_timestamp.is_some() {
        return match &guarded.0 {
            Ok(registry) => part(registry, context).await.map(|()| None),
            Err(_) => Ok(None),
        };
    }
    let registry = match &guarded.0 {
        Ok(registry) => with_newest_status(registry, context),
        Err(invalid) => {
            return update_status::report_undecodable(context, &invalid.metadata, &invalid.error, now())
                .await
                .map(|()| None)
                .map_err(Error::from);
        }
    };
    let registry = &registry;
    let mut work = Work::new(context);
    let outcome = work.run(registry).await;
    report(registry, context, &work, &outcome).await?;
    if let Outcome::Failed(failure) = &outcome {
        return Err(Error::from(failure.clone()));
    }
    let pods = work
        .dereferenced
        .as_ref()
        .map(|seen| seen.pods.as_slice())
        .unwrap_or_default();
    let waits = schedule::Waits {
        ask_again_after: context.probes.ask_again_after(pods),
        obstacle_at: status::obstacle(pods, work.now)
            .filter(|found| !found.is_permanent)
            .map(|found| found.permanent_at),
        has_destroyed: work.has_destroyed,
    };
    Ok(schedule::next_visit(&outcome, waits, work.now))
}

/// Owner references do the rest. A claim that is to stay must have none, also when that was said at the last moment.
async fn part(registry: &Registry, context: &Context) -> Result<(), Error> {
    let claim = dereference::claim(registry, context)
        .await
        .map_err(|e| Failure::from(&e))?;
    apply::release_claim(context, registry, claim.as_deref())
        .await
        .map_err(|e| Failure::from(&e))?;
    Ok(())
}

/// Status and events.
async fn report(
    registry: &Registry,
    context: &Context,
    work: &Work<'_>,
    outcome: &Outcome,
) -> Result<(), UpdateStatusError> {
    let known = registry.status.clone().unwrap_or_default();
    let status = status::status(registry, work.dereferenced.as_ref(), outcome, work.now);
    if known.observed_generation.is_none_or(|generation| generation < 0) {
        // A new one came; those that went need not be remembered.
        let alive = context.stores.registries.state();
        context
            .written
            .retain(|uid| alive.iter().any(|other| other.meta().uid.as_deref() == Some(uid)));
    }
    let mut notices = work.notices.clone();
    let (client, metadata) = (&context.client, &registry.metadata);
    if update_status::update_status(client, &context.written, metadata, &known, &status).await? {
        notices.extend(notices::of_transitions(&known.conditions, &status.conditions));
    }
    if !notices.is_empty() {
        context
            .publisher
            .publish(&registry.object_ref(&()), &notices)
            .await;
    }
    Ok(())
}

/// What one pass gathers on its way, also when it does not come to its end.
struct Work<'a> {
    context: &'a Context,
    now: Timestamp,
    dereferenced: Option<Dereferenced>,
    notices: Vec<Notice>,
    has_destroyed: bool,
}

impl<'a> Work<'a> {
    fn new(context: &'a Context) -> Self {
        Self {
            context,
            now: now(),
            dereferenced: None,
            notices: Vec::new(),
            has_destroyed: false,
        }
    }

    async fn run(&mut self, registry: &Registry) -> Outcome {
        let mut dereferenced = match dereference::dereference(registry, self.context).await {
            Ok(dereferenced) => dereferenced,
            Err(error) => return Outcome::Failed(Failure::from(&error)),
        };
        let claim = dereferenced.children.claim.as_deref();
        // Before any verdict, and also while suspended: what is to be kept must not wait for anything else to be right.
        let released = apply::release_claim(self.context, registry, claim).await;
        if let Ok(Some(claim)) = &released {
            dereferenced.children.claim = Some(Arc::new(claim.clone()));
        }
        self.dereferenced = Some(dereferenced.clone());
        if let Err(error) = released {
            return Outcome::Failed(Failure::from(&error));
        }
        let validated = match validate::validate(registry, &dereferenced, &self.context.settings, self.now) {
            Ok(validated) => validated,
            Err(problems) => return Outcome::Problems(problems),
        };
        let ended = if registry.spec.suspend {
            self.look(validated, &dereferenced).await
        } else {
            Box::pin(self.advance(validated, &dereferenced)).await
        };
        ended.unwrap_or_else(Outcome::Failed)
    }

    /// Build, apply, and see what the pods serve.
    async fn advance(
        &mut self,
        validated: validate::ValidatedRegistry,
        dereferenced: &Dereferenced,
    ) -> Result<Outcome, Failure> {
        let (context, children, pods) = (self.context, &dereferenced.children, &dereferenced.pods);
        let mut writer = apply::Writer::new(context, &validated, children);
        let services = writer
            .apply_services(build::build_services(&validated))
            .await
            .map_err(|e| Failure::from(&e))?;
        let addresses = observed::cluster_ips(&services.service);
        let material = self.material(&validated, children, &addresses)?;
        let applied = Box::pin(writer.apply(build::build(&validated, &material))).await;
        let changes = writer.changes;
        self.notices
            .extend(notices::of_changes(&changes, &validated.names.stateful_set()));
        let (resources, claim) = applied.map_err(|error| Failure::from(&error))?;
        self.notices.extend(notices::of_happenings(
            &material.happenings,
            validated.has_run_before,
        ));

        let users_certificate = dereferenced.tls_secret.found();
        let attempt = context.probes.nudges_due(pods, self.now);
        apply::nudge_pods(context, &resources, users_certificate, pods, attempt)
            .await
            .map_err(|error| Failure::from(&error))?;
        let destruction = apply::destroy_one(context, &validated.uid, &resources, children, pods)
            .await
            .map_err(|error| Failure::from(&error))?;
        self.has_destroyed = destruction.is_some();
        self.notices
            .extend(destruction.as_ref().and_then(notices::of_destruction));

        let expected = probing::Expectation::new(&material);
        let access = probing::admin_access(&validated, &resources.admin);
        let answers = context.probes.ask(pods, &expected, &access, self.now).await;
        let progress = Progress::applied(validated, &material, &resources, claim, answers);
        Ok(Outcome::Applied(Box::new(progress)))
    }

    /// The same without a write but the one that frees the claim: what is missing stays missing.
    async fn look(
        &mut self,
        validated: validate::ValidatedRegistry,
        dereferenced: &Dereferenced,
    ) -> Result<Outcome, Failure> {
        let (children, pods) = (&dereferenced.children, &dereferenced.pods);
        let material = self.material(&validated, children, &children.cluster_ips())?;
        let answers = match children.admin.as_deref() {
            Some(admin) => {
                let expected = probing::Expectation::new(&material);
                let access = probing::admin_access(&validated, admin);
                self.context.probes.ask(pods, &expected, &access, self.now).await
            }
            None => Vec::new(),
        };
        Ok(Outcome::Suspended(Box::new(Progress::suspended(
            validated,
            &material,
            dereferenced,
            answers,
        ))))
    }

    fn material(
        &self,
        validated: &validate::ValidatedRegistry,
        children: &observed::Children,
        addresses: &[String],
    ) -> Result<material::Material, Failure> {
        let mut random = rand::rng();
        let mut sources = Sources {
            now: self.now,
            random: &mut random,
        };
        material::renew(validated, children, addresses, &mut sources).map_err(|error| Failure::from(&error))
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the driver reads the clock once per pass and hands it to the steps"
)]
fn now() -> Timestamp {
    Timestamp::now()
}
