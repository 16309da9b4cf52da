//! Which certificate a Registry serves.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::{LocalSecretReference, rules};

/// How long a managed certificate lives when `duration` is not written.
pub const DEFAULT_CERTIFICATE_DURATION: &str = "2160h";

/// At most one of these is written; none means managed.
#[derive(KubeSchema, Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = rules::one_tls_kind())]
pub struct TlsSpec {
    /// Portolan issues the certificate and renews it without a restart. Clients trust the `ca.crt` of ConfigMap
    /// `<name>-ca`. Write this only to change the times, for example `managed: {duration: 2160h}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub managed: Option<ManagedTls>,

    /// Your own certificate: a Secret of type kubernetes.io/tls in this namespace, for example one that cert-manager
    /// keeps. It must be valid for every name of `expose.hostnames` or, if there are none, for `<name>.<namespace>.svc`;
    /// a new one is served at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<LocalSecretReference>,
}

impl TlsSpec {
    /// Whether nothing is written, which means managed with the default times.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// The times of certificates that Portolan issues. Both are Go durations: hours, minutes and seconds, in this order and
/// each at most once, for example `1h30m`.
#[derive(KubeSchema, Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = rules::renewal_is_before_the_end())]
pub struct ManagedTls {
    /// How long each certificate is valid, from `10m` to `87600h` (ten years). Default `2160h`, which is 90 days.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    #[x_kube(validation = rules::is_duration("2160h"), validation = rules::is_certificate_life())]
    pub duration: Option<String>,

    /// How long before its end a certificate is renewed, for example `720h`; at least `1m`, and at least 30 s less than
    /// `duration`. Default: a third of `duration`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    #[x_kube(validation = rules::is_duration("720h"), validation = rules::is_at_least_one_minute())]
    pub renew_before: Option<String>,
}
