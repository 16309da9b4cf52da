//! A directory for volumes, on the disk that is measured; it goes when the measuring ends. IO.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

pub(crate) struct Scratch(tempfile::TempDir);

/// What a directory or a small file takes.
const BLOCK: u64 = 4096;

impl Scratch {
    /// Below `directory`, or where cargo wants what is made by benchmarks.
    pub(crate) fn new(directory: Option<&Path>) -> anyhow::Result<Self> {
        let directory = directory.unwrap_or(Path::new(env!("CARGO_TARGET_TMPDIR")));
        fs::create_dir_all(directory).with_context(|| format!("cannot make \"{}\"", directory.display()))?;
        let made = tempfile::Builder::new().prefix("bench-").tempdir_in(directory);
        Ok(Self(made.with_context(|| {
            format!("cannot write to \"{}\"", directory.display())
        })?))
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// Where a volume is to be that takes so many inodes of one block each, if there is room for that.
    pub(crate) fn volume(&self, name: &str, inodes: usize) -> anyhow::Result<PathBuf> {
        self.expect_room(inodes)?;
        Ok(self.path().join(name))
    }

    /// Fails when so many inodes of one block each do not fit on the disk.
    pub(crate) fn expect_room(&self, inodes: usize) -> anyhow::Result<()> {
        let space = rustix::fs::statvfs(self.path())?;
        let needed = inodes as u64;
        let available = space.f_bavail * space.f_frsize;
        if available < needed * BLOCK * 5 / 4 || (space.f_files > 0 && space.f_favail < needed) {
            bail!(
                "\"{}\" has room for {} MB and {} files, and {} MB in {needed} files are needed: choose fewer with \
                 PORTOLAN_BENCH_BLOBS or PORTOLAN_BENCH_IMAGES, or another disk with PORTOLAN_BENCH_DIR",
                self.path().display(),
                available >> 20,
                space.f_favail,
                (needed * BLOCK * 5 / 4) >> 20,
            );
        }
        Ok(())
    }
}
