//! Files that are not wanted any more, for the next ones: an ext4 without a journal gives the inode of a removed file to no
//! new one for a minute or more, and looks for another longer and longer. Paths and bytes come in; blocking IO.

use std::fs::OpenOptions;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::Ordering;

use super::{Disk, Fault, lock};

/// So many sessions that end while none begins.
const MOST: usize = 16;

const SPARE: &str = "spare";

/// Whether a path is that of a file that was put by.
pub(in crate::store) fn is_spare(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == SPARE)
}

/// Where they are: among the temporary files, so those of a predecessor go at the start.
#[derive(Default)]
pub(super) struct Spares(Mutex<Vec<PathBuf>>);

impl Disk {
    /// Writes a new file as `write_new` does, into one that was put by if there is any. After a power cut it may say what
    /// that one has said.
    pub(in crate::store) fn write_again(&self, path: &Path, bytes: &[u8]) -> Result<(), Fault> {
        let Some(spare) = lock(&self.spares.0).pop() else {
            return self.write_new(path, bytes).map(drop);
        };
        let written = self
            .overwrite(&spare, bytes)
            .and_then(|()| self.rename(&spare, path));
        match written {
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.write_new(path, bytes).map(drop),
            written => written.map_err(|error| {
                drop(self.discard(&spare)); // what stays behind goes at the next start
                self.fault("write", path, error)
            }),
        }
    }

    /// Takes a small file away that nobody misses or minds after a power cut, and keeps it for the next one.
    pub(in crate::store) fn put_by(&self, path: &Path) -> Result<(), Fault> {
        if lock(&self.spares.0).len() >= MOST {
            return self.discard(path).map(drop);
        }
        let number = self.next_temporary.fetch_add(1, Ordering::Relaxed);
        let spare = self.temporary.join(format!("{number}.{SPARE}"));
        match self.rename(path, &spare) {
            Ok(()) => {
                lock(&self.spares.0).push(spare);
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(_) => self.discard(path).map(drop),
        }
    }

    fn overwrite(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let file = OpenOptions::new().write(true).open(path)?;
        self.write_at(&file, path, 0, bytes)?;
        let length = bytes.len() as u64;
        if file.metadata()?.len() == length {
            return Ok(());
        }
        self.set_length(&file, path, length)
    }
}
