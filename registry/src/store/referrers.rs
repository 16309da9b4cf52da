//! What refers to a manifest: a subject comes in, descriptors go out; IO in blocking threads.
//!
//! Two sources: one file per referrer, written when it was pushed, and the index under the fallback tag that clients
//! keep on registries without a referrers list. An entry counts only if its manifest is in the repository now, and for
//! the index also only if that manifest names the subject.

use std::collections::BTreeSet;
use std::sync::Arc;

use portolan_oci::{Descriptor, Digest, RepositoryName, Tag};
use serde::Deserialize;

use crate::manifest::Manifest;

use super::error::Fault;
use super::keys::digest_of_referrer;
use super::links::{exists, names_in, read_file, read_tag};
use super::{Inner, Store, blocking};

/// A page of the list of referrers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Referrers {
    /// In the order of their digests.
    pub descriptors: Vec<Descriptor>,
    /// Whether more follow the last one.
    pub has_more: bool,
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
        let (inner, repository, subject) = (Arc::clone(&self.inner), repository.clone(), subject.clone());
        let (artifact_types, after) = (artifact_types.to_vec(), after.cloned());
        blocking(move || {
            let mut page = Referrers {
                descriptors: Vec::new(),
                has_more: false,
            };
            let mut bytes = 0;
            let digests = inner.referrer_digests(&repository, &subject)?;
            for digest in digests
                .into_iter()
                .filter(|digest| after.as_ref().is_none_or(|after| digest > after))
            {
                let Some(descriptor) = inner.referrer(&repository, &subject, &digest)? else {
                    continue;
                };
                let is_wanted = artifact_types.is_empty()
                    || descriptor
                        .artifact_type
                        .as_ref()
                        .is_some_and(|it| artifact_types.contains(it));
                if !is_wanted {
                    continue;
                }
                bytes += serde_json::json!(descriptor).to_string().len() + 1;
                if bytes > limit_bytes && !page.descriptors.is_empty() {
                    page.has_more = true;
                    break;
                }
                page.descriptors.push(descriptor);
            }
            Ok(page)
        })
        .await
    }
}

impl Inner {
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

    /// Whatever else somebody has put under that tag is no list of referrers, and no fault.
    fn fallback_entries(&self, repository: &RepositoryName, subject: &Digest) -> Result<Vec<Digest>, Fault> {
        let tag = Tag::referrers_fallback(subject);
        let Some(digest) = read_tag(&self.keys.tag(repository, &tag))? else {
            return Ok(Vec::new());
        };
        let index = self.read_manifest(repository, &digest)?;
        let entries = index.and_then(|index| serde_json::from_slice::<FallbackIndex>(&index.bytes).ok());
        let entries = entries.into_iter().flat_map(|index| index.manifests);
        Ok(entries.filter_map(|entry| entry.digest.parse().ok()).collect())
    }

    fn referrer(
        &self,
        repository: &RepositoryName,
        subject: &Digest,
        digest: &Digest,
    ) -> Result<Option<Descriptor>, Fault> {
        if !exists(&self.keys.revision_link(repository, digest))? {
            return Ok(None);
        }
        if let Some(bytes) = read_file(&self.keys.referrer(repository, subject, digest))?
            && let Ok(descriptor) = serde_json::from_slice(&bytes)
        {
            return Ok(Some(descriptor));
        }
        let Some(stored) = self.read_manifest(repository, digest)? else {
            return Ok(None);
        };
        let Ok(manifest) = Manifest::parse(None, &stored.bytes) else {
            return Ok(None);
        };
        let size = stored.bytes.len() as u64;
        let refers = manifest.subject.as_ref() == Some(subject);
        Ok(refers.then(|| manifest.referrer_descriptor(digest.clone(), size)))
    }
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
