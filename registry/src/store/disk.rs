//! Everything that changes the volume, in steps small enough to be durable one after the other. Paths and bytes come in;
//! blocking IO.
//!
//! A rename is durable once its directory was fsynced, a directory once its parent was. What this process has not
//! fsynced itself does not count: another process may have created it a moment before a power cut.

use std::collections::BTreeSet;
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::fs::Access;

use self::durable::Durable;
use self::places::Places;
use self::spares::Spares;
use super::error::{Fault, ReadOnlyReason};

mod aside;
mod durable;
mod places;
mod prepared;
mod remove;
mod seam;
mod spares;

pub(super) use aside::is_record;
pub(super) use prepared::Prepared;
#[cfg(test)]
pub(super) use seam::Step;
pub(super) use seam::{Act, Direct, Effect, Seam};
pub(super) use spares::is_spare;

/// What comes of a volume that cannot be written when it is opened.
const ONLY_PULLS: &str = ", so the registry only serves pulls";

pub(super) struct Disk {
    root: PathBuf,
    temporary: PathBuf,
    next_temporary: AtomicU64,
    durable: Durable,
    places: Places,
    spares: Spares,
    /// Directories from which something was removed that need not be durable yet.
    unsynced: Mutex<BTreeSet<PathBuf>>,
    read_only: Mutex<Option<ReadOnlyReason>>,
    seam: Box<dyn Seam>,
}

impl fmt::Debug for Disk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Disk")
            .field("root", &self.root)
            .finish_non_exhaustive()
    }
}

impl Disk {
    pub(super) fn new(root: &Path, temporary: PathBuf, seam: Box<dyn Seam>) -> Self {
        Self {
            root: root.to_owned(),
            temporary,
            next_temporary: AtomicU64::new(0),
            durable: Durable::default(),
            places: Places::default(),
            spares: Spares::default(),
            unsynced: Mutex::default(),
            read_only: Mutex::default(),
            seam,
        }
    }

    pub(super) fn read_only(&self) -> Option<ReadOnlyReason> {
        lock(&self.read_only).clone()
    }

    /// The first reason stays. That the volume has failed is told here: whoever is refused hears only that the log says why,
    /// and nobody may ever write.
    pub(super) fn set_read_only(&self, reason: ReadOnlyReason) {
        let mut current = lock(&self.read_only);
        if current.is_some() {
            return;
        }
        *current = Some(reason.clone());
        drop(current);
        if let ReadOnlyReason::Failed(sentence) = reason {
            tracing::error!("storage.volume.path: {sentence}");
        }
    }

    /// For a volume that is being opened: this process may not write there, so it writes nowhere.
    pub(super) fn set_not_writable(&self, path: &Path) {
        let sentence = not_allowed(path, &self.root, ONLY_PULLS);
        self.set_read_only(ReadOnlyReason::NotWritable(sentence));
    }

    /// Refuses a write when the store is read-only.
    pub(super) fn check_writable(&self) -> Result<(), Fault> {
        self.read_only()
            .map_or(Ok(()), |reason| Err(Fault::ReadOnly { reason }))
    }

    /// Gives no temporary name that is taken already.
    pub(super) fn number_behind(&self, taken: &[String]) {
        let number = |name: &String| name.split('.').next()?.parse::<u64>().ok();
        let first = taken.iter().filter_map(number).max();
        let first = first.map_or(0, |last| last.saturating_add(1));
        self.next_temporary.fetch_max(first, Ordering::Relaxed);
    }

    /// Replaces the file at `target`, whole or not at all, and returns when that is durable.
    pub(super) fn write_small(&self, target: &Path, bytes: &[u8]) -> Result<(), Fault> {
        self.publish_small(&self.prepare_small(target, bytes)?)
    }

