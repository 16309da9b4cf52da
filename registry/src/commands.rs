//! One module per verb of the command line, and what they share. IO.

pub mod admin;
mod answer;
pub mod check_config;
mod connection;
pub mod fsck;
pub mod gc;
pub mod hash_password;
pub mod serve;
mod table;

pub use answer::AnswerError;
pub use connection::{ConfigurationError, Connection, ConnectionError, ServerUrl, ServerUrlError};
