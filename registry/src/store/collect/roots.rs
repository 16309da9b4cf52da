//! What must be kept whatever the tags say, and whether this version may collect at all: small files of the private tree
//! come in, digests go out. Blocking IO.

use std::collections::{BTreeMap, HashSet};
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use portolan_oci::{Algorithm, Digest, RepositoryName};
use serde::Deserialize;

use super::CollectError;
use super::packed::{Key, key};
use crate::store::Inner;
use crate::store::error::Fault;
use crate::store::links::{names_in, read_file, read_tag};

#[derive(Debug, Default)]
pub(super) struct Roots {
    /// In every repository.
    pub(super) in_use: HashSet<Key>,
    /// What tags named that may come back.
    pub(super) trash: BTreeMap<RepositoryName, Vec<Digest>>,
}

#[derive(Deserialize)]
struct Format {
    #[serde(default)]
    features: Vec<String>,
}

#[derive(Deserialize)]
struct InUse {
    digests: Vec<Digest>,
}

#[derive(Deserialize)]
struct TrashRecord {
    repository: RepositoryName,
    digest: Digest,
}

impl Inner {
    /// Refuses a volume on which something may be that this version does not know to keep.
    pub(super) fn check_features(&self) -> Result<(), CollectError> {
        let path = self.keys.format();
        let Some(format) = read_json::<Format>(&path)? else {
            return Ok(());
        };
        match format.features.into_iter().next() {
            Some(feature) => Err(CollectError::UnknownFeature { path, feature }),
            None => Ok(()),
        }
    }

    /// Refuses a volume with something among the repositories that this version does not understand: what it refers to
    /// would be taken for garbage.
    pub(super) fn check_names(&self) -> Result<(), Fault> {
        let mut waiting = vec![(self.keys.repositories(), String::new())];
        while let Some((directory, prefix)) = waiting.pop() {
            let fault = |source| Fault::Io {
                action: "list directory",
                path: directory.clone(),
                source,
            };
            let entries = match fs::read_dir(&directory) {
                Ok(entries) => entries,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(source) => return Err(fault(source)),
            };
            for entry in entries {
                let path = entry.map_err(fault)?.path();
                let name = path.file_name().map(OsStr::to_string_lossy).unwrap_or_default();
                match name.as_ref() {
                    "_layers" => check_algorithms(&path)?,
                    "_manifests" => check_algorithms(&path.join("revisions"))?,
                    _ => {}
                }
                if path.is_symlink() && !path.exists() {
                    return Err(Fault::Damaged {
                        path,
                        problem: "it leads nowhere, and what it should lead to would be taken for garbage: mount that, or remove the link".into(),
                    });
                }
                if name.starts_with('_') || !path.is_dir() {
                    continue;
                }
                let name = format!("{prefix}{name}");
                if name.parse::<RepositoryName>().is_err() {
                    return Err(Fault::Damaged {
                        path,
                        problem: "it is not named like a repository, so what it refers to would be taken for garbage: move it away".into(),
                    });
                }
                waiting.push((path, format!("{name}/")));
            }
        }
        Ok(())
    }

    pub(super) fn roots(&self) -> Result<Roots, Fault> {
        let mut roots = Roots::default();
        if let Some(in_use) = read_json::<InUse>(&self.keys.in_use())? {
            roots.in_use = in_use.digests.iter().map(key).collect();
        }
        for id in names_in(&self.keys.trash())? {
            let directory = self.keys.trash().join(id);
            let path = directory.join("record.json");
            let record = read_json::<TrashRecord>(&path)?.ok_or_else(|| Fault::Damaged {
                path,
                problem: "it is missing: restore it, or remove its directory to give the tag up".into(),
            })?;
            let digests = roots.trash.entry(record.repository).or_default();
            digests.push(record.digest);
            digests.extend(read_tag(&directory.join("tag"))?);
        }
        Ok(roots)
    }
}

fn read_json<T: for<'a> Deserialize<'a>>(path: &std::path::Path) -> Result<Option<T>, Fault> {
    let Some(bytes) = read_file(path)? else {
        return Ok(None);
    };
    serde_json::from_slice(&bytes)
        .map(Some)
        .map_err(|error| Fault::Damaged {
            path: PathBuf::from(path),
            problem: format!("it is not the JSON that belongs there ({error}): restore it"),
        })
}

/// Links are only found below algorithms that this version knows.
fn check_algorithms(directory: &Path) -> Result<(), Fault> {
    let known = [Algorithm::Sha256, Algorithm::Sha512].map(Algorithm::as_str);
    let is_strange = |name: &String| !known.contains(&name.as_str()) && directory.join(name).is_dir();
    match names_in(directory)?.into_iter().find(is_strange) {
        None => Ok(()),
        Some(name) => Err(Fault::Damaged {
            path: directory.join(name),
            problem: "links of this algorithm are not known, and what they refer to would be taken for garbage: push it again as sha256 or sha512, then move it away".into(),
        }),
    }
}
