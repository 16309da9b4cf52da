//! How far something long has come: on a terminal a line that changes, elsewhere a line now and then. IO.

use std::io::{IsTerminal as _, Write as _};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use super::table::count;

/// What took longer is told when it has ended.
const NOTICEABLE: Duration = Duration::from_secs(2);

/// Something of which each step is told.
pub(crate) struct Progress {
    what: &'static str,
    total: usize,
    screen: Screen,
    began: Instant,
    shown: Instant,
}

impl Progress {
    pub(crate) fn new(what: &'static str, total: usize) -> Self {
        let now = Instant::now();
        Self {
            what,
            total,
            screen: Screen::new(),
            began: now,
            shown: now,
        }
    }

    pub(crate) fn at(&mut self, done: usize) {
        if self.shown.elapsed() >= self.screen.pause() {
            let (done, total) = (count(done as u64), count(self.total as u64));
            self.screen.show(&format!("{}: {done} of {total}", self.what));
            self.shown = Instant::now();
        }
    }

    pub(crate) fn end(self) {
        let what = format!("{}: {}", self.what, count(self.total as u64));
        self.screen.end(&what, self.began.elapsed());
    }
}

/// Does something of which only the time is known that it has taken so far.
pub(crate) fn phase<T>(what: &str, work: impl FnOnce() -> T) -> T {
    let (screen, began) = (Screen::new(), Instant::now());
    let (ended, end) = mpsc::channel::<()>();
    let done = thread::scope(|scope| {
        scope.spawn(move || {
            while end.recv_timeout(screen.pause()) == Err(RecvTimeoutError::Timeout) {
                screen.show(&format!("{what}: {} s so far", began.elapsed().as_secs()));
            }
        });
        let done = work();
        drop(ended);
        done
    });
    screen.end(what, began.elapsed());
    done
}

/// Where it is told.
#[derive(Clone, Copy)]
struct Screen {
    is_terminal: bool,
}

impl Screen {
    fn new() -> Self {
        Self {
            is_terminal: std::io::stdout().is_terminal(),
        }
    }

    /// Between two lines.
    fn pause(self) -> Duration {
        if self.is_terminal {
            Duration::from_millis(200)
        } else {
            Duration::from_secs(10)
        }
    }

    fn show(self, line: &str) {
        if self.is_terminal {
            print!("\r\x1b[K  {line}");
        } else {
            println!("  {line}");
        }
        drop(std::io::stdout().flush()); // who does not see it misses nothing
    }

    fn end(self, what: &str, took: Duration) {
        if self.is_terminal {
            print!("\r\x1b[K");
        }
        if took > NOTICEABLE {
            println!("  {what} in {} s", took.as_secs());
        }
        drop(std::io::stdout().flush());
    }
}
