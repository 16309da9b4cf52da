//! Files that are read again when they change: paths and a reader in, the value in force out. IO (stat and read).
//!
//! Kubernetes replaces a mounted Secret by swapping a symbolic link, other people write in place; both show in what
//! `stat` says about the files, which is asked every second. A file that cannot be used changes nothing: the value
//! before stays in force, one sentence is logged, and a metric says so until it is repaired.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLock};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::files::FileProblem;
use crate::metrics::Metrics;

/// How often files are looked at.
const INTERVAL: Duration = Duration::from_secs(1);

/// A value that is swapped as a whole.
#[derive(Debug)]
pub struct Current<T>(RwLock<Arc<T>>);

impl<T> Current<T> {
    /// Starts with a value.
    pub fn new(value: T) -> Self {
        Self(RwLock::new(Arc::new(value)))
    }

    /// The value now; who keeps it keeps that one.
    pub fn current(&self) -> Arc<T> {
        self.0
            .read()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .clone()
    }

    fn swap(&self, value: T) {
        *self.0.write().unwrap_or_else(std::sync::PoisonError::into_inner) = Arc::new(value);
    }
}

/// What `stat` tells about the files behind a value: equal means not touched.
type Fingerprint = Vec<(PathBuf, Option<[i128; 5]>)>;

type Reader<T> = Box<dyn Fn() -> Result<T, FileProblem> + Send>;
type Observer<T> = Box<dyn Fn(&T) + Send>;

/// Some files, and the value that was made of them.
pub struct Watched<T> {
    what: &'static str,
    paths: Vec<PathBuf>,
    read: Reader<T>,
    on_change: Observer<T>,
    current: Arc<Current<T>>,
    seen: Fingerprint,
    /// The state of the files that could not be used, and whether that was told.
    refused: Option<(Fingerprint, bool)>,
}

impl<T> std::fmt::Debug for Watched<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watched")
            .field("what", &self.what)
            .field("paths", &self.paths)
            .finish_non_exhaustive()
    }
}

/// A source of some type, as the polling task sees it.
pub trait Poll: Send {
    /// Looks once.
    fn poll(&mut self, metrics: &Metrics);
}

impl<T: Send + Sync + 'static> Watched<T> {
    /// Reads for the first time; an error here is the caller's to end with. `what` names the value in sentences and
    /// metrics; `on_change` is told of every value that comes into force, the first included.
    pub fn read(
        what: &'static str,
        paths: Vec<PathBuf>,
        read: impl Fn() -> Result<T, FileProblem> + Send + 'static,
        on_change: impl Fn(&T) + Send + 'static,
    ) -> Result<Self, FileProblem> {
        // looked at before reading: a change in between is then seen by the next look
        let seen = fingerprint(&paths);
        let value = read()?;
        on_change(&value);
        let current = Arc::new(Current::new(value));
        let (read, on_change) = (Box::new(read), Box::new(on_change));
        Ok(Self {
            what,
            paths,
            read,
            on_change,
            current,
            seen,
            refused: None,
        })
    }

    /// Where the value in force is found.
    pub fn current(&self) -> Arc<Current<T>> {
        self.current.clone()
    }
}

impl<T: Send + Sync + 'static> Poll for Watched<T> {
    fn poll(&mut self, metrics: &Metrics) {
        let found = fingerprint(&self.paths);
        if found == self.seen && self.refused.is_none() {
            return;
        }
        // a refused state is tried again before it is told: a certificate and its key may be written one by one; and
        // after that: a certificate that was not valid yet becomes so without a change of its file
        let told = match &self.refused {
            Some((state, told)) if *state == found => Some(*told),
            _ => None,
        };
        match (self.read)() {
            Ok(value) => {
                (self.on_change)(&value);
                self.current.swap(value);
                self.seen = found;
                self.refused = None;
                metrics.reload_succeeded(self.what);
                tracing::info!(what = self.what, "{} read again and in force", self.what);
            }
            Err(problem) => {
                if told == Some(false) {
                    metrics.reload_failed(self.what);
                    let problem = crate::error_chain(&problem);
                    tracing::error!(
                        what = self.what,
                        "{problem}; the {} before stays in force",
                        self.what
                    );
                }
                self.refused = Some((found, told.is_some()));
            }
        }
    }
}

/// Looks at all sources every second until it is cancelled.
pub async fn run(mut sources: Vec<Box<dyn Poll>>, metrics: Metrics, cancelled: CancellationToken) {
    let mut ticks = tokio::time::interval(INTERVAL);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = cancelled.cancelled() => return,
            _ = ticks.tick() => {
                for source in &mut sources {
                    source.poll(&metrics);
                }
            }
        }
    }
}

