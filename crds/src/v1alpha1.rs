//! `portolan.dev/v1alpha1`: one file per kind, and one per part of a spec that is worth reading alone.
#![expect(
    unreachable_pub,
    reason = "KubeSchema copies each struct, with its visibility, into a function"
)]

mod expose;
mod pod;
mod registry;
mod rules;
mod schemas;
mod status;
mod storage;
mod tls;

pub use expose::{ExposeSpec, ServiceSpec, ServiceType};
pub use pod::{ImagePullPolicy, LocalSecretReference, LogLevel, PodSpec};
pub use registry::{DeletionPolicy, Registry, RegistrySpec};
pub use status::{
    CredentialsStatus, EndpointsStatus, RegistryStatus, StorageStatus, TlsStatus, VersionStatus,
};
pub use storage::{EphemeralStorage, StorageSpec, VolumeStorage};
pub use tls::{DEFAULT_CERTIFICATE_DURATION, ManagedTls, TlsSpec};
