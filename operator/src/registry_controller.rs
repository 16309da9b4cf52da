//! From `Registry` objects to running registries: one pass per event and object. IO.
//!
//! A pass itself is in `pass.rs`; here is what surrounds it: deadline, back-off, metrics.

pub mod apply;
pub mod build;
pub mod dereference;
mod failure;
pub mod material;
pub mod notices;
pub mod observed;
mod pass;
pub mod probing;
mod schedule;
pub mod status;
#[cfg(test)]
mod test_support;
mod triggers;
mod undecodable;
pub mod update_status;
pub mod validate;

use std::sync::Arc;
use std::time::Instant;

use futures::StreamExt as _;
use kube::core::DeserializeGuard;
use kube::runtime::controller::Action;
use kube::runtime::reflector::Lookup as _;
use kube::{Resource, ResourceExt as _};
use portolan_crds::v1alpha1::Registry;
use thiserror::Error;

use self::probing::Probes;
use self::status::Failure;
use self::update_status::{UpdateStatusError, Written};
use crate::context::{self, PASS_DEADLINE};
use crate::metrics::PassResult;
use crate::streams::Streams;

const CONTROLLER: &str = "registry";

type Guarded = DeserializeGuard<Registry>;

/// What every pass may use.
pub type Context = context::Context<Memory>;

/// What passes remember for the next ones.
#[derive(Debug, Default)]
pub struct Memory {
    pub probes: Probes,
    pub written: Written,
}

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
    let ended = match tokio::time::timeout(PASS_DEADLINE, Box::pin(pass::pass(&guarded, &context))).await {
        Ok(ended) => ended,
        Err(_) => Err(pass::give_up(&guarded, &context).await),
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
