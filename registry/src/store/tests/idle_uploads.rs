//! Upload sessions that nobody continues: they expire, and give way.

use std::sync::atomic::AtomicUsize;
use std::sync::mpsc;

use futures::channel::mpsc as streams;

use super::disk::{Act, Effect, Seam, Step, lock};
use super::faults::{ENOSPC, ONCE, open_failing};
use super::*;
use crate::store::session::MOST_SESSIONS;

async fn open_a_day_later(volume: &Volume) -> Store {
    let options = StoreOptions {
        clock: Arc::new(|| now() + Duration::from_hours(25)),
        ..volume.options()
    };
    Store::open(options).await.unwrap()
}

async fn begin(store: &Store) -> UploadId {
    store.upload_start(&repository("a"), None).await.unwrap()
}

async fn append(store: &Store, id: &UploadId) {
    let name = repository("a");
    let appended = store.upload_append(&name, id, Chunk::default(), body(&[b"x"]));
    appended.await.unwrap();
}

async fn open_uploads(store: &Store) -> u64 {
    store.stats().await.unwrap().open_uploads
}

/// P79.
#[tokio::test]
async fn idle_sessions_expire_and_busy_ones_do_not() {
    let volume = Volume::new();
    let later = Arc::new(AtomicBool::new(false));
    let is_later = Arc::clone(&later);
    let clock = move || now() + Duration::from_hours(if is_later.load(Ordering::SeqCst) { 25 } else { 0 });
    let options = StoreOptions {
        clock: Arc::new(clock),
        ..volume.options()
    };
    let store = Store::open(options).await.unwrap();
    let name = repository("a");
    let idle = begin(&store).await;
    let busy = begin(&store).await;
    append(&store, &idle).await;
    assert_eq!(store.expire_uploads().await.unwrap(), 0);

    let (mut sender, receiver) = streams::channel::<Result<Bytes, BodyError>>(0);
    let (busy_store, busy_name, busy_id) = (store.clone(), name.clone(), busy.clone());
    let request = tokio::spawn(async move {
        busy_store
            .upload_append(&busy_name, &busy_id, Chunk::default(), receiver)
            .await
    });
    for _ in 0..3 {
        futures::SinkExt::send(&mut sender, Ok(Bytes::from_static(b"y")))
            .await
            .unwrap();
    }
    later.store(true, Ordering::SeqCst);
    assert_eq!(store.expire_uploads().await.unwrap(), 1);
    assert!(matches!(
        store.upload_status(&name, &idle).await,
        Err(UploadError::Unknown)
    ));
    drop(sender);
    assert_eq!(request.await.unwrap().unwrap(), UploadStatus { offset: 3 });
}

/// P79.
#[tokio::test]
async fn expired_sessions_of_a_predecessor_go_too() {
    let volume = Volume::new();
    let store = volume.open().await;
    let id = begin(&store).await;
    append(&store, &id).await;
    drop(store);
    let store = open_a_day_later(&volume).await;
    assert_eq!(store.expire_uploads().await.unwrap(), 1);
    assert_eq!(std::fs::read_dir(volume.keys().uploads()).unwrap().count(), 0);
}

/// P84.
#[tokio::test]
async fn of_too_many_sessions_the_one_that_rests_longest_gives_way_and_none_that_is_written_to() {
    let volume = Volume::new();
    let store = volume.open().await;
    let name = repository("a");
    let written = begin(&store).await;
    let piece = vec![1_u8; 300 << 10];
    let endless = body(&[&piece]).chain(stream::pending());
    let (its_store, its_name, its_id) = (store.clone(), name.clone(), written.clone());
    let request = tokio::spawn(async move {
        its_store
            .upload_append(&its_name, &its_id, Chunk::default(), endless)
            .await
    });
    while offset(&store, &name, &written).await == 0 {
        tokio::task::yield_now().await;
    }
    let asked = begin(&store).await;
    let resting = begin(&store).await;
    for _ in 3..MOST_SESSIONS {
        begin(&store).await;
    }
    assert_eq!(offset(&store, &name, &asked).await, 0);
    let newest = begin(&store).await;
    let gone = store.upload_status(&name, &resting).await;
    assert!(matches!(gone, Err(UploadError::Unknown)), "{gone:?}");
    for id in [&written, &asked, &newest] {
        store.upload_status(&name, id).await.unwrap();
    }
    assert_eq!(open_uploads(&store).await, MOST_SESSIONS as u64);
    request.abort();
}

