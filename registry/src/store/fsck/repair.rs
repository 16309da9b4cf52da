//! Makes whole what can be made whole without guessing, and without removing a byte: empty links get what they stand
//! for, lost links to content that is still there are written again, damaged content is moved aside. Durable IO.

use std::collections::HashSet;
use std::fs;
use std::path::PathBuf;

use portolan_oci::Digest;

use crate::store::error::Fault;
use crate::store::links::exists;
use crate::store::{Inner, Store};

use super::look::{AmbiguousTag, Cure};
use super::report::FsckReport;
use super::whole;

/// More than there are steps from a tag to a layer in any image that somebody has built.
const MAX_ROUNDS: usize = 16;

impl Store {
    /// Repairs the volume, which nobody else may be using, and checks it again. `choose` says what a tag names of which
    /// only a history is left; without an answer the tag stays as it is.
    pub async fn repair(
        &self,
        deep: bool,
        choose: impl FnMut(&AmbiguousTag) -> Option<Digest> + Send + 'static,
    ) -> Result<FsckReport, Fault> {
        self.inner.changing(move |inner| inner.repair(deep, choose)).await
    }
}

impl Inner {
    fn repair(
        &self,
        deep: bool,
        mut choose: impl FnMut(&AmbiguousTag) -> Option<Digest>,
    ) -> Result<FsckReport, Fault> {
        let mut changes = Vec::new();
        let mut after = whole(&self.keys, &|_| {});
        if deep {
            after.hash_contents(&|_| {});
        }
        // What has its digest keeps it: a repair writes no content, and moves only what is damaged.
        let (bytes, damaged) = (after.examined.bytes, after.damaged_contents());
        // A link that is written again lets the next look see what else is missing: tag, index, child, layer.
        for round in 0..MAX_ROUNDS {
            let before = changes.len();
            let mut linked = HashSet::new();
            for cure in std::mem::take(&mut after.cures) {
                if round == 0 || !matches!(cure, Cure::Ask(_)) {
                    changes.extend(self.cure(cure, &mut linked, &mut choose)?);
                }
            }
            if changes.len() == before {
                break;
            }
            after = whole(&self.keys, &|_| {});
            if deep {
                for digest in &damaged {
                    after.hash_content(digest);
                }
                after.examined.bytes = bytes;
            }
        }
        let findings = std::mem::take(&mut after.findings);
        let findings = after.explain(findings);
        Ok(FsckReport {
            locked: true,
            deep,
            examined: after.examined,
            findings,
            leftovers: after.leftovers,
            changes,
        })
    }

    /// Returns what was done. Of several repositories that have lost their link to the same content, the first gets it:
    /// `linked` has what this round has given.
    fn cure(
        &self,
        cure: Cure,
        linked: &mut HashSet<Digest>,
        choose: &mut impl FnMut(&AmbiguousTag) -> Option<Digest>,
    ) -> Result<Option<String>, Fault> {
        let shown = |path: &PathBuf| {
            let path = path.strip_prefix(self.keys.root()).unwrap_or(path);
            path.display().to_string()
        };
        Ok(Some(match cure {
            Cure::WriteLink { path, digest, why } => {
                linked.insert(digest.clone());
                self.disk.write_small(&path, digest.as_str().as_bytes())?;
                format!("wrote {digest} into {}: {why}", shown(&path))
            }
            Cure::Relink {
                path, digest, why, ..
            } => {
                if !linked.insert(digest.clone()) {
                    return Ok(None); // the next look tells whose it is now
                }
                self.disk.write_small(&path, digest.as_str().as_bytes())?;
                format!("wrote {digest} into {}: {why}", shown(&path))
            }
            Cure::WriteReferrer { path, text, why } => {
                self.disk.write_small(&path, text.as_bytes())?;
                format!("wrote {}: {why}", shown(&path))
            }
            Cure::MoveAside { path, name, why } => {
                if !exists(&path)? {
                    return Ok(None);
                }
                let target = self.free_place(&name);
                self.disk.move_aside(&path, &target)?;
                format!("moved {} to {}: {why}", shown(&path), shown(&target))
            }
            Cure::Ask(tag) => {
                let Some(digest) = choose(&tag) else {
                    return Ok(None);
                };
                self.disk.write_small(&tag.path, digest.as_str().as_bytes())?;
                format!(
                    "wrote {digest} into {}: chosen from the tag's history",
                    shown(&tag.path)
                )
            }
        }))
    }

    /// A name in the quarantine that nothing has yet.
    pub(in crate::store) fn free_place(&self, name: &str) -> PathBuf {
        let directory = self.keys.quarantine();
        let mut place = directory.join(name);
        let mut number = 1;
        while fs::symlink_metadata(&place).is_ok() {
            number += 1;
            place = directory.join(format!("{name}.{number}"));
        }
        place
    }
}
