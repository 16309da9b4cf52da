//! Condition types and reasons. Both are API: alerts and scripts compare them, so none is renamed or reused.

/// True: the spec at `observedGeneration` is fully in force and the registry answers.
pub const READY: &str = "Ready";
/// Present only while true: the operator works towards the newest generation, and waiting helps.
pub const RECONCILING: &str = "Reconciling";
/// Present only while true: a person must act, waiting does not help. What ran before keeps running.
pub const STALLED: &str = "Stalled";
/// Present only while true: `spec.suspend` asks the operator to change nothing.
pub const SUSPENDED: &str = "Suspended";
/// True: clients can push and pull now; may be true while Reconciling or Stalled.
pub const AVAILABLE: &str = "Available";
/// True: the volume is there and as large as asked for.
pub const STORAGE_READY: &str = "StorageReady";
/// True: every registry Pod serves the newest certificate.
pub const TLS_READY: &str = "TLSReady";
/// True: every registry Pod accepts the credentials that the Secrets hold.
pub const CREDENTIALS_READY: &str = "CredentialsReady";

/// Reasons of conditions, by what they say.
pub mod reasons {
    // In force.

    /// Ready: everything is as the spec says.
    pub const SUCCEEDED: &str = "Succeeded";
    /// Available: enough registry Pods are ready.
    pub const MINIMUM_REPLICAS_AVAILABLE: &str = "MinimumReplicasAvailable";
    /// StorageReady: the claim is bound and as large as asked for.
    pub const BOUND: &str = "Bound";
    /// StorageReady: ephemeral storage needs nothing.
    pub const EPHEMERAL: &str = "Ephemeral";
    /// TLSReady: the certificate that Portolan issued is served.
    pub const ISSUED: &str = "Issued";
    /// TLSReady: the user's certificate is served.
    pub const LOADED: &str = "Loaded";
    /// CredentialsReady: every Pod accepts the credentials in force.
    pub const ACCEPTED: &str = "Accepted";

    // On the way: with Reconciling.

    /// The children are being written, or their effect is waited for.
    pub const PROGRESSING: &str = "Progressing";
    /// A step failed in a way that trying again may heal; the message names the step.
    pub const PROGRESSING_WITH_RETRY: &str = "ProgressingWithRetry";
    /// The StatefulSet replaces its Pods.
    pub const ROLLING_UPDATE: &str = "RollingUpdate";
    /// The volume grows.
    pub const VOLUME_RESIZING: &str = "VolumeResizing";
    /// Something that the spec names is absent and may still come: a Secret, a StorageClass, a claim.
    pub const DEPENDENCY_NOT_READY: &str = "DependencyNotReady";
    /// StorageReady: the claim is not bound yet.
    pub const CLAIM_PENDING: &str = "ClaimPending";
    /// Available: no registry Pod is ready.
    pub const NO_READY_PODS: &str = "NoReadyPods";
    /// Available: a registry Pod is ready, but the Service does not lead to it.
    pub const SERVICE_NOT_ANSWERING: &str = "ServiceNotAnswering";
    /// TLSReady: the certificate is issued, but not every Pod serves it yet.
    pub const NOT_YET_LOADED: &str = "NotYetLoaded";
    /// CredentialsReady: not every Pod knows the newest credentials yet.
    pub const NOT_YET_ACCEPTED: &str = "NotYetAccepted";
    /// TLSReady: the certificate ends soon and its renewal has not come.
    pub const EXPIRING: &str = "Expiring";
    /// A condition that was not looked at yet, because an earlier step did not get that far.
    pub const UNKNOWN: &str = "Unknown";

    // A person must act: with Stalled.

    /// The spec holds something that cannot work, as only the operator could find out.
    pub const INVALID_SPEC: &str = "InvalidSpec";
    /// An object of a name that Portolan needs belongs to somebody else; it is left alone.
    pub const FOREIGN_OBJECT_CONFLICT: &str = "ForeignObjectConflict";
    /// The StorageClass does not allow volumes to grow.
    pub const STORAGE_CLASS_NOT_EXPANDABLE: &str = "StorageClassNotExpandable";
    /// The claim `<name>-data` holds the images of another, deleted Registry.
    pub const CLAIM_OF_ANOTHER_REGISTRY: &str = "ClaimOfAnotherRegistry";
    /// The claim was in use and is gone; it is not silently replaced by an empty one.
    pub const CLAIM_LOST: &str = "ClaimLost";
    /// The claim cannot be used, for example because it is read-only or a block device.
    pub const CLAIM_UNUSABLE: &str = "ClaimUnusable";
    /// The Secret of `tls.secretRef` holds no usable certificate: not PEM, another key, another host, expired.
    pub const CERTIFICATE_UNUSABLE: &str = "CertificateUnusable";
    /// The operator lacks a permission; the message names verb and resource.
    pub const PERMISSION_DENIED: &str = "PermissionDenied";
    /// Kubernetes refused an object that the spec asks for; the message says why.
    pub const REFUSED_BY_KUBERNETES: &str = "RefusedByKubernetes";
    /// The Pods do not come up, for a cause that waiting does not heal.
    pub const ROLLOUT_FAILED: &str = "RolloutFailed";

    // Asked for.

    /// Suspended and Ready: `spec.suspend` is true.
    pub const SUSPENDED: &str = "Suspended";
}
