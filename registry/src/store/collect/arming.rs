//! What is pushed while a collection runs. Commits tell their roots here before they release their locks; the run takes
//! them and keeps what they refer to. No IO.
//!
//! A root is told before the first write of its change: of a change that fails half-way something may stay. What a
//! manifest names is only remembered until its change is over: from then on it can be read there, however many are pushed,
//! or the manifest is not there and nobody reaches anything through it.

use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use portolan_oci::{Digest, RepositoryName};

use super::packed::Packed;
use crate::manifest::References;
use crate::store::disk::lock;

/// Something that a client can reach from now on.
#[derive(Debug, Clone)]
pub(in crate::store) enum Root {
    /// A manifest that was put, with a tag or without.
    Manifest {
        repository: RepositoryName,
        digest: Packed,
        /// None: as the stored manifest says.
        names: Option<Box<[Packed]>>,
    },
    /// A blob that was pushed or mounted.
    Blob {
        repository: RepositoryName,
        digest: Digest,
        content: Digest,
    },
}

impl Root {
    pub(in crate::store) fn manifest(
        repository: &RepositoryName,
        digest: &Digest,
        references: &References,
    ) -> Self {
        Self::Manifest {
            repository: repository.clone(),
            digest: Packed::new(digest),
            names: Some(references.digests.iter().map(Packed::new).collect()),
        }
    }
}

#[derive(Debug, Default)]
pub(in crate::store) struct Arming {
    current: Mutex<Option<(SystemTime, Notes)>>,
}

/// What one run was told. A part of it that outlives it hears that it is over, and nothing of the next one.
#[derive(Debug, Clone)]
pub(super) struct Notes {
    told: Arc<Mutex<Option<Told>>>,
}

#[derive(Debug, Default)]
struct Told {
    roots: Vec<Root>,
    /// How many were there before these.
    taken: usize,
}

/// Where a root was told, if a run listens. Goes when the change is done or has failed, before its locks.
#[derive(Debug)]
pub(in crate::store) struct Noted(Option<(Notes, usize)>);

/// Ends the run when it goes.
#[derive(Debug)]
pub(super) struct Run<'a> {
    arming: &'a Arming,
    notes: Notes,
}

impl Arming {
    /// Tells a root to the run, if there is one. The caller holds the locks of its change and has written nothing yet.
    pub(in crate::store) fn note(&self, root: impl FnOnce() -> Root) -> Noted {
        if let Some((_, notes)) = &*lock(&self.current)
            && let Some(told) = lock(&notes.told).as_mut()
        {
            told.roots.push(root());
            return Noted(Some((notes.clone(), told.taken + told.roots.len() - 1)));
        }
        Noted(None)
    }

    /// Begins to take notes; an error tells since when another run does.
    pub(super) fn arm(&self, now: SystemTime) -> Result<Run<'_>, SystemTime> {
        let mut current = lock(&self.current);
        if let Some((since, _)) = &*current {
            return Err(*since);
        }
        let notes = Notes {
            told: Arc::new(Mutex::new(Some(Told::default()))),
        };
        *current = Some((now, notes.clone()));
        Ok(Run { arming: self, notes })
    }
}

impl Drop for Noted {
    /// What the manifest names need not be remembered any more.
    fn drop(&mut self) {
        if let Some((notes, number)) = self.0.take()
            && let Some(told) = lock(&notes.told).as_mut()
            && let Some(number) = number.checked_sub(told.taken)
            && let Some(Root::Manifest { names, .. }) = told.roots.get_mut(number)
        {
            *names = None;
        }
    }
}

impl Run<'_> {
    pub(super) fn notes(&self) -> Notes {
        self.notes.clone()
    }
}

impl Notes {
    /// What was told since the last time. None: the run is over, and nobody knows what was pushed since; it may not go on.
    pub(super) fn take(&self) -> Option<Vec<Root>> {
        lock(&self.told).as_mut().map(|told| {
            told.taken += told.roots.len();
            std::mem::take(&mut told.roots)
        })
    }
}

impl Drop for Run<'_> {
    fn drop(&mut self) {
        *lock(&self.arming.current) = None;
        *lock(&self.notes.told) = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use portolan_oci::Algorithm;

    fn note(arming: &Arming) {
        arming.note(|| Root::Blob {
            repository: "a".parse().unwrap(),
            digest: Digest::of(Algorithm::Sha256, b""),
            content: Digest::of(Algorithm::Sha256, b""),
        });
    }

    #[test]
    fn one_run_at_a_time_hears_of_every_root_once() {
        let arming = Arming::default();
        note(&arming);
        let run = arming.arm(SystemTime::UNIX_EPOCH).unwrap();
        assert_eq!(
            arming.arm(SystemTime::UNIX_EPOCH).unwrap_err(),
            SystemTime::UNIX_EPOCH
        );
        assert_eq!(run.notes().take().unwrap().len(), 0);
        note(&arming);
        assert_eq!(run.notes().take().unwrap().len(), 1);
        assert_eq!(run.notes().take().unwrap().len(), 0);
    }

    #[test]
    fn what_a_manifest_names_is_remembered_until_its_change_is_over() {
        let arming = Arming::default();
        let run = arming.arm(SystemTime::UNIX_EPOCH).unwrap();
        let digests = vec![Digest::of(Algorithm::Sha256, b"layer")];
        let references = References {
            digests,
            subject: None,
        };
        let digest = Digest::of(Algorithm::Sha256, b"");
        let note = || arming.note(|| Root::manifest(&"a".parse().unwrap(), &digest, &references));
        let remembers = || -> Vec<bool> {
            let roots = run.notes().take().unwrap();
            let names =
                |root: Root| matches!(root, Root::Manifest { names: Some(names), .. } if names.len() == 1);
            roots.into_iter().map(names).collect()
        };
        let (first, second) = (note(), note());
        drop(second);
        assert_eq!(remembers(), [true, false]);
        let third = note();
        drop(first); // the run has taken it: this is not the third one
        let fourth = note();
        drop(fourth);
        assert_eq!(remembers(), [true, false]);
        drop(third);
        assert!(remembers().is_empty());
    }

    #[test]
    fn what_is_left_of_a_run_hears_that_it_is_over_and_nothing_of_the_next() {
        let arming = Arming::default();
        let run = arming.arm(SystemTime::UNIX_EPOCH).unwrap();
        let left = run.notes();
        note(&arming);
        drop(run);
        let next = arming.arm(SystemTime::UNIX_EPOCH).unwrap();
        note(&arming);
        assert!(left.take().is_none());
        assert_eq!(next.notes().take().unwrap().len(), 1);
    }
}
