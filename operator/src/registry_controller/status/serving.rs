//! `TLSReady` and `CredentialsReady`: true only when every ready pod showed that it has the newest. In: the pods' answers.
//! Out: findings. Pure.

use jiff::{SignedDuration, Timestamp};
use portolan_crds::conditions::reasons::{
    ACCEPTED, EXPIRING, ISSUED, LOADED, NOT_YET_ACCEPTED, NOT_YET_LOADED,
};
use portolan_crds::conditions::{CREDENTIALS_READY, TLS_READY};

use super::Progress;
use crate::conditions::{Finding, Truth};
use crate::registry_controller::material::DUE;
use crate::registry_controller::probing::Expectation;
use crate::registry_controller::validate::{Concern, Problem, Tls, UsersCertificate};

/// A user's certificate that is about to end is worth a word; managed ones are renewed long before.
const SOON: SignedDuration = SignedDuration::from_hours(72);

/// What is expected, if every ready pod serves it.
pub(super) fn served(progress: &Progress) -> Option<&Expectation> {
    let is_served = |expected: &&Expectation| progress.answers.iter().all(|answer| answer.serves(expected));
    let has_answers = !progress.answers.is_empty();
    progress
        .expected
        .as_ref()
        .filter(|_| has_answers)
        .filter(is_served)
}

pub(super) fn tls(
    progress: Option<&Progress>,
    problems: &[Problem],
    kept: &Finding,
    now: Timestamp,
) -> Finding {
    if let Some(problem) = problems.iter().find(|problem| problem.concern == Concern::Tls) {
        return Finding::new(TLS_READY, Truth::False, problem.reason, &problem.message);
    }
    let Some((progress, expected)) = progress.and_then(with_expectation) else {
        return kept.clone();
    };
    if let Some(served) = served(progress) {
        let (from, until) = (served.not_before, served.not_after);
        return match &progress.registry.tls {
            _ if from > now => {
                let message = format!(
                    "every pod serves a certificate that holds only from {from} on, and clients refuse it: the operator's \
                     clock ran ahead when it was made, or is behind now"
                );
                Finding::new(TLS_READY, Truth::False, NOT_YET_LOADED, message)
            }
            Tls::Managed(_) => managed(until, progress.objection, now),
            Tls::Users(certificate) if until.duration_since(now) < SOON => {
                let name = &certificate.secret_name;
                let message = format!("the certificate of Secret {name} ends at {until}: replace it before");
                Finding::new(TLS_READY, Truth::True, EXPIRING, message)
            }
            Tls::Users(UsersCertificate {
                secret_name: name, ..
            })
            | Tls::Mounted { secret_name: name } => {
                let message =
                    format!("every pod serves the certificate of Secret {name}, which holds until {until}");
                Finding::new(TLS_READY, Truth::True, LOADED, message)
            }
        };
    }
    let lagging = progress.answers.iter().find(|answer| !answer.serves(expected));
    let message = match lagging.map(|answer| (&answer.pod, &answer.certificate_serial)) {
        None => "no pod is ready to serve the certificate".to_owned(),
        Some((pod, Ok(_))) => {
            format!("pod {pod} still serves an older certificate; it loads the new one within a minute")
        }
        Some((pod, Err(error))) => format!("pod {pod} does not show its certificate: {error}"),
    };
    Finding::new(TLS_READY, Truth::False, NOT_YET_LOADED, message)
}

/// Only suspension leaves an objection.
fn managed(until: Timestamp, objection: Option<&'static str>, now: Timestamp) -> Finding {
    let waits = "waits until spec.suspend is false";
    let wrong = |message| Finding::new(TLS_READY, Truth::False, NOT_YET_LOADED, message);
    let right = |message| Finding::new(TLS_READY, Truth::True, ISSUED, message);
    match objection {
        _ if until <= now => wrong(format!(
            "the certificate that every pod serves ended at {until}, and its renewal {waits}"
        )),
        None => right(format!(
            "every pod serves the certificate that holds until {until}"
        )),
        Some(DUE) => right(format!(
            "every pod serves the certificate that holds until {until}; its renewal is due and {waits}"
        )),
        Some(why) => wrong(format!("a new certificate is needed and {waits}: {why}")),
    }
}

fn with_expectation(progress: &Progress) -> Option<(&Progress, &Expectation)> {
    Some((progress, progress.expected.as_ref()?))
}

pub(super) fn credentials(progress: Option<&Progress>, kept: &Finding) -> Finding {
    let Some((progress, expected)) = progress.and_then(with_expectation) else {
        return kept.clone();
    };
    let lagging = progress.answers.iter().find(|answer| !answer.accepts(expected));
    let message = match lagging.map(|answer| (&answer.pod, &answer.report)) {
        None if progress.answers.is_empty() => "no pod is ready to accept the credentials".to_owned(),
        None => {
            let message = "every pod accepts the credentials of the push and pull Secrets";
            return Finding::new(CREDENTIALS_READY, Truth::True, ACCEPTED, message);
        }
        Some((pod, Ok(_))) => {
            format!("pod {pod} does not know the newest credentials yet; it loads them within a minute")
        }
        Some((pod, Err(error))) => format!("pod {pod} does not tell which credentials it accepts: {error}"),
    };
    Finding::new(CREDENTIALS_READY, Truth::False, NOT_YET_ACCEPTED, message)
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;
    use portolan_crds::conditions::{READY, TLS_READY};

    use crate::conditions::is_true;
    use crate::registry_controller::status::tests::{pass, reason_and_message, status_of};
    use crate::registry_controller::test_support::{minimal, now};

    #[test]
    fn certificate_that_clients_refuse_yet_is_not_ready() {
        let registry = minimal();
        let (seen, outcome) = pass(&registry, |_, progress| {
            progress.expected.as_mut().unwrap().not_before = now() + SignedDuration::from_hours(1);
        });
        let status = status_of(&registry, &seen, &outcome, now());
        assert!(!is_true(&status.conditions, TLS_READY) && !is_true(&status.conditions, READY));
        assert!(reason_and_message(&status, TLS_READY).1.contains("only from"));
        let later = now() + SignedDuration::from_hours(1);
        assert!(is_true(
            &status_of(&registry, &seen, &outcome, later).conditions,
            READY
        ));
    }
}
