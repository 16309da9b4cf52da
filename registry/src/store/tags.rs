//! Tags of a repository: names come in, sorted pages go out; IO in blocking threads.

use std::sync::Arc;

use portolan_oci::{Digest, RepositoryName, Tag};

use super::disk::Prepared;
use super::error::{Fault, ListError, ManifestError, ReadOnlyReason};
use super::links::{exists, names_in, read_tag, tag_names};
use super::precondition::Precondition;
use super::tag_lists::TagLists;
use super::{Inner, Page, Store, blocking};

impl Store {
    /// A page of the tags of a repository, in byte order, beginning behind `after`, which need not exist.
    pub async fn tags(
        &self,
        repository: &RepositoryName,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<Tag>, ListError> {
        let (inner, name, from) = (
            Arc::clone(&self.inner),
            repository.clone(),
            after.map(str::to_owned),
        );
        let known = blocking(move || {
            if !inner.repository_exists(&name)? {
                return Err(ListError::RepositoryUnknown);
            }
            if limit == 0 {
                return Ok(Some(Page {
                    items: Vec::new(),
                    has_more: false,
                }));
            }
            let lists = inner.own_tag_lists();
            Ok(lists.and_then(|lists| lists.known_page(&name, from.as_deref(), limit)))
        });
        if let Some(page) = known.await? {
            return Ok(page);
        }
        let turn = self.inner.turns.tags().await;
        let (inner, repository, after) = (
            Arc::clone(&self.inner),
            repository.clone(),
            after.map(str::to_owned),
        );
        blocking(move || {
            let _turn = turn;
            let read = || inner.tags_there(&repository);
            let nobodys = TagLists::default();
            let lists = inner.own_tag_lists().unwrap_or(&nobodys);
            Ok(lists.page(&repository, after.as_deref(), limit, read)?)
        })
        .await
    }

    /// Removes one tag, if it names then what the client wants it to; the manifest stays.
    pub async fn tag_delete_if(
        &self,
        repository: &RepositoryName,
        tag: &Tag,
        precondition: Precondition,
    ) -> Result<(), ManifestError> {
        let permit = self.inner.permit().await?;
        let locks = self
            .inner
            .hold_with_tags(repository, &[], &[], std::slice::from_ref(tag))
            .await?;
        let (inner, repository, tag) = (Arc::clone(&self.inner), repository.clone(), tag.clone());
        blocking(move || {
            let _held = (permit, locks);
            if exists(&inner.keys.tag_link(&repository, &tag))? {
                inner.check_tag(&repository, &tag, &precondition)?;
                return Ok(inner.remove_tag(&repository, &tag)?);
            }
            Err(inner.unknown_manifest(&repository, tag.as_str())?)
        })
        .await
    }
}

impl Inner {
    /// Makes links ready that let tags name a manifest: all, or none stays.
    pub(super) fn prepare_tags(
        &self,
        repository: &RepositoryName,
        tags: &[Tag],
        digest: &Digest,
    ) -> Result<Vec<Prepared>, Fault> {
        let mut links = Vec::with_capacity(tags.len());
        for tag in tags {
            let link = self.keys.tag_link(repository, tag);
            match self.disk.prepare_small(&link, digest.as_str().as_bytes()) {
                Ok(link) => links.push(link),
                Err(fault) => {
                    self.disk.abandon_all(&links);
                    return Err(fault);
                }
            }
        }
        Ok(links)
    }

    /// Lets tags name what their links do, durably, one after the other. Under the tags' locks.
    ///
    /// A history that registry:2 has kept of a tag ends here: it does not know of this change, and would speak for the
    /// tag should its link be damaged. It goes after the link is durable, which may be empty until then.
    pub(super) fn move_tags<'a>(
        &self,
        repository: &RepositoryName,
        links: impl Iterator<Item = (&'a Tag, &'a Prepared)>,
    ) -> Result<(), Fault> {
        for (tag, link) in links {
            let moved = self.disk.publish_small(link);
            self.note_tag(repository, tag);
            moved?;
            let history = self.keys.tag_history(repository, tag);
            if exists(&history)? {
                self.disk.remove_directory(&history)?;
            }
        }
        Ok(())
    }

    /// Takes a tag away, durably. Under the tag's lock.
    pub(super) fn remove_tag(&self, repository: &RepositoryName, tag: &Tag) -> Result<(), Fault> {
        let removed = self.disk.remove_directory(&self.keys.tag(repository, tag));
        self.note_tag(repository, tag);
        removed
    }

    /// A change that failed half-way may have happened all the same: only looking tells.
    pub(super) fn note_tag(&self, repository: &RepositoryName, tag: &Tag) {
        match exists(&self.keys.tag_link(repository, tag)) {
            Ok(is_there) => self.tag_lists.note(repository, tag, is_there),
            Err(_) => self.tag_lists.forget(repository),
        }
    }

    /// Refuses a change of a tag that does not name what the client wants it to. Under the tag's lock.
    pub(super) fn check_tag(
        &self,
        repository: &RepositoryName,
        tag: &Tag,
        precondition: &Precondition,
    ) -> Result<(), ManifestError> {
        if !precondition.is_some() || precondition.is_met(read_tag(&self.keys.tag(repository, tag))?.as_ref())
        {
            return Ok(());
        }
        Err(ManifestError::PreconditionFailed {
            reference: tag.to_string(),
        })
    }

    /// None: whoever may write is somebody else, and tells nothing of it.
    fn own_tag_lists(&self) -> Option<&TagLists> {
        match self.disk.read_only() {
            Some(ReadOnlyReason::Configured | ReadOnlyReason::NotWritable(_)) => None,
            _ => Some(&self.tag_lists),
        }
    }

    /// All tags of a repository. A directory without a link is what a crash leaves of a tag that was never acknowledged.
    fn tags_there(&self, repository: &RepositoryName) -> Result<Vec<Tag>, Fault> {
        let mut tags = self.tag_names(repository)?;
        let mut fault = Ok(());
        tags.retain(|tag| {
            let is_there = exists(&self.keys.tag_link(repository, tag));
            is_there.unwrap_or_else(|error| {
                fault = Err(error);
                false
            })
        });
        fault.map(|()| tags)
    }

    fn tag_names(&self, repository: &RepositoryName) -> Result<Vec<Tag>, Fault> {
        let names = names_in(&self.keys.tags(repository))?;
        Ok(names.iter().filter_map(|name| name.parse().ok()).collect())
    }

    /// The tags that name `digest` now. Reads every tag of the repository.
    pub(super) fn tags_of(&self, repository: &RepositoryName, digest: &Digest) -> Result<Vec<Tag>, Fault> {
        let mut tags = Vec::new();
        for tag in self.tag_names(repository)? {
            if tag_names(&self.keys.tag(repository, &tag), digest)? {
                tags.push(tag);
            }
        }
        Ok(tags)
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
