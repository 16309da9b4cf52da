//! Deleting manifests: digests come in; IO in blocking threads.
//!
//! Top-down: tags, the link of the repository, then what is kept about it. Content stays until it is collected. A delete
//! that fails has taken nothing, and one that is cut off is completed by the next start.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;

use portolan_oci::{Digest, RepositoryName, Tag};

use crate::manifest::{Manifest, References};

use super::collect::Root;
use super::error::{Fault, ManifestError};
use super::links::{exists, tag_names};
use super::precondition::Precondition;
use super::{Inner, Store, blocking};

mod record;
mod users;

use self::record::Deletion;
pub(super) use self::record::{clear_records, complete_what_was_cut_off};
pub(super) use self::users::Users;

impl Store {
    /// Removes a manifest and every tag that names it, unless an index of the repository needs it or may need it, or the
    /// client expects that it is not there.
    pub async fn manifest_delete_if(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        precondition: Precondition,
    ) -> Result<(), ManifestError> {
        let turn = self.inner.turns.scan().await;
        let permit = self.inner.permit().await?;
        let link = self.inner.keys.revision_link(repository, digest);
        let strangers = self.inner.strangers_to(link, repository, digest).await?;
        // While this is held nobody can let a further tag or index name the manifest.
        let stripes = self.inner.hold_with_named(repository, digest).await?;
        let (inner, name, wanted) = (Arc::clone(&self.inner), repository.clone(), digest.clone());
        let tags = blocking(move || {
            let _turn = turn;
            let tags = inner.check_deletable(&name, &wanted, &strangers)?;
            inner.check_manifest(&name, &wanted, &precondition)?;
            Ok::<_, ManifestError>(tags)
        })
        .await?;
        let tag_locks = self.inner.locks.hold_tags(repository, &tags).await;
        let (inner, repository, digest) = (Arc::clone(&self.inner), repository.clone(), digest.clone());
        blocking(move || {
            let _held = (permit, stripes, tag_locks);
            Ok(inner.remove_manifest(&repository, &digest, &tags)?)
        })
        .await
    }
}

impl Inner {
    /// Refuses, or tells which tags go with the manifest.
    fn check_deletable(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        strangers: &HashSet<Digest>,
    ) -> Result<Vec<Tag>, ManifestError> {
        if !exists(&self.keys.revision_link(repository, digest))? {
            return Err(self.unknown_manifest(repository, digest.as_str())?);
        }
        let users = self.users_of(repository, digest, strangers)?;
        if let Some(by) = users.known {
            let digest = digest.clone();
            return Err(ManifestError::Referenced { digest, by });
        }
        let possible = self.possible_users(repository, digest, users.damaged)?;
        if let Some(by) = possible.into_iter().next() {
            let digest = digest.clone();
            return Err(ManifestError::PerhapsReferenced { digest, by });
        }
        Ok(self.tags_of(repository, digest)?)
    }

    fn remove_manifest(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        tags: &[Tag],
    ) -> Result<(), Fault> {
        let stored = match self.read_manifest(repository, digest) {
            Ok(manifest) => manifest,
            Err(Fault::Damaged { .. }) => None, // a list of referrers passes over what it cannot read
            Err(fault) => return Err(fault),
        };
        let subject = stored
            .as_ref()
            .and_then(|manifest| Manifest::parse(None, &manifest.bytes).ok()?.subject);
        let mut deletion = Deletion {
            repository: repository.clone(),
            digest: digest.clone(),
            subject,
            tags: Vec::new(),
        };
        for tag in tags {
            // A push may have moved it on before its lock was free.
            if tag_names(&self.keys.tag(repository, tag), digest)? {
                deletion.tags.push(tag.clone());
            }
        }
        let tags: Vec<PathBuf> = deletion.tag_directories(&self.keys).collect();
        let link = self.keys.revision_link(repository, digest);
        self.forget_came(repository, [digest])?; // nobody misses that should the rest fail: no index names it
        let removed = self.disk.remove_with(&tags, &link, &deletion.text());
        for tag in &deletion.tags {
            self.note_tag(repository, tag);
        }
        if let (Err(_), Some(manifest)) = (&removed, &stored) {
            // a collection may have looked while its tags were away, and they are back
            let references = References::stored(&manifest.bytes);
            self.arming
                .note(|| Root::manifest(repository, digest, &references));
        }
        removed?;
        deletion.clear(&self.keys, &self.disk);
        Ok(())
    }
}
