//! The Kubernetes operator: Registry objects in, running registries out.
//!
//! `Registry` + what it refers to -> `Dereferenced` -> `ValidatedRegistry` -> `Resources<Prepared>` ->
//! `Resources<Applied>` -> `RegistryStatus`. Only dereference, apply, `update_status` and the drivers touch the network;
//! validate, build and status are pure, and clock and random source come in as arguments. A step that fails still ends
//! in a condition that names it.

pub mod admin;
pub mod apply;
pub mod args;
pub mod backoff;
pub mod certificates;
pub mod conditions;
pub mod context;
pub mod credentials;
pub mod digest;
pub mod events;
pub mod kube_api;
pub mod labels;
pub mod leader;
pub mod metrics;
pub mod names;
pub mod probe;
pub mod process;
pub mod quantity;
pub mod registry_controller;
pub mod streams;
pub mod telemetry;
pub mod token_keys;
