//! Taking directories away together with a file, all of them or none: paths come in; blocking IO.
//!
//! Out of sight is one rename each; until the file is gone, too, they can be put back by another. A record that is durable
//! before the first of that and durably gone after the last lets the next start complete what was cut off in between.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use super::{Disk, Fault, parent};

const ASIDE: &str = "aside";
const RECORD: &str = "deleting";

/// Whether a path is that of a record of what is being taken away.
pub(in crate::store) fn is_record(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == RECORD)
}

/// Directories that stood side by side, and where they are now.
struct Aside<'a> {
    above: &'a Path,
    opened: File,
    moved: Vec<(&'a Path, PathBuf)>,
}

/// The record of what is being taken away. A version that does not know it empties its directory at start: what it tells
/// cannot be completed long after.
struct Announced {
    path: PathBuf,
    among: File,
}

impl Disk {
    /// Removes directories that stand side by side, then a file, the first durably before the second. If anything
    /// fails before the file is gone, the directories are where they were. With directories, `record` is on the volume
    /// for as long as some may be gone and others not.
    pub(in crate::store) fn remove_with(
        &self,
        directories: &[PathBuf],
        file: &Path,
        record: &str,
    ) -> Result<(), Fault> {
        // Opened before anything changes: later there may be too many open files.
        let of_file = self
            .open_directory(parent(file))
            .map_err(|error| self.fault("remove", file, error))?;
        let Some(first) = directories.first() else {
            self.discard(file)?;
            return self.sync_directory(&of_file, parent(file));
        };
        let mut aside = self.open_aside(parent(first))?;
        let announced = self.announce(record)?;
        let taken = self
            .set_aside(&mut aside, directories)
            .and_then(|()| self.discard(file));
        if let Err(fault) = taken {
            self.give_up(&aside, announced.as_ref());
            return Err(fault);
        }
        self.sync_directory(&of_file, parent(file))?;
        if let Some(announced) = &announced {
            self.withdraw(announced)?;
        }
        for (_, at) in &aside.moved {
            self.remove_rest(at);
        }
        Ok(())
    }

    /// Writes the record, durably. None: there is no room for it, which on a volume without a reserve only deletes make;
    /// better one that may be cut off half-way than none.
    fn announce(&self, record: &str) -> Result<Option<Announced>, Fault> {
        let directory = &self.temporary;
        let among = self
            .open_directory(directory)
            .map_err(|error| self.fault("open directory", directory, error))?;
        let number = self.next_temporary.fetch_add(1, Ordering::Relaxed);
        let path = directory.join(format!("{number}.{RECORD}"));
        // The directory itself is durable: it was made before FORMAT was written beside it, or a start has synced the volume.
        let written = self
            .write_new(&path, record.as_bytes())
            .and_then(|file| self.sync_file(&file, &path))
            .and_then(|()| self.sync_directory(&among, directory));
        let announced = Announced { path, among };
        let Err(fault) = written else {
            return Ok(Some(announced));
        };
        self.withdraw(&announced)?;
        if matches!(fault, Fault::Full { .. }) {
            Ok(None)
        } else {
            Err(fault)
        }
    }

    /// Takes the record away, durably. Left behind, it would let the next start take away what was pushed again since: then
    /// nothing more is written.
    fn withdraw(&self, announced: &Announced) -> Result<(), Fault> {
        match self.unlink(&announced.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(self.fail(format!(
                "cannot remove \"{}\" ({error}): check the volume, then restart the registry",
                announced.path.display()
            ))),
            _ => self.sync_directory(&announced.among, &self.temporary),
        }
    }

    fn open_aside<'a>(&self, above: &'a Path) -> Result<Aside<'a>, Fault> {
        let opened = self
            .open_directory(above)
            .map_err(|error| self.fault("open directory", above, error))?;
        Ok(Aside {
            above,
            opened,
            moved: Vec::new(),
        })
    }

    fn set_aside<'a>(&self, aside: &mut Aside<'a>, directories: &'a [PathBuf]) -> Result<(), Fault> {
        for directory in directories {
            let number = self.next_temporary.fetch_add(1, Ordering::Relaxed);
            let at = self.temporary.join(format!("{number}.{ASIDE}"));
            self.durable.forget(directory);
            self.rename(directory, &at)
                .map_err(|error| self.fault("remove", directory, error))?;
            aside.moved.push((directory, at));
        }
        self.sync_directory(&aside.opened, aside.above)
    }

    /// Undoes what was done so far. Where that is impossible the next start completes it, and until then nothing more is
    /// written.
    fn give_up(&self, aside: &Aside<'_>, announced: Option<&Announced>) {
        let is_back = self.put_back(aside);
        match announced {
            None => {} // it stays half-way, as the end of the process would leave it
            Some(announced) if is_back => drop(self.withdraw(announced)),
            Some(_) => drop(self.fail(format!(
                "what a delete has taken from \"{}\" cannot be put back: check the volume, then restart the registry, \
                 which completes the delete",
                aside.above.display()
            ))),
        }
    }

    /// Whether everything is durably where it was.
    fn put_back(&self, aside: &Aside<'_>) -> bool {
        let mut is_back = true;
        for (directory, at) in &aside.moved {
            let back = self.rename(at, directory);
            is_back &= back
                .map_err(|error| self.fault("put back", directory, error))
                .is_ok();
        }
        self.sync_directory(&aside.opened, aside.above).is_ok() && is_back
    }
}
