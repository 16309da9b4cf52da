//! What is worth an event: transitions only. In: conditions before and after, what was written and made. Out: notices.
//! Pure.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use portolan_crds::conditions::{READY, RECONCILING, STALLED, SUSPENDED, reasons};

use super::apply::{Changes, Destruction};
use super::material::Happening;
use crate::conditions::{find, is_true};
use crate::events::{Notice, Reason};
use kube::ResourceExt as _;

/// What conditions tell by changing.
pub fn of_transitions(before: &[Condition], after: &[Condition]) -> Vec<Notice> {
    let mut notices = Vec::new();
    let mut tell = |reason, note: &str| {
        notices.push(Notice {
            reason,
            note: note.to_owned(),
        });
    };
    let appeared = |kind: &str| {
        let now = find(after, kind).filter(|condition| condition.status == "True")?;
        let same = find(before, kind).is_some_and(|old| old.status == "True" && old.reason == now.reason);
        (!same).then_some(now)
    };
    if let Some(stalled) = appeared(STALLED) {
        tell(stalled_reason(&stalled.reason), &stalled.message);
    }
    if let Some(reconciling) = appeared(RECONCILING) {
        match reconciling.reason.as_str() {
            reasons::DEPENDENCY_NOT_READY => tell(Reason::DependencyMissing, &reconciling.message),
            reasons::PROGRESSING_WITH_RETRY => tell(Reason::ReconcileError, &reconciling.message),
            _ => {}
        }
    }
    if let Some(suspended) = appeared(SUSPENDED) {
        tell(Reason::Suspended, &suspended.message);
    }
    if is_true(before, SUSPENDED) && !is_true(after, SUSPENDED) {
        tell(Reason::Resumed, "spec.suspend is false again");
    }
    if is_true(after, READY) && !is_true(before, READY) {
        let was_rolling = find(before, RECONCILING).is_some_and(|old| old.reason == reasons::ROLLING_UPDATE);
        let message = find(after, READY)
            .map(|ready| ready.message.clone())
            .unwrap_or_default();
        if was_rolling {
            tell(Reason::RolloutCompleted, "every pod runs what the spec says");
        }
        tell(Reason::Ready, &message);
    }
    notices
}

fn stalled_reason(reason: &str) -> Reason {
    match reason {
        reasons::INVALID_SPEC => Reason::InvalidSpec,
        reasons::FOREIGN_OBJECT_CONFLICT => Reason::ForeignObjectConflict,
        reasons::STORAGE_CLASS_NOT_EXPANDABLE => Reason::VolumeResizeRejected,
        _ => Reason::Stalled,
    }
}

/// What the pass wrote.
pub fn of_changes(changes: &Changes, stateful_set: &str) -> Vec<Notice> {
    let mut notices = Vec::new();
    if !changes.created.is_empty() {
        notices.push(Notice {
            reason: Reason::Created,
            note: format!("created {}", changes.created.join(", ")),
        });
    }
    if !changes.updated.is_empty() {
        notices.push(Notice {
            reason: Reason::Updated,
            note: format!("updated {}", changes.updated.join(", ")),
        });
    }
    if changes.has_new_template {
        notices.push(Notice {
            reason: Reason::RolloutStarted,
            note: format!("StatefulSet {stateful_set} changed"),
        });
    }
    if let Some(size) = &changes.resized_to {
        notices.push(Notice {
            reason: Reason::VolumeExpanded,
            note: format!("the claim asks for {size} now"),
        });
    }
    notices.extend(changes.newly_contested.iter().map(|contest| Notice {
        reason: Reason::RepairsUndone,
        note: format!(
            "{contest}; from now on repairs wait, longer each time, up to 10 minutes: what changes it must leave it alone"
        ),
    }));
    notices
}

