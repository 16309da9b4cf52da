//! The program: a command line in, an exit status out (0 done, 1 cannot, 2 wrong command line).

use std::ffi::OsString;
use std::io::{BufRead, IsTerminal as _, Read as _, Write};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use clap::Parser as _;
use jiff::Timestamp;
use portolan_registry::args::{Args, Command};
use portolan_registry::commands::{AnswerError, admin, check_config, fsck, gc, hash_password, serve};
use portolan_registry::serve::{LOCK_TIMEOUT, Surroundings};

/// What clap ends with, too.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    match run(Args::parse().command) {
        Ok(status) => status,
        Err(error) => {
            // nobody is left to tell when standard error is closed
            let _ = writeln!(std::io::stderr(), "portolan-registry: {error:#}");
            match error.downcast_ref() {
                Some(AnswerError::Usage(_)) => ExitCode::from(USAGE),
                _ => ExitCode::FAILURE,
            }
        }
    }
}

fn run(command: Command) -> anyhow::Result<ExitCode> {
    let line = match command {
        Command::Serve { config } => {
            let names = std::env::vars_os().map(|(name, _)| name);
            return serve::run(config.as_deref(), variable, names, surroundings())
                .map(|()| ExitCode::SUCCESS);
        }
        Command::CheckConfig { config, files } => check_config::run(&config, files, now())?,
        Command::HashPassword => {
            let mut input = Vec::new();
            let read = std::io::stdin().take(4096).read_to_end(&mut input);
            read.context("cannot read standard input; pipe the password in")?;
            hash_password::run(&input)?
        }
        Command::Gc(args) => {
            let mut screen = std::io::stderr();
            let is_seen = screen.is_terminal();
            let screen: Option<&mut (dyn Write + Send)> = is_seen.then_some(&mut screen as _);
            asking()?.block_on(gc::run(&args, variable, screen))?
        }
        Command::Fsck(args) => {
            let mut screen = std::io::stderr();
            let (is_seen, is_answered) = (screen.is_terminal(), std::io::stdin().is_terminal());
            let screen: Option<&mut (dyn Write + Send)> = is_seen.then_some(&mut screen as _);
            let answers = (is_seen && is_answered)
                .then(|| Box::new(std::io::BufReader::new(std::io::stdin())) as Box<dyn BufRead + Send>);
            let world = surroundings();
            let checking = fsck::run(&args, variable, &world, screen, answers);
            let (text, is_wrong) = asking()?.block_on(checking)?;
            print(&text)?;
            return Ok(if is_wrong {
                ExitCode::FAILURE
            } else {
                ExitCode::SUCCESS
            });
        }
        Command::Admin(args) => asking()?.block_on(admin::run(&args, variable))?,
    };
    print(&line)?;
    Ok(ExitCode::SUCCESS)
}

fn print(text: &str) -> anyhow::Result<()> {
    match writeln!(std::io::stdout(), "{text}") {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()), // who reads has seen enough
        written => written.context("cannot write to standard output; direct it to where there is room"),
    }
}

/// For commands that ask a running registry.
fn asking() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
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
