//! The program: a command line in, an exit status out (0 done, 1 cannot, 2 wrong command line).

use std::ffi::OsString;
use std::io::{Read as _, Write as _};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use clap::Parser as _;
use jiff::Timestamp;
use portolan_registry::args::{Args, Command};
use portolan_registry::commands::{check_config, hash_password, serve};
use portolan_registry::serve::{LOCK_TIMEOUT, Surroundings};

fn main() -> ExitCode {
    match run(Args::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // nobody is left to tell when standard error is closed
            let _ = writeln!(std::io::stderr(), "portolan-registry: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> anyhow::Result<()> {
    let line = match command {
        Command::Serve { config } => return serve::run(config.as_deref(), variable, surroundings()),
        Command::CheckConfig { config, files } => check_config::run(&config, files, now())?,
        Command::HashPassword => {
            let mut input = Vec::new();
            let read = std::io::stdin().take(4096).read_to_end(&mut input);
            read.context("cannot read standard input; pipe the password in")?;
            hash_password::run(&input)?
        }
    };
    writeln!(std::io::stdout(), "{line}")
        .context("cannot write to standard output; direct it to where there is room")
}

fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}

#[expect(clippy::disallowed_methods, reason = "the clock is read here and handed down")]
fn now() -> Timestamp {
    Timestamp::now()
}

fn surroundings() -> Surroundings {
    Surroundings {
        clock: Arc::new(now),
        random: Arc::new(rand::random),
        lock_timeout: LOCK_TIMEOUT,
    }
}
