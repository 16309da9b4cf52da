//! Kubernetes events about Registries: notices come in, `events.k8s.io/v1` objects go out. IO.
//!
//! The caller gives a notice on a transition only; equal ones are merged here by the recorder. An event that cannot be
//! published is logged and forgotten: the condition says the same, and no pass fails for it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};

/// Longest note that the API server takes, in bytes.
const NOTE_MAX: usize = 1024;

/// Every reason that an event can have, with the action that it tells of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// Children were made.
    Created,
    /// A child was changed or brought back.
    Updated,
    /// New pods are being rolled out.
    RolloutStarted,
    /// All pods run what the spec says.
    RolloutCompleted,
    /// The first certificate was issued.
    CertificateIssued,
    /// A certificate replaced another.
    CertificateRenewed,
    /// The claim was asked to grow.
    VolumeExpanded,
    /// `spec.suspend` was set.
    Suspended,
    /// `spec.suspend` was taken back.
    Resumed,
    /// The registry answers and is as the spec says.
    Ready,
    /// The spec cannot be followed.
    InvalidSpec,
    /// Somebody else's object has a name that is needed.
    ForeignObjectConflict,
    /// Something that the spec refers to is not there.
    DependencyMissing,
    /// The claim cannot grow as asked.
    VolumeResizeRejected,
    /// A Secret that only the operator holds was gone or damaged, and was made anew.
    SecretLost,
    /// Somebody changes a child again after each repair.
    RepairsUndone,
    /// A person must act.
    Stalled,
    /// A step failed.
    ReconcileError,
}

impl Reason {
    /// The word in the event.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Created => "Created",
            Self::Updated => "Updated",
            Self::RolloutStarted => "RolloutStarted",
            Self::RolloutCompleted => "RolloutCompleted",
            Self::CertificateIssued => "CertificateIssued",
            Self::CertificateRenewed => "CertificateRenewed",
            Self::VolumeExpanded => "VolumeExpanded",
            Self::Suspended => "Suspended",
            Self::Resumed => "Resumed",
            Self::Ready => "Ready",
            Self::InvalidSpec => "InvalidSpec",
            Self::ForeignObjectConflict => "ForeignObjectConflict",
            Self::DependencyMissing => "DependencyMissing",
            Self::VolumeResizeRejected => "VolumeResizeRejected",
            Self::SecretLost => "SecretLost",
            Self::RepairsUndone => "RepairsUndone",
            Self::Stalled => "Stalled",
            Self::ReconcileError => "ReconcileError",
        }
    }

    fn severity(self) -> EventType {
        match self {
            Self::InvalidSpec
            | Self::ForeignObjectConflict
            | Self::DependencyMissing
            | Self::VolumeResizeRejected
            | Self::SecretLost
            | Self::RepairsUndone
            | Self::Stalled
            | Self::ReconcileError => EventType::Warning,
            _ => EventType::Normal,
        }
    }

    fn action(self) -> &'static str {
        match self {
            Self::InvalidSpec | Self::ForeignObjectConflict | Self::DependencyMissing => "Validate",
            Self::RolloutStarted | Self::RolloutCompleted => "Rollout",
            Self::CertificateIssued | Self::CertificateRenewed => "IssueCertificate",
            Self::VolumeExpanded | Self::VolumeResizeRejected => "ResizeVolume",
            Self::Suspended | Self::Resumed => "Suspend",
            Self::Created
            | Self::Updated
            | Self::Ready
            | Self::SecretLost
            | Self::RepairsUndone
            | Self::Stalled
            | Self::ReconcileError => "Reconcile",
        }
    }
}

/// One thing worth telling.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Why.
    pub reason: Reason,
    /// A sentence for people.
    pub note: String,
}

/// Beyond this many the recorders are forgotten: some notices that come again are then told anew, and not counted.
const MAX_RECORDERS: usize = 1_000;

/// Publishes under the operator's name.
#[derive(Clone)]
pub struct Publisher {
    client: Client,
    reporter: Reporter,
    recorders: Arc<Mutex<HashMap<Told, Recorder>>>,
}

/// What is merged: the same sentence for the same reason about the same object. A recorder alone would merge whatever
/// has one reason under the first sentence, and nobody would read what was lost next.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Told {
    about: Option<String>,
    reason: Reason,
    note: String,
}

impl std::fmt::Debug for Publisher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Publisher(..)")
    }
}

impl Publisher {
    /// `instance` is the pod's name. Share one publisher: it merges repetitions.
    pub fn new(client: Client, instance: &str) -> Self {
        let reporter = Reporter {
            controller: "portolan-operator".to_owned(),
            instance: Some(instance.to_owned()),
        };
        Self {
            client,
            reporter,
            recorders: Arc::default(),
        }
    }

    fn recorder(&self, about: &ObjectReference, notice: &Notice) -> Recorder {
        let told = Told {
            about: about.uid.clone(),
            reason: notice.reason,
            note: notice.note.clone(),
        };
        let mut recorders = self.recorders.lock().unwrap_or_else(PoisonError::into_inner);
        if recorders.len() >= MAX_RECORDERS && !recorders.contains_key(&told) {
            recorders.clear();
        }
        let recorder = recorders
            .entry(told)
            .or_insert_with(|| Recorder::new(self.client.clone(), self.reporter.clone()));
        recorder.clone()
    }

    /// Publishes each notice about the object.
    pub async fn publish(&self, about: &ObjectReference, notices: &[Notice]) {
        for notice in notices {
            let recorder = self.recorder(about, notice);
            if let Err(error) = recorder.publish(&event(notice), about).await {
                tracing::warn!(
                    namespace = about.namespace,
                    name = about.name,
                    reason = notice.reason.as_str(),
                    error = %error,
                    "cannot publish an event"
                );
            }
        }
    }
}

fn event(notice: &Notice) -> Event {
    Event {
        type_: notice.reason.severity(),
        reason: notice.reason.as_str().to_owned(),
        note: Some(shortened(&notice.note)),
        action: notice.reason.action().to_owned(),
        secondary: None,
    }
}

fn shortened(note: &str) -> String {
    const MARK: &str = "…";
    if note.len() <= NOTE_MAX {
        return note.to_owned();
    }
    let end = (0..=NOTE_MAX - MARK.len())
        .rev()
        .find(|&end| note.is_char_boundary(end))
        .unwrap_or(0);
    format!("{}{MARK}", &note[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_note_is_cut_at_a_character() {
        let note = shortened(&"ü".repeat(600));
        assert!(note.len() <= NOTE_MAX && note.ends_with('…'));
        assert_eq!(shortened("short"), "short");
    }

    #[test]
    fn what_needs_a_person_is_a_warning() {
        let event = event(&Notice {
            reason: Reason::ForeignObjectConflict,
            note: "Service depot".to_owned(),
        });
        assert!(matches!(event.type_, EventType::Warning));
        assert_eq!(
            (event.reason.as_str(), event.action.as_str()),
            ("ForeignObjectConflict", "Validate")
        );
    }
}
