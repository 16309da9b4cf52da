//! Names on a volume that this version does not understand: directories come in, what is strange about them goes out;
//! blocking IO, reads only.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use portolan_oci::{Algorithm, RepositoryName, Tag};

use super::error::Fault;
use super::keys::Keys;

const DANGLING: &str =
    "it leads nowhere, and what it should lead to would be taken for garbage: mount that, or remove the link";
const NO_REPOSITORY: &str =
    "it is not named like a repository, so what it refers to would be taken for garbage: move it away";
const NO_TAG: &str = "it is not named like a tag, so what it names would be taken for garbage: move it away";
const NO_ALGORITHM: &str = "links of this algorithm are not known, and what they refer to would be taken for garbage: push it again as sha256 or sha512, then move it away";

/// Goes through the repositories of a volume and tells what is not understood, with what to do about it.
pub(super) fn visit_strange(
    keys: &Keys,
    found: &mut dyn FnMut(PathBuf, &'static str) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let mut waiting = vec![(keys.repositories(), String::new())];
    while let Some((directory, prefix)) = waiting.pop() {
        for path in entries(&directory)? {
            let name = name_of(&path);
            match name.as_ref() {
                "_layers" => check_algorithms(&path, found)?,
                "_manifests" => {
                    check_algorithms(&path.join("revisions"), found)?;
                    check_tags(&path.join("tags"), found)?;
                }
                _ => {}
            }
            if path.is_symlink() && !path.exists() {
                found(path, DANGLING)?;
                continue;
            }
            if name.starts_with('_') || !path.is_dir() {
                continue;
            }
            let name = format!("{prefix}{name}");
            if name.parse::<RepositoryName>().is_err() {
                found(path, NO_REPOSITORY)?;
                continue;
            }
            waiting.push((path, format!("{name}/")));
        }
    }
    Ok(())
}

/// Links are only found below algorithms that this version knows.
fn check_algorithms(
    directory: &Path,
    found: &mut dyn FnMut(PathBuf, &'static str) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let known = [Algorithm::Sha256, Algorithm::Sha512].map(Algorithm::as_str);
    for path in entries(directory)? {
        if !known.contains(&name_of(&path).as_ref()) && path.is_dir() {
            found(path, NO_ALGORITHM)?;
        }
    }
    Ok(())
}

fn check_tags(
    directory: &Path,
    found: &mut dyn FnMut(PathBuf, &'static str) -> Result<(), Fault>,
) -> Result<(), Fault> {
    for path in entries(directory)? {
        if name_of(&path).parse::<Tag>().is_err() && path.is_dir() {
            found(path, NO_TAG)?;
        }
    }
    Ok(())
}

fn name_of(path: &Path) -> std::borrow::Cow<'_, str> {
    path.file_name().map(OsStr::to_string_lossy).unwrap_or_default()
}

fn entries(directory: &Path) -> Result<Vec<PathBuf>, Fault> {
    let fault = |source| Fault::Io {
        action: "list directory",
        path: directory.to_owned(),
        source,
    };
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            return Ok(Vec::new());
        }
        Err(source) => return Err(fault(source)),
    };
    entries
        .map(|entry| entry.map(|entry| entry.path()).map_err(fault))
        .collect()
}
