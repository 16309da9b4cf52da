//! Somebody who pulls manifests all the time, at a steady rate: paths come in, how long each answer took comes out. IO.

use std::iter;
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
    thread: JoinHandle<anyhow::Result<Pulls>>,
}

/// What came of it.
pub(crate) struct Pulls {
    /// Of each request that was due, whether or not it could be sent.
    pub(crate) waits: Quantiles,
    pub(crate) answered: usize,
}

/// Between two requests.
pub(crate) const PACE: Duration = Duration::from_millis(2);

impl Load {
    /// Begins with the path behind so many: what others have asked for is in the caches.
    pub(crate) fn start(address: SocketAddr, paths: &[String], behind: usize) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let (until, paths) = (Arc::clone(&is_over), paths.to_vec());
        Self {
            is_over,
            thread: thread::spawn(move || pull(address, &paths, behind, &until)),
        }
    }

    pub(crate) fn end(self) -> anyhow::Result<Pulls> {
        self.is_over.store(true, Ordering::Relaxed);
        self.thread
            .join()
            .map_err(|_| anyhow!("who pulls has panicked"))?
    }
}

fn pull(address: SocketAddr, paths: &[String], behind: usize, is_over: &AtomicBool) -> anyhow::Result<Pulls> {
    let mut client = Client::connect(address)?;
    let mut durations = Vec::new();
    let mut answered = 0;
    let mut due = Instant::now();
    while !is_over.load(Ordering::Relaxed) {
        thread::sleep(due.saturating_duration_since(Instant::now()));
        let asked = Instant::now(); // oversleeping is not the server's fault
        // A prime steps through all of them in no order that a disk or cache would like.
        client.get(&paths[(behind + answered) * 7_919 % paths.len()])?;
        answered += 1;
        due = asked;
        for wait in waits(asked.elapsed()) {
            durations.push(wait);
            due += PACE;
        }
    }
    Ok(Pulls {
        waits: Quantiles::of(durations),
        answered,
    })
}

/// How long whoever wanted an answer waited when one took so long: also those whose requests were due meanwhile. These are not
/// sent later, but counted as if they had been answered together with it.
pub(crate) fn waits(took: Duration) -> impl Iterator<Item = Duration> {
    iter::successors(Some(took), |wait| {
        wait.checked_sub(PACE).filter(|rest| !rest.is_zero())
    })
}
