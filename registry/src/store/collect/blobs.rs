//! Removes content that no repository has: the blob store comes in, one part after the other; IO in blocking threads.

use std::fs;
use std::io;
use std::sync::Arc;

use portolan_oci::{Algorithm, Digest};

use super::CollectError;
use super::report::{CollectPhase, CollectProgress};
use super::sweep::{BATCH, State, Sweep};
use super::yielding::yielding;
use crate::store::Inner;
use crate::store::disk::lock;
use crate::store::error::Fault;
use crate::store::links::{names_by_inode, names_in};

/// `blobs/<algorithm>/<first two digits>`.
#[derive(Debug, Clone)]
struct Part {
    algorithm: Algorithm,
    digits: String,
}

impl Sweep {
    /// Looks at all content; removes what nobody can reach, if it may.
    pub(super) async fn blobs(&self, mut removes: bool) -> Result<(), CollectError> {
        // Also what a run has left that was given up.
        let sync = |inner: &Inner, _: &mut State| inner.disk.sync_removed();
        removes = removes && self.batch(Vec::new(), Vec::new(), sync).await?;
        let inner = Arc::clone(&self.inner);
        let parts = yielding(move || inner.parts()).await?;
        let total = parts.len() as u64;
        for (done, part) in (0..).zip(parts) {
            (self.progress)(CollectProgress::at(CollectPhase::Blobs, done, total));
            let (inner, state) = (Arc::clone(&self.inner), Arc::clone(&self.state));
            let garbage = yielding(move || lock(&state).find_garbage(&inner, &part)).await?;
            for batch in garbage.chunks(BATCH) {
                let (digests, contents) = (
                    batch.iter().map(|(digest, _)| digest.clone()).collect(),
                    batch.to_vec(),
                );
                let work = move |inner: &Inner, state: &mut State| state.remove_contents(inner, &contents);
                removes = removes && self.batch(digests, Vec::new(), work).await?;
            }
        }
        Ok(())
    }
}

impl Inner {
    fn parts(&self) -> Result<Vec<Part>, Fault> {
        let mut parts = Vec::new();
        for algorithm in Algorithm::ALL {
            let mut names = names_in(&self.keys.blobs().join(algorithm.as_str()))?;
            names.sort_unstable();
            parts.extend(names.into_iter().map(|digits| Part { algorithm, digits }));
        }
        Ok(parts)
    }

    /// None: only what a crash has left of a directory.
    fn content_size(&self, content: &Digest) -> Result<Option<u64>, Fault> {
        let path = self.keys.blob(content);
        match fs::metadata(&path) {
            Ok(metadata) => Ok(Some(metadata.len())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(Fault::Io {
                action: "look at",
                path,
                source,
            }),
        }
    }
}

impl State {
    /// Each with its size; none where a crash has left only a directory.
    fn find_garbage(&mut self, inner: &Inner, part: &Part) -> Result<Vec<(Digest, Option<u64>)>, Fault> {
        let directory = inner
            .keys
            .blobs()
            .join(part.algorithm.as_str())
            .join(&part.digits);
        let names = names_by_inode(&directory)?; // before the notes: whoever publishes tells so first
        if !self.take_notes(inner)? {
            return Ok(Vec::new());
        }
        let mut garbage = Vec::new();
        for name in names {
            let Ok(digest) = Digest::from_parts(part.algorithm, &name) else {
                continue;
            };
            if !name.starts_with(&part.digits) {
                continue; // nobody reads it there
            }
            self.report.examined.blobs += 1;
            if self.plan.keeps_content(&digest) {
                continue;
            }
            let size = inner.content_size(&digest)?;
            if let Some(size) = size {
                self.report.candidates.blobs += 1;
                self.report.candidates.bytes += size;
            }
            garbage.push((digest, size));
        }
        Ok(garbage)
    }

    fn remove_contents(&mut self, inner: &Inner, contents: &[(Digest, Option<u64>)]) -> Result<(), Fault> {
        for (digest, size) in contents {
            if self.plan.keeps_content(digest) {
                self.plan.rescued += 1;
                continue;
            }
            let was_there = inner.disk.remove_unsynced(&inner.keys.blob(digest))?;
            if let Some(size) = size.filter(|_| was_there) {
                self.report.freed.blobs += 1;
                self.report.freed.bytes += size;
            }
        }
        Ok(())
    }
}
