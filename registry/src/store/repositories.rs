//! The list of repositories, straight from the directories; blocking IO in blocking threads.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;

use portolan_oci::RepositoryName;

use super::error::{Fault, ListError};
use super::keys::Keys;
use super::links::{exists, names_in};
use super::{Inner, Page, Store, blocking};

/// Where a walk is about to look.
#[derive(Debug, Clone, Copy)]
pub enum Place<'a> {
    /// This name, which may be that of a repository.
    Repository(&'a RepositoryName),
    /// Every repository whose name begins so; it ends with a slash.
    Below(&'a str),
}

impl Store {
    /// A page of the names of those repositories that are `wanted`, in byte order, beginning behind `after`, which need not
    /// exist. The directories are walked once, and no further than to the end of the page; what is not wanted is not
    /// looked at.
    pub async fn repositories(
        &self,
        after: Option<&str>,
        limit: usize,
        wanted: impl Fn(Place<'_>) -> bool + Send + 'static,
    ) -> Result<Page<RepositoryName>, ListError> {
        let turn = self.inner.turns.list().await;
        let (inner, after) = (Arc::clone(&self.inner), after.map(str::to_owned));
        blocking(move || {
            let _turn = turn;
            let mut page = Page {
                items: Vec::new(),
                has_more: false,
            };
            if limit == 0 {
                return Ok(page);
            }
            let after = after.as_deref().unwrap_or("");
            walk(&inner.keys, "", after, &wanted, &mut |name| {
                page.has_more = page.items.len() == limit;
                if !page.has_more {
                    page.items.push(name);
                }
                Ok(!page.has_more)
            })?;
            Ok(page)
        })
        .await
    }
}

/// Takes a repository and says whether to go on.
pub(super) type Visit<'a> = dyn FnMut(RepositoryName) -> Result<bool, Fault> + 'a;

impl Inner {
    /// Visits repositories in byte order. Directories whose names all lie before `after` are not read.
    pub(super) fn walk_repositories(&self, after: Option<&str>, visit: &mut Visit<'_>) -> Result<(), Fault> {
        walk_repositories(&self.keys, after, visit)
    }

    /// The same, of those that are `wanted`; what is not is not looked at.
    pub(super) fn walk_wanted(
        &self,
        wanted: &dyn Fn(Place<'_>) -> bool,
        visit: &mut Visit<'_>,
    ) -> Result<(), Fault> {
        walk(&self.keys, "", "", wanted, visit).map(drop)
    }

    /// Whether anything was ever pushed to a repository.
    pub(super) fn repository_exists(&self, name: &RepositoryName) -> Result<bool, Fault> {
        repository_exists(&self.keys, name)
    }
}

/// As [`Inner::walk_repositories`], of a volume that is not opened.
pub(super) fn walk_repositories(
    keys: &Keys,
    after: Option<&str>,
    visit: &mut Visit<'_>,
) -> Result<(), Fault> {
    walk(keys, "", after.unwrap_or(""), &|_| true, visit).map(drop)
}

fn walk(
    keys: &Keys,
    prefix: &str,
    after: &str,
    wanted: &dyn Fn(Place<'_>) -> bool,
    visit: &mut Visit<'_>,
) -> Result<bool, Fault> {
    // `a-b` sorts between `a` and `a/b`: a name and what is below it are two entries of the order.
    let mut entries = Vec::new();
    for name in names_in(&keys.repositories().join(prefix))? {
        if name.parse::<RepositoryName>().is_ok() {
            entries.push(format!("{prefix}{name}/"));
            entries.push(format!("{prefix}{name}"));
        }
    }
    entries.sort_unstable();
    for entry in entries {
        let goes_on = if entry.ends_with('/') {
            let is_behind = entry.as_str() > after || after.starts_with(&entry);
            let is_wanted = is_behind && wanted(Place::Below(&entry));
            !is_wanted || leads_back(keys, &entry)? || walk(keys, &entry, after, wanted, visit)?
        } else {
            match entry.parse::<RepositoryName>() {
                Ok(name) if entry.as_str() > after && wanted(Place::Repository(&name)) => {
                    !repository_exists(keys, &name)? || visit(name)?
                }
                _ => true,
            }
        };
        if !goes_on {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether a path below the repositories is a symbolic link to a directory that it lies in: there is nothing that
/// was not met, and there are too many ways to it.
pub(super) fn leads_back(keys: &Keys, path: &str) -> Result<bool, Fault> {
    let root = keys.repositories();
    let path = root.join(path.trim_end_matches('/'));
    if !path.is_symlink() {
        return Ok(false);
    }
    let identity = |of: &Path| match fs::metadata(of) {
        Ok(metadata) => Ok((metadata.dev(), metadata.ino())),
        Err(source) => Err(Fault::Io {
            action: "look at",
            path: of.to_owned(),
            source,
        }),
    };
    let target = match identity(&path) {
        Err(Fault::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => return Ok(false),
        target => target?,
    };
    for above in path.ancestors().skip(1).take_while(|it| it.starts_with(&root)) {
        if identity(above)? == target {
            return Ok(true);
        }
    }
    Ok(false)
}

fn repository_exists(keys: &Keys, name: &RepositoryName) -> Result<bool, Fault> {
    Ok(exists(&keys.manifests(name))? || exists(&keys.layers(name))?)
}
