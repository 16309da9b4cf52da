//! What refers to a manifest: a subject comes in, descriptors go out; IO in blocking threads.
//!
//! Two sources: one file per referrer, written when it was pushed, and the index under the fallback tag that clients
//! keep on registries without a referrers list. An entry counts only if its manifest is in the repository now, and for
//! the index also only if that manifest names the subject.
//!
//! Anybody may put an index there that names thousands of large manifests. So a list is made in parts, each in a turn
//! that ends when a manifest had to be read: short lists wait for a manifest of a long one, not for all of it.

use std::collections::BTreeSet;
use std::sync::Arc;

use portolan_oci::{Descriptor, Digest, RepositoryName, Tag};
use serde::Deserialize;

use crate::manifest::Manifest;

use super::error::Fault;
use super::keys::digest_of_referrer;
use super::links::{exists, names_in, read_file, read_link, read_tag};
use super::manifests::read_limited;
use super::{Inner, Store, blocking};

/// So many entries are looked at in one turn, if no manifest has to be read.
const MOST_LOOKED_AT: usize = 1_000;

/// A page of the list of referrers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Referrers {
    /// In the order of their digests.
    pub descriptors: Vec<Descriptor>,
    /// Whether more follow the last one.
    pub has_more: bool,
}

/// A page while it is made.
struct Listing {
    repository: RepositoryName,
    subject: Digest,
    artifact_types: Vec<String>,
    limit_bytes: usize,
    page: Referrers,
    bytes: usize,
    /// What was not looked at yet.
    rest: BTreeSet<Digest>,
}

/// What is known of an entry without reading its manifest.
enum Known {
    Refers(Descriptor),
    /// It is not there, or refers to something else.
    Not,
    /// It may refer to the subject: this is its content.
    Unread(Digest),
}

impl Store {
    /// Lists what refers to `subject`, which need not exist itself, beginning behind `after`. With artifact types, only
    /// referrers of one of them. A page ends before its JSON grows beyond `limit_bytes`, but holds at least one entry.
    pub async fn referrers(
        &self,
        repository: &RepositoryName,
        subject: &Digest,
        artifact_types: &[String],
        after: Option<&Digest>,
        limit_bytes: usize,
    ) -> Result<Referrers, Fault> {
        let (name, of, after) = (repository.clone(), subject.clone(), after.cloned());
        let behind = move |inner: &Inner| {
            let mut digests = inner.referrer_digests(&name, &of)?;
            digests.retain(|digest| after.as_ref().is_none_or(|after| digest > after));
            Ok(digests)
        };
        let mut listing = Listing {
            repository: repository.clone(),
            subject: subject.clone(),
            artifact_types: artifact_types.to_vec(),
            limit_bytes,
            page: Referrers {
                descriptors: Vec::new(),
                has_more: false,
            },
            bytes: 0,
            rest: self.in_turn(behind).await?,
        };
        while !listing.is_done() {
            listing = self.in_turn(move |inner| inner.go_on(listing)).await?;
        }
        Ok(listing.page)
    }

    async fn in_turn<T: Send + 'static>(
        &self,
        part: impl FnOnce(&Inner) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Fault> {
        let turn = self.inner.turns.referrers().await;
        let inner = Arc::clone(&self.inner);
        blocking(move || {
            let _turn = turn;
            part(&inner)
        })
        .await
    }
}

impl Listing {
    fn is_done(&self) -> bool {
        self.page.has_more || self.rest.is_empty()
    }

    fn next(&mut self) -> Option<Digest> {
        if self.page.has_more {
            None
        } else {
            self.rest.pop_first()
        }
    }

    fn add(&mut self, descriptor: Descriptor) {
        let is_wanted = self.artifact_types.is_empty()
            || descriptor
                .artifact_type
                .as_ref()
                .is_some_and(|it| self.artifact_types.contains(it));
        if !is_wanted {
            return;
        }
        self.bytes += serde_json::json!(descriptor).to_string().len() + 1;
        self.page.has_more = self.bytes > self.limit_bytes && !self.page.descriptors.is_empty();
        if !self.page.has_more {
            self.page.descriptors.push(descriptor);
        }
    }
}

