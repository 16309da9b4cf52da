//! Directories that are made for what is to come there, and taken back if it does not come: what was refused shall not have
//! made a repository known. Paths come in; blocking IO.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError, RwLock, RwLockReadGuard};

use super::{Disk, Effect, Fault, lock, parent};

#[derive(Default)]
pub(super) struct Places {
    /// Shared while directories are made or filled, exclusive while they are taken back.
    filling: RwLock<()>,
    /// Those that this process has made and in which nothing has come to its place yet. They may have other such in them.
    vacant: Mutex<HashSet<PathBuf>>,
    /// Those for which something is ready, with how much. They stay, so that it can come to its place on a full volume, too.
    awaiting: Mutex<HashMap<PathBuf, usize>>,
}

impl Places {
    fn filling(&self) -> RwLockReadGuard<'_, ()> {
        self.filling.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn begin_to_await(&self, directory: &Path) {
        *lock(&self.awaiting).entry(directory.to_owned()).or_default() += 1;
    }

    pub(super) fn end_to_await(&self, directory: &Path) {
        let mut awaiting = lock(&self.awaiting);
        match awaiting.get_mut(directory) {
            Some(1) | None => drop(awaiting.remove(directory)),
            Some(count) => *count -= 1,
        }
    }

    /// Forgets a directory that is gone.
    pub(super) fn forget(&self, directory: &Path) {
        lock(&self.vacant).remove(directory);
    }

    fn is_vacant(&self, directory: &Path) -> bool {
        lock(&self.vacant).contains(directory) && !lock(&self.awaiting).contains_key(directory)
    }

    fn fill(&self, directory: &Path) {
        let mut vacant = lock(&self.vacant);
        for path in directory.ancestors() {
            if vacant.is_empty() {
                return;
            }
            vacant.remove(path);
        }
    }
}

impl Disk {
    /// Makes a directory and what leads to it, durably, or nothing of it.
    pub(in crate::store) fn create_directories(&self, directory: &Path) -> Result<(), Fault> {
        let filling = self.places.filling();
        let created = self.make_directories(directory);
        drop(filling);
        created.inspect_err(|_| self.remove_vacant(directory))
    }

    /// Puts something to its place, for which directories are made if need be, and returns that place's directory: what
    /// has come there is durable once that is. If nothing can be put there, it takes the directories back.
    pub(super) fn fill<T>(
        &self,
        target: &Path,
        put: impl FnOnce() -> Result<T, Fault>,
    ) -> Result<(T, File), Fault> {
        let directory = parent(target);
        let filling = self.places.filling();
        let filled = self.open_made(directory).and_then(|opened| {
            let put = put()?;
            self.places.fill(directory);
            Ok((put, opened))
        });
        drop(filling);
        filled.inspect_err(|_| self.remove_vacant(directory))
    }

    /// Removes a directory and what leads to it, if this process has made them and nothing has come there nor is about to.
    pub(super) fn remove_vacant(&self, directory: &Path) {
        let there = || directory.ancestors().skip_while(|path| !path.exists());
        if !there().next().is_some_and(|path| self.places.is_vacant(path)) {
            return; // most often, and nobody has to wait
        }
        let _alone = self
            .places
            .filling
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        for path in there().take_while(|path| self.places.is_vacant(path)) {
            if !self.remove_empty(path) {
                return;
            }
        }
    }

    /// Opens a directory that is durably there, or is made so.
    fn open_made(&self, directory: &Path) -> Result<File, Fault> {
        self.make_directories(directory)?;
        let opened = match self.open_directory(directory) {
            // Somebody may have removed the directory by hand since this process made it durable.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.durable.forget_all();
                self.make_directories(directory)?;
                self.open_directory(directory)
            }
            opened => opened,
        };
        opened.map_err(|error| self.fault("open directory", directory, error))
    }

    fn make_directories(&self, directory: &Path) -> Result<(), Fault> {
        let missing = self.durable.missing(directory, &self.root);
        for path in &missing.paths {
            let created = self
                .open_directory(parent(path))
                .and_then(|opened| Ok((self.create_directory(path)?, opened)));
            let (is_new, opened) = created.map_err(|error| {
                self.durable.forget_all();
                self.fault("create directory", path, error)
            })?;
            if is_new {
                lock(&self.places.vacant).insert((*path).to_owned());
            }
            self.sync_directory(&opened, parent(path))?;
            self.durable.remember(path, &missing);
        }
        Ok(())
    }

    /// Makes a directory that nobody misses after a power cut, unless it is there.
    pub(in crate::store) fn make_directory(&self, path: &Path) -> Result<(), Fault> {
        self.create_directory(path)
            .map(drop)
            .map_err(|error| self.fault("create directory", path, error))
    }

    /// False: it was there.
    fn create_directory(&self, path: &Path) -> io::Result<bool> {
        let mut is_new = false;
        let effect = Effect::CreateDirectory { path };
        self.seam.take(&effect, &mut || match fs::create_dir(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            created => {
                is_new = created.is_ok();
                created
            }
        })?;
        Ok(is_new)
    }
}
