//! `serve`: configuration and environment in, a server until a signal. IO.

use std::ffi::OsString;
use std::path::Path;

use anyhow::Context as _;
use portolan_config::Config;
use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::signal::unix::{SignalKind, signal};

use crate::environment::{self, Overrides};
use crate::serve::{self, StartError, Surroundings};
use crate::{files, telemetry};

/// Where `registry:2` reads its configuration. Ignoring it could leave a registry open that its owner believes to be
/// closed.
const OTHER_CONFIG: &str = "/etc/docker/registry/config.yml";

/// Serves until SIGTERM or SIGINT; a second one ends it at once. `names` are those of all variables.
pub fn run(
    file: Option<&Path>,
    variable: impl Fn(&str) -> Option<OsString>,
    names: impl Iterator<Item = OsString>,
    surroundings: Surroundings,
) -> anyhow::Result<()> {
    let mut config = match file {
        Some(path) => files::read_config(path)?,
        None if Path::new(OTHER_CONFIG).exists() => anyhow::bail!(
            "file \"{OTHER_CONFIG}\" is the configuration of registry:2 and has no effect here, neither have users and \
             certificates that it names; write a configuration file for this registry (`portolan-registry serve --config \
             FILE`), or take that file away"
        ),
        None => Config::standalone(),
    };
    let overrides = environment::apply(&mut config, variable)?;
    telemetry::install(&config.log);
    for sentence in environment::unknown(names) {
        tracing::warn!("{sentence}");
    }
    allow_open_files();
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    // few threads, and idle ones go soon: each costs an arena of the allocator
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(processors.clamp(1, 8))
        .max_blocking_threads(processors.clamp(4, 16) * 4)
        .thread_keep_alive(std::time::Duration::from_secs(5))
        .enable_all()
        .build()
        .context("cannot start threads; allow this process more of them")?;
    runtime.block_on(serve_until_stopped(&config, surroundings, |error| {
        origin(error, file, overrides)
    }))
}

/// Where the key that an error names was given its value.
fn origin(error: &StartError, file: Option<&Path>, overrides: Overrides) -> String {
    let variable = match error {
        StartError::Listen(error) if error.key() == "http.address" => overrides.address,
        StartError::Store(_) => overrides.directory,
        StartError::Listen(_) | StartError::File(_) => None,
    };
    match (variable, file) {
        (Some(variable), _) => variable.to_owned(),
        (None, Some(file)) => format!("file \"{}\"", file.display()),
        (None, None) => "without --config".to_owned(),
    }
}

/// Each connection and each upload holds a file; what a process may open at first is often 1024, and it may raise that.
fn allow_open_files() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::warn!("cannot raise the number of open files: {error}");
    }
}

async fn serve_until_stopped(
    config: &Config,
    surroundings: Surroundings,
    origin: impl FnOnce(&StartError) -> String,
) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    let running = tokio::select! {
        running = serve::start(config, surroundings) => running.map_err(|error| {
            let origin = origin(&error);
            anyhow::Error::new(error).context(origin)
        })?,
        _ = terminate.recv() => return Ok(()),
        _ = interrupt.recv() => return Ok(()),
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!(
        "stopping: finishing requests in flight, at most {}",
        config.shutdown.drain_timeout
    );
    tokio::select! {
        drained = running.stop() => {
            if drained {
                tracing::info!("stopped");
            } else {
                tracing::warn!("stopped with requests unfinished; uploads among them can be resumed");
            }
        }
        _ = terminate.recv() => tracing::warn!("stopped at once by a second signal"),
        _ = interrupt.recv() => tracing::warn!("stopped at once by a second signal"),
    }
    Ok(())
}
