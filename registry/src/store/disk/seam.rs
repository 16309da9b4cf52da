//! Through what every change of the volume goes: an [`Effect`] and the act that brings it about come in, what came of
//! it goes out. The seam of a real volume acts; those of tests write down, fail, wait, or leave out.

use std::fs::File;
use std::io;
use std::path::Path;

/// The kind of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum Step {
    CreateDirectory,
    Write,
    SyncFile,
    Rename,
    OpenDirectory,
    SyncDirectory,
    SyncVolume,
    Remove,
}

/// One change of the volume with all that a disk would have to keep of it. Files that are open are told by their
/// handle: their path may name another one by now.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(
    not(test),
    expect(dead_code, reason = "only a recorder of effects reads all of it")
)]
pub(in crate::store) enum Effect<'a> {
    /// One that is there already stays as it is.
    CreateDirectory {
        path: &'a Path,
    },
    /// An empty file, unless there is one.
    CreateFile {
        path: &'a Path,
    },
    Write {
        path: &'a Path,
        file: &'a File,
        offset: u64,
        bytes: &'a [u8],
    },
    SetLength {
        path: &'a Path,
        file: &'a File,
        length: u64,
    },
    SyncFile {
        path: &'a Path,
        file: &'a File,
    },
    Rename {
        from: &'a Path,
        to: &'a Path,
    },
    OpenDirectory {
        path: &'a Path,
    },
    SyncDirectory {
        path: &'a Path,
    },
    /// Everything that was written before, by whomever.
    SyncVolume {
        path: &'a Path,
    },
    RemoveFile {
        path: &'a Path,
    },
    /// Only an empty one goes.
    RemoveDirectory {
        path: &'a Path,
    },
}

impl<'a> Effect<'a> {
    pub(in crate::store) fn step(&self) -> Step {
        match self {
            Self::CreateDirectory { .. } => Step::CreateDirectory,
            Self::CreateFile { .. } | Self::Write { .. } | Self::SetLength { .. } => Step::Write,
            Self::SyncFile { .. } => Step::SyncFile,
            Self::Rename { .. } => Step::Rename,
            Self::OpenDirectory { .. } => Step::OpenDirectory,
            Self::SyncDirectory { .. } => Step::SyncDirectory,
            Self::SyncVolume { .. } => Step::SyncVolume,
            Self::RemoveFile { .. } | Self::RemoveDirectory { .. } => Step::Remove,
        }
    }

    /// What changes; of a rename, the new name.
    pub(in crate::store) fn path(&self) -> &'a Path {
        match self {
            Self::CreateDirectory { path }
            | Self::CreateFile { path }
            | Self::Write { path, .. }
            | Self::SetLength { path, .. }
            | Self::SyncFile { path, .. }
            | Self::Rename { to: path, .. }
            | Self::OpenDirectory { path }
            | Self::SyncDirectory { path }
            | Self::SyncVolume { path }
            | Self::RemoveFile { path }
            | Self::RemoveDirectory { path } => path,
        }
    }
}

/// Brings an effect about.
pub(in crate::store) type Act<'a> = &'a mut dyn FnMut() -> io::Result<()>;

/// Stands between the store and its volume.
pub(in crate::store) trait Seam: Send + Sync {
    /// Is asked before each change; an error takes the place of the change.
    fn before(&self, _: Step, _: &Path) -> io::Result<()> {
        Ok(())
    }

    /// Makes a change. Whoever wants to know what has come of it, or to leave it out, does it here.
    fn take(&self, effect: &Effect<'_>, act: Act<'_>) -> io::Result<()> {
        self.before(effect.step(), effect.path())?;
        act()
    }

    /// Whether changes of one operation always come in the same order, also where that is slower.
    fn keeps_order(&self) -> bool {
        false
    }
}

/// The seam of a real volume: lets everything through.
pub(in crate::store) struct Direct;

impl Seam for Direct {}
