//! Ready, Reconciling, Stalled and Suspended: the parts summed up. In: the outcome of the pass, the parts. Out: findings
//! that keep kstatus' rules. Pure.

use portolan_crds::conditions::reasons::{
    PROGRESSING, PROGRESSING_WITH_RETRY, ROLLING_UPDATE, ROLLOUT_FAILED, SUCCEEDED,
    SUSPENDED as SUSPENDED_REASON, UNKNOWN, VOLUME_RESIZING,
};
use portolan_crds::conditions::{READY, RECONCILING, STALLED, SUSPENDED};
use portolan_crds::v1alpha1::{Registry, RegistryStatus};

use super::{Failure, Outcome, Parts, Progress};
use crate::conditions::{self, Finding, Truth};
use crate::registry_controller::validate::{Gravity, Problem};

/// What Ready is, and the abnormal condition beside it.
enum Verdict {
    Ready {
        reason: &'static str,
        message: String,
    },
    Reconciling {
        reason: &'static str,
        message: String,
    },
    Stalled {
        reason: &'static str,
        message: String,
    },
    /// Not in force, and nothing is done about it because the spec asks for that.
    Held {
        message: String,
    },
}

pub(super) fn findings(registry: &Registry, outcome: &Outcome, parts: &Parts) -> Vec<Finding> {
    let verdict = match outcome {
        Outcome::Problems(problems) => of_problems(problems),
        Outcome::Failed(failure) => of_failure(failure),
        Outcome::Hindered(problems, failure) => of_both(problems, failure),
        Outcome::Applied(progress) if !progress.problems.is_empty() => of_problems(&progress.problems),
        Outcome::Applied(progress) => of_progress(progress, parts),
        Outcome::Suspended(progress) => suspended(progress, parts),
    };
    let mut findings = match verdict {
        Verdict::Ready { reason, message } => vec![Finding::new(READY, Truth::True, reason, message)],
        Verdict::Held { message } => vec![Finding::new(READY, Truth::False, SUSPENDED_REASON, message)],
        Verdict::Reconciling { reason, message } => vec![
            Finding::new(READY, Truth::False, reason, message.clone()),
            Finding::new(RECONCILING, Truth::True, reason, message),
        ],
        Verdict::Stalled { reason, message } => vec![
            Finding::new(READY, Truth::False, reason, message.clone()),
            Finding::new(STALLED, Truth::True, reason, message),
        ],
    };
    if registry.spec.suspend {
        let message = "changes and repairs wait until spec.suspend is false";
        findings.push(Finding::new(SUSPENDED, Truth::True, SUSPENDED_REASON, message));
    }
    findings
}

/// A condition that this pass could not look at: as it was, or unknown.
pub(super) fn kept(kind: &'static str, previous: &RegistryStatus) -> Finding {
    let unknown = || Finding::new(kind, Truth::Unknown, UNKNOWN, "not looked at yet");
    let Some(before) = conditions::find(&previous.conditions, kind) else {
        return unknown();
    };
    let truth = match before.status.as_str() {
        "True" => Truth::True,
        "False" => Truth::False,
        _ => return unknown(),
    };
    Finding::new(kind, truth, before.reason.clone(), &before.message)
}

/// The gravest problem gives the reason; the message names all of them, so that a person fixes them in one go.
fn of_problems(problems: &[Problem]) -> Verdict {
    let mut sorted: Vec<&Problem> = problems.iter().collect();
    sorted.sort_by_key(|problem| std::cmp::Reverse(problem.gravity));
    let message = sorted
        .iter()
        .map(|problem| problem.message.as_str())
        .collect::<Vec<_>>()
        .join("; ");
    let reason = sorted.first().map_or(PROGRESSING, |problem| problem.reason);
    match sorted.first().map(|problem| problem.gravity) {
        Some(Gravity::Unusable) => Verdict::Stalled { reason, message },
        _ => Verdict::Reconciling { reason, message },
    }
}

/// The problems stay the verdict. What the watches lag behind with is not worth a word that comes and goes.
fn of_both(problems: &[Problem], failure: &Failure) -> Verdict {
    let mut verdict = of_problems(problems);
    if let Verdict::Stalled { message, .. } | Verdict::Reconciling { message, .. } = &mut verdict
        && !failure.is_stale
    {
        let (step, why) = (failure.step, &failure.message);
        *message = format!("{message}; {step} failed and is tried again: {why}");
    }
    verdict
}

