//! The file of one upload session, open from its first byte until it is a blob or rests. Bytes come in; blocking IO.
//!
//! The kernel tells of a failed writeback once per descriptor, and then takes the pages that it has lost for written:
//! fsyncing again succeeds, and reading gives what is not on the disk. So all fsyncs go through one descriptor, one after
//! the other, and a file of which one has failed never becomes anything. Only after one that succeeds it is closed.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use portolan_oci::{Algorithm, Hasher};

use super::disk::{Disk, lock};
use super::error::{Fault, ReadOnlyReason};
use super::uploads::BATCH_BYTES;

/// Those that are open.
#[derive(Debug, Default)]
pub(super) struct UploadFiles(Arc<()>);

impl UploadFiles {
    pub(super) fn open(&self) -> usize {
        Arc::strong_count(&self.0) - 1
    }
}

#[derive(Debug)]
pub(super) struct UploadFile {
    path: PathBuf,
    file: File,
    _open: Arc<()>,
    /// Held while an fsync runs: none can overtake one that is about to fail.
    lost: Mutex<Option<Loss>>,
}

/// How the first fsync that failed did.
#[derive(Debug, Clone)]
enum Loss {
    Full,
    Failed(ReadOnlyReason),
}

impl UploadFile {
    /// Opens the file, new or with what a predecessor has received.
    pub(super) fn open(disk: &Disk, path: PathBuf, among: &UploadFiles) -> Result<Self, Fault> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        match disk.create_file(&path, &options) {
            Ok(file) => Ok(Self {
                path,
                file,
                _open: Arc::clone(&among.0),
                lost: Mutex::default(),
            }),
            Err(error) => Err(disk.fault("open", &path, error)),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes pieces one after the other from `offset` on, telling of each one that is written. Not durable yet.
    pub(super) fn append(
        &self,
        disk: &Disk,
        offset: u64,
        pieces: &[Bytes],
        mut written: impl FnMut(&Bytes),
    ) -> Result<(), Fault> {
        let mut append = || -> io::Result<()> {
            let mut offset = offset;
            for piece in pieces {
                disk.write_at(&self.file, &self.path, offset, piece)?;
                offset += piece.len() as u64;
                written(piece);
            }
            Ok(())
        };
        append().map_err(|error| disk.fault("write", &self.path, error))
    }

    /// Takes bytes away that do not count: those of a refused body, or of a failed write.
    pub(super) fn trim(&self, disk: &Disk, length: u64) -> Result<(), Fault> {
        let fault = |error| disk.fault("cut", &self.path, error);
        let found = self.file.metadata().map_err(fault)?.len();
        if found < length {
            let problem = format!("it has {found} bytes, {length} were received: start the upload again");
            return Err(Fault::Damaged {
                path: self.path.clone(),
                problem,
            });
        }
        if found > length {
            disk.set_length(&self.file, &self.path, length).map_err(fault)
        } else {
            Ok(())
        }
    }

    /// Makes the bytes durable. After one failure it fails for good.
    pub(super) fn sync(&self, disk: &Disk) -> Result<(), Fault> {
        self.sync_holding(disk, &mut lock(&self.lost))
    }

    /// The same, unless somebody does it right now.
    pub(super) fn sync_unless_running(&self, disk: &Disk) -> Result<(), Fault> {
        let free = self.lost.try_lock();
        free.map_or(Ok(()), |mut lost| self.sync_holding(disk, &mut lost))
    }

    fn sync_holding(&self, disk: &Disk, lost: &mut Option<Loss>) -> Result<(), Fault> {
        if lost.is_none() {
            *lost = match disk.sync_file(&self.file, &self.path) {
                Ok(()) => return Ok(()),
                Err(Fault::ReadOnly { reason }) => Some(Loss::Failed(reason)),
                Err(_) => Some(Loss::Full),
            };
        }
        self.fault(lost.as_ref())
    }

    /// Refuses when an fsync has failed. Does not wait for one that runs.
    pub(super) fn check(&self) -> Result<(), Fault> {
        self.lost
            .try_lock()
            .map_or(Ok(()), |lost| self.fault(lost.as_ref()))
    }

    fn fault(&self, loss: Option<&Loss>) -> Result<(), Fault> {
        match loss {
            None => Ok(()),
            Some(Loss::Full) => Err(Fault::Full {
                path: self.path.clone(),
            }),
            Some(Loss::Failed(reason)) => Err(Fault::ReadOnly {
                reason: reason.clone(),
            }),
        }
    }

    /// Hashes the first bytes of the file.
    pub(super) fn hash(&self, algorithm: Algorithm, length: u64) -> Result<Hasher, Fault> {
        let mut hasher = Hasher::new(algorithm);
        let mut buffer = vec![0; BATCH_BYTES];
        let mut offset = 0;
        while offset < length {
            let wanted = usize::try_from(length - offset)
                .unwrap_or(BATCH_BYTES)
                .min(BATCH_BYTES);
            let read = self.file.read_exact_at(&mut buffer[..wanted], offset);
            read.map_err(|source| Fault::Io {
                action: "read",
                path: self.path.clone(),
                source,
            })?;
            hasher.update(&buffer[..wanted]);
            offset += wanted as u64;
        }
        Ok(hasher)
    }
}
