//! `TLSReady` and `CredentialsReady`: true only when every ready pod showed that it has the newest. In: the pods' answers.
//! Out: findings. Pure.

use jiff::{SignedDuration, Timestamp};
use portolan_crds::conditions::reasons::{
    ACCEPTED, EXPIRING, ISSUED, LOADED, NOT_YET_ACCEPTED, NOT_YET_LOADED,
};
use portolan_crds::conditions::{CREDENTIALS_READY, TLS_READY};

use super::Progress;
use crate::conditions::{Finding, Truth};
use crate::registry_controller::validate::{Concern, Problem, Tls, UsersCertificate};

/// A user's certificate that is about to end is worth a word; managed ones are renewed long before.
const SOON: SignedDuration = SignedDuration::from_hours(72);

pub(super) fn is_served(progress: &Progress) -> bool {
    !progress.answers.is_empty()
        && progress
            .answers
            .iter()
            .all(|answer| answer.serves(&progress.expected))
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
    let Some(progress) = progress else {
        return kept.clone();
    };
    if is_served(progress) {
        let until = progress.expected.not_after;
        return match &progress.registry.tls {
            Tls::Managed(_) => Finding::new(
                TLS_READY,
                Truth::True,
                ISSUED,
                format!("every pod serves the certificate that holds until {until}"),
            ),
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
    let lagging = progress
        .answers
        .iter()
        .find(|answer| !answer.serves(&progress.expected));
    let message = match lagging.map(|answer| (&answer.pod, &answer.certificate_serial)) {
        None => "no pod is ready to serve the certificate".to_owned(),
        Some((pod, Ok(_))) => {
            format!("pod {pod} still serves an older certificate; it loads the new one within a minute")
        }
        Some((pod, Err(error))) => format!("pod {pod} does not show its certificate: {error}"),
    };
    Finding::new(TLS_READY, Truth::False, NOT_YET_LOADED, message)
}

pub(super) fn credentials(progress: Option<&Progress>, kept: &Finding) -> Finding {
    let Some(progress) = progress else {
        return kept.clone();
    };
    let lagging = progress
        .answers
        .iter()
        .find(|answer| !answer.accepts(&progress.expected));
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
