//! A container registry server: the OCI distribution protocol over a volume

pub mod manifest;
pub mod store;
