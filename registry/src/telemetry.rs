//! Where log lines go: the configuration's `log` in, a subscriber for the process out. IO (standard error).

use portolan_config::{Log, LogFormat};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// Installs the subscriber; a second call in one process changes nothing. Libraries log from `warn` on only unless
/// everything is asked for: their lines are about connections that come and go.
pub fn install(log: &Log) {
    let level: LevelFilter = log.level.to_string().parse().unwrap_or(LevelFilter::INFO);
    let filter = tracing_subscriber::filter::Targets::new()
        .with_default(level.min(LevelFilter::WARN))
        .with_target("portolan_registry", level);
    let registry = tracing_subscriber::registry().with(filter);
    // the error says that a subscriber is there already
    let _ = match log.format {
        LogFormat::Json => registry
            .with(
                fmt::layer()
                    .json()
                    .flatten_event(true)
                    .with_target(false)
                    .with_writer(std::io::stderr),
            )
            .try_init(),
        LogFormat::Text => registry
            .with(
                fmt::layer()
                    .with_target(false)
                    .with_ansi(false)
                    .with_writer(std::io::stderr),
            )
            .try_init(),
    };
}
