//! The lock that says who writes to a volume: its path in, the locked file out, or for whom to wait; blocking IO between
//! waits.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

use super::check_writable;
use crate::store::disk::{Disk, is_full};
use crate::store::error::{OpenError, ReadOnlyReason};
use crate::store::keys::Keys;

const LOCK_RETRY: Duration = Duration::from_millis(50);

/// Takes the lock of the volume, or finds that the volume cannot be written and needs none.
pub(super) async fn acquire(keys: &Keys, disk: &Disk, timeout: Duration) -> Result<Option<File>, OpenError> {
    if disk.read_only().is_some() {
        return Ok(None);
    }
    check_writable(keys, disk);
    if disk.read_only().is_some() {
        return Ok(None);
    }
    let path = keys.lock();
    let opened = fs::create_dir_all(keys.own()).and_then(|()| {
        File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
    });
    let file = match opened {
        Ok(file) => file,
        Err(error) if is_full(&error) => {
            let reason = format!(
                "no space left to create \"{}\": free space, then restart the registry",
                path.display()
            );
            disk.set_read_only(ReadOnlyReason::NotWritable(reason));
            return Ok(None);
        }
        // one that has met an error of its disk refuses all writes and still looks as if it were mounted read-write
        Err(error) if error.kind() == io::ErrorKind::ReadOnlyFilesystem => {
            let reason = format!(
                "the file system of \"{}\" takes no writes ({error}), as after an error of its disk: check it, mount it \
                 again, then restart the registry",
                keys.root().display()
            );
            disk.set_read_only(ReadOnlyReason::Failed(reason));
            return Ok(None);
        }
        Err(source) => return Err(OpenError::Io { path, cause: source }),
    };
    let started = Instant::now();
    let mut was_told = timeout.is_zero();
    loop {
        match file.try_lock() {
            Ok(()) => {
                // for the sentence of whoever waits; without it there is one too
                let _ = sign(&file, "");
                return Ok(Some(file));
            }
            Err(fs::TryLockError::WouldBlock) if started.elapsed() < timeout => {
                if !was_told {
                    was_told = true;
                    tracing::warn!(
                        "storage.volume.path: directory \"{}\" is in use by {}; waiting for that to end, at most {timeout:?}",
                        keys.root().display(),
                        holder(&path)
                    );
                }
                tokio::time::sleep(LOCK_RETRY).await;
            }
            Err(fs::TryLockError::WouldBlock) => {
                return Err(OpenError::InUse {
                    path: keys.root().to_owned(),
                    holder: holder(&path),
                    waited: timeout,
                });
            }
            Err(fs::TryLockError::Error(source)) => return Err(OpenError::Io { path, cause: source }),
        }
    }
}

/// Writes into the lock file who holds it. A host is a Pod, where that is what runs the registry.
fn sign(mut file: &File, what_for: &str) -> io::Result<()> {
    let host = fs::read_to_string("/proc/sys/kernel/hostname")?;
    file.set_len(0)?;
    writeln!(
        file,
        "process {} on host {}{what_for}",
        std::process::id(),
        host.trim()
    )
}

/// The lock of a volume in the hands of who only wants it to stay as it is for a while. Released when dropped.
pub(in crate::store) struct BriefLock(File);

impl BriefLock {
    /// None: a registry has it, or there has never been one.
    pub(in crate::store) fn take(keys: &Keys, what_for: &str) -> Option<Self> {
        let path = keys.lock();
        let file = File::options().read(true).write(true).open(&path);
        // who may only read locks all the same, and cannot sign
        let file = file.or_else(|_| File::open(&path)).ok()?;
        file.try_lock().ok()?;
        let _ = sign(&file, &format!(", {what_for}"));
        Some(Self(file))
    }
}

impl Drop for BriefLock {
    fn drop(&mut self) {
        unlock(&self.0);
    }
}

/// Who holds the lock, as far as the file says.
fn holder(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    let text = text.trim_end();
    let is_signed = text.starts_with("process ") && text.len() < 200 && !text.contains(char::is_control);
    if is_signed { text } else { "another process" }.to_owned()
}

/// Gives the lock to whoever waits for it.
pub(in crate::store) fn unlock(file: &File) {
    let _ = file.set_len(0);
    let _ = file.unlock();
}
