//! Link files: small texts that hold a digest. Paths come in, digests go out; blocking IO.
//!
//! Links are read, never inferred from their names: registry:2 keeps a blob that was pushed as sha512 under its sha256
//! digest and writes that into `_layers/sha512/<hex>/link`. The one exception is an empty file, which a power cut leaves
//! where registry 2.8 and 3.0 rewrote a link in place; there the name is all there is, and content is checked by name.

use std::fs;
use std::io;
use std::path::Path;
use std::time::SystemTime;

use portolan_oci::{Algorithm, Digest};

use super::error::Fault;

/// What a file holds, or `None` if there is no such file. Anything else that goes wrong is a fault.
pub(super) fn read_file(path: &Path) -> Result<Option<Vec<u8>>, Fault> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if is_absent(&error) => Ok(None),
        Err(source) => Err(Fault::Io {
            action: "read",
            path: path.to_owned(),
            source,
        }),
    }
}

/// Whether a path is there.
pub(super) fn exists(path: &Path) -> Result<bool, Fault> {
    match fs::metadata(path) {
        Ok(_) => Ok(true),
        Err(error) if is_absent(&error) => Ok(false),
        Err(source) => Err(Fault::Io {
            action: "look at",
            path: path.to_owned(),
            source,
        }),
    }
}

/// The names in a directory; none if it is not there. Names that are not UTF-8 are nobody's.
pub(super) fn names_in(path: &Path) -> Result<Vec<String>, Fault> {
    let mut names = Vec::new();
    visit_names(path, &mut |name| {
        names.push(name.to_owned());
        Ok(())
    })?;
    Ok(names)
}

fn visit_names(path: &Path, visit: &mut dyn FnMut(&str) -> Result<(), Fault>) -> Result<(), Fault> {
    let fault = |source| Fault::Io {
        action: "list directory",
        path: path.to_owned(),
        source,
    };
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if is_absent(&error) => return Ok(()),
        Err(source) => return Err(fault(source)),
    };
    for entry in entries {
        if let Some(name) = entry.map_err(fault)?.file_name().to_str() {
            visit(name)?;
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
    match fs::metadata(path).and_then(|metadata| metadata.modified()) {
        Ok(time) => Ok(Some(time)),
        Err(error) if is_absent(&error) => Ok(None),
        Err(source) => Err(Fault::Io {
            action: "look at",
            path: path.to_owned(),
            source,
        }),
    }
}

/// What a layer or revision link of `named` points at.
pub(super) fn read_link(path: &Path, named: &Digest) -> Result<Option<Digest>, Fault> {
    match read_file(path)? {
        None => Ok(None),
        Some(bytes) if bytes.is_empty() => Ok(Some(named.clone())),
        Some(bytes) => parse_link(path, &bytes).map(Some),
    }
}

/// What a tag points at. An empty `current/link` is read as the tag's only history entry, if there is exactly one: only
/// registry:2 leaves either, and we end the history with the first change of the tag.
pub(super) fn read_tag(tag_directory: &Path) -> Result<Option<Digest>, Fault> {
    let path = tag_directory.join("current/link");
    match read_file(&path)? {
        None => Ok(None),
        Some(bytes) if bytes.is_empty() => {
            let mut history = digests_in(&tag_directory.join("index"))?;
            if let (Some(only), true) = (history.pop(), history.is_empty()) {
                return Ok(Some(only));
            }
            // A push may have written the link since, and ended the history.
            match read_file(&path)? {
                None => Ok(None),
                Some(bytes) if bytes.is_empty() => Err(Fault::Damaged {
                    path,
                    problem:
                        "it is empty, and the tag's history does not tell what it was: push the tag again"
                            .into(),
                }),
                Some(bytes) => parse_link(&path, &bytes).map(Some),
            }
        }
        Some(bytes) => parse_link(&path, &bytes).map(Some),
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

/// Visits the digests that `<directory>/<algorithm>/<hex>` directories stand for, in no order, and holds none of them.
pub(super) fn visit_digests(
    directory: &Path,
    visit: &mut dyn FnMut(Digest) -> Result<(), Fault>,
) -> Result<(), Fault> {
    for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
        visit_names(&directory.join(algorithm.as_str()), &mut |hex| {
            Digest::from_parts(algorithm, hex).map_or(Ok(()), &mut *visit)
        })?;
    }
    Ok(())
}

/// The digests that `<directory>/<algorithm>/<hex>` directories stand for, sorted.
pub(super) fn digests_in(directory: &Path) -> Result<Vec<Digest>, Fault> {
    let mut digests = Vec::new();
    for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
        let names = names_in(&directory.join(algorithm.as_str()))?;
        digests.extend(
            names
                .iter()
                .filter_map(|hex| Digest::from_parts(algorithm, hex).ok()),
        );
    }
    digests.sort_unstable();
    Ok(digests)
}
