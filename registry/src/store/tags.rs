//! Tags of a repository: names come in, sorted pages go out; IO in blocking threads.

use std::sync::Arc;

use portolan_oci::{Digest, RepositoryName, Tag};

use super::error::{Fault, ListError, ManifestError};
use super::links::{exists, names_in, read_tag};
use super::{Inner, Page, Store, blocking};

impl Store {
    /// A page of the tags of a repository, in byte order, beginning behind `after`, which need not exist.
    pub async fn tags(
        &self,
        repository: &RepositoryName,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<Tag>, ListError> {
        let (inner, repository, after) = (
            Arc::clone(&self.inner),
            repository.clone(),
            after.map(str::to_owned),
        );
        blocking(move || {
            if !inner.repository_exists(&repository)? {
                return Err(ListError::RepositoryUnknown);
            }
            let mut page = Page {
                items: Vec::new(),
                has_more: false,
            };
            if limit == 0 {
                return Ok(page);
            }
            let mut tags = inner.tag_names(&repository)?;
            tags.retain(|tag| after.as_deref().is_none_or(|after| tag.as_str() > after));
            tags.sort_unstable();
            for tag in tags {
                // A directory without a link is what a crash leaves of a tag that was never acknowledged.
                if exists(&inner.keys.tag_link(&repository, &tag))? {
                    if page.items.len() == limit {
                        page.has_more = true;
                        break;
                    }
                    page.items.push(tag);
                }
            }
            Ok(page)
        })
        .await
    }

    /// Removes one tag; the manifest stays.
    pub async fn tag_delete(&self, repository: &RepositoryName, tag: &Tag) -> Result<(), ManifestError> {
        let permit = self.inner.permit().await?;
        let tag_lock = self
            .inner
            .locks
            .hold_tags(repository, std::slice::from_ref(tag))
            .await;
        let (inner, repository, tag) = (Arc::clone(&self.inner), repository.clone(), tag.clone());
        blocking(move || {
            let _held = (permit, tag_lock);
            if exists(&inner.keys.tag_link(&repository, &tag))? {
                return Ok(inner.disk.remove_directory(&inner.keys.tag(&repository, &tag))?);
            }
            Err(inner.unknown_manifest(&repository, tag.as_str())?)
        })
        .await
    }
}

impl Inner {
    fn tag_names(&self, repository: &RepositoryName) -> Result<Vec<Tag>, Fault> {
        let names = names_in(&self.keys.tags(repository))?;
        Ok(names.iter().filter_map(|name| name.parse().ok()).collect())
    }

    /// The tags that name `digest` now. Reads every tag of the repository.
    pub(super) fn tags_of(&self, repository: &RepositoryName, digest: &Digest) -> Result<Vec<Tag>, Fault> {
        let mut tags = Vec::new();
        for tag in self.tag_names(repository)? {
            if self.tag_names_digest(repository, &tag, digest)? {
                tags.push(tag);
            }
        }
        Ok(tags)
    }

    /// A tag that cannot be read names nothing that could be deleted with it.
    pub(super) fn tag_names_digest(
        &self,
        repository: &RepositoryName,
        tag: &Tag,
        digest: &Digest,
    ) -> Result<bool, Fault> {
        match read_tag(&self.keys.tag(repository, tag)) {
            Ok(named) => Ok(named.as_ref() == Some(digest)),
            Err(Fault::Damaged { .. }) => Ok(false),
            Err(fault) => Err(fault),
        }
    }

    /// The right way to say that a manifest is not there.
    pub(super) fn unknown_manifest(
        &self,
        repository: &RepositoryName,
        reference: &str,
    ) -> Result<ManifestError, Fault> {
        Ok(if self.repository_exists(repository)? {
            ManifestError::Unknown {
                reference: reference.to_owned(),
            }
        } else {
            ManifestError::RepositoryUnknown
        })
    }
}
