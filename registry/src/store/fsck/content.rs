//! The content of a volume: bytes are what their digests say, and somebody has them. Files come in, findings go out;
//! blocking IO, reads only.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use portolan_oci::{Algorithm, Digest, Hasher};

use crate::store::disk::is_spare;
use crate::store::error::Fault;
use crate::store::from_disk::{forget_pages, is_remembered};
use crate::store::links::names_in;
use crate::store::open::PROBE;

use super::look::{Cure, Look, Progress, prefix, size_of};
use super::report::FindingKind;

const BUFFER_BYTES: usize = 1 << 20;

impl Look<'_> {
    /// Looks whether all content is there. Repositories come first: they tell what is referred to.
    pub(super) fn contents(&mut self, progress: &Progress<'_>) {
        self.visit_contents(&mut |look, digest| {
            look.content(digest);
            progress(look.examined.blobs);
        });
        let temporary = names_in(&self.keys.temporary()).unwrap_or_default();
        let left = temporary
            .iter()
            .filter(|name| *name != PROBE && !is_spare(name.as_ref()));
        self.leftovers.temporary = left.count() as u64;
        let uploads = names_in(&self.keys.uploads()).unwrap_or_default();
        let ids: BTreeSet<_> = uploads.iter().filter_map(|name| name.split('.').next()).collect();
        self.leftovers.uploads = ids.len() as u64;
        self.leftovers.quarantined = entries(&self.keys.quarantine());
    }

    /// Reads and hashes all content, but for manifests that were.
    pub(super) fn hash_contents(&mut self, progress: &Progress<'_>) {
        let mut done = 0;
        self.visit_contents(&mut |look, digest| {
            if !look.hashed.contains(&prefix(digest)) {
                look.hash_content(digest);
            }
            done += 1;
            progress(done);
        });
    }

    /// What the hashing of all content has found.
    pub(super) fn damaged_contents(&self) -> Vec<Digest> {
        let damaged = self.findings.iter().filter(|finding| {
            let kinds = [FindingKind::ContentDamaged, FindingKind::Unreadable];
            finding.repository.is_none() && kinds.contains(&finding.kind)
        });
        damaged.filter_map(|finding| finding.what.parse().ok()).collect()
    }

    fn visit_contents(&mut self, visit: &mut dyn FnMut(&mut Self, &Digest)) {
        for algorithm in Algorithm::ALL {
            let directory = self.keys.blobs().join(algorithm.as_str());
            for shard in self.names(None, &directory) {
                let shard = directory.join(shard);
                for hex in self.names(None, &shard) {
                    if let Ok(digest) = Digest::from_parts(algorithm, &hex) {
                        visit(self, &digest);
                    }
                }
            }
        }
    }

    fn content(&mut self, digest: &Digest) {
        let path = self.keys.blob(digest);
        let size = match size_of(&path) {
            Ok(Some(size)) => size,
            Ok(None) => {
                self.leftovers.empty_directories += 1;
                return;
            }
            Err(fault) => return self.fault(FindingKind::ContentDamaged, None, digest, &path, &fault),
        };
        self.examined.blobs += 1;
        if !self.owners.contains_key(&prefix(digest)) {
            self.leftovers.unreferenced_blobs += 1;
            self.leftovers.unreferenced_bytes += size;
        }
    }

    /// Hashes what the disk has of one; what looks damaged is read twice.
    pub(super) fn hash_content(&mut self, digest: &Digest) {
        let path = self.keys.blob(digest);
        match size_of(&path) {
            Ok(Some(_)) => {}
            Ok(None) => return,
            Err(fault) => return self.fault(FindingKind::ContentDamaged, None, digest, &path, &fault),
        }
        let algorithm = digest.algorithm();
        let hashed = hash(&path, algorithm).and_then(|(actual, size)| {
            if actual == *digest {
                Ok((actual, size))
            } else {
                hash(&path, algorithm)
            }
        });
        match hashed {
            Ok((actual, size)) => {
                self.examined.bytes += size;
                if actual != *digest {
                    self.damaged(digest, &path, &actual);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => {
                let fault = Fault::Io {
                    action: "read",
                    path: path.clone(),
                    source,
                };
                self.fault(FindingKind::Unreadable, None, digest, &path, &fault);
            }
        }
    }

    pub(super) fn damaged(&mut self, digest: &Digest, path: &Path, actual: &Digest) {
        let problem = format!("its bytes have digest {actual}");
        self.found(FindingKind::ContentDamaged, None, digest, path, problem);
        self.cures.push(Cure::MoveAside {
            path: path.to_owned(),
            name: format!("{}-{}", digest.algorithm(), digest.hex()),
            why: format!("the bytes of {digest} had digest {actual}"),
        });
    }
}

fn entries(directory: &Path) -> u64 {
    names_in(directory).map_or(0, |names| names.len() as u64)
}

/// The digest and the number of a file's bytes, as the disk has them.
fn hash(path: &Path, algorithm: Algorithm) -> io::Result<(Digest, u64)> {
    let mut file = File::open(path)?;
    let is_remembered = is_remembered(&file);
    forget_pages(&file);
    let (mut hasher, mut buffer, mut size) = (Hasher::new(algorithm), vec![0; BUFFER_BYTES], 0);
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            length => {
                hasher.update(&buffer[..length]);
                size += length as u64;
            }
        }
    }
    if !is_remembered {
        forget_pages(&file);
    }
    Ok((hasher.finish(), size))
}
