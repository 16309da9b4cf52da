//! Errors of steps in words for a person. In: an error. Out: `Failure`, with the condition that it leads to. Pure.

use std::error::Error as StdError;

use kube::core::Status;
use portolan_crds::conditions::reasons::{FOREIGN_OBJECT_CONFLICT, PERMISSION_DENIED, REFUSED_BY_KUBERNETES};

use super::apply::ApplyError;
use super::dereference::DereferenceError;
use super::material::MaterialError;
use super::status::Failure;
use crate::context::NotFilled;

impl From<&DereferenceError> for Failure {
    fn from(error: &DereferenceError) -> Self {
        let failure = of_request("dereference", error);
        match error {
            DereferenceError::NotFilled(NotFilled::Refused(_)) => Self {
                stalled_reason: Some(PERMISSION_DENIED),
                ..failure
            },
            _ => failure,
        }
    }
}

impl From<&MaterialError> for Failure {
    fn from(error: &MaterialError) -> Self {
        Self {
            step: "material",
            message: explain(error),
            stalled_reason: None,
            is_stale: false,
        }
    }
}

impl From<&ApplyError> for Failure {
    fn from(error: &ApplyError) -> Self {
        match error {
            ApplyError::Foreign(message) => Self {
                step: "apply",
                message: message.clone(),
                stalled_reason: Some(FOREIGN_OBJECT_CONFLICT),
                is_stale: false,
            },
            ApplyError::StillOwned { .. } => Self {
                step: "apply",
                message: explain(error),
                stalled_reason: None,
                is_stale: false,
            },
            ApplyError::Stale { .. } | ApplyError::BeingDeleted { .. } => Self {
                step: "apply",
                message: explain(error),
                stalled_reason: None,
                is_stale: true,
            },
            ApplyError::Write(_) | ApplyError::Claim { .. } | ApplyError::Nudge { .. } => {
                of_request("apply", error)
            }
        }
    }
}

/// What a request ended in: some answers of the API server stay the same until a person acts.
fn of_request(step: &'static str, error: &(dyn StdError + 'static)) -> Failure {
    let stalled_reason = match status_of(error) {
        Some(status) if is_missing_permission(status) => Some(PERMISSION_DENIED),
        Some(status) if status.is_invalid() => Some(REFUSED_BY_KUBERNETES),
        _ => None,
    };
    Failure {
        step,
        message: explain(error),
        stalled_reason,
        is_stale: false,
    }
}

/// A quota and a namespace that is going away are answered with the same code, and heal by themselves.
fn is_missing_permission(status: &Status) -> bool {
    status.is_forbidden() && status.message.contains(" cannot ") && status.message.contains("resource")
}

fn status_of<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a Status> {
    let mut current = Some(error);
    while let Some(error) = current {
        if let Some(kube::Error::Api(status)) = kube_error(error) {
            return Some(status);
        }
        current = error.source();
    }
    None
}

/// Errors of requests are boxed where they are a source, and a box is a type of its own.
fn kube_error<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a kube::Error> {
    error
        .downcast_ref::<kube::Error>()
        .or_else(|| error.downcast_ref::<Box<kube::Error>>().map(|boxed| &**boxed))
}

/// The whole chain in one line, each part once.
pub(super) fn explain(error: &(dyn StdError + 'static)) -> String {
    let mut text = String::new();
    let mut current = Some(error);
    while let Some(error) = current {
        let part = match kube_error(error) {
            // Its own words repeat the answer twice, once as Rust prints it.
            Some(kube::Error::Api(status)) => status.message.clone(),
            _ => error.to_string(),
        };
        if !text.ends_with(&part) {
            if !text.is_empty() {
                text.push_str(": ");
            }
            text.push_str(&part);
        }
        if matches!(kube_error(error), Some(kube::Error::Api(_))) {
            break;
        }
        current = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(code: u16, reason: &str, message: &str) -> Failure {
        let status = Status::failure(message, reason).with_code(code).boxed();
        let error = DereferenceError::Read {
            kind: "Secret".to_owned(),
            name: "depot-tls".to_owned(),
            source: Box::new(kube::Error::Api(status)),
        };
        Failure::from(&error)
    }

    #[test]
    fn missing_permission_needs_a_person_and_a_quota_does_not() {
        let message = "secrets \"depot-tls\" is forbidden: User \"portolan\" cannot get resource \"secrets\" in API group \"\"";
        let failure = refused(403, "Forbidden", message);
        assert_eq!(failure.stalled_reason, Some(PERMISSION_DENIED));
        assert_eq!(
            failure.message,
            format!("cannot read Secret \"depot-tls\": {message}")
        );
        assert_eq!(
            refused(403, "Forbidden", "exceeded quota: small").stalled_reason,
            None
        );
    }

    #[test]
    fn list_that_is_refused_needs_a_person_and_one_that_is_late_does_not() {
        let failure = |error: NotFilled| Failure::from(&DereferenceError::from(error));
        let refused = failure(NotFilled::Refused(vec!["configmaps".to_owned()]));
        assert_eq!(refused.stalled_reason, Some(PERMISSION_DENIED));
        assert!(
            refused.message.contains("list and watch configmaps"),
            "{}",
            refused.message
        );
        let late = failure(NotFilled::Late(vec!["secrets".to_owned()]));
        assert_eq!((late.stalled_reason, late.is_stale), (None, false));
        assert!(late.message.contains("secrets"), "{}", late.message);
    }

    #[test]
    fn child_that_does_not_go_is_named_with_what_holds_it() {
        let failure = Failure::from(&ApplyError::BeingDeleted {
            kind: "Service".to_owned(),
            name: "depot".to_owned(),
            finalizers: vec!["service.kubernetes.io/load-balancer-cleanup".to_owned()],
        });
        assert!(failure.is_stale && failure.stalled_reason.is_none());
        assert_eq!(
            failure.message,
            "Service depot is being deleted and is made anew when it is gone; it waits for \
             service.kubernetes.io/load-balancer-cleanup"
        );
    }

    #[test]
    fn object_that_kubernetes_finds_invalid_needs_a_person() {
        assert_eq!(
            refused(422, "Invalid", "spec is immutable").stalled_reason,
            Some(REFUSED_BY_KUBERNETES)
        );
        assert_eq!(refused(500, "InternalError", "etcd").stalled_reason, None);
    }
}
