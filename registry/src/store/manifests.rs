//! Manifests of a repository: documents and references come in, bytes go out; IO in blocking threads.
//!
//! Order of a push: content, entry among the referrers of the subject, link of the repository, then the tags. Each is
//! durable before the next is in its place, so a tag never names what a power cut could take. What the links of tags need of
//! the volume they have before that: when it is full, none of them has moved.

use std::io::{self, Read as _};
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use portolan_oci::{Algorithm, Digest, MediaType, Reference, RepositoryName, Tag};

use crate::manifest::{Manifest, stored_media_type};

use super::collect::Root;
use super::deletion::clear_records;
use super::error::{Fault, ManifestError};
use super::links::{exists, open_quietly, read_link, read_tag};
use super::precondition::Precondition;
use super::{Inner, Store, blocking};

/// A manifest as it was pushed, byte for byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredManifest {
    /// The digest that was asked for, or that the tag names.
    pub digest: Digest,
    pub media_type: MediaType,
    pub bytes: Bytes,
}

/// How a manifest is pushed.
#[derive(Debug, Clone)]
pub struct Manner<'a> {
    /// Tags that shall name it beside the reference.
    pub extra_tags: &'a [Tag],
    /// What the client says that it is.
    pub content_type: Option<&'a str>,
    /// What must be so.
    pub precondition: Precondition,
}

/// What a push has done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PutOutcome {
    pub digest: Digest,
    /// The subject under which the manifest is listed now.
    pub subject: Option<Digest>,
    /// The tags that name it now, each once, in the order given.
    pub tags: Vec<Tag>,
}

impl Store {
    /// Stores a manifest and lets tags name it: that of `reference`, if it is one, and all others of `manner`; if each of
    /// them names then what the client wants it to, or without a tag, if the manifest itself is there or is not.
    /// Everything is checked before the first write. Returns when all of it is durable.
    pub async fn manifest_put_if(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
        manner: Manner<'_>,
        bytes: Bytes,
    ) -> Result<PutOutcome, ManifestError> {
        let (content_type, precondition) = (manner.content_type.map(str::to_owned), manner.precondition);
        let (wanted, extra_tags) = (reference.clone(), manner.extra_tags.to_vec());
        let (inner, name) = (Arc::clone(&self.inner), repository.clone());
        // To parse and hash takes long enough to keep others waiting, if the manifest is large.
        let looked = blocking(move || {
            let manifest = Manifest::parse(content_type.as_deref(), &bytes)?;
            let (digest, tags) = identify(&wanted, &extra_tags, &bytes)?;
            let is_taken = manifest.check_new(&bytes);
            // What the repository has may be tagged and pushed again, whatever is wrong with it.
            if is_taken.is_err() && !exists(&inner.keys.revision_link(&name, &digest))? {
                is_taken?;
            }
            let named: Vec<_> = manifest.edges.iter().map(|edge| edge.digest.clone()).collect();
            let contents = inner.contents_of(&name, &named)?;
            Ok::<_, ManifestError>((manifest, digest, tags, contents, bytes))
        });
        let (manifest, digest, tags, contents, bytes) = looked.await?;
        let is_wide = manifest.edges.len() > WIDE;
        let turn = if is_wide {
            Some(self.inner.turns.wide().await)
        } else {
            None
        };
        let permit = self.inner.permit().await?;
        let referred: Vec<&Digest> = manifest
            .edges
            .iter()
            .map(|edge| &edge.digest)
            .chain(&contents)
            .chain(&manifest.subject)
            .collect();
        let locks = self
            .inner
            .hold_with_tags(repository, &[&digest], &referred, &tags)
            .await?;
        let (inner, repository) = (Arc::clone(&self.inner), repository.clone());
        blocking(move || {
            let _held = (permit, locks, turn);
            let absent = inner.require(&repository, &manifest, &contents)?;
            for tag in &tags {
                inner.check_tag(&repository, tag, &precondition)?;
            }
            if tags.is_empty() {
                inner.check_manifest(&repository, &digest, &precondition)?;
            }
            let _noted = inner
                .arming
                .note(|| Root::manifest(&repository, &digest, &manifest.references()));
            // Its own record does not wait for it.
            let may_be_awaited = inner.lacks_something(&repository)?;
            let links = inner.prepare_tags(&repository, &tags, &digest)?;
            let written = inner
                .record_absent(&repository, &digest, &absent)
                .and_then(|()| inner.mark_what_came_meanwhile(&repository, &manifest, &absent))
                .and_then(|()| inner.put(&repository, &manifest, &digest, &bytes))
                .and_then(|()| {
                    if may_be_awaited {
                        inner.mark_came(&repository, &digest)?;
                    }
                    Ok(())
                })
                .and_then(|()| inner.move_tags(&repository, tags.iter().zip(&links)));
            if let Err(fault) = written {
                inner.disk.abandon_all(&links);
                inner.clear_refused(&repository, &digest, manifest.subject.as_ref());
                return Err(fault.into());
            }
            Ok(PutOutcome {
                digest,
                subject: manifest.subject,
                tags,
            })
        })
        .await
    }

