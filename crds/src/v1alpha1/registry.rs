//! `Registry`: a private OCI registry in a namespace. Spec, printer columns and the rules that need the whole object.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ExposeSpec, PodSpec, RegistryStatus, StorageSpec, TlsSpec, rules};

/// What the user asks for. Only `storage` must be written; everything else has a default.
#[derive(CustomResource, KubeSchema, Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[kube(
    group = "portolan.dev",
    version = "v1alpha1",
    kind = "Registry",
    plural = "registries",
    shortname = "reg",
    category = "portolan",
    label("app.kubernetes.io/part-of", "portolan"),
    namespaced,
    status = "RegistryStatus",
    derive = "PartialEq",
    doc = "A private OCI container registry in this namespace: with TLS, generated credentials and storage that \
           survives. The smallest useful one is `spec: {storage: {volume: {size: 20Gi}}}`.",
    validation = rules::name(),
    validation = rules::size_not_below_capacity(),
    validation = rules::claim_is_fixed(),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].status"#,
        description = "True when the whole spec is in force and the registry answers."
    ),
    printcolumn(
        name = "Endpoint",
        type_ = "string",
        json_path = ".status.endpoint",
        description = "The host to push to and pull from."
    ),
    printcolumn(
        name = "Storage",
        type_ = "string",
        json_path = ".status.storage.capacity",
        description = "What the volume really has."
    ),
    printcolumn(
        name = "Cert-Expires",
        type_ = "string",
        json_path = ".status.tls.notAfter",
        description = "When the served certificate ends; managed ones are renewed long before."
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(
        name = "Reason",
        type_ = "string",
        priority = 1,
        json_path = r#".status.conditions[?(@.type=="Ready")].reason"#,
        description = "Why Ready is what it is, in one word."
    ),
    printcolumn(
        name = "Claim",
        type_ = "string",
        priority = 1,
        json_path = ".status.storage.claimName",
        description = "The PersistentVolumeClaim that holds the images."
    ),
    printcolumn(
        name = "Version",
        type_ = "string",
        priority = 1,
        json_path = ".status.version.running",
        description = "The registry program that runs."
    ),
    printcolumn(
        name = "Status",
        type_ = "string",
        priority = 1,
        json_path = r#".status.conditions[?(@.type=="Ready")].message"#,
        description = "What happens now, or what to do."
    )
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = rules::storage_is_written())]
pub struct RegistrySpec {
    /// Write true to freeze the registry as it is: it keeps serving, its status is still reported (Suspended=True),
    /// but changes of the spec, repairs and the renewal of its certificate wait until this is false again; a managed
    /// certificate ends at last (see `status.tls.notAfter`). One thing does not wait: a claim that
    /// `deletionPolicy: Retain` is to keep stops being owned at once.
    #[serde(default)]
    pub suspend: bool,

    /// How many registry Pods run. Leave it out: a registry on a volume or on ephemeral storage is always 1.
    #[serde(default = "one_replica")]
    #[x_kube(validation = rules::one_replica())]
    pub replicas: i32,

    /// What happens to the images when this Registry is deleted. Retain (the default) keeps the claim, and a new
    /// Registry can take it over with `storage.volume.existingClaimName`; Delete removes it. A claim named in
    /// `existingClaimName` is never deleted. Deleting the whole namespace deletes the claim whatever is written here.
    /// After a change, wait until the claim's `metadata.ownerReferences` follow it (none under Retain, this Registry
    /// under Delete) before you delete the Registry: the operator must be running to write them. To Retain they follow
    /// first of all, to Delete only while the Registry is not suspended.
    #[serde(default)]
    pub deletion_policy: DeletionPolicy,

    /// Where the images are kept: exactly one of `volume` and `ephemeral`, for example `volume: {size: 20Gi}`. The
    /// kind of storage cannot be changed later.
    #[serde(default, skip_serializing_if = "StorageSpec::is_empty")]
    pub storage: StorageSpec,

    /// Which certificate is served: at most one of `managed` and `secretRef`. With neither, Portolan issues and
    /// renews one from a certificate authority of this registry's own. You may change from one to the other.
    #[serde(default, skip_serializing_if = "TlsSpec::is_empty")]
    pub tls: TlsSpec,

    /// Under which names and through which kind of Service the registry is reached. Without it:
    /// `<name>.<namespace>.svc` on port 443, inside the cluster.
    #[serde(default, skip_serializing_if = "ExposeSpec::is_empty")]
    pub expose: ExposeSpec,

    /// How the registry's Pod runs: resources, placement, labels, log level. Every field is optional; a change
    /// restarts the registry once.
    #[serde(default, skip_serializing_if = "PodSpec::is_empty")]
    pub pod: PodSpec,
}

/// What becomes of the images when their Registry is deleted.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[schemars(inline)]
pub enum DeletionPolicy {
    /// The claim stays, owned by nobody.
    #[default]
    Retain,
    /// The claim is owned by the Registry and goes with it.
    Delete,
}

fn one_replica() -> i32 {
    1
}
