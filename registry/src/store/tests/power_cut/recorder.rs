//! A seam that writes down every effect that was brought about, in its order; paths relative to the volume. It can end
//! the process after a number of effects, let one effect fail, and hold one of two operations back between two effects.

use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};

use tokio::sync::Notify;

use crate::store::disk::{Act, Effect, Seam, lock};

/// What happened, in the words of a disk. Files go by the number of their inode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Event {
    MakeDirectory(String),
    MakeFile(String, u64),
    Write(u64, u64, Vec<u8>),
    SetLength(u64, u64),
    SyncFile(String, u64),
    SyncDirectory(String),
    SyncVolume,
    Rename(String, String),
    Unlink(String),
    RemoveDirectory(String),
    /// A client asks for an operation.
    Begin(usize),
    /// The operation was acknowledged.
    Acknowledge(usize),
}

/// Holds whoever comes to the given effect until it is opened; those who come later pass.
#[derive(Debug)]
pub(super) struct Gate {
    left: AtomicUsize,
    pub(super) reached: Notify,
    is_open: Mutex<bool>,
    opened: Condvar,
}

impl Gate {
    fn pass(&self) {
        if count_down(&self.left) == Some(1) {
            self.reached.notify_one();
            let mut is_open = lock(&self.is_open);
            while !*is_open {
                is_open = self.opened.wait(is_open).unwrap();
            }
        }
    }

    pub(super) fn open(&self) {
        *lock(&self.is_open) = true;
        self.opened.notify_all();
    }
}

/// What was left before; nothing is taken from nothing.
fn count_down(left: &AtomicUsize) -> Option<usize> {
    left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1))
        .ok()
}

const NEVER: usize = usize::MAX;

/// Which effect is to fail.
type Chosen = fn(&Effect<'_>) -> bool;

/// Clones write to the same record, and are the same process.
#[derive(Debug, Clone)]
pub(super) struct Recorder {
    root: PathBuf,
    events: Arc<Mutex<Vec<Event>>>,
    /// So many effects more, then the process has ended.
    left: Arc<AtomicUsize>,
    /// The first of these fails.
    fails: Arc<Mutex<Option<Chosen>>>,
    pub(super) gate: Arc<Gate>,
}

impl Recorder {
    pub(super) fn new(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
            events: Arc::default(),
            left: Arc::new(NEVER.into()),
            fails: Arc::default(),
            gate: Arc::new(Gate {
                left: NEVER.into(),
                reached: Notify::new(),
                is_open: Mutex::new(false),
                opened: Condvar::new(),
            }),
        }
    }

    /// Goes on in the same record after the process has ended.
    pub(super) fn next_process(&self) -> Self {
        Self {
            left: Arc::new(NEVER.into()),
            ..self.clone()
        }
    }

    /// The process ends after so many effects more.
    pub(super) fn end_after(&self, effects: usize) {
        self.left.store(effects, Ordering::SeqCst);
    }

    /// The next effect of these fails, and the process goes on.
    pub(super) fn fail_once(&self, chosen: Chosen) {
        *lock(&self.fails) = Some(chosen);
    }

    /// Who comes to the given effect from now on is held there.
    pub(super) fn hold_before(&self, effect: usize) {
        self.gate.left.store(effect, Ordering::SeqCst);
    }

    pub(super) fn mark(&self, event: Event) {
        lock(&self.events).push(event);
    }

    /// Forgets what has happened so far: it is what the record begins with.
    pub(super) fn start_over(&self) {
        lock(&self.events).clear();
    }

    pub(super) fn events(&self) -> Vec<Event> {
        lock(&self.events).clone()
    }

    fn event(&self, effect: &Effect<'_>) -> io::Result<Option<Event>> {
        let name = |path: &Path| {
            let inside = path.strip_prefix(&self.root).map_err(io::Error::other)?;
            Ok::<_, io::Error>(inside.to_string_lossy().into_owned())
        };
        Ok(Some(match effect {
            Effect::OpenDirectory { .. } => return Ok(None),
            Effect::CreateDirectory { path } => Event::MakeDirectory(name(path)?),
            Effect::CreateFile { path } => Event::MakeFile(name(path)?, std::fs::metadata(path)?.ino()),
            Effect::Write {
                file, offset, bytes, ..
            } => Event::Write(file.metadata()?.ino(), *offset, bytes.to_vec()),
            Effect::SetLength { file, length, .. } => Event::SetLength(file.metadata()?.ino(), *length),
            Effect::SyncFile { path, file } => Event::SyncFile(name(path)?, file.metadata()?.ino()),
            Effect::Rename { from, to } => Event::Rename(name(from)?, name(to)?),
            Effect::SyncDirectory { path } => Event::SyncDirectory(name(path)?),
            Effect::SyncVolume { .. } => Event::SyncVolume,
            Effect::RemoveFile { path } => Event::Unlink(name(path)?),
            Effect::RemoveDirectory { path } => Event::RemoveDirectory(name(path)?),
        }))
    }
}

impl Seam for Recorder {
    fn take(&self, effect: &Effect<'_>, act: Act<'_>) -> io::Result<()> {
        if count_down(&self.left).is_none() {
            return Err(io::Error::other("the process has ended"));
        }
        if lock(&self.fails).take_if(|chosen| chosen(effect)).is_some() {
            return Err(io::Error::other("it fails once"));
        }
        self.gate.pass();
        let mut events = lock(&self.events); // what happens and what is written down have one order
        act()?;
        events.extend(self.event(effect)?);
        Ok(())
    }
    fn keeps_order(&self) -> bool {
        true
    }
}
