//! Taking directories away together with a file, all of them or none: paths come in; blocking IO.
//!
//! Out of sight is one rename each; until the file is gone, too, they can be put back by another. Only the end of the
//! process, or of the power, in between leaves some of them away.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use super::{Disk, Fault, parent};

const ASIDE: &str = "aside";

/// Whether a path is that of a directory which may still be put back.
pub(in crate::store) fn is_aside(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == ASIDE)
}

/// Directories that stood side by side, and where they are now.
struct Aside<'a> {
    above: &'a Path,
    opened: File,
    moved: Vec<(&'a Path, PathBuf)>,
}

impl Disk {
    /// Removes directories that stand side by side, then a file, the first durably before the second. If anything
    /// fails before the file is gone, the directories are where they were.
    pub(in crate::store) fn remove_with(&self, directories: &[PathBuf], file: &Path) -> Result<(), Fault> {
        // Opened before anything changes: later there may be too many open files.
        let of_file = self
            .open_directory(parent(file))
            .map_err(|error| self.fault("remove", file, error))?;
        let mut aside = match directories.first() {
            None => None,
            Some(first) => Some(self.open_aside(parent(first))?),
        };
        if let Some(aside) = &mut aside {
            self.set_aside(aside, directories)
                .inspect_err(|_| self.put_back(aside))?;
        }
        match self.unlink(file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                if let Some(aside) = &aside {
                    self.put_back(aside);
                }
                return Err(self.fault("remove", file, error));
            }
            _ => self.sync_directory(&of_file, parent(file))?,
        }
        for (_, at) in aside.iter().flat_map(|aside| &aside.moved) {
            self.remove_rest(at);
        }
        Ok(())
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
            self.forget(directory);
            self.rename(directory, &at)
                .map_err(|error| self.fault("remove", directory, error))?;
            aside.moved.push((directory, at));
        }
        self.sync_directory(&aside.opened, aside.above)
    }

    /// What cannot be put back is gone, as the end of the process would leave it; the change has failed in any case.
    fn put_back(&self, aside: &Aside<'_>) {
        for (directory, at) in &aside.moved {
            let back = self.rename(at, directory);
            drop(back.map_err(|error| self.fault("put back", directory, error)));
        }
        drop(self.sync_directory(&aside.opened, aside.above));
    }
}
