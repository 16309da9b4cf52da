//! Link files: small texts that hold a digest. Paths come in, digests go out; blocking IO.
//!
//! Links are read, never inferred from their names: registry:2 keeps a blob that was pushed as sha384 or sha512 under its
//! sha256 digest and writes that into `_layers/<algorithm>/<hex>/link`. Nobody writes another digest of the same
//! algorithm: that is damage. The one exception is an empty file, which a power cut leaves where registry 2.8 and 3.0
//! rewrote a link in place; there the name is all there is, and content is checked by name.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::Path;
use std::time::SystemTime;

use portolan_oci::{Algorithm, Digest};
use rustix::fs::{Dir, Mode, OFlags};

use super::error::Fault;

/// More than a link holds.
const LINK_BYTES: usize = 256;

/// Opens a file or directory without telling so in its inode: a collection reads every link of a volume, and need not
/// write as many inodes.
pub(super) fn open_quietly(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    match rustix::fs::open(path, flags | OFlags::NOATIME, Mode::empty()) {
        // Only an owner may do that.
        Err(rustix::io::Errno::PERM) => Ok(rustix::fs::open(path, flags, Mode::empty())?.into()),
        opened => Ok(opened?.into()),
    }
}

/// What a file holds, or `None` if there is no such file. Anything else that goes wrong is a fault.
pub(super) fn read_file(path: &Path) -> Result<Option<Vec<u8>>, Fault> {
    let read = open_quietly(path).and_then(|mut file| {
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map(|_| bytes)
    });
    unless_absent(read, "read", path)
}

/// As [`read_file`], of a file that is usually small, with as few system calls as that takes.
fn with_link<T>(path: &Path, then: impl FnOnce(&[u8]) -> Result<T, Fault>) -> Result<Option<T>, Fault> {
    let mut bytes = [0; LINK_BYTES];
    let read = open_quietly(path).and_then(|mut file| file.read(&mut bytes));
    match unless_absent(read, "read", path)? {
        None => Ok(None),
        Some(length) if length < bytes.len() => then(&bytes[..length]).map(Some),
        Some(_) => read_file(path)?.map(|bytes| then(&bytes)).transpose(),
    }
}

fn unless_absent<T>(result: io::Result<T>, action: &'static str, path: &Path) -> Result<Option<T>, Fault> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(error) if is_absent(&error) => Ok(None),
        Err(source) => Err(Fault::Io {
            action,
            path: path.to_owned(),
            source,
        }),
    }
}

/// Whether a path is there.
pub(super) fn exists(path: &Path) -> Result<bool, Fault> {
    Ok(unless_absent(fs::metadata(path), "look at", path)?.is_some())
}

/// The names in a directory; none if it is not there. Names that are not UTF-8 are nobody's.
pub(super) fn names_in(path: &Path) -> Result<Vec<String>, Fault> {
    let mut names = Vec::new();
    visit_names(path, &mut |name, _| {
        names.push(name.to_owned());
        Ok(())
    })?;
    Ok(names)
}

/// The same by their inodes: what was made together lies side by side on the disk, and is removed faster in that order.
pub(super) fn names_by_inode(path: &Path) -> Result<Vec<String>, Fault> {
    let mut names = Vec::new();
    visit_names(path, &mut |name, inode| {
        names.push((inode, name.to_owned()));
        Ok(())
    })?;
    names.sort_unstable_by_key(|(inode, _)| *inode);
    Ok(names.into_iter().map(|(_, name)| name).collect())
}

fn visit_names(path: &Path, visit: &mut dyn FnMut(&str, u64) -> Result<(), Fault>) -> Result<(), Fault> {
    let fault = |source| Fault::Io {
        action: "list directory",
        path: path.to_owned(),
        source,
    };
    let opened = open_quietly(path).and_then(|directory| Ok(Dir::new(directory)?));
    let Some(entries) = unless_absent(opened, "list directory", path)? else {
        return Ok(());
    };
    for entry in entries {
        let entry = entry.map_err(|error| fault(error.into()))?;
        match entry.file_name().to_str() {
            Ok("." | "..") | Err(_) => {}
            Ok(name) => visit(name, entry.ino())?,
        }
    }
    Ok(())
}

fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

/// When a file was last written or renewed; none if it is not there.
pub(super) fn renewed_at(path: &Path) -> Result<Option<SystemTime>, Fault> {
    let time = fs::metadata(path).and_then(|metadata| metadata.modified());
    unless_absent(time, "look at", path)
}

/// What a layer or revision link of `named` points at.
pub(super) fn read_link(path: &Path, named: &Digest) -> Result<Option<Digest>, Fault> {
    with_link(path, |bytes| {
        if bytes.is_empty() {
            return Ok(named.clone());
        }
        let content = parse_link(path, bytes)?;
        if content.algorithm() == named.algorithm() && content != *named {
            return Err(Fault::Damaged {
                path: path.to_owned(),
                problem: format!("it holds {content}, which is other content: push {named} again"),
            });
        }
        Ok(content)
    })
}

/// What a tag points at. An empty `current/link` is read as the tag's only history entry, if there is exactly one: only
/// registry:2 leaves either, and we end the history with the first change of the tag.
pub(super) fn read_tag(tag_directory: &Path) -> Result<Option<Digest>, Fault> {
    let path = tag_directory.join("current/link");
    let read = || {
        with_link(&path, |bytes| match bytes {
            [] => Ok(None),
            bytes => parse_link(&path, bytes).map(Some),
        })
    };
    match read()? {
        None => Ok(None),
        Some(Some(digest)) => Ok(Some(digest)),
        Some(None) => {
            let mut history = digests_in(&tag_directory.join("index"))?;
            if let (Some(only), true) = (history.pop(), history.is_empty()) {
                return Ok(Some(only));
            }
            // A push may have written the link since, and ended the history.
            match read()? {
                None => Ok(None),
                Some(Some(digest)) => Ok(Some(digest)),
                Some(None) => Err(Fault::Damaged {
                    path,
                    problem:
                        "it is empty, and the tag's history does not tell what it was: push the tag again"
                            .into(),
                }),
            }
        }
    }
}

/// Whether a tag names `digest`. One that cannot be read names nothing that could be deleted with it.
pub(super) fn tag_names(tag_directory: &Path, digest: &Digest) -> Result<bool, Fault> {
    match read_tag(tag_directory) {
        Ok(named) => Ok(named.as_ref() == Some(digest)),
        Err(Fault::Damaged { .. }) => Ok(false),
        Err(fault) => Err(fault),
    }
}

fn parse_link(path: &Path, bytes: &[u8]) -> Result<Digest, Fault> {
    let text = String::from_utf8_lossy(bytes);
    text.trim()
        .parse()
        .map_err(|error: portolan_oci::DigestError| Fault::Damaged {
            path: path.to_owned(),
            problem: error.to_string(),
        })
}

/// Visits the digests that `<directory>/<algorithm>/<hex>` directories stand for, each with that directory's inode, in
/// no order, and holds none of them.
pub(super) fn visit_digests(
    directory: &Path,
    visit: &mut dyn FnMut(Digest, u64) -> Result<(), Fault>,
) -> Result<(), Fault> {
    for algorithm in Algorithm::ALL {
        visit_names(&directory.join(algorithm.as_str()), &mut |hex, inode| {
            Digest::from_parts(algorithm, hex).map_or(Ok(()), |digest| visit(digest, inode))
        })?;
    }
    Ok(())
}

/// Whether there is any `<directory>/<algorithm>/<hex>`.
pub(super) fn has_entries(directory: &Path) -> Result<bool, Fault> {
    for algorithm in Algorithm::ALL {
        let path = directory.join(algorithm.as_str());
        let first = fs::read_dir(&path).and_then(|mut entries| entries.next().transpose());
        if unless_absent(first, "list directory", &path)?.flatten().is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The digests that `<directory>/<algorithm>/<hex>` directories stand for, sorted.
pub(super) fn digests_in(directory: &Path) -> Result<Vec<Digest>, Fault> {
    let mut digests = Vec::new();
    visit_digests(directory, &mut |digest, _| {
        digests.push(digest);
        Ok(())
    })?;
    digests.sort_unstable();
    Ok(digests)
}