    /// Puts an empty file there, whose name is all that it says, and returns when that is durable.
    pub(super) fn write_mark(&self, target: &Path) -> Result<(), Fault> {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false);
        let create = || {
            let created = self.create_file(target, &options);
            created.map_err(|error| self.fault("write", target, error))
        };
        let (file, directory) = self.fill(target, create)?;
        self.sync_file(&file, target)?; // or there may be nothing behind the name: ext4 without a journal
        self.sync_directory(&directory, parent(target))
    }

    /// Writes a file as any other, to hear what comes of it; nobody misses it.
    pub(super) fn probe(&self, path: &Path) -> Result<(), Fault> {
        let file = self.write_new(path, b"written and fsynced at start\n")?;
        self.sync_file(&file, path)
    }

    /// Writes a file without making it durable. Who wants that goes on with the same descriptor: another one need not
    /// hear that writing the pages back has failed.
    pub(super) fn write_new(&self, path: &Path, bytes: &[u8]) -> Result<File, Fault> {
        self.create_file(path, OpenOptions::new().write(true).create(true).truncate(true))
            .and_then(|file| self.write_at(&file, path, 0, bytes).map(|()| file))
            .map_err(|error| self.fault("write", path, error))
    }

    /// Opens a file with options that make a new one unless it is there.
    pub(super) fn create_file(&self, path: &Path, options: &OpenOptions) -> io::Result<File> {
        let mut opened = None;
        self.seam.take(&Effect::CreateFile { path }, &mut || {
            opened = Some(options.open(path)?);
            Ok(())
        })?;
        opened.ok_or_else(|| io::Error::other("the seam has not opened it"))
    }

    /// Makes a file durable that is there, with all names in its directory. One that is gone needs nothing.
    pub(super) fn sync_there(&self, path: &Path) -> Result<(), Fault> {
        let opened = File::open(path).and_then(|file| Ok((file, self.open_directory(parent(path))?)));
        match opened {
            Ok((file, directory)) => {
                self.sync_file(&file, path)?;
                self.sync_directory(&directory, parent(path))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(self.fault("open", path, error)),
        }
    }

    pub(super) fn write_at(&self, file: &File, path: &Path, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let effect = Effect::Write {
            path,
            file,
            offset,
            bytes,
        };
        self.seam.take(&effect, &mut || file.write_all_at(bytes, offset))
    }

    pub(super) fn set_length(&self, file: &File, path: &Path, length: u64) -> io::Result<()> {
        let effect = Effect::SetLength { path, file, length };
        self.seam.take(&effect, &mut || file.set_len(length))
    }

    /// Puts a file whose bytes are durable in the place of `target`: its name, then the name's directory.
    pub(super) fn publish(&self, from: &Path, target: &Path) -> Result<(), Fault> {
        self.check_writable()?; // it may have failed since the change began
        let rename = || {
            let renamed = self.rename(from, target);
            renamed.map_err(|error| self.fault("rename a file to", target, error))
        };
        let ((), directory) = self.fill(target, rename)?;
        self.sync_directory(&directory, parent(target))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.seam
            .take(&Effect::Rename { from, to }, &mut || fs::rename(from, to))
    }

    /// Makes the bytes of a file durable. A full volume has lost this file only.
    pub(super) fn sync_file(&self, file: &File, path: &Path) -> Result<(), Fault> {
        let effect = Effect::SyncFile { path, file };
        let synced = self.seam.take(&effect, &mut || file.sync_data());
        synced.map_err(|error| {
            if is_full(&error) {
                self.fault("fsync", path, error)
            } else {
                self.failed_fsync(path, &error)
            }
        })
    }

    /// Opens a directory before something in it changes: when that fails, as it does when there are too many open
    /// files, nothing has happened yet.
    fn open_directory(&self, path: &Path) -> io::Result<File> {
        self.seam.take(&Effect::OpenDirectory { path }, &mut || Ok(()))?;
        File::open(path)
    }

    fn sync_directory(&self, directory: &File, path: &Path) -> Result<(), Fault> {
        let effect = Effect::SyncDirectory { path };
        let synced = self.seam.take(&effect, &mut || directory.sync_all());
        synced.map_err(|error| self.failed_fsync(path, &error))?;
        // every change ends here: the fsync of another may have failed and have taken what the kernel had to tell
        self.check_writable()
    }

    /// Makes everything durable that anybody has written to the volume.
    pub(super) fn sync_volume(&self) -> io::Result<()> {
        let path = self.root.as_path();
        let volume = self.open_directory(path)?;
        let effect = Effect::SyncVolume { path };
        self.seam.take(&effect, &mut || Ok(rustix::fs::syncfs(&volume)?))
    }

    /// A second fsync may wrongly succeed.
    fn failed_fsync(&self, path: &Path, source: &io::Error) -> Fault {
        let path = path.display();
        self.fail(format!(
            "fsync of \"{path}\" failed ({source}): check the volume and its disk, then restart the registry"
        ))
    }

    /// What earlier writes came to is unknown once the disk has failed: no more writes until somebody has looked at the
    /// volume and started the program again.
    fn fail(&self, sentence: String) -> Fault {
        let reason = ReadOnlyReason::Failed(sentence);
        self.set_read_only(reason.clone());
        Fault::ReadOnly { reason }
    }

    /// Sorts an error of a write into what the person who runs the registry must do about it. One that tells of the disk
    /// ends all writes.
    pub(super) fn fault(&self, action: &'static str, path: &Path, source: io::Error) -> Fault {
        if is_full(&source) {
            return Fault::Full {
                path: path.to_owned(),
            };
        }
        match source.kind() {
            io::ErrorKind::PermissionDenied => Fault::NotAllowed {
                action,
                sentence: not_allowed(path, &self.root, ""),
                path: path.to_owned(),
            },
            // it was writable when it was opened
            io::ErrorKind::ReadOnlyFilesystem => self.fail(format!(
                "cannot {action} \"{}\": the file system takes no writes any more ({source}), as after an error of its \
                 disk: check it, mount it again, then restart the registry",
                path.display()
            )),
            _ if is_of_the_disk(&source) => self.fail(format!(
                "cannot {action} \"{}\" ({source}): check the volume and its disk, then restart the registry",
                path.display()
            )),
            _ => Fault::Io {
                action,
                path: path.to_owned(),
                source,
            },
        }
    }
}