/// P84.
#[tokio::test]
async fn files_of_many_sessions_are_closed_but_for_those_used_last_and_all_go_on() {
    let volume = Volume::new();
    let store = volume.open().await;
    let mut all = Vec::new();
    for _ in 0..3 * OPEN_UPLOADS {
        let id = begin(&store).await;
        append(&store, &id).await;
        all.push(id);
    }
    let inner = &store.inner;
    assert_eq!(inner.upload_files.open(), OPEN_UPLOADS);
    let is_open = |id| {
        let session = inner.sessions.find(id).unwrap();
        session.try_write().unwrap().file.is_some()
    };
    assert!(!is_open(&all[0]) && is_open(&all[3 * OPEN_UPLOADS - 1]));
    for id in &all {
        append(&store, id).await;
        assert_eq!(offset(&store, &repository("a"), id).await, 2);
    }
    assert_eq!(inner.upload_files.open(), OPEN_UPLOADS);
    let digest = digest_of(b"xxx");
    let (name, last) = (repository("a"), body(&[b"x"]));
    let finished = store.upload_finish(&name, &all[0], &digest, Chunk::default(), last);
    finished.await.unwrap();
    assert_eq!(read_blob(&store, &name, &digest).await, b"xxx");
}

/// Loses what is written to the first upload.
#[tokio::test]
async fn session_whose_file_cannot_be_closed_without_loss_is_gone() {
    let volume = Volume::new();
    let (store, armed) = open_failing(&volume, Step::SyncFile, ".data", ENOSPC).await;
    let first = begin(&store).await;
    append(&store, &first).await;
    armed.store(ONCE, Ordering::SeqCst);
    for _ in 0..OPEN_UPLOADS {
        let id = begin(&store).await;
        append(&store, &id).await;
    }
    let gone = store.upload_status(&repository("a"), &first).await;
    assert!(matches!(gone, Err(UploadError::Unknown)), "{gone:?}");
    assert_eq!(open_uploads(&store).await, OPEN_UPLOADS as u64);
}

#[tokio::test]
async fn who_looks_at_a_session_keeps_no_client_from_going_on() {
    let volume = Volume::new();
    let store = volume.open().await;
    let id = begin(&store).await;
    let looking = store.inner.sessions.find(&id).unwrap().try_write().unwrap();
    let mut appending = Box::pin(append(&store, &id));
    assert!(futures::poll!(&mut appending).is_pending());
    drop(looking);
    appending.await;
}

#[tokio::test]
async fn session_of_a_predecessor_that_is_asked_for_takes_no_place_of_another() {
    let volume = Volume::new();
    let (predecessor, name) = (volume.open().await, repository("a"));
    let old = begin(&predecessor).await;
    predecessor.close().await;
    let store = volume.open().await;
    let longest = begin(&store).await;
    for _ in 1..MOST_SESSIONS {
        begin(&store).await;
    }
    for id in [&old, &longest] {
        store.upload_status(&name, id).await.unwrap();
    }
    assert_eq!(open_uploads(&store).await, MOST_SESSIONS as u64 + 1);
}

#[tokio::test]
async fn record_that_cannot_be_read_keeps_no_other_session_from_expiring() {
    let volume = Volume::new();
    let store = open_a_day_later(&volume).await;
    let unreadable = volume
        .keys()
        .upload_record(&portolan_oci::UploadId::from_random([0; 16]));
    std::fs::create_dir(&unreadable).unwrap();
    begin(&store).await;
    assert_eq!(store.expire_uploads().await.unwrap(), 1);
    assert!(unreadable.exists());
}

/// P84.
#[tokio::test]
async fn look_for_idle_sessions_is_no_use_of_them() {
    let volume = Volume::new();
    let number = std::sync::atomic::AtomicU8::new(u8::MAX);
    let options = StoreOptions {
        // the names of younger sessions come first
        random: Arc::new(move || [number.fetch_sub(1, Ordering::SeqCst); 16]),
        ..volume.options()
    };
    let store = Store::open(options).await.unwrap();
    let oldest = begin(&store).await;
    for _ in 2..MOST_SESSIONS {
        begin(&store).await;
    }
    let used = begin(&store).await;
    append(&store, &used).await;
    assert_eq!(store.expire_uploads().await.unwrap(), 0);
    begin(&store).await;
    let name = repository("a");
    store.upload_status(&name, &used).await.unwrap();
    let gone = store.upload_status(&name, &oldest).await;
    assert!(matches!(gone, Err(UploadError::Unknown)), "{gone:?}");
}

