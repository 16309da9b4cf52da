//! Lets a client act at a chosen point of a collection: between two of its batches, or in the middle of one.

use std::io;
use std::sync::atomic::AtomicUsize;

use super::*;
use crate::store::disk::{Seam, Step};

/// What the client does; it has a thread and a runtime of its own.
type Act = Box<dyn FnOnce() + Send>;

/// Counts and, when it is time, lets the client act.
#[derive(Default)]
pub(super) struct Moment {
    left: AtomicUsize,
    act: Mutex<Option<Act>>,
    acting: Mutex<Option<std::thread::JoinHandle<()>>>,
}

impl Moment {
    /// Arms the moment: the client acts once so many further points have been passed.
    pub(super) fn after<F>(&self, points: usize, act: impl FnOnce() -> F + Send + 'static)
    where
        F: Future<Output = ()>,
    {
        self.left.store(points, Ordering::SeqCst);
        *self.act.lock().unwrap() = Some(Box::new(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(act());
        }));
    }

    fn pass(&self) -> bool {
        let mut act = self.act.lock().unwrap();
        let is_over = self
            .left
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1))
            .is_err();
        if !is_over || act.is_none() {
            return false;
        }
        *self.acting.lock().unwrap() = act.take().map(std::thread::spawn);
        true
    }

    /// Waits for the client. False: its moment never came.
    pub(super) fn join(&self) -> bool {
        match self.acting.lock().unwrap().take() {
            Some(acting) => {
                acting.join().unwrap();
                true
            }
            None => self.act.lock().unwrap().is_none(),
        }
    }

    /// A point at which nobody holds a lock: the client has all the time it needs.
    pub(super) fn between(&self) {
        if self.pass() {
            self.acting.lock().unwrap().take().unwrap().join().unwrap();
        }
    }
}

/// A point before each step of the store that changes something, with the locks held that are held then.
pub(super) struct Within(pub(super) Arc<Moment>);

impl Seam for Within {
    fn before(&self, _: Step, _: &Path) -> io::Result<()> {
        if self.0.pass() {
            // The client goes as far as the locks let it, or is only just beginning: both must come out well.
            for _ in 0..200 {
                let is_done = |acting: &std::thread::JoinHandle<()>| acting.is_finished();
                if self.0.acting.lock().unwrap().as_ref().is_none_or(is_done) {
                    break;
                }
                std::thread::yield_now();
            }
        }
        Ok(())
    }
}
