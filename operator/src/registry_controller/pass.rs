//! One pass: calls the steps in order and decides nothing itself. In: a Registry, Context. Out: how soon to come again. IO.
//!
//! `Registry` -> `Dereferenced` -> `Decision` -> `Resources<Prepared>` -> `Resources<Applied>` -> `RegistryStatus`.
//! Whatever a step ends in, a status is written that says so.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use kube::Resource as _;
use portolan_crds::v1alpha1::Registry;

use super::dereference::{self, Dereferenced};
use super::material::{self, Sources};
use super::probing::{self, Answers, Entrance, Expectation};
use super::status::{self, Failure, Outcome, Progress};
use super::update_status::{self, UpdateStatusError};
use super::validate::{self, Decision, Problem, ValidatedRegistry};
use super::{Error, Guarded, apply, build, notices, observed, schedule, undecodable};
use crate::events::Notice;
use crate::registry_controller::Context;

/// For the status of a pass that was given up.
const REPORT_DEADLINE: Duration = Duration::from_secs(5);

/// Says in the status that a pass took too long, if the API server answers that at least.
pub(super) async fn give_up(guarded: &Guarded, context: &Context) -> Error {
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
        .memory
        .written
        .newest(&registry.metadata, registry.status.as_ref());
    Registry {
        status: Some(status),
        ..registry.clone()
    }
}

