//! What must be kept whatever the tags say, and whether this version may collect at all: small files of the private tree
//! come in, digests go out. Blocking IO.

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;

use portolan_oci::{Digest, RepositoryName};
use serde::Deserialize;

use super::CollectError;
use super::packed::{Key, key};
use crate::store::Inner;
use crate::store::error::Fault;
use crate::store::links::{names_in, read_file, read_tag};
use crate::store::not_understood::visit_not_understood;

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
        visit_not_understood(&self.keys, &mut |path, problem| {
            Err(Fault::Damaged {
                path,
                problem: problem.into(),
            })
        })
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
