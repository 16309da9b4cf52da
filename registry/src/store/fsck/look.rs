//! One look at a volume: files come in, findings and counts are collected; blocking IO, reads only.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::error::Error as _;
use std::fmt::Display;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use portolan_oci::{Digest, RepositoryName};

use crate::store::error::Fault;
use crate::store::keys::Keys;
use crate::store::links::names_in;

use super::report::{Finding, FindingKind, Leftovers, Looked};

/// What a digest is remembered by: the first half of it. Two that share it are taken for one.
pub(super) type Key = [u8; 16];

/// The number of a repository, in the order of the look.
pub(super) type Owner = u32;
const SEVERAL: Owner = Owner::MAX;

/// Takes a number of things done.
pub(super) type Progress<'a> = dyn Fn(u64) + 'a;

/// What is seen.
pub(super) struct Look<'a> {
    pub(super) keys: &'a Keys,
    pub(super) findings: BTreeSet<Finding>,
    pub(super) leftovers: Leftovers,
    pub(super) examined: Looked,
    /// Content that some repository has, and which.
    pub(super) owners: HashMap<Key, Owner>,
    /// Links that no repair writes: their content belongs to other repositories.
    kept_apart: BTreeSet<PathBuf>,
    /// Manifests that were hashed already.
    pub(super) hashed: HashSet<Key>,
    /// What a repair can do about it.
    pub(super) cures: Vec<Cure>,
}

/// A change that makes something whole again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Cure {
    /// A link is to hold what its path says, or what was found out elsewhere.
    WriteLink {
        path: PathBuf,
        digest: Digest,
        why: String,
    },
    /// A repository is to have what its manifests name, unless that belongs to another one: what was never in this
    /// repository, nobody gets to read by naming it.
    Relink {
        owner: Owner,
        path: PathBuf,
        digest: Digest,
        why: String,
    },
    /// An entry among referrers is to be what its manifest says.
    WriteReferrer {
        path: PathBuf,
        text: String,
        why: String,
    },
    /// A file is to be out of the way.
    MoveAside {
        path: PathBuf,
        name: String,
        why: String,
    },
    /// A person must say what a tag names.
    Ask(AmbiguousTag),
}

/// A tag of which only its history is left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AmbiguousTag {
    pub repository: RepositoryName,
    pub tag: String,
    /// What it has named, sorted.
    pub candidates: Vec<Digest>,
    pub(super) path: PathBuf,
}

impl AmbiguousTag {
    /// The tag whose link is at `path`.
    pub fn new(repository: RepositoryName, tag: String, candidates: Vec<Digest>, path: PathBuf) -> Self {
        Self {
            repository,
            tag,
            candidates,
            path,
        }
    }
}

impl<'a> Look<'a> {
    pub(super) fn new(keys: &'a Keys) -> Self {
        Self {
            keys,
            findings: BTreeSet::new(),
            leftovers: Leftovers::default(),
            examined: Looked::default(),
            owners: HashMap::new(),
            kept_apart: BTreeSet::new(),
            hashed: HashSet::new(),
            cures: Vec::new(),
        }
    }

    /// Notes what is wrong.
    pub(super) fn found(
        &mut self,
        kind: FindingKind,
        repository: Option<&RepositoryName>,
        what: &dyn Display,
        path: &Path,
        problem: impl Into<String>,
    ) {
        let path = path.strip_prefix(self.keys.root()).unwrap_or(path);
        self.findings.insert(Finding {
            kind,
            repository: repository.cloned(),
            what: what.to_string(),
            path: path.to_owned(),
            problem: problem.into(),
        });
    }

    /// Notes that something cannot be read.
    pub(super) fn fault(
        &mut self,
        kind: FindingKind,
        repository: Option<&RepositoryName>,
        what: &dyn Display,
        path: &Path,
        fault: &Fault,
    ) {
        let (kind, problem) = match fault {
            Fault::Damaged { problem, .. } => (kind, problem.clone()),
            other => {
                let cause = other.source().map(|cause| format!(": {cause}"));
                (
                    FindingKind::Unreadable,
                    format!("{other}{}", cause.unwrap_or_default()),
                )
            }
        };
        self.found(kind, repository, what, path, problem);
    }

