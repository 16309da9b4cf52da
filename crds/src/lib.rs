//! Portolan's custom resources as Rust types, and the words that its programs and their users share.
//!
//! May live here: the shape of the API, its validation rules, condition types and reasons, label and annotation keys,
//! and the rendering of the CRD files. May not: a Kubernetes client, defaults that only the operator decides, the
//! server's configuration. Everything is pure except the file access of `crdgen`.
#![warn(missing_docs)]
#![expect(
    clippy::doc_markdown,
    reason = "these texts are what `kubectl explain` prints; kinds are words there"
)]

pub mod conditions;
pub mod labels;
pub mod v1alpha1;
pub mod yaml;
