//! Why a child could not be written: what the API server or the connection said comes in, an error that names the object
//! goes out. Pure.

use kube::ResourceExt as _;

use super::Child;

/// A write that the API server did not do.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The request failed.
    #[error("cannot {verb} {kind} {name:?}")]
    Request {
        /// `create`, `update` or `delete`.
        verb: &'static str,
        /// Such as `Service`.
        kind: String,
        /// Name of the object.
        name: String,
        /// What the API server or the connection said.
        #[source]
        source: Box<kube::Error>,
    },
    /// The intent does not serialise; a defect.
    #[error("cannot serialise {kind} {name:?}")]
    Serialize {
        /// Such as `Service`.
        kind: String,
        /// Name of the object.
        name: String,
        /// What serde said.
        #[source]
        source: serde_json::Error,
    },
}

impl ApplyError {
    /// The API server's own verdict, when it was one.
    pub fn status(&self) -> Option<&kube::core::Status> {
        match self {
            Self::Request { source, .. } => match source.as_ref() {
                kube::Error::Api(status) => Some(status),
                _ => None,
            },
            Self::Serialize { .. } => None,
        }
    }

    /// Whether the operator lacks a permission.
    pub fn is_forbidden(&self) -> bool {
        self.status().is_some_and(kube::core::Status::is_forbidden)
    }

    /// Whether the object as we intend it is refused as invalid, an immutable field for instance.
    pub fn is_invalid(&self) -> bool {
        self.status().is_some_and(kube::core::Status::is_invalid)
    }
}

pub(super) fn request<K: Child>(verb: &'static str, object: &K, source: kube::Error) -> ApplyError {
    ApplyError::Request {
        verb,
        kind: K::kind(&()).into_owned(),
        name: object.name_any(),
        source: Box::new(source),
    }
}

pub(super) fn serialize<K: Child>(object: &K, source: serde_json::Error) -> ApplyError {
    ApplyError::Serialize {
        kind: K::kind(&()).into_owned(),
        name: object.name_any(),
        source,
    }
}
