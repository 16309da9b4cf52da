//! Threads that give way: a collection competes for processors with pushes and pulls, which have somebody waiting.

use std::panic::resume_unwind;
use std::sync::Mutex;
use std::thread;

use rustix::process::{getpriority_process, setpriority_process};

use crate::store::blocking;
use crate::store::disk::lock;

/// More than the program has, as with `nice`. Against others that want a processor whole it leaves a collection a tenth of that; with less, pushes
/// could wait long for stripes that it holds.
const NICENESS: i32 = 10;

/// As [`blocking`], with less right to a processor than who serves.
pub(super) async fn yielding<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    blocking(move || in_yielding_thread(work)).await
}

/// In a thread of its own, as none may raise its priority again.
fn in_yielding_thread<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    let work = Mutex::new(Some(work));
    let take = || {
        let work = lock(&work).take();
        work.map(|work| work())
    };
    let done = thread::scope(|scope| {
        let beside = thread::Builder::new().spawn_scoped(scope, || {
            // Of this thread alone; without, it takes as much as others.
            let nice = getpriority_process(None).unwrap_or_default() + NICENESS;
            let _ = setpriority_process(None, nice.min(19));
            take()
        });
        match beside {
            Ok(thread) => thread.join().unwrap_or_else(|panic| resume_unwind(panic)),
            Err(_) => take(), // the system has no thread to spare
        }
    });
    done.expect("one of the two has taken it")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_that_yields_has_a_thread_of_lower_priority_and_leaves_others_theirs() {
        let priority = || getpriority_process(None).unwrap();
        let before = blocking(priority).await;
        assert_eq!(yielding(priority).await, (before + NICENESS).min(19));
        assert_eq!(blocking(priority).await, before);
    }
}
