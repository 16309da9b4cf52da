//! Taking files and directories away, durably where somebody was told so. Paths come in; blocking IO.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use super::{Disk, Effect, Fault, lock, parent};

impl Disk {
    /// Unlinks a file and makes that durable. False: there was none.
    pub(in crate::store) fn remove_file(&self, path: &Path) -> Result<bool, Fault> {
        let directory = parent(path);
        let removed = self
            .open_directory(directory)
            .and_then(|opened| self.unlink(path).map(|()| opened));
        match removed {
            Ok(opened) => self.sync_directory(&opened, directory).map(|()| true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(self.fault("remove", path, error)),
        }
    }

    /// Unlinks many files and makes that durable, with one fsync for each directory in which something has changed. The
    /// directory of a file that was alone in it by its nature goes with the file. The caller sees to it that nobody
    /// writes to these paths meanwhile.
    pub(in crate::store) fn remove_files(&self, paths: &[PathBuf]) -> Result<(), Fault> {
        let mut changed: BTreeMap<PathBuf, File> = BTreeMap::new();
        let removed = paths
            .iter()
            .try_for_each(|path| self.remove_one(path, &mut changed));
        // What was removed before something failed is made durable all the same.
        for (directory, opened) in &changed {
            self.sync_directory(opened, directory)?;
        }
        removed
    }

    fn remove_one(&self, path: &Path, changed: &mut BTreeMap<PathBuf, File>) -> Result<(), Fault> {
        let directory = parent(path);
        let fault = |error| self.fault("remove", path, error);
        // Both are opened before anything changes: later there may be too many open files.
        let opened = match self.open_directory(directory) {
            Ok(opened) => opened,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(fault(error)),
        };
        let above = parent(directory);
        let is_alone = is_alone_in_its_directory(path);
        if is_alone && !changed.contains_key(above) {
            changed.insert(above.to_owned(), self.open_directory(above).map_err(fault)?);
        }
        match self.unlink(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            unlinked => unlinked.map_err(fault)?,
        }
        if !(is_alone && self.remove_empty(directory)) {
            changed.entry(directory.to_owned()).or_insert(opened);
        }
        Ok(())
    }

    /// Unlinks a file that is alone in its directory, with that. A power cut may bring it back until
    /// [`Self::sync_removed`] has returned.
    pub(in crate::store) fn remove_later(&self, path: &Path) -> Result<(), Fault> {
        let directory = parent(path);
        lock(&self.unsynced).insert(parent(directory).to_owned());
        self.discard(path)?;
        if !self.remove_empty(directory) {
            lock(&self.unsynced).insert(directory.to_owned());
        }
        Ok(())
    }

    /// Makes durable what was removed so far, also by whoever did not come to do it.
    pub(in crate::store) fn sync_removed(&self) -> Result<(), Fault> {
        loop {
            let Some(directory) = lock(&self.unsynced).first().cloned() else {
                return Ok(());
            };
            match self.open_directory(&directory) {
                Ok(opened) => self.sync_directory(&opened, &directory)?,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(self.fault("open", &directory, error)),
            }
            lock(&self.unsynced).remove(&directory);
        }
    }

    /// Unlinks a file, and its directory if it was alone there. It may come back after a power cut.
    /// False: there was none.
    pub(in crate::store) fn remove_unsynced(&self, path: &Path) -> Result<bool, Fault> {
        let was_there = self.discard(path)?;
        if is_alone_in_its_directory(path) {
            self.remove_empty(parent(path));
        }
        Ok(was_there)
    }

    /// Unlinks a file that nobody misses or minds after a power cut. False: there was none.
    pub(in crate::store) fn discard(&self, path: &Path) -> Result<bool, Fault> {
        match self.unlink(path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(self.fault("remove", path, error)),
        }
    }

    /// Removes a directory that may be empty now; whatever keeps it is no harm.
    pub(in crate::store) fn remove_if_empty(&self, directory: &Path) {
        self.remove_empty(directory);
    }

    pub(super) fn remove_empty(&self, directory: &Path) -> bool {
        self.durable.forget(directory);
        let effect = Effect::RemoveDirectory { path: directory };
        let removed = self.seam.take(&effect, &mut || fs::remove_dir(directory));
        self.durable.forget(directory);
        // most often it is not empty; what the disk has to say makes the store read-only
        removed
            .map(|()| self.places.forget(directory))
            .map_err(|error| self.fault("remove directory", directory, error))
            .is_ok()
    }

    /// Takes a whole directory out of sight by one durable rename, then removes what was in it.
    pub(in crate::store) fn remove_directory(&self, directory: &Path) -> Result<(), Fault> {
        let number = self.next_temporary.fetch_add(1, Ordering::Relaxed);
        let aside = self.temporary.join(number.to_string());
        self.durable.forget(directory);
        let opened = self
            .open_directory(parent(directory))
            .and_then(|opened| self.rename(directory, &aside).map(|()| opened))
            .map_err(|error| self.fault("remove", directory, error))?;
        self.sync_directory(&opened, parent(directory))?;
        self.remove_rest(&aside);
        Ok(())
    }

    /// Removes what is out of sight; what stays behind goes at the next start.
    pub(super) fn remove_rest(&self, aside: &Path) {
        let removed = self.remove_tree(aside);
        drop(removed.map_err(|error| self.fault("remove", aside, error)));
    }

    /// Puts a file elsewhere, and returns when it is durably gone from where it was: a rename is whole, so the file is
    /// durably in its new place then.
    pub(in crate::store) fn move_aside(&self, path: &Path, target: &Path) -> Result<(), Fault> {
        self.check_writable()?; // it may have failed since the change began
        let directory = parent(path);
        let move_there = || {
            let moved = self
                .open_directory(directory)
                .and_then(|opened| self.rename(path, target).map(|()| opened));
            moved.map_err(|error| self.fault("move aside", path, error))
        };
        let (opened, _) = self.fill(target, move_there)?;
        self.sync_directory(&opened, directory)
    }

    /// Removes everything in a directory, which need not be there.
    pub(in crate::store) fn empty(&self, directory: &Path) -> io::Result<()> {
        let entries = match fs::read_dir(directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        for entry in entries {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                self.remove_tree(&entry.path())?;
            } else {
                self.unlink(&entry.path())?;
            }
        }
        Ok(())
    }

    fn remove_tree(&self, directory: &Path) -> io::Result<()> {
        self.empty(directory)?;
        let effect = Effect::RemoveDirectory { path: directory };
        self.seam.take(&effect, &mut || fs::remove_dir(directory))
    }

    pub(super) fn unlink(&self, path: &Path) -> io::Result<()> {
        self.seam
            .take(&Effect::RemoveFile { path }, &mut || fs::remove_file(path))
    }
}

/// Links and data have a directory of their own, which the stripe of their digest covers. Others stand side by side, and
/// their directory may be written to at any time.
fn is_alone_in_its_directory(path: &Path) -> bool {
    path.ends_with("link") || path.ends_with("data")
}
