//! One module per verb of the command line. IO.

pub mod check_config;
pub mod hash_password;
pub mod serve;