    /// Notes that not all repositories were found.
    pub(super) fn walked(&mut self, walked: Result<(), Fault>) {
        if let Err(fault) = walked {
            let path = self.keys.repositories();
            self.fault(FindingKind::Unreadable, None, &REPOSITORIES, &path, &fault);
        }
    }

    /// The names in a directory; one that cannot be listed is a finding.
    pub(super) fn names(&mut self, repository: Option<&RepositoryName>, path: &Path) -> Vec<String> {
        names_in(path).unwrap_or_else(|fault| {
            self.fault(FindingKind::Unreadable, repository, &DIRECTORY, path, &fault);
            Vec::new()
        })
    }

    /// The digests that `<directory>/<algorithm>/<hex>` stand for.
    pub(super) fn digests(&mut self, repository: &RepositoryName, directory: &Path) -> Vec<Digest> {
        crate::store::links::digests_in(directory).unwrap_or_else(|fault| {
            self.fault(
                FindingKind::Unreadable,
                Some(repository),
                &DIRECTORY,
                directory,
                &fault,
            );
            Vec::new()
        })
    }

    /// The repository that is looked at.
    pub(super) fn owner(&self) -> Owner {
        Owner::try_from(self.examined.repositories).unwrap_or(SEVERAL)
    }

    /// Gives up cures that would let a repository have what belongs to another one. All repositories were looked at, or
    /// nobody knows what belongs to whom.
    pub(super) fn keep_apart(&mut self) {
        let is_unlisted = |finding: &Finding| {
            let unlisted = [DIRECTORY, REPOSITORIES].contains(&finding.what.as_str());
            unlisted && finding.kind == FindingKind::Unreadable
        };
        let is_partial = self.findings.iter().any(is_unlisted);
        for cure in std::mem::take(&mut self.cures) {
            match &cure {
                Cure::Relink { .. } if is_partial => {}
                Cure::Relink {
                    owner, path, digest, ..
                } if self.owners.get(&prefix(digest)).is_some_and(|it| it != owner) => {
                    let path = path.strip_prefix(self.keys.root()).unwrap_or(path);
                    self.kept_apart.insert(path.to_owned());
                }
                _ => self.cures.push(cure),
            }
        }
    }

    /// Findings, each with what a repair does not do about it.
    pub(super) fn explain(&self, findings: BTreeSet<Finding>) -> Vec<Finding> {
        let explained = findings.into_iter().map(|mut finding| {
            if finding.kind == FindingKind::ReferenceLost && self.kept_apart.contains(&finding.path) {
                finding.problem.push_str(
                    "; its content is on the volume, but belongs to another repository, so a repair does not link it: \
                     push the image again",
                );
            }
            finding
        });
        explained.collect()
    }

    pub(super) fn refer(&mut self, content: &Digest) {
        let this = self.owner();
        let owner = self.owners.entry(prefix(content)).or_insert(this);
        if *owner != this {
            *owner = SEVERAL;
        }
    }
}

/// What findings say of directories that cannot be listed.
pub(super) const DIRECTORY: &str = "directory";
const REPOSITORIES: &str = "repositories";

/// The first half of a digest's bytes.
pub(super) fn prefix(digest: &Digest) -> Key {
    let mut bytes = [0; 16];
    for (byte, pair) in bytes.iter_mut().zip(digest.hex().as_bytes().chunks(2)) {
        let pair = std::str::from_utf8(pair).unwrap_or("00");
        *byte = u8::from_str_radix(pair, 16).unwrap_or(0);
    }
    bytes
}

/// The size of a file; `None` if there is none.
pub(super) fn size_of(path: &Path) -> Result<Option<u64>, Fault> {
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_file() => Ok(Some(metadata.len())),
        Ok(_) => Err(Fault::Damaged {
            path: path.to_owned(),
            problem: "it is not a file".to_owned(),
        }),
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            Ok(None)
        }
        Err(source) => Err(Fault::Io {
            action: "look at",
            path: path.to_owned(),
            source,
        }),
    }
}