/// What was made. `has_run_before` tells a renewal from the first certificate.
pub fn of_happenings(happenings: &[Happening], has_run_before: bool) -> Vec<Notice> {
    happenings
        .iter()
        .map(|happening| match happening {
            Happening::CertificateIssued { not_after, cause } if has_run_before => Notice {
                reason: Reason::CertificateRenewed,
                note: format!("issued a certificate until {not_after}: {cause}"),
            },
            Happening::CertificateIssued { not_after, .. } => Notice {
                reason: Reason::CertificateIssued,
                note: format!("issued a certificate until {not_after}"),
            },
            Happening::AuthorityIssued { not_after } => Notice {
                reason: Reason::CertificateIssued,
                note: format!("made a certificate authority until {not_after}"),
            },
            Happening::Lost { secret, consequence } => Notice {
                reason: Reason::SecretLost,
                note: format!("Secret {secret} was gone or damaged: {consequence}"),
            },
        })
        .collect()
}

/// What had to be deleted.
pub fn of_destruction(destruction: &Destruction) -> Option<Notice> {
    match destruction {
        Destruction::StuckPod(pod) => Some(Notice {
            reason: Reason::Updated,
            note: format!(
                "deleted pod {}, which was not ready and of an older template",
                pod.name_any()
            ),
        }),
        // A person who did not write the Secret does not miss it.
        Destruction::UnusedSecret(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::conditions::{Finding, Truth, merge};

    fn conditions(findings: Vec<Finding>) -> Vec<Condition> {
        merge(&[], findings, 1, Timestamp::UNIX_EPOCH)
    }

    fn reasons_of(notices: &[Notice]) -> Vec<Reason> {
        notices.iter().map(|notice| notice.reason).collect()
    }

    #[test]
    fn condition_that_stays_is_told_once() {
        let stalled = || {
            conditions(vec![
                Finding::new(READY, Truth::False, reasons::CLAIM_LOST, "gone"),
                Finding::new(STALLED, Truth::True, reasons::CLAIM_LOST, "gone"),
            ])
        };
        assert_eq!(reasons_of(&of_transitions(&[], &stalled())), [Reason::Stalled]);
        assert_eq!(of_transitions(&stalled(), &stalled()), []);
    }

    #[test]
    fn end_of_a_rollout_is_told() {
        let rolling = conditions(vec![
            Finding::new(READY, Truth::False, reasons::ROLLING_UPDATE, "rolls"),
            Finding::new(RECONCILING, Truth::True, reasons::ROLLING_UPDATE, "rolls"),
        ]);
        let ready = conditions(vec![Finding::new(
            READY,
            Truth::True,
            reasons::SUCCEEDED,
            "push to it",
        )]);
        assert_eq!(
            reasons_of(&of_transitions(&rolling, &ready)),
            [Reason::RolloutCompleted, Reason::Ready]
        );
        assert_eq!(reasons_of(&of_transitions(&[], &ready)), [Reason::Ready]);
    }

    #[test]
    fn suspension_is_told_when_it_begins_and_when_it_ends() {
        let ready = Finding::new(READY, Truth::True, reasons::SUCCEEDED, "fine");
        let suspended = Finding::new(SUSPENDED, Truth::True, reasons::SUSPENDED, "waits");
        let (on, off) = (
            conditions(vec![ready.clone(), suspended]),
            conditions(vec![ready]),
        );
        assert_eq!(reasons_of(&of_transitions(&off, &on)), [Reason::Suspended]);
        assert_eq!(reasons_of(&of_transitions(&on, &off)), [Reason::Resumed]);
    }

    #[test]
    fn contest_is_told_when_it_is_found() {
        let contest = "StatefulSet depot: spec.replicas is changed again after each repair".to_owned();
        let mut changes = Changes {
            contested: vec![contest.clone()],
            newly_contested: vec![contest.clone()],
            ..Changes::default()
        };
        let notices = of_changes(&changes, "depot");
        assert_eq!(reasons_of(&notices), [Reason::RepairsUndone]);
        assert!(notices[0].note.starts_with(&contest));
        changes.newly_contested.clear();
        assert_eq!(of_changes(&changes, "depot"), []);
    }

    #[test]
    fn pass_that_changed_nothing_tells_nothing() {
        assert_eq!(of_changes(&Changes::default(), "depot"), []);
        assert_eq!(of_happenings(&[], true), []);
    }
}
