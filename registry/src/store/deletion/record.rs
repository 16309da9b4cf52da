//! What a delete of a manifest takes away with it, and how a start completes one that was cut off: records come in; blocking
//! IO.

use std::error::Error as _;
use std::path::{Path, PathBuf};

use portolan_oci::{Digest, RepositoryName, Tag};
use serde::{Deserialize, Serialize};

use crate::store::disk::{Disk, is_record};
use crate::store::error::{Fault, ReadOnlyReason};
use crate::store::keys::Keys;
use crate::store::links::{read_file, tag_names};

/// A manifest that goes, with every tag that names it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Deletion {
    pub(super) repository: RepositoryName,
    pub(super) digest: Digest,
    /// Under which it is listed as a referrer.
    pub(super) subject: Option<Digest>,
    pub(super) tags: Vec<Tag>,
}

impl Deletion {
    /// What is written down of it while it is under way.
    pub(super) fn text(&self) -> String {
        serde_json::json!(self).to_string()
    }

    pub(super) fn tag_directories(&self, keys: &Keys) -> impl Iterator<Item = PathBuf> {
        self.tags.iter().map(|tag| keys.tag(&self.repository, tag))
    }

    /// Takes away what is said about the manifest once it is gone. It means nothing, should it stay behind.
    pub(super) fn clear(&self, keys: &Keys, disk: &Disk) {
        let link = keys.revision_link(&self.repository, &self.digest);
        if let Some(directory) = link.parent() {
            disk.remove_if_empty(directory);
        }
        clear_records(keys, disk, &self.repository, &self.digest, self.subject.as_ref());
    }

    /// Takes away what is left, in the order in which the delete does.
    fn complete(&self, keys: &Keys, disk: &Disk) -> Result<(), Fault> {
        for directory in self.tag_directories(keys) {
            if tag_names(&directory, &self.digest)? {
                disk.remove_directory(&directory)?;
            }
        }
        disk.remove_file(&keys.revision_link(&self.repository, &self.digest))?;
        self.clear(keys, disk);
        Ok(())
    }
}

/// Takes away what is written down about a manifest that is not there.
pub(in crate::store) fn clear_records(
    keys: &Keys,
    disk: &Disk,
    repository: &RepositoryName,
    manifest: &Digest,
    subject: Option<&Digest>,
) {
    if let Some(subject) = subject {
        drop(disk.discard(&keys.referrer(repository, subject, manifest)));
        disk.remove_if_empty(&keys.referrers(repository, subject));
    }
    drop(disk.discard(&keys.absent(repository, manifest)));
}

/// Completes the deletes of which there is a record among the names in the temporary directory: before that is emptied, and
/// before anybody can push again what they are about. One that cannot be completed lets nothing be written.
pub(in crate::store) fn complete_what_was_cut_off(keys: &Keys, disk: &Disk, left: &[String]) {
    let paths = left.iter().map(|name| keys.temporary().join(name));
    let records: Vec<PathBuf> = paths.filter(|path| is_record(path)).collect();
    match complete_all(keys, disk, &records) {
        Ok(()) => {}
        Err(Fault::ReadOnly { reason }) => disk.set_read_only(reason),
        Err(Fault::NotAllowed { path, .. }) => disk.set_not_writable(&path),
        Err(fault) => {
            let cause = fault.source().map(|cause| format!(": {cause}"));
            let reason = format!(
                "a delete that was cut off cannot be completed ({fault}{}): make that possible, then restart the registry",
                cause.unwrap_or_default()
            );
            disk.set_read_only(ReadOnlyReason::Failed(reason));
        }
    }
}

fn complete_all(keys: &Keys, disk: &Disk, records: &[PathBuf]) -> Result<(), Fault> {
    if !records.is_empty() {
        // What the predecessor did last, the records too, may still be in memory only.
        disk.sync_volume()
            .map_err(|error| disk.fault("sync", keys.root(), error))?;
    }
    for path in records {
        complete_one(keys, disk, path)?;
        // Durable before the first write, as everything is then.
        disk.discard(path)?;
    }
    Ok(())
}

fn complete_one(keys: &Keys, disk: &Disk, path: &Path) -> Result<(), Fault> {
    let bytes = read_file(path)?.unwrap_or_default();
    let Ok(deletion) = serde_json::from_slice::<Deletion>(&bytes) else {
        // most often cut off while it was written, before anything was taken
        tracing::warn!(
            "\"{}\" does not say what was to be deleted: if tags of an image are missing, delete the image again",
            path.display()
        );
        return Ok(());
    };
    deletion.complete(keys, disk)?;
    tracing::info!(
        "the delete of manifest {} in repository {}, which was cut off, is completed",
        deletion.digest,
        deletion.repository
    );
    Ok(())
}
