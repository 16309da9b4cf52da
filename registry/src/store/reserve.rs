//! Room on the volume that only deletes and garbage collection may use: files without meaning that are given up when
//! one of them finds the volume full, and made again once there is room. Sizes in, room out; blocking IO.
//!
//! A file of allocated bytes keeps space, empty files keep inodes. While the reserve is given up nothing else may grow,
//! or pushes would take the room before the delete that needs it.

use std::fmt;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use rustix::fs::{FallocateFlags, StatVfs, fallocate, statvfs};

use super::Store;
use super::disk::is_full;

mod guarded;
mod size;

pub(super) use guarded::Guarded;
pub use size::ReserveSize;
use size::{Room, planned};

/// What the status and the metrics tell of the reserve.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ReserveStatus {
    /// How much space it keeps free; 0: there is no reserve.
    pub bytes: u64,
    /// How many inodes it keeps free.
    pub files: u64,
    /// False while deletes and garbage collection use it, and nothing can be pushed.
    pub is_held: bool,
}

impl Store {
    /// Does something without which deletes and garbage collection cannot be asked for, with the reserve if the volume
    /// is full. Blocking.
    pub fn with_reserve<T>(&self, mut act: impl FnMut() -> io::Result<T>) -> io::Result<T> {
        match act() {
            Err(error) if is_full(&error) && self.inner.reserve.release() => act(),
            done => done,
        }
    }
}

pub(super) struct Reserve {
    directory: PathBuf,
    /// Whoever lets the volume grow holds it shared meanwhile, so that nobody grows into what is being given up.
    state: RwLock<State>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// No reserve is wanted, or this volume can hold none.
    Off,
    Held(Room),
    /// Given up: the volume was full.
    Released(Room),
}

impl Reserve {
    pub(super) fn new(directory: PathBuf) -> Self {
        Self {
            directory,
            state: RwLock::new(State::Off),
        }
    }

    pub(super) fn status(&self) -> ReserveStatus {
        let (room, is_held) = match *self.read() {
            State::Off => return ReserveStatus::default(),
            State::Held(room) => (room, true),
            State::Released(room) => (room, false),
        };
        ReserveStatus {
            bytes: room.bytes,
            files: room.files,
            is_held,
        }
    }

    /// Takes what a predecessor has kept for the reserve, until it is known how much shall be kept: what comes before
    /// that may need it.
    pub(super) fn adopt(&self) {
        let bytes = fs::metadata(self.bytes()).map_or(0, |metadata| metadata.len());
        let files = fs::read_dir(&self.directory).map_or(0, Iterator::count) as u64;
        if bytes > 0 {
            let files = files.saturating_sub(1);
            *self.write() = State::Held(Room { bytes, files });
        }
    }

    /// Makes the reserve when the volume is opened. One that cannot be made is no reason not to serve.
    pub(super) fn establish(&self, wanted: ReserveSize) {
        let mut state = self.write();
        let directory = self.directory.display();
        let room = match self.space().map(|space| planned(wanted, &space)) {
            Ok(Some(room)) => room,
            Ok(None) => return,
            Err(error) => {
                tracing::warn!("no reserve for deletes in \"{directory}\": {error}");
                return;
            }
        };
        if room.is_nothing() {
            if let Err(error) = self.empty().and_then(|()| fs::remove_dir_all(&self.directory))
                && error.kind() != io::ErrorKind::NotFound
            {
                tracing::warn!(
                    "cannot remove \"{directory}\", which no reserve is kept in any more: {error}"
                );
            }
            *state = State::Off;
            return;
        }
        *state = match self.fill(room) {
            Ok(()) => State::Held(room),
            Err(error) if is_full(&error) => {
                self.give_up();
                tracing::warn!(
                    "the volume is too full for the reserve of {} bytes and {} files in \"{directory}\": pushes are \
                     refused until deletes and `portolan-registry gc` have made room, or the volume was enlarged",
                    room.bytes,
                    room.files
                );
                State::Released(room)
            }
            Err(error) => {
                tracing::warn!(
                    "no reserve for deletes in \"{directory}\" ({error}): keep an eye on the volume's free space"
                );
                State::Off
            }
        };
    }