/// Holds fsyncs of uploads, before or behind them, until somebody lets each go on.
struct HoldsSyncs {
    reached: mpsc::Sender<()>,
    go_on: Mutex<mpsc::Receiver<()>>,
    left: AtomicUsize,
    syncs: Arc<AtomicUsize>,
}

impl HoldsSyncs {
    /// With ends that tell when one is held and let one go on, and how many there were.
    fn new(held: usize) -> (Self, mpsc::Receiver<()>, mpsc::Sender<()>, Arc<AtomicUsize>) {
        let (reached, is_reached) = mpsc::channel();
        let (go_on, gate) = mpsc::channel();
        let syncs = Arc::new(AtomicUsize::new(0));
        let seam = Self {
            reached,
            go_on: Mutex::new(gate),
            left: AtomicUsize::new(held),
            syncs: Arc::clone(&syncs),
        };
        (seam, is_reached, go_on, syncs)
    }
}

impl Seam for HoldsSyncs {
    fn take(&self, effect: &Effect<'_>, act: Act<'_>) -> std::io::Result<()> {
        act()?;
        let is_it = matches!(effect, Effect::SyncFile { path, .. } if path.extension().is_some_and(|it| it == "data"));
        if is_it {
            self.syncs.fetch_add(1, Ordering::SeqCst);
            let take = |left: usize| left.checked_sub(1);
            if self
                .left
                .fetch_update(Ordering::SeqCst, Ordering::SeqCst, take)
                .is_ok()
            {
                self.reached.send(()).unwrap();
                lock(&self.go_on).recv().unwrap();
            }
        }
        Ok(())
    }
}

async fn wait_for(reached: mpsc::Receiver<()>, times: usize) {
    let waiting = move || {
        for _ in 0..times {
            reached
                .recv_timeout(Duration::from_mins(1))
                .expect("nobody has come there");
        }
    };
    tokio::task::spawn_blocking(waiting).await.unwrap();
}

/// P84.
#[tokio::test]
async fn of_many_that_open_a_file_at_once_each_closes_another() {
    let volume = Volume::new();
    let (seam, reached, go_on, _) = HoldsSyncs::new(4);
    let store = Store::open_through(volume.options(), Box::new(seam))
        .await
        .unwrap();
    for _ in 0..OPEN_UPLOADS {
        let id = begin(&store).await;
        append(&store, &id).await;
    }
    let opening = (0..4).map(|_| {
        let store = store.clone();
        tokio::spawn(async move {
            let id = begin(&store).await;
            append(&store, &id).await;
        })
    });
    let opening: Vec<_> = opening.collect();
    wait_for(reached, 4).await;
    for _ in 0..4 {
        go_on.send(()).unwrap();
    }
    for one in opening {
        one.await.unwrap();
    }
    assert!(store.inner.upload_files.open() <= OPEN_UPLOADS);
}

#[tokio::test]
async fn file_is_not_closed_with_bytes_that_came_behind_its_fsync() {
    let volume = Volume::new();
    let (seam, reached, go_on, syncs) = HoldsSyncs::new(1);
    let options = StoreOptions {
        open_uploads: 1,
        ..volume.options()
    };
    let store = Store::open_through(options, Box::new(seam)).await.unwrap();
    let first = begin(&store).await;
    append(&store, &first).await;
    let other = store.clone();
    let opening = tokio::spawn(async move {
        let id = begin(&other).await;
        append(&other, &id).await;
    });
    wait_for(reached, 1).await;
    append(&store, &first).await;
    store.close_resting_uploads().await; // another that looks whether it rests
    go_on.send(()).unwrap();
    opening.await.unwrap();
    let session = store.inner.sessions.find(&first).unwrap();
    let is_open = session.try_write().unwrap().file.is_some();
    assert!(is_open || syncs.load(Ordering::SeqCst) > 1);
}
