//! Names on a volume that this version does not understand: directories come in, places and what to do about them go out;
//! blocking IO, reads only.

use std::fs::{self, DirEntry};
use std::io;
use std::path::{Path, PathBuf};

use portolan_oci::{Algorithm, RepositoryName, Tag};

use super::error::Fault;
use super::keys::Keys;
use super::repositories::leads_back;

const DANGLING: &str =
    "it leads nowhere, and what it should lead to would be taken for garbage: mount that, or remove the link";
const NO_REPOSITORY: &str =
    "it is not named like a repository, so what it refers to would be taken for garbage: move it away";
const NO_TAG: &str = "it is not named like a tag, so what it names would be taken for garbage: move it away";
const NO_ALGORITHM: &str = "links of this algorithm are not known, and what they refer to would be taken for garbage: push it again as sha256, sha384 or sha512, then move it away";

/// Takes a place and what to do about it.
type Found<'a> = &'a mut dyn FnMut(PathBuf, &'static str) -> Result<(), Fault>;

/// Goes through the repositories of a volume and tells what is not understood, with what to do about it.
pub(super) fn visit_not_understood(keys: &Keys, found: Found<'_>) -> Result<(), Fault> {
    let mut waiting = vec![(keys.repositories(), String::new())];
    while let Some((directory, prefix)) = waiting.pop() {
        visit_entries(&directory, &mut |name, entry| {
            match name {
                "_layers" => check_algorithms(&entry.path(), found)?,
                "_manifests" => {
                    check_algorithms(&entry.path().join("revisions"), found)?;
                    check_tags(&entry.path().join("tags"), found)?;
                }
                _ => {}
            }
            let path = entry.path();
            if path.is_symlink() && !path.exists() {
                return found(path, DANGLING);
            }
            if name.starts_with('_') || !path.is_dir() {
                return Ok(());
            }
            let name = format!("{prefix}{name}");
            if name.parse::<RepositoryName>().is_err() {
                return found(path, NO_REPOSITORY);
            }
            if !leads_back(keys, &name)? {
                waiting.push((path, format!("{name}/")));
            }
            Ok(())
        })?;
    }
    Ok(())
}

/// Links are only found below algorithms that this version knows.
fn check_algorithms(directory: &Path, found: Found<'_>) -> Result<(), Fault> {
    let known = Algorithm::ALL.map(Algorithm::as_str);
    visit_entries(directory, &mut |name, entry| {
        if !known.contains(&name) && entry.path().is_dir() {
            return found(entry.path(), NO_ALGORITHM);
        }
        Ok(())
    })
}

fn check_tags(directory: &Path, found: Found<'_>) -> Result<(), Fault> {
    visit_entries(directory, &mut |name, entry| {
        if name.parse::<Tag>().is_err() && entry.path().is_dir() {
            return found(entry.path(), NO_TAG);
        }
        Ok(())
    })
}

/// Visits what is in a directory, which may be much, without holding it.
fn visit_entries(
    directory: &Path,
    visit: &mut dyn FnMut(&str, &DirEntry) -> Result<(), Fault>,
) -> Result<(), Fault> {
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
            return Ok(());
        }
        Err(source) => return Err(fault(source)),
    };
    for entry in entries {
        let entry = entry.map_err(fault)?;
        visit(&entry.file_name().to_string_lossy(), &entry)?;
    }
    Ok(())
}
