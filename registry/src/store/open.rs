//! Opening a volume: a path in, a [`Store`] out, or the sentence that tells what to do; blocking IO.
//!
//! Order: the directory must be readable, on a file system to trust; then the lock decides who writes; then the format;
//! deletes that a predecessor has begun are completed, and its leftovers go; a small file is written and fsynced, so that
//! a volume that cannot be written is known before the first push; the reserve is made.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use portolan_oci::Algorithm;
use rustix::fs::Access;
use tokio::sync::watch;

use super::came::Absences;
use super::changes::Changes;
use super::collect::{Arming, Collected};
use super::deletion::complete_what_was_cut_off;
use super::disk::{Direct, Disk, Seam, read_only_mount};
use super::error::{Fault, OpenError, ReadOnlyReason};
use super::heads::Heads;
use super::holds::Holds;
use super::keys::Keys;
use super::linking::Linking;
use super::links::names_in;
use super::locks::Locks;
use super::receive::Writebacks;
use super::reserve::{Guarded, Reserve, ReserveSize};
use super::session::Sessions;
use super::tag_lists::TagLists;
use super::turns::Turns;
use super::upload_file::UploadFiles;
use super::{Inner, Store, StoreOptions, blocking};

mod filesystem;
mod format;
mod lock;

pub(super) use self::format::FORMAT;
use self::lock::acquire;
pub(super) use self::lock::{BriefLock, unlock};

/// Stays among the temporary files of an open volume.
pub(super) const PROBE: &str = "probe";

/// What is special about a volume.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct VolumeOptions {
    /// Nothing on it is changed, and it is not locked.
    pub read_only: bool,
    /// Takes file systems that may lose what they have acknowledged.
    pub allow_unsafe_filesystem: bool,
    /// What is kept free for deletes and garbage collection.
    pub reserve: ReserveSize,
}

impl Store {
    /// Opens the volume, waiting for a predecessor to release it. A volume that cannot be written is served
    /// read-only; ask [`Store::read_only`].
    pub async fn open(options: StoreOptions) -> Result<Self, OpenError> {
        Self::open_through(options, Box::new(Direct)).await
    }

    /// Opens with every change going through `seam`.
    pub(super) async fn open_through(options: StoreOptions, seam: Box<dyn Seam>) -> Result<Self, OpenError> {
        let (keys, volume) = (Keys::new(&options.path), options.volume);
        let reserve = Arc::new(Reserve::new(keys.reserve()));
        let seam = Guarded::new(Arc::clone(&reserve), keys.temporary(), seam);
        let disk = Disk::new(keys.root(), keys.temporary(), Box::new(seam));
        if volume.read_only {
            disk.set_read_only(ReadOnlyReason::Configured);
        }
        let (keys, disk) = blocking(move || check_readable(&keys, volume).map(|()| (keys, disk))).await?;
        let volume_lock = acquire(&keys, &disk, options.lock_timeout).await?;
        let (keys, disk, reserve, is_settled) = blocking(move || {
            if disk.read_only().is_none() {
                filesystem::check_case(&keys, volume.allow_unsafe_filesystem)?;
            }
            if disk.read_only().is_none() && volume.reserve != ReserveSize::Untouched {
                reserve.adopt();
            }
            let is_settled = prepare(&keys, &disk)?;
            if disk.read_only().is_none() {
                reserve.establish(volume.reserve);
            }
            Ok((keys, disk, reserve, is_settled))
        })
        .await?;
        let (settle, settled) = watch::channel(is_settled);
        let store = Self {
            inner: Arc::new(Inner {
                keys,
                disk,
                reserve,
                locks: Locks::new(),
                linking: Linking::default(),
                absences: Absences::default(),
                turns: Turns::default(),
                holds: Holds::default(),
                scrub: Mutex::default(),
                sessions: Sessions::default(),
                upload_files: UploadFiles::default(),
                writebacks: Writebacks::default(),
                tag_lists: TagLists::default(),
                heads: Heads::default(),
                options,
                changes: Changes::new(),
                arming: Arming::default(),
                collected: Collected::default(),
                last_run: Mutex::default(),
                last_collection: Mutex::default(),
                is_closed: false.into(),
                settled,
                volume_lock: Mutex::new(volume_lock),
            }),
        };
        if !is_settled {
            store.settle(settle);
        }
        store.start_expiry();
        store.start_closing();
        Ok(store)
    }

    /// Makes everything durable that may be in the page cache only, before the first change refers to it: what a
    /// predecessor wrote last, another registry, or who has copied the volume here. Nothing that lies on the volume
    /// could tell that it is not needed. Pulls do not wait for that.
    fn settle(&self, settle: watch::Sender<bool>) {
        let inner = Arc::clone(&self.inner);
        tokio::task::spawn_blocking(move || {
            if let Err(error) = inner.disk.sync_volume() {
                let reason = format!(
                    "sync of \"{}\" failed ({error}): check the volume, then restart",
                    inner.keys.root().display()
                );
                inner.disk.set_read_only(ReadOnlyReason::Failed(reason));
            }
            settle.send_replace(true);
        });
    }
}

