//! One repository: what its tags name is there, links and entries among referrers mean what they should. Files come in,
//! findings go out; blocking IO, reads only.
//!
//! Tags are read before revisions, those before layers: pushes write in the other order, so that beside a live server
//! little is seen half. Of what is read only keys are kept, of one repository at a time: manifests may be large.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use portolan_oci::{Digest, RepositoryName, Tag};

use crate::manifest::{InvalidManifest, Manifest};
use crate::store::error::Fault;
use crate::store::from_disk;
use crate::store::keys::digest_of_referrer;
use crate::store::links::{digests_in, exists, read_file, read_link, read_tag, visit_digests};
use crate::store::manifests::{MAX_STORED_BYTES, read_limited};
use crate::store::referrers::fallback_digests;

use super::look::{AmbiguousTag, Cure, Key, Look, prefix, size_of};
use super::report::FindingKind;

/// What a repository has.
#[derive(Default)]
pub(super) struct Has {
    /// Blobs, and whether their content is there.
    pub(super) blobs: HashMap<Key, bool>,
    /// Manifests.
    pub(super) manifests: HashSet<Key>,
    /// Manifests that are understood and have a subject.
    subjects: HashMap<Key, Key>,
    /// What the fallback tags of subjects list, of those that were asked for.
    fallbacks: HashMap<Key, HashSet<Key>>,
    /// Those that are not understood.
    foreign: HashSet<Key>,
    /// What some manifest needs of what is linked and not there.
    pub(super) missed: HashSet<Key>,
}

