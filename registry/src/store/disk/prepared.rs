//! Making ready what belongs together, at once where that is faster: an fsync waits for the disk, which takes several
//! at a time. Paths and bytes come in; blocking IO.

use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, mpsc};
use std::thread;

use super::{Disk, Fault, lock, parent};

/// A small file that is durable: it only has to be put in its place.
pub(in crate::store) struct Prepared {
    temporary: PathBuf,
    target: PathBuf,
    /// Once there are directories for it, and until it is there or shall not come.
    is_awaited: AtomicBool,
}

impl Prepared {
    /// Where it is until then.
    pub(in crate::store) fn path(&self) -> &Path {
        &self.temporary
    }
}

impl Disk {
    /// Makes a small file ready for its place, where nothing changes yet, with the directories that lead there.
    pub(in crate::store) fn prepare_small(&self, target: &Path, bytes: &[u8]) -> Result<Prepared, Fault> {
        self.prepare_placed(target, bytes, || true)
    }

    /// The same while something else is made durable, which tells once nothing is wrong with it: only then are the
    /// directories made. If it fails, all of that is taken back.
    pub(in crate::store) fn prepare_beside<T, E>(
        &self,
        target: &Path,
        bytes: &[u8],
        other: impl FnOnce(&dyn Fn()) -> Result<T, E>,
    ) -> Result<(T, Result<Prepared, Fault>), E> {
        let (right, is_right) = mpsc::channel();
        let is_right = Mutex::new(is_right);
        let (prepared, other) = self.at_once(
            || self.prepare_placed(target, bytes, || lock(&is_right).recv().is_ok()),
            || {
                let right = right; // who waits for it hears when this ends without
                other(&|| {
                    right.send(()).ok();
                })
            },
        );
        match other {
            Ok(other) => Ok((other, prepared)),
            Err(error) => {
                drop(prepared.map(|prepared| self.abandon(&prepared)));
                Err(error)
            }
        }
    }

    /// No directory is made unless `is_wanted`, which is asked when the file is ready.
    fn prepare_placed(
        &self,
        target: &Path,
        bytes: &[u8],
        is_wanted: impl FnOnce() -> bool,
    ) -> Result<Prepared, Fault> {
        let number = self.next_temporary.fetch_add(1, Ordering::Relaxed);
        let prepared = Prepared {
            temporary: self.temporary.join(number.to_string()),
            target: target.to_owned(),
            is_awaited: false.into(),
        };
        let temporary = &prepared.temporary;
        let ready = self
            .write_new(temporary, bytes)
            .and_then(|file| self.sync_file(&file, temporary))
            .and_then(|()| {
                if !is_wanted() {
                    return Ok(());
                }
                self.places.begin_to_await(parent(target));
                prepared.is_awaited.store(true, Ordering::Relaxed);
                self.prepare_place(target)
            });
        match ready {
            Ok(()) => Ok(prepared),
            Err(fault) => {
                self.abandon(&prepared);
                Err(fault)
            }
        }
    }

    /// Makes the directories durable that lead to a file's place.
    pub(in crate::store) fn prepare_place(&self, target: &Path) -> Result<(), Fault> {
        self.create_directories(parent(target))
    }

    /// Takes back what [`Self::prepare_place`] has made, unless something has come there.
    pub(in crate::store) fn abandon_place(&self, target: &Path) {
        self.remove_vacant(parent(target));
    }

    /// Replaces the file at its place, and returns when that is durable.
    pub(in crate::store) fn publish_small(&self, prepared: &Prepared) -> Result<(), Fault> {
        self.publish(&prepared.temporary, &prepared.target)
            .map(|()| {
                self.await_no_more(prepared);
            })
            .inspect_err(|_| self.abandon(prepared))
    }

    /// Takes back what shall not come to its place.
    pub(in crate::store) fn abandon(&self, prepared: &Prepared) {
        drop(self.discard(&prepared.temporary)); // what stays behind goes at the next start
        if self.await_no_more(prepared) {
            self.remove_vacant(parent(&prepared.target));
        }
    }

    /// False: it was not awaited.
    fn await_no_more(&self, prepared: &Prepared) -> bool {
        let was_awaited = prepared.is_awaited.swap(false, Ordering::Relaxed);
        if was_awaited {
            self.places.end_to_await(parent(&prepared.target));
        }
        was_awaited
    }

    pub(in crate::store) fn abandon_all(&self, prepared: &[Prepared]) {
        for prepared in prepared {
            self.abandon(prepared);
        }
    }

    /// Does both, at once when the system has a thread for that; if not, or for a seam that keeps order, the second before
    /// the first. So the second must not wait for the first. Nothing that the first makes may be reachable before both are
    /// done: then one order stands for all.
    fn at_once<A: Send, B>(&self, first: impl Fn() -> A + Sync, second: impl FnOnce() -> B) -> (A, B) {
        if self.seam.keeps_order() {
            let second = second();
            return (first(), second);
        }
        thread::scope(|scope| {
            let beside = thread::Builder::new().spawn_scoped(scope, &first);
            let second = second();
            let first = match beside {
                Ok(thread) => thread.join().unwrap_or_else(|panic| resume_unwind(panic)),
                Err(_) => first(),
            };
            (first, second)
        })
    }
}
