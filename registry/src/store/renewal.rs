//! Says of what clients ask for by its digest that somebody wants it: clients ask what is there before they push what
//! refers to it. A link comes in, its time changes; IO in blocking threads.
//!
//! Who is answered "it is there" finds it for a collection's grace, less half an hour: a link that is older than that is
//! renewed before the answer, under its stripe. A collection looks at its time and removes it under the same stripe: before
//! the renewal, and the answer is "not there", or not at all.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use portolan_oci::Digest;

use super::error::Fault;
use super::links::renewed_at;
use super::{Inner, Store, blocking};

/// Blobs and manifests are kept for at least so long after somebody has asked for them, unless there is no grace at all.
pub(super) const SHORTEST_GRACE: Duration = Duration::from_hours(1);
/// Times of links are not kept more exactly than that: a pull shall not write.
const RENEW_AFTER: Duration = Duration::from_secs(SHORTEST_GRACE.as_secs() / 2);

impl Store {
    /// Reads what `link`, that of `digest` in some repository, leads to.
    pub(super) async fn read_and_renew<T, E>(
        &self,
        digest: &Digest,
        link: PathBuf,
        read: impl Fn(&Inner) -> Result<T, E> + Send + Sync + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Fault> + Send + 'static,
    {
        let (inner, read) = (Arc::clone(&self.inner), Arc::new(read));
        let (first, path) = (Arc::clone(&read), link.clone());
        let young = blocking(move || {
            let now = (inner.options.clock)();
            if inner.disk.read_only().is_none() && is_old(&path, now)? {
                return Ok(None);
            }
            first(&inner).map(Some)
        });
        if let Some(found) = young.await? {
            return Ok(found);
        }
        let stripes = self.inner.locks.hold(&[], &[digest]).await;
        let inner = Arc::clone(&self.inner);
        blocking(move || {
            let _held = stripes;
            renew(&link, (inner.options.clock)());
            read(&inner)
        })
        .await
    }
}

fn is_old(link: &Path, now: SystemTime) -> Result<bool, Fault> {
    let at = renewed_at(link)?;
    Ok(at.is_some_and(|at| now.duration_since(at).is_ok_and(|age| age >= RENEW_AFTER)))
}

/// If it fails, a collection may remove the link, and the client has to push again what it leads to.
pub(super) fn renew(link: &Path, now: SystemTime) {
    drop(File::open(link).and_then(|file| file.set_modified(now)));
}
