//! The real operator program against a real kube-apiserver (`e2e/cluster/up --api`): objects come in, what the operator
//! made of them is read back. One operator for all tests, one namespace per test. Nothing runs pods here; what needs
//! them is in the e2e tests.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(
    clippy::print_stdout,
    reason = "what a failed test printed tells how it got there"
)]

mod added;
mod applier;
mod certificate;
mod claim;
mod contested;
mod drift;
mod events;
mod first_visit;
mod foreign;
mod held;
mod leadership;
mod maintained;
mod namesake;
mod operator;
mod own_name;
mod restart;
mod scene;
mod services;
mod suspend;
mod undecodable;
mod wait;
