//! Which directories this process has made durable, so that they are not fsynced again for each file. No IO.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use super::lock;

/// Beyond this many the memory is dropped: it costs some repeated fsyncs, not correctness.
const MOST: usize = 1 << 15;

#[derive(Default)]
pub(super) struct Durable(Mutex<Known>);

#[derive(Default)]
struct Known {
    directories: HashSet<PathBuf>,
    /// How often something was forgotten.
    forgotten: u64,
}

/// Directories that have to be made durable, from the top down.
pub(super) struct Missing<'a> {
    pub(super) paths: Vec<&'a Path>,
    since: u64,
}

impl Durable {
    /// What of a directory and of what leads to it below `root` is not known to be durable.
    pub(super) fn missing<'a>(&self, directory: &'a Path, root: &Path) -> Missing<'a> {
        let known = lock(&self.0);
        let is_missing = |path: &&Path| *path != root && !known.directories.contains(*path);
        let mut paths: Vec<&Path> = directory.ancestors().take_while(is_missing).collect();
        paths.reverse();
        Missing {
            paths,
            since: known.forgotten,
        }
    }

    /// Remembers a directory that was missing and is durable now. Not if anything was forgotten since: it may have been
    /// this one, which somebody else has made again.
    pub(super) fn remember(&self, path: &Path, missing: &Missing<'_>) {
        let mut known = lock(&self.0);
        if known.forgotten != missing.since {
            return;
        }
        if known.directories.len() >= MOST {
            known.directories.clear();
        }
        known.directories.insert(path.to_owned());
    }

    /// Forgets a directory that is taken away, with what may be in it. To be called before and after that: who makes it
    /// durable meanwhile shall not believe it.
    pub(super) fn forget(&self, directory: &Path) {
        let mut known = lock(&self.0);
        known.forgotten += 1;
        known.directories.remove(directory);
        known.directories.remove(&directory.join("current"));
    }

    pub(super) fn forget_all(&self) {
        let mut known = lock(&self.0);
        known.forgotten += 1;
        known.directories.clear();
    }
}