    /// Reads what a tag names now, or what has a digest.
    pub async fn manifest_read(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
    ) -> Result<StoredManifest, ManifestError> {
        self.find_manifest(repository, reference, Inner::read_manifest)
            .await
    }

    /// What `read` tells about the manifest that has a digest, or that a tag names now.
    pub(super) async fn find_manifest<T: Send + 'static>(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
        read: fn(&Inner, &RepositoryName, &Digest) -> Result<Option<T>, Fault>,
    ) -> Result<T, ManifestError> {
        let (name, wanted) = (repository.clone(), reference.clone());
        match reference {
            Reference::Digest(digest) => {
                let link = self.inner.keys.revision_link(repository, digest);
                let find = move |inner: &Inner| inner.find_manifest(&name, &wanted, read);
                self.read_and_renew(digest, link, find).await
            }
            Reference::Tag(_) => {
                let inner = Arc::clone(&self.inner);
                blocking(move || inner.find_manifest(&name, &wanted, read)).await
            }
        }
    }
}

/// A manifest that names more takes a good part of the stripes.
const WIDE: usize = 128;

/// The digest under which a document is stored and all tags that shall name it.
fn identify(
    reference: &Reference,
    extra_tags: &[Tag],
    bytes: &[u8],
) -> Result<(Digest, Vec<Tag>), ManifestError> {
    let mut tags: Vec<Tag> = Vec::new();
    let digest = match reference {
        Reference::Tag(tag) => {
            tags.push(tag.clone());
            Digest::of(Algorithm::Sha256, bytes)
        }
        Reference::Digest(announced) => {
            let actual = Digest::of(announced.algorithm(), bytes);
            if actual != *announced {
                return Err(ManifestError::DigestMismatch {
                    announced: announced.clone(),
                    actual,
                });
            }
            actual
        }
    };
    for tag in extra_tags {
        if !tags.contains(tag) {
            tags.push(tag.clone());
        }
    }
    Ok((digest, tags))
}

/// More than any registry takes as a manifest: what is larger is something else, and is not read into memory.
pub(super) const MAX_STORED_BYTES: u64 = 32 << 20;

/// Fails with [`io::ErrorKind::FileTooLarge`] when it is more than a manifest can be.
pub(super) fn read_limited(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = open_quietly(path)?;
    let length = file.metadata()?.len();
    if length > MAX_STORED_BYTES {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("{length} bytes are too many for a manifest"),
        ));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or(0));
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}

impl Inner {
    pub(super) fn check_manifest(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        precondition: &Precondition,
    ) -> Result<(), ManifestError> {
        let is_there = || exists(&self.keys.revision_link(repository, digest));
        if !precondition.is_some() || precondition.is_met(is_there()?.then_some(digest)) {
            return Ok(());
        }
        Err(ManifestError::PreconditionFailed {
            reference: digest.to_string(),
        })
    }

