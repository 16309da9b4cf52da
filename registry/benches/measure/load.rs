//! Somebody who pulls manifests all the time, at a steady rate: paths come in, how long each answer took comes out. IO.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::anyhow;

use super::client::Client;
use super::quantiles::Quantiles;

pub(crate) struct Load {
    is_over: Arc<AtomicBool>,
    thread: JoinHandle<anyhow::Result<Vec<Duration>>>,
}

/// Between two requests.
const PACE: Duration = Duration::from_millis(2);

impl Load {
    pub(crate) fn start(address: SocketAddr, paths: &[String]) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let (until, paths) = (Arc::clone(&is_over), paths.to_vec());
        Self {
            is_over,
            thread: thread::spawn(move || pull(address, &paths, &until)),
        }
    }

    pub(crate) fn end(self) -> anyhow::Result<Quantiles> {
        self.is_over.store(true, Ordering::Relaxed);
        let durations = self
            .thread
            .join()
            .map_err(|_| anyhow!("who pulls has panicked"))??;
        Ok(Quantiles::of(durations))
    }
}

/// A request that is late because the one before was slow has waited since it was due.
fn pull(address: SocketAddr, paths: &[String], is_over: &AtomicBool) -> anyhow::Result<Vec<Duration>> {
    let mut client = Client::connect(address)?;
    let mut durations = Vec::new();
    let mut due = Instant::now();
    // A prime steps through all of them in no order that a disk or cache would like.
    let mut next = 0;
    while !is_over.load(Ordering::Relaxed) {
        let mut began = due;
        if let Some(early) = due.checked_duration_since(Instant::now()) {
            thread::sleep(early);
            began = Instant::now(); // oversleeping is not the server's fault
        }
        client.get(&paths[next])?;
        durations.push(began.elapsed());
        next = (next + 7_919) % paths.len();
        due += PACE;
        if due.elapsed() > PACE * 50 {
            due = Instant::now(); // one long stop counts once, not as many
        }
    }
    Ok(durations)
}
