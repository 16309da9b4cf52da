//! When a Registry is visited next without any event. In: outcome of the pass, clock. Out: a delay. Pure.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::status::Outcome;

/// What a person fixes may be nothing that is watched, such as somebody else's object.
const PROBLEM: Duration = Duration::from_secs(10);
/// For the watches to show what was deleted.
const DESTROYED: Duration = Duration::from_millis(300);
/// How often pods are asked again although nothing changed.
const SETTLED: Duration = Duration::from_mins(5);

/// What else asks for a visit.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Waits {
    /// A pod gave no right answer yet.
    pub(super) ask_again_after: Option<Duration>,
    /// A pod that does not start counts as failed then.
    pub(super) obstacle_at: Option<Timestamp>,
    /// Something was deleted; there may be more.
    pub(super) has_destroyed: bool,
    /// Somebody undoes a repair, and the next one waits.
    pub(super) repair_due_in: Option<Duration>,
}

/// `None` where the back-off of the Registry decides.
pub(super) fn next_visit(outcome: &Outcome, waits: Waits, now: Timestamp) -> Option<Duration> {
    let until = |instant: Timestamp| {
        let length = instant.duration_since(now).max(SignedDuration::from_secs(1));
        Duration::try_from(length).unwrap_or(SETTLED)
    };
    match outcome {
        Outcome::Problems(_) => Some(PROBLEM),
        Outcome::Failed(_) | Outcome::Hindered(..) => None,
        Outcome::Applied(progress) | Outcome::Suspended(progress) => {
            // A certificate that ends is a problem to report, a managed one is renewed before. What is past already, as
            // only under suspension, asks for nothing.
            let expected = progress.expected.iter();
            let certificate = expected
                .flat_map(|expected| [expected.not_before, expected.not_after])
                .chain(progress.renewal_at)
                .filter(|at| *at > now);
            let usual = if progress.problems.is_empty() {
                SETTLED
            } else {
                PROBLEM
            };
            let mut next = certificate.map(until).fold(usual, Duration::min);
            // Who has nothing to compare the answers with asks nobody.
            if let Some(again) = waits.ask_again_after.filter(|_| progress.expected.is_some()) {
                next = next.min(again);
            }
            if let Some(obstacle) = waits.obstacle_at {
                next = next.min(until(obstacle));
            }
            if let Some(repair) = waits.repair_due_in {
                next = next.min(repair);
            }
            if waits.has_destroyed {
                next = next.min(DESTROYED);
            }
            Some(next)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry_controller::status::tests::pass;
    use crate::registry_controller::test_support::{minimal, now};

    #[test]
    fn repair_that_waits_is_done_when_it_is_due() {
        let (_, outcome) = pass(&minimal(), |_, _| {});
        let next = |repair_due_in| {
            let waits = Waits {
                repair_due_in,
                ..Waits::default()
            };
            next_visit(&outcome, waits, now())
        };
        let due_in = Duration::from_secs(61);
        assert_eq!(next(Some(due_in)), Some(due_in));
        assert_eq!(next(None), Some(SETTLED));
    }

    #[test]
    fn nobody_is_asked_again_while_there_is_nothing_to_expect() {
        let soon = Duration::from_millis(250);
        let waits = Waits {
            ask_again_after: Some(soon),
            ..Waits::default()
        };
        let (_, outcome) = pass(&minimal(), |_, _| {});
        assert_eq!(next_visit(&outcome, waits, now()), Some(soon));
        let (_, outcome) = pass(&minimal(), |_, progress| progress.expected = None);
        assert_eq!(next_visit(&outcome, waits, now()), Some(SETTLED));
    }
}
