//! What a manifest is, without its bytes: references come in; digest, type and size go out. IO in blocking threads.
//!
//! The layout keeps no media type beside a manifest, so the bytes are read once for it, as for its subject; content never
//! changes under its digest. The file's size is looked at each time: content that is gone or cut short is not told about from memory.

use std::collections::HashMap;
use std::fs;
use std::sync::{Arc, Mutex};

use portolan_oci::{Digest, MediaType, Reference, RepositoryName};

use super::disk::lock;
use super::error::{Fault, ManifestError};
use super::links::{exists, read_link, read_tag};
use super::{Inner, Store, blocking};

/// Some megabytes of each kind; beyond it the memory is dropped.
const MOST: usize = 10_000;

/// What is remembered of manifests.
#[derive(Debug, Default)]
pub(super) struct Heads {
    pub(super) types: Remembered<(MediaType, u64)>,
    /// None: it refers to nothing.
    pub(super) subjects: Remembered<Option<Digest>>,
}

/// Facts by the digest of the content that they were read from.
#[derive(Debug)]
pub(super) struct Remembered<T>(Mutex<HashMap<Digest, T>>);

impl<T> Default for Remembered<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T: Clone> Remembered<T> {
    pub(super) fn get(&self, content: &Digest) -> Option<T> {
        lock(&self.0).get(content).cloned()
    }

    pub(super) fn forget(&self, content: &Digest) {
        lock(&self.0).remove(content);
    }

    pub(super) fn keep(&self, content: Digest, fact: T) {
        let mut facts = lock(&self.0);
        if facts.len() >= MOST {
            facts.clear();
        }
        facts.insert(content, fact);
    }
}

/// What the headers of an answer tell about a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManifestHead {
    /// The digest that was asked for, or that the tag names.
    pub digest: Digest,
    pub media_type: MediaType,
    pub size: u64,
}

impl Store {
    /// As [`Store::manifest_read`], for who does not want the bytes. Of a manifest that is gone although it should be
    /// there, clients hear that it is not: they ask before they push, and most give up on any other answer, but only a
    /// push brings it back.
    pub async fn manifest_head(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
    ) -> Result<ManifestHead, ManifestError> {
        let found = self.find_manifest(repository, reference, Inner::head).await;
        let Err(ManifestError::Fault(fault @ Fault::Damaged { .. })) = found else {
            return found;
        };
        let (inner, name, wanted) = (Arc::clone(&self.inner), repository.clone(), reference.clone());
        blocking(move || {
            if !inner.is_gone(&name, &wanted)? {
                return Err(fault.into());
            }
            tracing::error!("{fault}");
            Err(inner.unknown_manifest(&name, &wanted.to_string())?)
        })
        .await
    }
}

impl Inner {
    /// Whether nothing is left of a manifest but what names it.
    fn is_gone(&self, repository: &RepositoryName, reference: &Reference) -> Result<bool, Fault> {
        let digest = match reference {
            Reference::Digest(digest) => Some(digest.clone()),
            Reference::Tag(tag) => read_tag(&self.keys.tag(repository, tag))?,
        };
        let Some(digest) = digest else {
            return Ok(false);
        };
        match read_link(&self.keys.revision_link(repository, &digest), &digest)? {
            Some(content) => Ok(!exists(&self.keys.blob(&content))?),
            None => Ok(true),
        }
    }

    fn head(&self, repository: &RepositoryName, digest: &Digest) -> Result<Option<ManifestHead>, Fault> {
        let Some(content) = read_link(&self.keys.revision_link(repository, digest), digest)? else {
            return Ok(None);
        };
        let known = self.heads.types.get(&content);
        let there = fs::metadata(self.keys.blob(&content)).map(|metadata| metadata.len());
        if let (Some((media_type, size)), Ok(there)) = (known, there)
            && size == there
        {
            return Ok(Some(ManifestHead {
                digest: digest.clone(),
                media_type,
                size,
            }));
        }
        let Some(manifest) = self.read_manifest(repository, digest)? else {
            return Ok(None);
        };
        let (media_type, size) = (manifest.media_type, manifest.bytes.len() as u64);
        self.heads.types.keep(content, (media_type.clone(), size));
        Ok(Some(ManifestHead {
            digest: digest.clone(),
            media_type,
            size,
        }))
    }
}