    /// To be kept while the volume may grow. An error: the reserve is given up, and there is no room to have it again.
    fn growing(&self) -> io::Result<RwLockReadGuard<'_, State>> {
        let state = self.read();
        if !matches!(*state, State::Released(_)) {
            return Ok(state);
        }
        drop(state);
        self.take_back();
        let state = self.read();
        if matches!(*state, State::Released(_)) {
            Err(io::ErrorKind::StorageFull.into())
        } else {
            Ok(state)
        }
    }

    /// Gives the reserve up for somebody who found the volume full. False: there is none to give up.
    fn release(&self) -> bool {
        let mut state = self.write();
        match *state {
            State::Off => false,
            State::Released(_) => true,
            State::Held(room) => {
                self.give_up();
                *state = State::Released(room);
                tracing::warn!(
                    "the volume is full: the reserve is used to delete; pushes are refused until {} bytes and {} \
                     files are free again",
                    room.bytes,
                    room.files
                );
                true
            }
        }
    }

    fn take_back(&self) {
        let mut state = self.write();
        let State::Released(room) = *state else { return };
        if !self.space().is_ok_and(|space| room.fits(&space)) {
            return;
        }
        match self.fill(room) {
            Ok(()) => {
                *state = State::Held(room);
                tracing::info!("the volume has room again: the reserve is kept again, and pushes are taken");
            }
            Err(_) => self.give_up(), // there was less room than it seemed
        }
    }

    /// Makes what is missing. None of it needs an fsync: what a power cut takes is made again at the next start.
    fn fill(&self, room: Room) -> io::Result<()> {
        fs::create_dir_all(&self.directory)?;
        let bytes = open(self.bytes())?;
        let metadata = bytes.metadata()?;
        if metadata.len() > room.bytes {
            bytes.set_len(room.bytes)?;
        }
        let allocated = metadata.blocks().saturating_mul(512);
        if metadata.len() < room.bytes || allocated < room.bytes {
            let space = statvfs(&self.directory)?;
            let available = space.f_bavail.saturating_mul(space.f_frsize);
            if available < room.bytes.saturating_sub(allocated) {
                // not all file systems give back what they have allocated before they notice
                return Err(io::ErrorKind::StorageFull.into());
            }
            fallocate(&bytes, FallocateFlags::empty(), 0, room.bytes)?;
        }
        for number in 0..room.files {
            open(self.directory.join(number.to_string()))?;
        }
        Ok(())
    }

    fn give_up(&self) {
        if let Err(error) = self.empty() {
            tracing::warn!("cannot give up \"{}\": {error}", self.directory.display());
        }
    }

    /// Space first: without it some file systems cannot even unlink.
    fn empty(&self) -> io::Result<()> {
        let bytes = match File::options().write(true).open(self.bytes()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            opened => Some(opened?),
        };
        if let Some(bytes) = &bytes {
            bytes.set_len(0)?;
        }
        for entry in fs::read_dir(&self.directory)? {
            let entry = entry?;
            if entry.file_name() != BYTES {
                fs::remove_file(entry.path())?;
            }
        }
        // Journals hand freed blocks out again only once that they are free is written.
        bytes.map_or(Ok(()), |bytes| bytes.sync_all())
    }

    fn bytes(&self) -> PathBuf {
        self.directory.join(BYTES)
    }

    /// Of the volume, also when the directory is not there yet.
    fn space(&self) -> io::Result<StatVfs> {
        let there = self.directory.ancestors().find(|path| path.exists());
        Ok(statvfs(there.unwrap_or(&self.directory))?)
    }

    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The file that keeps space; all others in the directory keep an inode each.
const BYTES: &str = "bytes";

fn open(path: PathBuf) -> io::Result<File> {
    File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
}

impl fmt::Debug for Reserve {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reserve").finish_non_exhaustive()
    }
}