/// Directories count with what is in them, one level deep.
fn fingerprint(paths: &[PathBuf]) -> Fingerprint {
    let mut all = Vec::new();
    for path in paths {
        all.push((path.clone(), stat(path)));
        if let Ok(entries) = std::fs::read_dir(path) {
            let mut inside: Vec<_> = entries
                .flatten()
                .map(|entry| (entry.path(), stat(&entry.path())))
                .collect();
            inside.sort();
            all.extend(inside);
        }
    }
    all
}

fn stat(path: &Path) -> Option<[i128; 5]> {
    let meta = std::fs::metadata(path).ok()?;
    let modified = i128::from(meta.mtime()) * 1_000_000_000 + i128::from(meta.mtime_nsec());
    let changed = i128::from(meta.ctime()) * 1_000_000_000 + i128::from(meta.ctime_nsec());
    Some([
        i128::from(meta.dev()),
        i128::from(meta.ino()),
        i128::from(meta.len()),
        modified,
        changed,
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(path: &Path) -> FileProblem {
        FileProblem {
            key: "test.file",
            path: path.to_owned(),
            source: crate::files::Problem::NoPem,
        }
    }

    fn watched(path: PathBuf) -> Watched<String> {
        let file = path.clone();
        let read = move || {
            let text = std::fs::read_to_string(&file).unwrap_or_default();
            if text.contains("garbage") {
                Err(refusal(&file))
            } else {
                Ok(text)
            }
        };
        Watched::read("test file", vec![path], read, |_| {}).unwrap()
    }

    #[test]
    fn a_changed_file_comes_into_force_at_the_next_look() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        std::fs::write(&path, "one").unwrap();
        let metrics = Metrics::new();
        let mut watched = watched(path.clone());
        let current = watched.current();
        watched.poll(&metrics);
        assert_eq!(*current.current(), "one");
        std::fs::write(&path, "two!").unwrap();
        watched.poll(&metrics);
        assert_eq!(*current.current(), "two!");
    }

    #[test]
    fn garbage_keeps_the_value_before_and_shows_in_a_metric_until_repaired() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        std::fs::write(&path, "one").unwrap();
        let metrics = Metrics::new();
        let mut watched = watched(path.clone());
        let current = watched.current();
        std::fs::write(&path, "garbage").unwrap();
        for _ in 0..5 {
            watched.poll(&metrics);
        }
        assert_eq!(*current.current(), "one");
        let text = metrics.text();
        assert!(
            text.contains("reload_failures_total{what=\"test file\"} 1\n"),
            "{text}"
        );
        assert!(text.contains("reload_failing{what=\"test file\"} 1\n"), "{text}");
        std::fs::write(&path, "three").unwrap();
        watched.poll(&metrics);
        assert_eq!(*current.current(), "three");
        assert!(metrics.text().contains("reload_failing{what=\"test file\"} 0\n"));
    }

    #[test]
    fn what_was_refused_comes_into_force_once_it_can_without_another_change() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        std::fs::write(&path, "one").unwrap();
        let is_time = Arc::new(std::sync::atomic::AtomicBool::new(true));
        let (file, time) = (path.clone(), is_time.clone());
        let read = move || {
            let text = std::fs::read_to_string(&file).unwrap_or_default();
            let is_time = time.load(std::sync::atomic::Ordering::SeqCst);
            is_time.then_some(text).ok_or_else(|| refusal(&file))
        };
        let mut watched = Watched::read("test file", vec![path.clone()], read, |_| {}).unwrap();
        let (metrics, current) = (Metrics::new(), watched.current());
        is_time.store(false, std::sync::atomic::Ordering::SeqCst);
        std::fs::write(&path, "two!").unwrap();
        for _ in 0..4 {
            watched.poll(&metrics);
        }
        assert_eq!(*current.current(), "one");
        is_time.store(true, std::sync::atomic::Ordering::SeqCst);
        watched.poll(&metrics);
        assert_eq!(*current.current(), "two!");
    }

    #[test]
    fn a_link_that_is_swapped_is_seen_even_when_the_files_look_alike() {
        let dir = tempfile::tempdir().unwrap();
        for (version, text) in [("v1", "one"), ("v2", "two")] {
            std::fs::create_dir(dir.path().join(version)).unwrap();
            std::fs::write(dir.path().join(version).join("file"), text).unwrap();
        }
        let data = dir.path().join("data");
        std::os::unix::fs::symlink("v1", &data).unwrap();
        let mut watched = watched(data.join("file"));
        std::os::unix::fs::symlink("v2", dir.path().join("next")).unwrap();
        std::fs::rename(dir.path().join("next"), &data).unwrap();
        watched.poll(&Metrics::new());
        assert_eq!(*watched.current().current(), "two");
    }
}
