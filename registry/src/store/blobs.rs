//! Blobs of a repository: digests come in, content goes out; IO in blocking threads.
//!
//! The bytes of a blob are shared by all repositories; what a repository has is a link. Deleting takes the link away;
//! the bytes stay until nothing on the volume refers to them.

use std::collections::HashSet;
use std::fmt;
use std::fs::File;
use std::io;
use std::sync::Arc;

use portolan_oci::{Algorithm, Digest, RepositoryName};

use super::collect::Root;
use super::content::BlobContent;
use super::deletion::Users;
use super::error::{BlobError, Fault};
use super::links::{exists, read_link, visit_digests};
use super::{Inner, Store, blocking};

/// Where a blob may be mounted from.
#[derive(Clone)]
pub enum MountSource {
    /// A repository that the client names, and may read.
    Repository(RepositoryName),
    /// Any repository that the client may read.
    Any(Arc<dyn Fn(&RepositoryName) -> bool + Send + Sync>),
}

impl fmt::Debug for MountSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Repository(name) => f.debug_tuple("Repository").field(name).finish(),
            Self::Any(_) => f.write_str("Any"),
        }
    }
}

impl Store {
    /// Opens a blob of a repository. Cheap enough to answer whether there is one: nothing is read of it.
    pub async fn blob_open(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<BlobContent, BlobError> {
        let link = self.inner.keys.layer_link(repository, digest);
        let (repository, wanted) = (repository.clone(), digest.clone());
        let open = move |inner: &Inner| {
            let found = inner.open_blob(&repository, &wanted)?;
            found.ok_or_else(|| BlobError::Unknown {
                digest: wanted.clone(),
            })
        };
        self.read_and_renew(digest, link, open).await
    }

    /// Makes a blob of one repository a blob of another without moving a byte. False: the source does not have it.
    pub async fn blob_mount(
        &self,
        source: MountSource,
        target: &RepositoryName,
        digest: &Digest,
    ) -> Result<bool, BlobError> {
        let permit = self.inner.permit().await?;
        let (inner, wanted) = (Arc::clone(&self.inner), digest.clone());
        let found = blocking(move || inner.find_source(&source, &wanted)).await?;
        let Some((source, content)) = found else {
            return Ok(false);
        };
        let stripes = self.inner.locks.hold(&[], &[digest, &content]).await;
        let (inner, target, digest) = (Arc::clone(&self.inner), target.clone(), digest.clone());
        blocking(move || {
            let _held = (permit, stripes);
            // Only what is seen under the lock counts.
            if inner.linked_blob(&source, &digest)?.as_ref() != Some(&content) {
                return Ok(false);
            }
            inner.arming.note(|| Root::Blob {
                repository: target.clone(),
                digest: digest.clone(),
                content: content.clone(),
            });
            let write = |named| {
                let link = inner.keys.layer_link(&target, named);
                let writing = inner.linking.begin(&target, named);
                inner.disk.write_small(&link, content.as_str().as_bytes())?;
                drop(writing);
                inner.mark_came(&target, named)
            };
            if content != digest {
                write(&content)?; // registry:2 needs it beside the other
            }
            write(&digest)?;
            Ok(true)
        })
        .await
    }

    /// Takes a blob from a repository, unless a manifest of that repository needs it or may need it.
    pub async fn blob_delete(&self, repository: &RepositoryName, digest: &Digest) -> Result<(), BlobError> {
        let turn = self.inner.turns.scan().await;
        let permit = self.inner.permit().await?;
        let link = self.inner.keys.layer_link(repository, digest);
        let strangers = self.inner.strangers_to(link.clone(), repository, digest).await?;
        let stripes = self.inner.locks.hold(&[digest], &[]).await;
        let (inner, repository, digest) = (Arc::clone(&self.inner), repository.clone(), digest.clone());
        blocking(move || {
            let _held = (permit, stripes, turn);
            if !exists(&link)? {
                return Err(BlobError::Unknown { digest });
            }
            let users = inner.users_of_blob(&repository, &digest, &strangers)?;
            if let Some(by) = users.known {
                return Err(BlobError::Referenced { digest, by });
            }
            if let Some(by) = users.damaged.into_iter().next() {
                return Err(BlobError::PerhapsReferenced { digest, by });
            }
            inner.forget_came(&repository, [&digest])?;
            inner.disk.remove_file(&link)?;
            if let Some(directory) = link.parent() {
                inner.disk.remove_if_empty(directory);
            }
            Ok(())
        })
        .await
    }
}

impl Inner {
    fn open_blob(&self, repository: &RepositoryName, digest: &Digest) -> Result<Option<BlobContent>, Fault> {
        let link = self.keys.layer_link(repository, digest);
        let Some(content) = read_link(&link, digest)? else {
            return Ok(None);
        };
        let path = self.keys.blob(&content);
        let opened = File::open(&path).and_then(|file| Ok((file.metadata()?, file)));
        match opened {
            Ok((metadata, file)) if metadata.is_file() => {
                Ok(Some(BlobContent::new(digest.clone(), metadata.len(), file)))
            }
            Ok(_) => Err(Fault::Damaged {
                path,
                problem: "it is not a file".into(),
            }),
            // The garbage collection of registry:2 removes bytes and leaves links.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(Fault::Io {
                action: "open",
                path,
                source,
            }),
        }
    }

    /// The blob that a repository reads under `digest`, if it is complete.
    pub(super) fn linked_blob(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Option<Digest>, Fault> {
        match read_link(&self.keys.layer_link(repository, digest), digest)? {
            Some(content) if exists(&self.keys.blob(&content))? => Ok(Some(content)),
            _ => Ok(None),
        }
    }

    /// The manifests of a repository that need a blob, by its digest or by another whose link leads to it.
    fn users_of_blob(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        strangers: &HashSet<Digest>,
    ) -> Result<Users, Fault> {
        let mut users = self.users_of(repository, digest, strangers)?;
        if digest.algorithm() != Algorithm::Sha256 {
            return Ok(users); // nobody keeps content by another than that under a second one
        }
        visit_digests(&self.keys.layers(repository), &mut |other, _| {
            if users.known.is_some() || other.algorithm() == digest.algorithm() {
                return Ok(());
            }
            match read_link(&self.keys.layer_link(repository, &other), &other) {
                Ok(Some(content)) if content == *digest => {
                    users = self.users_of(repository, &other, &HashSet::new())?;
                    Ok(())
                }
                Ok(_) | Err(Fault::Damaged { .. }) => Ok(()),
                Err(fault) => Err(fault),
            }
        })?;
        Ok(users)
    }

    fn find_source(
        &self,
        source: &MountSource,
        digest: &Digest,
    ) -> Result<Option<(RepositoryName, Digest)>, Fault> {
        match source {
            MountSource::Repository(name) => match self.linked_blob(name, digest) {
                // as in `search`: the client uploads it then
                Err(fault @ Fault::Damaged { .. }) => {
                    tracing::warn!(error = %fault, "a blob to mount was not taken from there");
                    Ok(None)
                }
                content => Ok(content?.map(|content| (name.clone(), content))),
            },
            MountSource::Any(may_read) => Ok(self.search(digest, may_read.as_ref())),
        }
    }
}
