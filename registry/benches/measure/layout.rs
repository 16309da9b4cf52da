//! Writes what a push leaves on a volume, in the layout of registry:2, without asking a registry: contents and links come
//! in, files come out. IO.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use portolan_oci::{Algorithm, Digest};

/// How many inodes each takes.
pub(crate) const BLOB: usize = 2;
pub(crate) const LINK: usize = 2;
pub(crate) const TAG: usize = 3;

pub(crate) struct Layout {
    root: PathBuf,
    /// Directories that are there.
    made: HashSet<PathBuf>,
}

impl Layout {
    pub(crate) fn new(volume: &Path) -> Self {
        Self {
            root: volume.join("docker/registry/v2"),
            made: HashSet::new(),
        }
    }

    pub(crate) fn blob(&mut self, bytes: &[u8]) -> io::Result<Digest> {
        let digest = Digest::of(Algorithm::Sha256, bytes);
        let above = self.root.join("blobs/sha256").join(&digest.hex()[..2]);
        self.file(&above, digest.hex(), "data", bytes)?;
        Ok(digest)
    }

    /// Lets a repository read a blob.
    pub(crate) fn layer(&mut self, repository: &str, digest: &Digest) -> io::Result<()> {
        self.link(repository, "_layers/sha256", digest.hex(), digest)
    }

    /// Lets a repository have a manifest.
    pub(crate) fn revision(&mut self, repository: &str, digest: &Digest) -> io::Result<()> {
        self.link(repository, "_manifests/revisions/sha256", digest.hex(), digest)
    }

    pub(crate) fn tag(&mut self, repository: &str, tag: &str, digest: &Digest) -> io::Result<()> {
        let within = format!("_manifests/tags/{tag}");
        self.link(repository, &within, "current", digest)?;
        self.made.remove(&self.within(repository, &within)); // nothing else comes into it
        Ok(())
    }

    fn link(&mut self, repository: &str, within: &str, name: &str, digest: &Digest) -> io::Result<()> {
        self.file(
            &self.within(repository, within),
            name,
            "link",
            digest.to_string().as_bytes(),
        )
    }

    fn within(&self, repository: &str, path: &str) -> PathBuf {
        self.root.join("repositories").join(repository).join(path)
    }

    fn file(&mut self, above: &Path, directory: &str, name: &str, bytes: &[u8]) -> io::Result<()> {
        if !self.made.contains(above) {
            fs::create_dir_all(above)?;
            self.made.insert(above.to_owned());
        }
        let directory = above.join(directory);
        match fs::create_dir(&directory) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => made?,
        }
        fs::write(directory.join(name), bytes)
    }
}
