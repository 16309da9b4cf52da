//! The server as its clients see it: a real one on a free port over a temporary directory, asked over real HTTP.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod admin;
mod auth;
mod backup;
mod blobs;
mod certificates;
mod client;
mod deadlines;
mod descriptors;
mod errors;
mod failing_disk;
mod fixture;
mod full_volume;
mod golden;
mod http_versions;
mod limits;
mod lists;
mod manifests;
mod mounted;
mod nesting;
mod permissions;
mod preconditions;
mod program;
mod read_only;
mod refusals;
mod reload;
mod stopping;
mod tokens;
mod turns;
mod upload_sessions;
mod uploads;
