//! The program portolan-operator: command line and environment in, exit status out. The only place that reads the
//! environment of the process. Clock and chance are read here and by what drives passes; what decides is given both.

use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser as _;
use jiff::Timestamp;
use portolan_operator::args::{Args, Command, RunArgs};
use portolan_operator::{process, telemetry};
use tokio::signal::unix::{SignalKind, signal};

fn main() -> ExitCode {
    let Command::Run(run) = Args::parse().command;
    match start(&run) {
        Ok(code) => code,
        Err(error) => {
            report(&error);
            error
                .downcast_ref::<process::StartError>()
                .map_or(ExitCode::FAILURE, process::StartError::exit_code)
        }
    }
}

#[tokio::main]
async fn start(run: &RunArgs) -> anyhow::Result<ExitCode> {
    // Before anything speaks TLS: with two providers linked, rustls could not choose by itself.
    let _ = rustls::crypto::ring::default_provider().install_default();
    telemetry::start(run.log_format, &run.log_filter).context("cannot use --log-filter")?;
    let mut terminate = signal(SignalKind::terminate()).context("cannot wait for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot wait for SIGINT")?;
    let stop = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    let identity = format!("{}-{:08x}", run.pod_name, rand::random::<u32>());
    let end = process::run(run, identity, now, stop).await?;
    match &end {
        process::End::Clean => tracing::info!("stopped"),
        process::End::LeadershipLost => {
            tracing::error!("leadership lost; the process ends so that it writes nothing more");
        }
        process::End::Stuck(resources) => {
            tracing::error!(?resources, "watches got stuck; the process ends to start afresh");
        }
    }
    Ok(end.exit_code())
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one clock that everything else is given"
)]
fn now() -> Timestamp {
    Timestamp::now()
}

#[expect(
    clippy::print_stderr,
    reason = "a program that cannot start may not have a log yet"
)]
fn report(error: &anyhow::Error) {
    eprintln!("portolan-operator: {error:#}");
}
