//! The program that is killed. Arguments come in, a command goes out.

use std::process::{Command, Stdio};

pub(crate) fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portolan-registry"));
    command.env_clear().args(arguments);
    command.stdin(Stdio::null()).stderr(Stdio::piped());
    command
}