/// The sentence about a file or directory that this process may not write, often one of another user, with what comes of
/// that.
fn not_allowed(path: &Path, root: &Path, consequence: &str) -> String {
    let user = rustix::process::geteuid().as_raw();
    let there = || {
        let above = path.ancestors();
        above.filter_map(|path| Some((path, fs::metadata(path).ok()?)))
    };
    // what is there may lie in the directory that refuses
    let refusing = there()
        .take_while(|(path, _)| path.starts_with(root))
        .find(|(path, _)| refuses(path));
    let found = refusing.or_else(|| there().next());
    let (path, owner) = found.map_or((path, 0), |(path, metadata)| (path, metadata.uid()));
    let (path, root) = (path.display(), root.display());
    if user == owner {
        return format!(
            "\"{path}\" cannot be written by user {user}, although it is that user's{consequence}: run \
             `chmod -R u+rwX {root}`"
        );
    }
    format!(
        "\"{path}\" belongs to user {owner} and the registry runs as user {user}{consequence}: run \
         `chown -R {user}:{user} {root}`, or start the registry as the owner (`--user {owner}:{owner}`)"
    )
}

fn refuses(path: &Path) -> bool {
    let asked = rustix::fs::access(path, Access::WRITE_OK);
    asked.is_err_and(|error| io::Error::from(error).kind() == io::ErrorKind::PermissionDenied)
}

pub(super) fn read_only_mount(root: &Path) -> String {
    format!(
        "\"{}\" is mounted read-only{ONLY_PULLS}: mount it read-write",
        root.display()
    )
}

pub(super) fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

fn is_of_the_disk(error: &io::Error) -> bool {
    error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error())
}

/// Every path that the store forms has a parent: the volume's root is never written itself.
fn parent(path: &Path) -> &Path {
    path.parent().unwrap_or(path)
}

/// A panic while one of these sets was locked leaves it valid, only perhaps older.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
