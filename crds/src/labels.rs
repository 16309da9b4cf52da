//! Label and annotation keys, field managers and names that users and other programs may rely on.

/// Label on every child and in every selector: the Registry's name.
pub const REGISTRY: &str = "portolan.dev/registry";
/// Label on every child and in selectors: what the child is for, for example [`ROLE_REGISTRY`].
pub const ROLE: &str = "portolan.dev/role";
/// Label on the claim: the UID of the Registry whose images it holds.
pub const REGISTRY_UID: &str = "portolan.dev/registry-uid";
/// The role of the registry server's Pods and of what serves them.
pub const ROLE_REGISTRY: &str = "registry";

/// Recommended label: the program. Children carry it, selectors do not.
pub const APP_NAME: &str = "app.kubernetes.io/name";
/// Recommended label: the part of the program.
pub const APP_COMPONENT: &str = "app.kubernetes.io/component";
/// Recommended label: who writes the object.
pub const APP_MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// Recommended label: the whole that the object belongs to.
pub const APP_PART_OF: &str = "app.kubernetes.io/part-of";
/// Value of [`APP_NAME`] on every child of a Registry.
pub const APP_NAME_VALUE: &str = "portolan-registry";
/// Value of [`APP_MANAGED_BY`].
pub const APP_MANAGED_BY_VALUE: &str = "portolan-operator";
/// Value of [`APP_PART_OF`].
pub const APP_PART_OF_VALUE: &str = "portolan";

/// Annotation of the StatefulSet: the revision of the Pod template that it was rendered with.
pub const TEMPLATE_REVISION: &str = "portolan.dev/template-revision";
/// Annotation of the Pod: changes when a mounted Secret did, which makes the kubelet refresh it at once.
pub const MOUNTED_SECRETS: &str = "portolan.dev/mounted-secrets";

/// The field manager of a Registry's children.
pub const FIELD_MANAGER_REGISTRY: &str = "portolan-operator/registry";
/// The field manager of a Registry's status.
pub const FIELD_MANAGER_REGISTRY_STATUS: &str = "portolan-operator/registry-status";