impl Look<'_> {
    /// Looks at everything that one repository has.
    pub(super) fn repository(&mut self, name: &RepositoryName) {
        self.examined.repositories += 1;
        let tags = self.read_tags(name);
        let mut has = Has::default();
        let revisions = self.read_revisions(name, &mut has);
        self.read_layers(name, &mut has);
        for (tag, digest) in tags {
            if !has.manifests.contains(&prefix(&digest)) {
                self.dangling(name, &tag, &digest);
            }
        }
        for (digest, content) in revisions {
            match self.read_manifest(name, &digest, &content) {
                Some((manifest, size)) => {
                    self.check_references(name, &digest, &manifest, &mut has);
                    self.check_listed(name, &digest, &manifest, size, &mut has);
                }
                None => drop(has.foreign.insert(prefix(&digest))),
            }
        }
        let lost = |(key, is_there): &(&Key, &bool)| !**is_there && !has.missed.contains(*key);
        self.leftovers.links_without_content += has.blobs.iter().filter(lost).count() as u64;
        self.check_entries(name, &has);
    }

    fn read_tags(&mut self, name: &RepositoryName) -> Vec<(Tag, Digest)> {
        let directory = self.keys.tags(name);
        let mut tags = Vec::new();
        for text in self.names(Some(name), &directory) {
            let Ok(tag) = text.parse::<Tag>() else { continue };
            let path = self.keys.tag_link(name, &tag);
            match read_tag(&self.keys.tag(name, &tag)) {
                Ok(Some(digest)) => {
                    self.examined.tags += 1;
                    if size_of(&path).is_ok_and(|size| size == Some(0)) {
                        self.leftovers.empty_links += 1;
                        self.cures.push(Cure::WriteLink {
                            path,
                            digest: digest.clone(),
                            why: format!(
                                "tag \"{tag}\" of \"{name}\" was empty; its history has only {digest}"
                            ),
                        });
                    }
                    tags.push((tag, digest));
                }
                Ok(None) => self.leftovers.empty_directories += 1,
                Err(fault) => {
                    self.fault(FindingKind::TagUnreadable, Some(name), &tag, &path, &fault);
                    let candidates = digests_in(&self.keys.tag_history(name, &tag)).unwrap_or_default();
                    if !candidates.is_empty() {
                        self.cures.push(Cure::Ask(AmbiguousTag::new(
                            name.clone(),
                            tag.to_string(),
                            candidates,
                            path,
                        )));
                    }
                }
            }
        }
        tags
    }

    /// What a link of `named` points at; what is wrong with it is noted.
    fn link(&mut self, name: &RepositoryName, path: &Path, named: &Digest) -> Option<Digest> {
        match read_link(path, named) {
            Ok(Some(content)) => {
                if size_of(path).is_ok_and(|size| size == Some(0)) {
                    self.leftovers.empty_links += 1;
                    self.cures.push(Cure::WriteLink {
                        path: path.to_owned(),
                        digest: content.clone(),
                        why: format!("a link of \"{name}\" was empty; its path says {content}"),
                    });
                }
                self.refer(&content);
                Some(content)
            }
            Ok(None) => {
                self.leftovers.empty_directories += 1;
                None
            }
            Err(fault) => {
                self.fault(FindingKind::LinkDamaged, Some(name), named, path, &fault);
                self.refer(named); // what it said may be this
                None
            }
        }
    }

    /// The manifests, and where their bytes are.
    fn read_revisions(&mut self, name: &RepositoryName, has: &mut Has) -> Vec<(Digest, Digest)> {
        let directory = self.keys.revisions(name);
        let mut revisions = Vec::new();
        for digest in self.digests(name, &directory) {
            let path = self.keys.revision_link(name, &digest);
            if let Some(content) = self.link(name, &path, &digest) {
                self.examined.manifests += 1;
                has.manifests.insert(prefix(&digest));
                revisions.push((digest, content));
            }
        }
        revisions
    }

    fn read_manifest(
        &mut self,
        name: &RepositoryName,
        digest: &Digest,
        content: &Digest,
    ) -> Option<(Manifest, u64)> {
        let path = self.keys.blob(content);
        let size = match size_of(&path) {
            Ok(Some(size)) => size,
            Ok(None) => {
                let problem = format!("manifest {digest} is not on the volume");
                self.found(FindingKind::ManifestLost, Some(name), digest, &path, problem);
                return None;
            }
            Err(fault) => {
                self.fault(FindingKind::ContentDamaged, Some(name), digest, &path, &fault);
                return None;
            }
        };
        if size > MAX_STORED_BYTES {
            self.leftovers.foreign_manifests += 1;
            return None;
        }
        let mut bytes = self.bytes(name, digest, &path)?;
        self.examined.bytes += bytes.len() as u64;
        let mut actual = Digest::of(content.algorithm(), &bytes);
        if actual != *content {
            from_disk::forget(&path); // memory may be what is damaged
            bytes = self.bytes(name, digest, &path)?;
            actual = Digest::of(content.algorithm(), &bytes);
        }
        if self.hashed.insert(prefix(content)) && actual != *content {
            self.damaged(content, &path, &actual);
        }
        if actual != *content {
            return None;
        }
        match Manifest::parse(None, &bytes) {
            Ok(manifest) => Some((manifest, size)),
            Err(InvalidManifest::Schema1) => None,
            Err(_) => {
                self.leftovers.foreign_manifests += 1;
                None
            }
        }
    }

    fn bytes(&mut self, name: &RepositoryName, digest: &Digest, path: &Path) -> Option<Vec<u8>> {
        match read_file(path) {
            Ok(bytes) => Some(bytes.unwrap_or_default()),
            Err(fault) => {
                self.fault(FindingKind::Unreadable, Some(name), digest, path, &fault);
                None
            }
        }
    }

    fn read_layers(&mut self, name: &RepositoryName, has: &mut Has) {
        let directory = self.keys.layers(name);
        let visited = visit_digests(&directory, &mut |digest, _| {
            let path = self.keys.layer_link(name, &digest);
            if let Some(content) = self.link(name, &path, &digest) {
                self.examined.links += 1;
                let is_there = exists(&self.keys.blob(&content)).unwrap_or(true);
                has.blobs.insert(prefix(&digest), is_there);
            }
            Ok(())
        });
        if let Err(fault) = visited {
            let kind = FindingKind::Unreadable;
            self.fault(kind, Some(name), &super::look::DIRECTORY, &directory, &fault);
        }
    }

    fn dangling(&mut self, name: &RepositoryName, tag: &Tag, digest: &Digest) {
        let path = self.keys.tag_link(name, tag);
        let problem = format!("it names manifest {digest}, which the repository does not have");
        self.found(FindingKind::TagDangling, Some(name), tag, &path, problem);
        if self.is_manifest(digest) {
            self.cures.push(Cure::WriteLink {
                path: self.keys.revision_link(name, digest),
                digest: digest.clone(),
                why: format!("tag \"{tag}\" of \"{name}\" names this manifest, and the volume still has it"),
            });
        }
    }

    /// Whether the volume has whole bytes of this digest that are a manifest.
    pub(super) fn is_manifest(&self, digest: &Digest) -> bool {
        let path = self.keys.blob(digest);
        let has_its_size = size_of(&path).is_ok_and(|size| size.is_some_and(|size| size <= MAX_STORED_BYTES));
        let bytes = has_its_size.then(|| read_file(&path).ok().flatten()).flatten();
        bytes.is_some_and(|bytes| {
            Digest::of(digest.algorithm(), &bytes) == *digest && Manifest::parse(None, &bytes).is_ok()
        })
    }

    /// Looks whether a manifest is listed under its subject as what it says of itself.
    fn check_listed(
        &mut self,
        name: &RepositoryName,
        digest: &Digest,
        manifest: &Manifest,
        size: u64,
        has: &mut Has,
    ) {
        let Some(subject) = &manifest.subject else { return };
        has.subjects.insert(prefix(digest), prefix(subject));
        let path = self.keys.referrer(name, subject, digest);
        let descriptor = manifest.referrer_descriptor(digest.clone(), size);
        let expected = serde_json::json!(descriptor);
        let found: Result<Option<serde_json::Value>, Fault> = read_file(&path)
            .map(|bytes| bytes.map(|bytes| serde_json::from_slice(&bytes).unwrap_or_default()));
        let why = match found {
            Ok(Some(value)) if value == expected => return,
            Ok(None) => {
                if self.is_in_fallback(name, subject, digest, has) {
                    self.leftovers.fallback_referrers += 1;
                } else {
                    let problem = format!(
                        "the list of referrers of {subject} in \"{name}\" does not show {digest}, which names that as \
                         its subject: what it signs or describes looks as if nothing did; `fsck --repair` lists it"
                    );
                    self.found(FindingKind::ReferrerUnlisted, Some(name), digest, &path, problem);
                }
                format!("{digest} of \"{name}\" was not listed under its subject")
            }
            Ok(Some(_)) | Err(_) => {
                let problem = "it does not say what the manifest says of itself";
                self.found(FindingKind::ReferrerWrong, Some(name), digest, &path, problem);
                format!("the entry of {digest} of \"{name}\" did not say what the manifest says")
            }
        };
        self.cures.push(Cure::WriteReferrer {
            path,
            text: expected.to_string(),
            why,
        });
    }

    /// Whether the list of referrers shows a manifest all the same, as clients keep it under a tag.
    fn is_in_fallback(
        &self,
        name: &RepositoryName,
        subject: &Digest,
        digest: &Digest,
        has: &mut Has,
    ) -> bool {
        let entries = has.fallbacks.entry(prefix(subject)).or_insert_with(|| {
            let tag = Tag::referrers_fallback(subject);
            let index = read_tag(&self.keys.tag(name, &tag)).ok().flatten();
            let link = |digest| read_link(&self.keys.revision_link(name, &digest), &digest);
            let content = index.and_then(|digest| link(digest).ok().flatten());
            let bytes = content.and_then(|digest| read_limited(&self.keys.blob(&digest)).ok());
            fallback_digests(&bytes.unwrap_or_default())
                .iter()
                .map(prefix)
                .collect()
        });
        entries.contains(&prefix(digest))
    }

    /// Looks for entries of manifests that are gone, or name another subject.
    fn check_entries(&mut self, name: &RepositoryName, has: &Has) {
        let entries = self.keys.referrers_of(name);
        for subject in self.digests(name, &entries) {
            let directory = self.keys.referrers(name, &subject);
            for file in self.names(Some(name), &directory) {
                let Some(referrer) = digest_of_referrer(&file) else {
                    continue;
                };
                let key = prefix(&referrer);
                if !has.manifests.contains(&key) {
                    self.leftovers.stale_referrers += 1;
                } else if !has.foreign.contains(&key) && has.subjects.get(&key) != Some(&prefix(&subject)) {
                    let path = directory.join(file);
                    let problem = format!("{referrer} does not name this subject");
                    self.found(FindingKind::ReferrerWrong, Some(name), &referrer, &path, problem);
                    self.cures.push(Cure::MoveAside {
                        path,
                        name: format!("referrer-{}-{}", referrer.algorithm(), referrer.hex()),
                        why: format!(
                            "{referrer} of \"{name}\" was listed under {subject}, which it does not name"
                        ),
                    });
                }
            }
        }
    }
}
