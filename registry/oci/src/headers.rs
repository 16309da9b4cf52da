//! Header names of the distribution protocol that HTTP libraries have no constant for, in lower case. Pure.

/// Digest of the content that a response holds or that was stored.
pub const DOCKER_CONTENT_DIGEST: &str = "docker-content-digest";
/// `registry/2.0`: how older clients recognise a registry.
pub const DOCKER_DISTRIBUTION_API_VERSION: &str = "docker-distribution-api-version";
/// Identifier of the upload session.
pub const DOCKER_UPLOAD_UUID: &str = "docker-upload-uuid";
/// Digest of the subject of a pushed manifest: says that this registry keeps referrers.
pub const OCI_SUBJECT: &str = "oci-subject";
/// Which filters a referrers answer has applied.
pub const OCI_FILTERS_APPLIED: &str = "oci-filters-applied";
/// Tags that a manifest pushed by digest was given.
pub const OCI_TAG: &str = "oci-tag";
