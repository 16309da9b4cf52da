//! One repository: what its tags name is there, what its manifests name is there, links and entries among referrers
//! mean what they should. Files come in, findings go out; blocking IO, reads only.
//!
//! Tags are read before revisions: pushes write in the other order, so that beside a live server little is seen half.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use portolan_oci::{Digest, RepositoryName, Tag};

use crate::manifest::{EdgeKind, InvalidManifest, Manifest};
use crate::store::error::Fault;
use crate::store::keys::digest_of_referrer;
use crate::store::links::{digests_in, exists, read_file, read_link, read_tag};

use super::look::{AmbiguousTag, Cure, Look, prefix, size_of};
use super::report::FindingKind;

/// More than any registry takes as a manifest.
const MAX_MANIFEST_BYTES: u64 = 32 << 20;

/// What a repository has.
#[derive(Default)]
struct Has {
    /// Blobs, and whether their content is there.
    blobs: HashMap<Digest, bool>,
    /// Manifests, and what was read of them.
    manifests: HashMap<Digest, Option<Read>>,
}

/// A manifest that is understood.
struct Read {
    manifest: Manifest,
    size: u64,
}

impl Look<'_> {
    /// Looks at everything that one repository has.
    pub(super) fn repository(&mut self, name: &RepositoryName) {
        self.examined.repositories += 1;
        let tags = self.read_tags(name);
        let mut has = Has::default();
        self.read_revisions(name, &mut has);
        self.read_layers(name, &mut has);
        for (tag, digest) in tags {
            if !has.manifests.contains_key(&digest) {
                self.dangling(name, &tag, &digest);
            }
        }
        self.check_references(name, &has);
        self.check_referrers(name, &has);
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
                None
            }
        }
    }

    fn read_revisions(&mut self, name: &RepositoryName, has: &mut Has) {
        let directory = self.keys.revisions(name);
        for digest in self.digests(name, &directory) {
            let path = self.keys.revision_link(name, &digest);
            if let Some(content) = self.link(name, &path, &digest) {
                self.examined.manifests += 1;
                let read = self.read_manifest(name, &digest, &content);
                has.manifests.insert(digest, read);
            }
        }
    }

    fn read_manifest(&mut self, name: &RepositoryName, digest: &Digest, content: &Digest) -> Option<Read> {
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
        if size > MAX_MANIFEST_BYTES {
            self.leftovers.foreign_manifests += 1;
            return None;
        }
        let bytes = match read_file(&path) {
            Ok(bytes) => bytes.unwrap_or_default(),
            Err(fault) => {
                self.fault(FindingKind::Unreadable, Some(name), digest, &path, &fault);
                return None;
            }
        };
        self.examined.bytes += bytes.len() as u64;
        let actual = Digest::of(content.algorithm(), &bytes);
        if self.hashed.insert(prefix(content)) && actual != *content {
            self.damaged(content, &path, &actual);
        }
        if actual != *content {
            return None;
        }
        match Manifest::parse(None, &bytes) {
            Ok(manifest) => Some(Read { manifest, size }),
            Err(InvalidManifest::Schema1) => None,
            Err(_) => {
                self.leftovers.foreign_manifests += 1;
                None
            }
        }
    }

    fn read_layers(&mut self, name: &RepositoryName, has: &mut Has) {
        let directory = self.keys.layers(name);
        for digest in self.digests(name, &directory) {
            let path = self.keys.layer_link(name, &digest);
            let Some(content) = self.link(name, &path, &digest) else {
                continue;
            };
            self.examined.links += 1;
            let is_there = exists(&self.keys.blob(&content)).unwrap_or(true);
            has.blobs.insert(digest, is_there);
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
    fn is_manifest(&self, digest: &Digest) -> bool {
        let path = self.keys.blob(digest);
        let has_its_size =
            size_of(&path).is_ok_and(|size| size.is_some_and(|size| size <= MAX_MANIFEST_BYTES));
        let bytes = has_its_size.then(|| read_file(&path).ok().flatten()).flatten();
        bytes.is_some_and(|bytes| {
            Digest::of(digest.algorithm(), &bytes) == *digest && Manifest::parse(None, &bytes).is_ok()
        })
    }

    fn check_references(&mut self, name: &RepositoryName, has: &Has) {
        let mut needed: HashSet<&Digest> = HashSet::new();
        for (digest, read) in &has.manifests {
            let Some(read) = read else { continue };
            let mut absent: Option<HashSet<Digest>> = None;
            for edge in &read.manifest.edges {
                needed.insert(&edge.digest);
                let is_blob = has.blobs.get(&edge.digest).copied().unwrap_or(false);
                let is_there = match edge.kind {
                    EdgeKind::ForeignBlob => true,
                    EdgeKind::Blob => is_blob,
                    EdgeKind::Child => is_blob || has.manifests.contains_key(&edge.digest),
                };
                if is_there {
                    continue;
                }
                if absent
                    .get_or_insert_with(|| self.never_came(name, digest))
                    .contains(&edge.digest)
                {
                    self.leftovers.never_came += 1;
                } else {
                    self.lost(name, digest, &edge.digest, edge.kind, has);
                }
            }
        }
        let unneeded = has
            .blobs
            .iter()
            .filter(|(digest, is_there)| !**is_there && !needed.contains(digest));
        self.leftovers.links_without_content += unneeded.count() as u64;
    }

    /// What was not there when a manifest was accepted.
    fn never_came(&mut self, name: &RepositoryName, manifest: &Digest) -> HashSet<Digest> {
        let path = self.keys.absent(name, manifest);
        match read_file(&path) {
            Ok(None) => HashSet::new(),
            Ok(Some(bytes)) => serde_json::from_slice(&bytes).unwrap_or_else(|error| {
                let problem = format!("it is no list of digests: {error}");
                self.found(FindingKind::RecordDamaged, Some(name), manifest, &path, problem);
                HashSet::new()
            }),
            Err(fault) => {
                self.fault(FindingKind::RecordDamaged, Some(name), manifest, &path, &fault);
                HashSet::new()
            }
        }
    }

    fn lost(&mut self, name: &RepositoryName, by: &Digest, lost: &Digest, kind: EdgeKind, has: &Has) {
        let (what, link) = match kind {
            EdgeKind::Child if self.is_manifest(lost) => ("entry", self.keys.revision_link(name, lost)),
            EdgeKind::Child => ("entry", self.keys.layer_link(name, lost)),
            _ => ("blob", self.keys.layer_link(name, lost)),
        };
        let is_linked = has.blobs.contains_key(lost);
        let how = if is_linked {
            "its content is gone"
        } else {
            "the repository does not have it"
        };
        let problem = format!("manifest {by} needs {what} {lost}: {how}");
        self.found(FindingKind::ReferenceLost, Some(name), lost, &link, problem);
        if !is_linked && exists(&self.keys.blob(lost)).unwrap_or(false) {
            self.cures.push(Cure::Relink {
                repository: name.clone(),
                path: link,
                digest: lost.clone(),
                why: format!("manifest {by} of \"{name}\" needs it, and the volume still has it"),
            });
        }
    }

    fn check_referrers(&mut self, name: &RepositoryName, has: &Has) {
        let entries = self.keys.referrers_of(name);
        let mut listed: HashSet<(Digest, Digest)> = HashSet::new();
        for subject in self.digests(name, &entries) {
            let directory = self.keys.referrers(name, &subject);
            for file in self.names(Some(name), &directory) {
                let Some(referrer) = digest_of_referrer(&file) else {
                    continue;
                };
                match has.manifests.get(&referrer) {
                    None => self.leftovers.stale_referrers += 1,
                    Some(None) => {}
                    Some(Some(read)) => {
                        self.check_entry(name, &subject, &referrer, read);
                        listed.insert((subject.clone(), referrer));
                    }
                }
            }
        }
        for (digest, read) in &has.manifests {
            let Some((subject, read)) = read
                .as_ref()
                .and_then(|read| Some((read.manifest.subject.as_ref()?, read)))
            else {
                continue;
            };
            if !listed.contains(&(subject.clone(), digest.clone())) {
                self.leftovers.unlisted_referrers += 1;
                self.cures.push(Cure::WriteReferrer {
                    path: self.keys.referrer(name, subject, digest),
                    text: entry_of(digest, read),
                    why: format!("{digest} of \"{name}\" was not listed under its subject"),
                });
            }
        }
    }

    fn check_entry(&mut self, name: &RepositoryName, subject: &Digest, referrer: &Digest, read: &Read) {
        let path = self.keys.referrer(name, subject, referrer);
        if read.manifest.subject.as_ref() != Some(subject) {
            let problem = format!("{referrer} does not name this subject");
            self.found(FindingKind::ReferrerWrong, Some(name), referrer, &path, problem);
            self.cures.push(Cure::MoveAside {
                path,
                name: format!("referrer-{}-{}", referrer.algorithm(), referrer.hex()),
                why: format!("{referrer} of \"{name}\" was listed under {subject}, which it does not name"),
            });
            return;
        }
        let expected = entry_of(referrer, read);
        let found: Result<Option<serde_json::Value>, Fault> =
            read_file(&path).map(|bytes| bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()));
        if !matches!(&found, Ok(Some(value)) if serde_json::from_str(&expected).is_ok_and(|it: serde_json::Value| it == *value))
        {
            let problem = "it does not say what the manifest says of itself";
            self.found(FindingKind::ReferrerWrong, Some(name), referrer, &path, problem);
            self.cures.push(Cure::WriteReferrer {
                path,
                text: expected,
                why: format!("the entry of {referrer} of \"{name}\" did not say what the manifest says"),
            });
        }
    }
}

fn entry_of(digest: &Digest, read: &Read) -> String {
    let descriptor = read.manifest.referrer_descriptor(digest.clone(), read.size);
    serde_json::json!(descriptor).to_string()
}
