//! What a manifest names, and whether it is there: documents come in, a refusal or a record of what is absent goes out;
//! blocking IO.
//!
//! What an accepted manifest names and the repository does not have is recorded before the manifest is there. So whoever
//! checks a volume can tell what never came from what was lost. What has come since is marked (see `came`), and a collection
//! takes it from the record.

use std::collections::BTreeSet;
use std::time::Instant;

use portolan_oci::{Digest, RepositoryName};

use crate::manifest::{Edge, EdgeKind, Manifest};

use super::Inner;
use super::error::{Fault, ManifestError};
use super::links::{exists, read_file, read_link};

/// Which manifests are taken although something that they name is not in the repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Requirements {
    /// Config and layers, unless clients may fetch them elsewhere.
    pub layers: bool,
    /// Entries of an index.
    pub children: bool,
}

impl Default for Requirements {
    fn default() -> Self {
        Self {
            layers: true,
            children: false,
        }
    }
}

impl Inner {
    /// What the layer links of these digests point at, as far as there are any.
    pub(super) fn contents_of(
        &self,
        repository: &RepositoryName,
        named: &[Digest],
    ) -> Result<Vec<Digest>, Fault> {
        let mut contents = Vec::new();
        for digest in named {
            contents.extend(read_link(&self.keys.layer_link(repository, digest), digest)?);
        }
        Ok(contents)
    }

    /// Checks, under the locks of `contents`, that everything that a manifest needs is in the repository, and what was
    /// collected a moment ago. Returns what it names, need not have, and does not have.
    pub(super) fn require(
        &self,
        repository: &RepositoryName,
        manifest: &Manifest,
        contents: &[Digest],
    ) -> Result<Vec<Digest>, ManifestError> {
        let required = self.options.requirements;
        let (mut missing, mut absent) = (Vec::new(), Vec::new());
        for edge in &manifest.edges {
            let content = self.linked_blob(repository, &edge.digest)?;
            if content.is_some() {
                self.settle_link(repository, &edge.digest)?;
            }
            let is_there = content.is_some_and(|content| contents.contains(&content))
                || (edge.kind == EdgeKind::Child
                    && exists(&self.keys.revision_link(repository, &edge.digest))?);
            if is_there {
                continue;
            }
            let is_required = match edge.kind {
                EdgeKind::Blob => required.layers,
                EdgeKind::ForeignBlob => false,
                EdgeKind::Child => required.children,
            };
            let was_there = edge.kind != EdgeKind::ForeignBlob
                && self.collected.has(repository, &edge.digest, Instant::now());
            let list = if is_required || was_there {
                &mut missing
            } else {
                &mut absent
            };
            list.push(edge.digest.clone());
        }
        if missing.is_empty() {
            Ok(absent)
        } else {
            Err(ManifestError::ContentMissing { missing })
        }
    }

    /// Remembers, durably, what was absent when a manifest was accepted; a push that finds more there forgets it.
    pub(super) fn record_absent(
        &self,
        repository: &RepositoryName,
        manifest: &Digest,
        absent: &[Digest],
    ) -> Result<(), Fault> {
        let path = self.keys.absent(repository, manifest);
        if !absent.is_empty() {
            self.absences.count();
            let text = serde_json::json!(absent).to_string();
            self.disk.write_small(&path, text.as_bytes())?;
        } else if exists(&path)? {
            self.disk.remove_file(&path)?;
        }
        Ok(())
    }

    /// What was absent when a manifest came, and has come since.
    pub(super) fn came_since(
        &self,
        repository: &RepositoryName,
        manifest: &Digest,
    ) -> Result<Vec<Digest>, Fault> {
        let absent = self.absent_of(repository, manifest)?;
        if absent.is_empty() {
            return Ok(Vec::new());
        }
        let stored = match self.read_manifest(repository, manifest) {
            Err(Fault::Damaged { .. }) => None, // nobody knows what it names
            stored => stored?,
        };
        let parsed = stored.and_then(|stored| Manifest::parse(None, &stored.bytes).ok());
        let mut came = Vec::new();
        for edge in parsed.into_iter().flat_map(|manifest| manifest.edges) {
            let is_absent = absent.contains(&edge.digest);
            if is_absent && (self.has(repository, &edge)? || self.is_marked(repository, &edge.digest)?) {
                came.push(edge.digest);
            }
        }
        Ok(came)
    }

    /// Takes what has come from the record of what was absent. The caller holds the stripes of the manifest and of `came`
    /// exclusively, so what is there is durable: nothing that a power cut takes away again shall count as lost.
    pub(super) fn forget_absent(
        &self,
        repository: &RepositoryName,
        manifest: &Digest,
        came: &[Digest],
    ) -> Result<(), Fault> {
        let now: BTreeSet<Digest> = self.came_since(repository, manifest)?.into_iter().collect();
        let mut left = self.absent_of(repository, manifest)?;
        let before = left.len();
        left.retain(|digest| !(came.contains(digest) && now.contains(digest)));
        if left.len() == before {
            return Ok(());
        }
        let left: Vec<Digest> = left.into_iter().collect();
        self.record_absent(repository, manifest, &left)
    }

    /// Whether nothing is left of a manifest but its record, as a push leaves that was cut off, or refused half-way. Where
    /// the content is still there, a repair may write its link again, and then the record counts.
    pub(super) fn is_record_of_nothing(
        &self,
        repository: &RepositoryName,
        manifest: &Digest,
    ) -> Result<bool, Fault> {
        Ok(!exists(&self.keys.revision_link(repository, manifest))? && !exists(&self.keys.blob(manifest))?)
    }

    /// Removes it if that is so. The caller holds the stripe of the manifest exclusively.
    pub(super) fn forget_record_of_nothing(
        &self,
        repository: &RepositoryName,
        manifest: &Digest,
    ) -> Result<(), Fault> {
        if self.is_record_of_nothing(repository, manifest)? {
            self.record_absent(repository, manifest, &[])?;
        }
        Ok(())
    }

    /// None, if there is no such record, or one that says nothing.
    pub(super) fn absent_of(
        &self,
        repository: &RepositoryName,
        manifest: &Digest,
    ) -> Result<BTreeSet<Digest>, Fault> {
        let bytes = read_file(&self.keys.absent(repository, manifest))?;
        Ok(bytes
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .unwrap_or_default())
    }

    pub(super) fn has(&self, repository: &RepositoryName, edge: &Edge) -> Result<bool, Fault> {
        let is_child = edge.kind == EdgeKind::Child;
        Ok(self.linked_blob(repository, &edge.digest)?.is_some()
            || (is_child && exists(&self.keys.revision_link(repository, &edge.digest))?))
    }
}
