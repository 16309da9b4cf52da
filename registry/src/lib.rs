//! A container registry server: the OCI distribution protocol over a volume.
//!
//! ```text
//! request -> route -> Operation -> authenticate -> Identity -> authorize -> Decision -> handler -> Store -> answer
//! ```
//!
//! `route`, `auth/authorize` and `manifest` are pure; `store` knows no HTTP; only `handlers` and `error` build answers.
//! The clock that times are compared with, randomness and the environment come in at [`serve::start`]; how long something
//! took is measured on the spot.

pub mod access_log;
pub mod admin;
pub mod app;
pub mod args;
pub mod auth;
pub mod buffers;
pub mod commands;
pub mod environment;
pub mod error;
pub mod files;
pub mod handlers;
pub mod health;
pub mod manifest;
pub mod metrics;
pub mod operation;
pub mod reload;
pub mod request_body;
pub mod request_head;
pub mod route;
pub mod scrubbing;
pub mod serve;
pub mod server;
pub mod store;
pub mod telemetry;
pub mod tls;

/// An error with all its causes in one sentence: every error of this crate says only what its own level knows.
pub fn error_chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// Bytes as lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // writing to a String never fails
        let _ = write!(text, "{byte:02x}");
    }
    text
}
