//! Reads what a Registry's pass needs: its children and pods from the watches' stores, live what no watch shows.
//! In: Registry, Context. Out: `Dereferenced`. IO, reads only; a settled Registry costs no request.

use std::sync::Arc;

use k8s_openapi::api::core::v1::{Pod, Secret};
use k8s_openapi::api::storage::v1::StorageClass;

use super::observed::{Children, Reference};

/// Everything that the later, pure steps may look at.
#[derive(Clone, Debug, Default)]
pub struct Dereferenced {
    pub children: Children,
    /// Pods that the StatefulSet's selector matches.
    pub pods: Vec<Arc<Pod>>,
    /// The other living Registry whose UID the claim carries.
    pub claim_user: Option<String>,
    /// Asked only before the claim exists and when it is to grow.
    pub storage_class: Reference<StorageClass>,
    /// `tls.secretRef`.
    pub tls_secret: Reference<Secret>,
}