impl Inner {
    /// A part of a list.
    fn go_on(&self, mut listing: Listing) -> Result<Listing, Fault> {
        let (repository, subject) = (listing.repository.clone(), listing.subject.clone());
        for _ in 0..MOST_LOOKED_AT {
            let Some(digest) = listing.next() else {
                break;
            };
            match self.known_referrer(&repository, &subject, &digest)? {
                Known::Refers(descriptor) => listing.add(descriptor),
                Known::Not => {}
                Known::Unread(content) => {
                    if let Some(descriptor) = self.read_referrer(&repository, &subject, &digest, content)? {
                        listing.add(descriptor);
                    }
                    break;
                }
            }
        }
        Ok(listing)
    }

    /// Everything that may refer to `subject`, sorted and each once.
    fn referrer_digests(
        &self,
        repository: &RepositoryName,
        subject: &Digest,
    ) -> Result<BTreeSet<Digest>, Fault> {
        let names = names_in(&self.keys.referrers(repository, subject))?;
        let mut digests: BTreeSet<Digest> =
            names.iter().filter_map(|name| digest_of_referrer(name)).collect();
        digests.extend(self.fallback_entries(repository, subject)?);
        Ok(digests)
    }

    fn fallback_entries(&self, repository: &RepositoryName, subject: &Digest) -> Result<Vec<Digest>, Fault> {
        let tag = Tag::referrers_fallback(subject);
        let Some(digest) = read_tag(&self.keys.tag(repository, &tag))? else {
            return Ok(Vec::new());
        };
        let index = self.read_manifest(repository, &digest)?;
        Ok(index.map_or_else(Vec::new, |index| fallback_digests(&index.bytes)))
    }

    fn known_referrer(
        &self,
        repository: &RepositoryName,
        subject: &Digest,
        digest: &Digest,
    ) -> Result<Known, Fault> {
        let link = self.keys.revision_link(repository, digest);
        if !exists(&link)? {
            return Ok(Known::Not);
        }
        if let Some(bytes) = read_file(&self.keys.referrer(repository, subject, digest))?
            && let Ok(descriptor) = serde_json::from_slice(&bytes)
        {
            return Ok(Known::Refers(descriptor));
        }
        let Some(content) = read_link(&link, digest)? else {
            return Ok(Known::Not);
        };
        let is_stranger =
            (self.heads.subjects.get(&content)).is_some_and(|known| known.as_ref() != Some(subject));
        Ok(if is_stranger {
            Known::Not
        } else {
            Known::Unread(content)
        })
    }

    /// Parses once what [`Inner::read_manifest`] would parse for its type, too. What is wrong with a manifest, that tells.
    fn read_referrer(
        &self,
        repository: &RepositoryName,
        subject: &Digest,
        digest: &Digest,
        content: Digest,
    ) -> Result<Option<Descriptor>, Fault> {
        let read = read_limited(&self.keys.blob(&content)).ok();
        let sound = read.filter(|bytes| Digest::of(content.algorithm(), bytes) == content);
        let (bytes, content) = match sound {
            Some(bytes) => (bytes.into(), Some(content)),
            None => match self.read_manifest(repository, digest)? {
                Some(healed) => (healed.bytes, None), // its link may lead elsewhere now
                None => return Ok(None),
            },
        };
        let manifest = Manifest::parse(None, &bytes).ok();
        let named = manifest.as_ref().and_then(|manifest| manifest.subject.clone());
        let refers = named.as_ref() == Some(subject);
        if let Some(content) = content {
            self.heads.subjects.keep(content, named);
        }
        let manifest = manifest.filter(|_| refers);
        Ok(manifest.map(|manifest| manifest.referrer_descriptor(digest.clone(), bytes.len() as u64)))
    }
}

/// What an index under a fallback tag lists. Whatever else somebody has put there is no list of referrers, and no fault.
pub(super) fn fallback_digests(bytes: &[u8]) -> Vec<Digest> {
    let index = serde_json::from_slice::<FallbackIndex>(bytes).ok();
    let entries = index.into_iter().flat_map(|index| index.manifests);
    entries.filter_map(|entry| entry.digest.parse().ok()).collect()
}

/// An index under a fallback tag, as loosely as it may have been written.
#[derive(Deserialize)]
struct FallbackIndex {
    manifests: Vec<FallbackEntry>,
}

#[derive(Deserialize)]
struct FallbackEntry {
    digest: String,
}
