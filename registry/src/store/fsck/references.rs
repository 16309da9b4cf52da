//! What a manifest names is there, or is recorded as absent and not marked as having come. A manifest comes in, findings
//! go out; blocking IO, reads only.

use std::collections::HashSet;
use std::path::PathBuf;

use portolan_oci::{Digest, RepositoryName};

use crate::manifest::{EdgeKind, Manifest};
use crate::store::links::{exists, read_file};

use super::look::{Cure, Look, prefix};
use super::report::FindingKind;
use super::repository::Has;

impl Look<'_> {
    pub(super) fn check_references(
        &mut self,
        name: &RepositoryName,
        digest: &Digest,
        manifest: &Manifest,
        has: &mut Has,
    ) {
        let mut absent: Option<HashSet<Digest>> = None;
        for edge in &manifest.edges {
            let key = prefix(&edge.digest);
            let blob = has.blobs.get(&key).copied();
            if blob == Some(false) {
                has.missed.insert(key);
            }
            let is_there = match edge.kind {
                EdgeKind::ForeignBlob => true,
                EdgeKind::Blob => blob == Some(true),
                EdgeKind::Child => blob == Some(true) || has.manifests.contains(&key),
            };
            if is_there {
                continue;
            }
            // A link is the proof that it came.
            let never_came = blob.is_none()
                && absent
                    .get_or_insert_with(|| self.never_came(name, digest))
                    .contains(&edge.digest)
                && !self.has_been_lost(name, &edge.digest);
            if never_came {
                self.leftovers.never_came += 1;
            } else {
                self.lost(name, digest, &edge.digest, edge.kind, blob.is_some());
            }
        }
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

    /// Whether it is marked as having come, and has no link now: it may have come since links were read.
    fn has_been_lost(&self, name: &RepositoryName, named: &Digest) -> bool {
        let is_there = |path: PathBuf| exists(&path).unwrap_or(false);
        is_there(self.keys.came(name, named))
            && !is_there(self.keys.revision_link(name, named))
            && !is_there(self.keys.layer_link(name, named))
    }

    fn lost(&mut self, name: &RepositoryName, by: &Digest, lost: &Digest, kind: EdgeKind, is_linked: bool) {
        let is_gone = !exists(&self.keys.blob(lost)).unwrap_or(false);
        let (what, link) = match kind {
            // one that nobody can look at is most likely that
            EdgeKind::Child if is_gone || self.is_manifest(lost) => {
                ("entry", self.keys.revision_link(name, lost))
            }
            EdgeKind::Child => ("entry", self.keys.layer_link(name, lost)),
            _ => ("blob", self.keys.layer_link(name, lost)),
        };
        let how = if is_linked {
            "its content is gone"
        } else {
            "the repository does not have it"
        };
        let problem = format!("manifest {by} needs {what} {lost}: {how}");
        self.found(FindingKind::ReferenceLost, Some(name), lost, &link, problem);
        if !is_linked && !is_gone {
            self.cures.push(Cure::Relink {
                owner: self.owner(),
                path: link,
                digest: lost.clone(),
                why: format!("manifest {by} of \"{name}\" needs it, and the volume still has it"),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use portolan_oci::Algorithm;
    use serde_json::json;

    use super::*;
    use crate::store::keys::Keys;

    fn write(path: &Path, text: &str) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    #[test]
    fn what_has_come_since_links_were_read_is_not_lost() {
        let volume = tempfile::tempdir().unwrap();
        let (keys, name) = (Keys::new(volume.path()), "a".parse().unwrap());
        let [parent, child] = [b"parent", b"child!"].map(|it| Digest::of(Algorithm::Sha256, it));
        let document = json!({
            "schemaVersion": 2,
            "mediaType": portolan_oci::MediaType::OCI_INDEX,
            "manifests": [{"mediaType": "application/x", "digest": child, "size": 1}],
        });
        let manifest = Manifest::parse(None, document.to_string().as_bytes()).unwrap();
        let link = keys.layer_link(&name, &child);
        write(&keys.absent(&name, &parent), &json!([child]).to_string());
        write(&keys.came(&name, &child), "");
        write(&link, child.as_str());
        let found = || {
            let mut look = Look::new(&keys);
            look.check_references(&name, &parent, &manifest, &mut Has::default());
            look.findings.len()
        };
        assert_eq!(found(), 0);
        fs::remove_file(link).unwrap();
        assert_eq!(found(), 1);
    }
}
