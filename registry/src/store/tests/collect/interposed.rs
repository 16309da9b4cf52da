//! Lets a client act at a chosen point of a collection: where nobody holds a lock, or in the middle of a batch.

use std::io;
use std::sync::atomic::AtomicUsize;
use std::sync::mpsc;
use std::thread::JoinHandle;

use super::*;
use crate::store::disk::{Seam, Step};

/// Counts and, when it is time, lets the client act.
#[derive(Default)]
pub(super) struct Moment {
    left: AtomicUsize,
    client: Mutex<Option<Client>>,
    /// Says that the moment has come; gone once it has.
    go: Mutex<Option<mpsc::Sender<()>>>,
    was_done: AtomicBool,
}

/// It has a thread and a runtime of its own, which are ready before its moment comes.
struct Client {
    thread: JoinHandle<()>,
    /// Closed when it has done everything.
    acting: mpsc::Receiver<()>,
}

impl Moment {
    /// Arms the moment: the client acts once so many further points have been passed.
    pub(super) fn after<F>(&self, points: usize, act: impl FnOnce() -> F + Send + 'static)
    where
        F: Future<Output = ()>,
    {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let ((go, when), (acts, acting)) = (mpsc::channel(), mpsc::channel());
        let thread = std::thread::spawn(move || {
            let _acts = acts;
            if when.recv().is_ok() {
                runtime.block_on(act());
            }
        });
        self.left.store(points, Ordering::SeqCst);
        *self.client.lock().unwrap() = Some(Client { thread, acting });
        *self.go.lock().unwrap() = Some(go);
    }

    fn pass(&self) -> bool {
        let mut go = self.go.lock().unwrap();
        let is_over = self
            .left
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1))
            .is_err();
        is_over && go.take().is_some_and(|go| go.send(()).is_ok())
    }

    /// Waits for the client. False: its moment never came.
    pub(super) fn join(&self) -> bool {
        let never_came = self.go.lock().unwrap().take().is_some(); // which lets it end
        let client = self.client.lock().unwrap().take();
        client.unwrap().thread.join().unwrap();
        !never_came
    }

    /// Whether the client had done everything before the step went on in the middle of which it began.
    pub(super) fn was_done(&self) -> bool {
        self.was_done.load(Ordering::SeqCst)
    }

    /// A point at which nobody holds a lock: the client has all the time it needs.
    pub(super) fn between(&self) {
        if self.pass() {
            // Closed once it has ended, however it did.
            let _ = self.client.lock().unwrap().as_ref().unwrap().acting.recv();
        }
    }
}

/// A point before each step of the store that changes something, with the locks held that are held then.
struct Within(Arc<Moment>);

/// A store with such points.
pub(super) async fn opened_within(volume: &Volume) -> (Store, Arc<Moment>) {
    let moment = Arc::new(Moment::default());
    let seam = Box::new(Within(Arc::clone(&moment)));
    let store = Store::open_through(volume.options(), seam).await.unwrap();
    (store, moment)
}

/// A client that does not get done in so many milliseconds waits for a lock. Where the machine is busy they are longer, as
/// all is.
const LONG_ENOUGH: usize = 20;

impl Seam for Within {
    fn before(&self, _: Step, _: &Path) -> io::Result<()> {
        if self.0.pass() {
            let client = self.0.client.lock().unwrap();
            let acting = &client.as_ref().unwrap().acting;
            let is_done = |_| {
                acting.recv_timeout(Duration::from_millis(1)) == Err(mpsc::RecvTimeoutError::Disconnected)
            };
            self.0
                .was_done
                .store((0..LONG_ENOUGH).any(is_done), Ordering::SeqCst);
        }
        Ok(())
    }
}
