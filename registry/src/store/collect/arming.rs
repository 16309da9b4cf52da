//! What is pushed while a collection runs. Commits tell their roots here before they release their locks; the run takes
//! them and keeps what they refer to. No IO.
//!
//! A root is told before the first write of its change: of a change that fails half-way something may stay.

use std::sync::Mutex;
use std::time::SystemTime;

use portolan_oci::{Digest, RepositoryName};

use crate::manifest::References;
use crate::store::disk::lock;

/// Something that a client can reach from now on.
#[derive(Debug, Clone)]
pub(in crate::store) enum Root {
    /// A manifest that was put, with a tag or without.
    Manifest {
        repository: RepositoryName,
        digest: Digest,
        references: References,
    },
    /// A blob that was pushed or mounted.
    Blob {
        repository: RepositoryName,
        digest: Digest,
        content: Digest,
    },
}

#[derive(Debug, Default)]
pub(in crate::store) struct Arming {
    state: Mutex<Option<Armed>>,
}

#[derive(Debug)]
struct Armed {
    since: SystemTime,
    roots: Vec<Root>,
}

/// Ends the run when it goes.
#[derive(Debug)]
pub(in crate::store) struct Run<'a> {
    arming: &'a Arming,
}

impl Arming {
    /// Tells a root to the run, if there is one. The caller holds the locks of its change and has written nothing yet.
    pub(in crate::store) fn note(&self, root: impl FnOnce() -> Root) {
        if let Some(armed) = lock(&self.state).as_mut() {
            armed.roots.push(root());
        }
    }

    /// Begins to take notes; an error tells since when another run does.
    pub(super) fn arm(&self, now: SystemTime) -> Result<Run<'_>, SystemTime> {
        let mut state = lock(&self.state);
        if let Some(armed) = state.as_ref() {
            return Err(armed.since);
        }
        *state = Some(Armed {
            since: now,
            roots: Vec::new(),
        });
        Ok(Run { arming: self })
    }

    /// What was told since the last time.
    pub(super) fn drain(&self) -> Vec<Root> {
        lock(&self.state)
            .as_mut()
            .map(|armed| std::mem::take(&mut armed.roots))
            .unwrap_or_default()
    }
}

impl Drop for Run<'_> {
    fn drop(&mut self) {
        *lock(&self.arming.state) = None;
    }
}