    fn put(
        &self,
        repository: &RepositoryName,
        manifest: &Manifest,
        digest: &Digest,
        bytes: &[u8],
    ) -> Result<(), Fault> {
        // A manifest that somebody pushes, with a tag or without, is not one that nobody has wanted for long.
        let untagged = self.keys.untagged(repository, digest);
        if exists(&untagged)? {
            self.disk.remove_file(&untagged)?;
        }
        let target = self.keys.revision_link(repository, digest);
        let text = digest.as_str().as_bytes();
        let ((), link) = self.disk.prepare_beside(&target, text, |is_right| {
            self.disk.write_small(&self.keys.blob(digest), bytes)?;
            is_right();
            // Before the link: clients that see the manifest do not push it again, and it must be listed then.
            if let Some(subject) = &manifest.subject {
                let descriptor = manifest.referrer_descriptor(digest.clone(), bytes.len() as u64);
                let text = serde_json::json!(descriptor).to_string();
                self.disk
                    .write_small(&self.keys.referrer(repository, subject, digest), text.as_bytes())?;
            }
            Ok::<_, Fault>(())
        })?;
        self.disk.publish_small(&link?)
    }

    /// Takes back what was written down before the link, if that has not come: no collection looks at what no repository has.
    fn clear_refused(&self, repository: &RepositoryName, digest: &Digest, subject: Option<&Digest>) {
        if !exists(&self.keys.revision_link(repository, digest)).unwrap_or(true) {
            clear_records(&self.keys, &self.disk, repository, digest, subject);
        }
    }

    fn find_manifest<T>(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
        read: fn(&Self, &RepositoryName, &Digest) -> Result<Option<T>, Fault>,
    ) -> Result<T, ManifestError> {
        let found = match reference {
            Reference::Digest(digest) => read(self, repository, digest)?,
            Reference::Tag(tag) => {
                self.find_tagged(repository, tag, |digest| read(self, repository, digest))?
            }
        };
        match found {
            Some(found) => Ok(found),
            None => Err(self.unknown_manifest(repository, &reference.to_string())?),
        }
    }

    /// A tag may move or go between the two reads; then what it names now counts.
    fn find_tagged<T>(
        &self,
        repository: &RepositoryName,
        tag: &Tag,
        read: impl Fn(&Digest) -> Result<Option<T>, Fault>,
    ) -> Result<Option<T>, Fault> {
        let directory = self.keys.tag(repository, tag);
        let mut named = read_tag(&directory)?;
        while let Some(digest) = named {
            if let Some(found) = read(&digest)? {
                return Ok(Some(found));
            }
            let again = read_tag(&directory)?;
            if again.as_ref() == Some(&digest) {
                let problem =
                    format!("it names manifest {digest}, which is not in the repository: push the tag again");
                return Err(Fault::Damaged {
                    path: self.keys.tag_link(repository, tag),
                    problem,
                });
            }
            named = again;
        }
        Ok(None)
    }

    pub(super) fn read_manifest(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Option<StoredManifest>, Fault> {
        let link = self.keys.revision_link(repository, digest);
        let Some(content) = read_link(&link, digest)? else {
            return Ok(None);
        };
        let path = self.keys.blob(&content);
        let bytes = match read_limited(&path) {
            Ok(bytes) => bytes,
            // It may have been collected since the link was read.
            Err(error) if error.kind() == io::ErrorKind::NotFound && !exists(&link)? => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let problem = format!(
                    "its content \"{}\" is gone: push the manifest again",
                    path.display()
                );
                return Err(Fault::Damaged { path: link, problem });
            }
            Err(error) if error.kind() == io::ErrorKind::FileTooLarge => {
                let problem = format!("{error}: push it again");
                return Err(Fault::Damaged { path, problem });
            }
            Err(source) => {
                return Err(Fault::Io {
                    action: "read",
                    path,
                    source,
                });
            }
        };
        if Digest::of(content.algorithm(), &bytes) != content {
            self.heads.types.forget(&content);
            return Err(Fault::Damaged {
                path,
                problem: "its bytes do not have its digest: push it again".into(),
            });
        }
        let media_type = stored_media_type(&bytes);
        Ok(Some(StoredManifest {
            digest: digest.clone(),
            media_type,
            bytes: bytes.into(),
        }))
    }
}
