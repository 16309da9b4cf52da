//! Ctrl-C and SIGTERM: what was started ends, and what was written goes. IO.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};

const RETRY: Duration = Duration::from_millis(100);

/// Waits for a signal beside the measuring.
pub(crate) struct Interruption(Arc<AtomicBool>);

impl Interruption {
    /// `scratch` goes when a signal comes.
    pub(crate) fn expect(scratch: &Path) -> anyhow::Result<Self> {
        let has_come = Arc::new(AtomicBool::new(false));
        let (flag, scratch) = (Arc::clone(&has_come), scratch.to_owned());
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let entered = runtime.enter();
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        drop(entered);
        thread::spawn(move || {
            runtime.block_on(async {
                tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} }
            });
            flag.store(true, Ordering::SeqCst);
            clear(&scratch);
            std::process::exit(130);
        });
        Ok(Self(has_come))
    }

    /// Returns unless somebody else ends the process.
    pub(crate) fn pass(&self) {
        while self.0.load(Ordering::SeqCst) {
            thread::park();
        }
    }
}

/// Somebody may still be writing, but not for long: what he writes to goes.
fn clear(scratch: &Path) {
    while scratch.exists() {
        for child in children() {
            let _ = kill_process(child, Signal::KILL); // it may have ended by itself
        }
        if fs::remove_dir_all(scratch).is_err() {
            thread::sleep(RETRY);
        }
    }
}

/// Of the first thread, which starts all of them.
fn children() -> Vec<Pid> {
    let own = std::process::id();
    let text = fs::read_to_string(format!("/proc/self/task/{own}/children")).unwrap_or_default();
    let numbers = text.split_whitespace().filter_map(|pid| pid.parse().ok());
    numbers.filter_map(Pid::from_raw).collect()
}
