//! End-to-end tests: they talk only to running programs (kube-apiserver, kubelet, containerd, the operator, the
//! registry, crane, helm), in the JSON that users see. The tests are below `tests/`; here is what they are made of:
//! a `Scene` (one namespace of one cluster), the objects in it, a stock registry client, the node, and an oracle
//! that judges every status a Registry ever shows.

pub mod audit;
pub mod certificate;
pub mod children;
pub mod cluster;
pub mod command;
pub mod conditions;
pub mod crane;
pub mod image;
pub mod install;
pub mod memory;
pub mod node;
pub mod objects;
pub mod pod;
pub mod registry;
pub mod report;
pub mod scene;
pub mod wait;