fn of_failure(failure: &Failure) -> Verdict {
    let message = failure.message.clone();
    match failure.stalled_reason {
        Some(reason) => Verdict::Stalled { reason, message },
        None if failure.is_stale => Verdict::Reconciling {
            reason: PROGRESSING,
            message,
        },
        None => {
            let message = format!("{} failed and is tried again: {message}", failure.step);
            Verdict::Reconciling {
                reason: PROGRESSING_WITH_RETRY,
                message,
            }
        }
    }
}

fn of_progress(progress: &Progress, parts: &Parts) -> Verdict {
    let waits = |reason, finding: &Finding| Verdict::Reconciling {
        reason,
        message: finding.message.clone(),
    };
    if let Some(obstacle) = &parts.obstacle {
        let message = obstacle.message.clone();
        return if obstacle.is_permanent {
            Verdict::Stalled {
                reason: ROLLOUT_FAILED,
                message,
            }
        } else {
            Verdict::Reconciling {
                reason: PROGRESSING,
                message,
            }
        };
    }
    if let Some(rollout) = &parts.rollout {
        let is_rolling = parts.available.is_true();
        let reason = if is_rolling { ROLLING_UPDATE } else { PROGRESSING };
        let message = match parts.storage.truth {
            Truth::True => rollout.clone(),
            _ => format!("{rollout}; {}", parts.storage.message),
        };
        return Verdict::Reconciling { reason, message };
    }
    if !parts.storage.is_true() {
        let reason = if parts.storage.reason == VOLUME_RESIZING {
            VOLUME_RESIZING
        } else {
            PROGRESSING
        };
        return waits(reason, &parts.storage);
    }
    for part in [&parts.available, &parts.tls, &parts.credentials] {
        if !part.is_true() {
            return waits(PROGRESSING, part);
        }
    }
    Verdict::Ready {
        reason: SUCCEEDED,
        message: welcome(progress),
    }
}

/// Where to go from here, for whoever reads `kubectl describe`.
fn welcome(progress: &Progress) -> String {
    let (registry, names) = (&progress.registry, &progress.registry.names);
    let ca = if progress.knows_ca {
        format!(", trust ca.crt of ConfigMap {}", names.ca_config_map())
    } else {
        String::new()
    };
    let welcome = format!(
        "push to {}: log in with Secret {}, pull with Secret {}{ca}",
        registry.endpoint(),
        names.push_secret(),
        names.pull_secret(),
    );
    // It serves: that somebody and the operator do not agree is said, and no more.
    let contested = progress.contested.iter().map(String::as_str);
    let all: Vec<_> = std::iter::once(welcome.as_str()).chain(contested).collect();
    all.join("; ")
}

fn suspended(progress: &Progress, parts: &Parts) -> Verdict {
    if !progress.has_wanted_template() {
        return Verdict::Held {
            message: "the spec changed, and spec.suspend keeps the change from the pods".to_owned(),
        };
    }
    if !progress.missing.is_empty() {
        let missing = progress.missing.join(", ");
        return Verdict::Held {
            message: format!(
                "reconciliation is suspended; missing or damaged until spec.suspend is false: {missing}"
            ),
        };
    }
    let parts = [&parts.available, &parts.storage, &parts.tls, &parts.credentials];
    match parts.into_iter().find(|part| !part.is_true()) {
        Some(part) => Verdict::Held {
            message: format!("reconciliation is suspended; {}", part.message),
        },
        None => Verdict::Ready {
            reason: SUSPENDED_REASON,
            message: "reconciliation is suspended; the registry serves".to_owned(),
        },
    }
}

#[cfg(test)]
mod tests {
    use portolan_crds::conditions::READY;

    use crate::conditions::is_true;
    use crate::registry_controller::status::tests::{pass, reason_and_message, status_of};
    use crate::registry_controller::test_support::{minimal, now};

    #[test]
    fn registry_with_a_contested_child_stays_ready_and_says_so() {
        let registry = minimal();
        let contest = "StatefulSet depot: spec.replicas is changed again after each repair";
        let (seen, outcome) = pass(&registry, |_, progress| {
            progress.contested.push(contest.to_owned());
        });
        let status = status_of(&registry, &seen, &outcome, now());
        assert!(is_true(&status.conditions, READY));
        let (_, message) = reason_and_message(&status, READY);
        assert!(
            message.starts_with("push to ") && message.ends_with(contest),
            "{message}"
        );
    }
}