/// The steps in order. How soon to come again, if no event does.
pub(super) async fn pass(guarded: &Guarded, context: &Context) -> Result<Option<Duration>, Error> {
    let registry = match &guarded.0 {
        Ok(registry) => registry,
        Err(invalid) => {
            let done = undecodable::pass(context, &invalid.metadata, &invalid.error, now()).await;
            return done.map(|()| None);
        }
    };
    if registry.metadata.deletion_timestamp.is_some() {
        return part(registry, context).await.map(|()| None);
    }
    let registry = &with_newest_status(registry, context);
    let mut work = Work::new(context);
    let outcome = work.run(registry).await;
    report(registry, context, &work, &outcome).await?;
    if let Some(failure) = outcome.failure() {
        return Err(Error::from(failure.clone()));
    }
    let pods = work
        .dereferenced
        .as_ref()
        .map(|seen| seen.pods.as_slice())
        .unwrap_or_default();
    let waits = schedule::Waits {
        ask_again_after: context
            .memory
            .probes
            .ask_again_after(registry.metadata.uid.as_deref().unwrap_or_default(), pods),
        obstacle_at: status::obstacle(pods, work.now)
            .filter(|found| !found.is_permanent)
            .map(|found| found.permanent_at),
        has_destroyed: work.has_destroyed,
        repair_due_in: work.repair_due_in,
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
            .memory
            .written
            .retain(|uid| alive.iter().any(|other| other.meta().uid.as_deref() == Some(uid)));
    }
    let mut notices = work.notices.clone();
    let (client, metadata) = (&context.client, &registry.metadata);
    if update_status::update_status(client, &context.memory.written, metadata, &known, &status).await? {
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
    repair_due_in: Option<Duration>,
}

impl<'a> Work<'a> {
    fn new(context: &'a Context) -> Self {
        Self {
            context,
            now: now(),
            dereferenced: None,
            notices: Vec::new(),
            has_destroyed: false,
            repair_due_in: None,
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
        let Decision {
            registry: validated,
            problems,
        } = validate::validate(registry, &dereferenced, &self.context.settings, self.now);
        let is_held = registry.spec.suspend && !problems.is_empty();
        let Some(validated) = validated.filter(|_| !is_held) else {
            return Outcome::Problems(problems);
        };
        // What is somebody else's is not looked at from here on.
        dereferenced.children = dereferenced.children.controlled_by(&validated.uid);
        if registry.spec.suspend {
            return self.look(validated, &dereferenced).await;
        }
        let advanced = Box::pin(self.advance(validated, &problems, &dereferenced)).await;
        match advanced {
            Ok(Some(progress)) => Outcome::Applied(Box::new(progress)),
            Ok(None) => Outcome::Problems(problems),
            Err(failure) if problems.is_empty() => Outcome::Failed(failure),
            Err(failure) => Outcome::Hindered(problems, failure),
        }
    }

    /// Build, apply, and see what the pods serve. No progress where pods cannot be asked because of the problems.
    async fn advance(
        &mut self,
        validated: ValidatedRegistry,
        problems: &[Problem],
        dereferenced: &Dereferenced,
    ) -> Result<Option<Progress>, Failure> {
        let (context, children, pods) = (self.context, &dereferenced.children, &dereferenced.pods);
        let mut writer = apply::Writer::new(context, &validated, children);
        let services = writer
            .apply_services(build::build_services(&validated))
            .await
            .map_err(|e| Failure::from(&e))?;
        let service = services.service.as_ref().or(children.service.as_deref());
        let addresses = match service {
            Some(service) => observed::cluster_ips(service),
            None => material::addresses(children),
        };
        let material = self.material(&validated, children, &addresses)?;
        let applied = Box::pin(writer.apply(build::build(&validated, &material))).await;
        let changes = writer.changes;
        self.notices
            .extend(notices::of_changes(&changes, &validated.names.stateful_set()));
        self.repair_due_in = changes.repair_due_in;
        // Also where the pass ends here: the next one finds what was written, and has nothing to tell of it.
        let mut happened = material.happenings.clone();
        happened.retain(|it| applied.is_ok() || changes.has_written("Secret", &it.secret(&validated)));
        self.notices
            .extend(notices::of_happenings(&happened, validated.has_run_before));
        let (resources, claim) = applied.map_err(|error| Failure::from(&error))?;

        let users_certificate = dereferenced.tls_secret.found();
        let attempt = context.memory.probes.nudges_due(pods, self.now);
        apply::nudge_pods(context, &resources, users_certificate, pods, attempt)
            .await
            .map_err(|error| Failure::from(&error))?;
        let whose = (validated.uid.as_str(), problems.is_empty());
        let destruction = apply::destroy_one(context, whose, &resources, children, pods)
            .await
            .map_err(|error| Failure::from(&error))?;
        self.has_destroyed = destruction.is_some();
        self.notices
            .extend(destruction.as_ref().and_then(notices::of_destruction));

        let expected = Expectation::new(&material).filter(|_| !validated.mounts_unknown);
        let (Some(expected), Some(admin)) = (expected, &resources.admin) else {
            return Ok(None);
        };
        let access = probing::admin_access(&validated, admin);
        let through = (validated.uid.as_str(), service.and_then(Entrance::of));
        let what = (&expected, &access);
        let answers = context.memory.probes.ask(through, pods, what, self.now).await;
        let whose = (validated, problems.to_vec());
        let answered = (expected, answers);
        let progress = Progress::applied(whose, &material, &resources, claim, answered);
        Ok(Some(Progress {
            contested: changes.contested,
            ..progress
        }))
    }

    /// The same without a write but the one that frees the claim, so nothing is made either: what is missing stays
    /// missing. There are no problems.
    async fn look(&mut self, validated: ValidatedRegistry, dereferenced: &Dereferenced) -> Outcome {
        let (children, pods) = (&dereferenced.children, &dereferenced.pods);
        let existing = material::existing(&validated, children, self.now);
        let admin = children.admin.as_deref();
        let expected = admin.and_then(|_| Expectation::of_existing(&existing));
        let answers = match (&expected, admin) {
            (Some(expected), Some(admin)) => {
                let access = probing::admin_access(&validated, admin);
                let entrance = children.service.as_deref().and_then(Entrance::of);
                let through = (validated.uid.as_str(), entrance);
                let what = (expected, &access);
                self.context
                    .memory
                    .probes
                    .ask(through, pods, what, self.now)
                    .await
            }
            _ => Answers::default(),
        };
        let answered = (expected, answers);
        let progress = Progress::suspended(validated, existing, dereferenced, answered);
        Outcome::Suspended(Box::new(progress))
    }

    fn material(
        &self,
        validated: &ValidatedRegistry,
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
