//! Whether a volume keeps what it has promised: a directory comes in, a report goes out; blocking IO, reads only (but
//! [`Store::repair`]).
//!
//! What is looked for: every manifest's bytes and what it names are there (or are recorded as never having come); a tag
//! names a manifest of its repository; bytes hash to their digests; links, entries among referrers and records mean
//! what they should. Beside a running registry a finding only counts when it is there at all of its `LOOKS` looks.

mod content;
mod look;
mod records;
mod references;
mod repair;
mod report;
mod repository;

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::keys::Keys;
use super::links::exists;
use super::open::BriefLock;
use super::repositories::walk_repositories;

use self::look::{Look, Progress};

pub use look::AmbiguousTag;
pub use report::{Finding, FindingKind, FsckReport, Leftovers, Looked};

/// How to check.
#[derive(Debug, Clone, Copy)]
pub struct FsckOptions {
    /// Hash every byte, not only those of manifests.
    pub deep: bool,
    /// How long to wait before the next look when something was found beside a running registry.
    pub pause: Duration,
}

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum FsckError {
    /// The directory cannot be listed.
    #[error("directory \"{path}\" cannot be checked ({cause})")]
    Unreadable { path: PathBuf, cause: io::Error },
    /// A report that finds nothing wrong with nothing would be taken for one about the images.
    #[error("directory \"{path}\" has nothing of a registry in it")]
    NoVolume { path: PathBuf },
}

/// Beside a running registry, how often something must be seen.
const LOOKS: usize = 3;

/// Checks the volume below `root`. If nobody has its lock, it is taken, but not for as long as all bytes are read: a
/// registry that is started meanwhile would wait. `progress` is told how many repositories, then how many blobs were
/// looked at, then hashed.
pub fn check(root: &Path, options: FsckOptions, progress: &dyn Fn(u64)) -> Result<FsckReport, FsckError> {
    check_used(root)?;
    let keys = Keys::new(root);
    let lock = BriefLock::take(&keys, "which checks the volume");
    let mut seen = whole(&keys, progress);
    let locked = lock.is_some();
    drop(lock);
    if options.deep {
        seen.hash_contents(progress);
    }
    let mut findings = std::mem::take(&mut seen.findings);
    if !locked {
        for _ in 1..LOOKS {
            if findings.is_empty() {
                break;
            }
            std::thread::sleep(options.pause);
            findings = seen_again(&keys, findings);
        }
    }
    let findings = seen.explain(findings);
    Ok(FsckReport {
        locked,
        deep: options.deep,
        examined: seen.examined,
        findings,
        leftovers: seen.leftovers,
        changes: Vec::new(),
    })
}

/// Whether a registry has ever used a directory. What cannot be told of it is for the look to say.
pub fn check_used(root: &Path) -> Result<(), FsckError> {
    let path = root.to_owned();
    if let Err(cause) = fs::read_dir(root) {
        return Err(FsckError::Unreadable { path, cause });
    }
    let keys = Keys::new(root);
    if exists(keys.shared()).unwrap_or(true) || exists(keys.own()).unwrap_or(true) {
        Ok(())
    } else {
        Err(FsckError::NoVolume { path })
    }
}

/// Looks at everything; of bytes, those of manifests are hashed.
fn whole<'a>(keys: &'a Keys, progress: &Progress<'_>) -> Look<'a> {
    let mut look = Look::new(keys);
    let walked = walk_repositories(keys, None, &mut |name| {
        look.repository(&name);
        progress(look.examined.repositories);
        Ok(true)
    });
    look.walked(walked);
    look.keep_apart();
    look.contents(progress);
    look.records();
    look
}

/// What of these findings is still so.
fn seen_again(keys: &Keys, before: BTreeSet<Finding>) -> BTreeSet<Finding> {
    let mut look = Look::new(keys);
    let repositories: BTreeSet<_> = before
        .iter()
        .filter_map(|finding| finding.repository.as_ref())
        .collect();
    for name in repositories {
        look.repository(name);
    }
    look.records();
    for finding in &before {
        match (finding.kind, finding.what.parse()) {
            (FindingKind::ContentDamaged | FindingKind::Unreadable, Ok(digest))
                if finding.repository.is_none() =>
            {
                look.hash_content(&digest);
            }
            // a directory, of which nobody knows what is in it
            (FindingKind::Unreadable, Err(_)) if finding.repository.is_none() => {
                let path = keys.root().join(&finding.path);
                if path == keys.repositories() {
                    look.walked(walk_repositories(keys, None, &mut |_| Ok(true)));
                }
                look.names(None, &path);
            }
            _ => {}
        }
    }
    before
        .into_iter()
        .filter(|finding| look.findings.contains(finding))
        .collect()
}