fn check_readable(keys: &Keys, volume: VolumeOptions) -> Result<(), OpenError> {
    let root = keys.root();
    match fs::metadata(root) {
        Ok(metadata) if !metadata.is_dir() => {
            return Err(OpenError::NotADirectory {
                path: root.to_owned(),
            });
        }
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            fs::create_dir_all(root).map_err(|cause| OpenError::Missing {
                path: root.to_owned(),
                user: rustix::process::geteuid().as_raw(),
                cause,
            })?;
        }
        Err(source) => return Err(unreadable(root, root, source)),
    }
    if !volume.read_only {
        filesystem::check_kind(root, volume.allow_unsafe_filesystem)?;
    }
    for path in directories_to_check(keys) {
        match fs::read_dir(&path) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(unreadable(root, &path, source)),
        }
    }
    Ok(())
}

fn unreadable(root: &Path, path: &Path, source: io::Error) -> OpenError {
    // the directory that refuses may be one above, of which nothing below is known
    let known = path
        .ancestors()
        .find_map(|path| Some((path, fs::metadata(path).ok()?)));
    let Some((path, metadata)) = known.filter(|_| source.kind() == io::ErrorKind::PermissionDenied) else {
        let path = path.to_owned();
        return OpenError::Io { path, cause: source };
    };
    let (path, user, owner) = (
        path.to_owned(),
        rustix::process::geteuid().as_raw(),
        metadata.uid(),
    );
    if user == owner {
        OpenError::Closed { path, user }
    } else {
        let is_all = path.starts_with(root) && fs::metadata(root).is_ok_and(|root| root.uid() == owner);
        let whole = if is_all { root.to_owned() } else { path.clone() };
        OpenError::OfAnotherUser {
            path,
            user,
            owner,
            whole,
        }
    }
}

/// The directories whose owner tells whose volume it is: those that every push writes to or below.
fn directories_to_check(keys: &Keys) -> Vec<PathBuf> {
    let shared = keys.shared();
    let mut paths: Vec<PathBuf> = shared
        .ancestors()
        .take_while(|path| *path != keys.root())
        .map(Path::to_owned)
        .collect();
    paths.push(keys.root().to_owned());
    paths.reverse();
    paths.push(keys.blobs());
    paths.extend(Algorithm::ALL.map(|algorithm| keys.blobs().join(algorithm.as_str())));
    paths.push(keys.repositories());
    let repositories = names_in(&keys.repositories()).unwrap_or_default();
    paths.extend(
        repositories
            .iter()
            .take(100)
            .map(|name| keys.repositories().join(name)),
    );
    paths.extend([
        keys.own().to_owned(),
        keys.temporary(),
        keys.uploads(),
        keys.own().join("referrers"),
    ]);
    paths
}

/// Looks for a directory that this process may not write: then it writes to none.
fn check_writable(keys: &Keys, disk: &Disk) {
    for path in directories_to_check(keys) {
        match rustix::fs::access(&path, Access::WRITE_OK | Access::EXEC_OK) {
            Err(rustix::io::Errno::ACCESS | rustix::io::Errno::PERM) => disk.set_not_writable(&path),
            Err(rustix::io::Errno::ROFS) => {
                disk.set_read_only(ReadOnlyReason::NotWritable(read_only_mount(keys.root())));
            }
            _ => continue,
        }
        return;
    }
}

/// Returns whether there is nothing to settle: the volume is empty, or not written to.
pub(super) fn prepare(keys: &Keys, disk: &Disk) -> Result<bool, OpenError> {
    let is_new = format::check(keys)?;
    if disk.read_only().is_some() {
        return Ok(true);
    }
    let is_empty = is_new && !keys.shared().exists();
    let temporary = keys.temporary();
    // What a predecessor left of deletes and of unfinished small files.
    let left = names_in(&temporary).map_err(|fault| OpenError::Io {
        path: temporary.clone(),
        cause: io::Error::other(fault),
    })?;
    disk.number_behind(&left);
    complete_what_was_cut_off(keys, disk, &left);
    if disk.read_only().is_some() {
        return Ok(true);
    }
    let probed = disk
        .empty(&temporary)
        .map_err(|error| disk.fault("empty", &temporary, error))
        .and_then(|()| disk.create_directories(keys.own()))
        .and_then(|()| disk.discard(&keys.clean()))
        .and_then(|_| disk.make_directory(&temporary))
        .and_then(|()| disk.make_directory(&keys.uploads()))
        .and_then(|()| {
            if is_new {
                disk.write_small(&keys.format(), format::document().as_bytes())
            } else {
                Ok(())
            }
        })
        .and_then(|()| disk.probe(&temporary.join(PROBE)));
    match probed {
        // A full volume serves pulls, and deletes make room again; what cannot be written fails by itself.
        Ok(()) | Err(Fault::Full { .. }) => Ok(is_empty),
        Err(Fault::ReadOnly { reason }) => {
            disk.set_read_only(reason);
            Ok(true)
        }
        Err(Fault::NotAllowed { path, .. }) => {
            disk.set_not_writable(&path);
            Ok(true)
        }
        Err(Fault::Io { path, source, .. }) => Err(OpenError::Io { path, cause: source }),
        Err(fault) => Err(OpenError::Io {
            path: temporary,
            cause: io::Error::other(fault),
        }),
    }
}

impl Drop for Inner {
    /// A forked child may still have the file open: the lock is given back rather than left to the last descriptor.
    fn drop(&mut self) {
        self.release();
    }
}
