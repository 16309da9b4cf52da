//! The disk is told to begin while an upload still comes in; nobody else waits for it.

use std::io;
use std::sync::mpsc::{Receiver, channel};

use super::disk::{Act, Effect, Seam, Step};
use super::*;

/// A disk that takes no bytes of uploads until the test is over.
struct Stuck(Mutex<Receiver<()>>);

impl Seam for Stuck {
    fn before(&self, step: Step, path: &Path) -> io::Result<()> {
        if step == Step::SyncFile && path.extension().is_some_and(|it| it == "data") {
            let _ = disk::lock(&self.0).recv();
        }
        Ok(())
    }
}

#[test]
fn uploads_to_a_disk_that_stands_still_leave_threads_to_everybody_else() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(3)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let (volume, name) = (Volume::in_memory(), repository("a"));
        let (_until_the_end, stuck) = channel();
        let seam = Box::new(Stuck(Mutex::new(stuck)));
        let store = Store::open_through(volume.options(), seam).await.unwrap();
        put(&store, &name, "v1", &index(&[])).await.unwrap();
        let piece = vec![0; usize::try_from(receive::WRITEBACK_BYTES).unwrap()];
        for _ in 0..4 {
            let sent = async {
                let id = store.upload_start(&name, None).await.unwrap();
                let pieces = body(&[&piece, &piece, &piece]);
                store.upload_append(&name, &id, Chunk::default(), pieces).await
            };
            let sent = tokio::time::timeout(Duration::from_secs(20), sent).await;
            sent.expect("no thread is left for an upload").unwrap();
        }
        let by_tag = "v1".parse().unwrap();
        let asked = tokio::time::timeout(Duration::from_secs(20), store.manifest_head(&name, &by_tag)).await;
        asked.expect("no thread is left for a pull").unwrap();
    });
}

/// Writes down what is made durable.
#[derive(Clone, Default)]
struct Synced(Arc<Mutex<Vec<PathBuf>>>);

impl Seam for Synced {
    fn take(&self, effect: &Effect<'_>, act: Act<'_>) -> io::Result<()> {
        act()?;
        if let Effect::SyncFile { path, .. } | Effect::SyncDirectory { path } = effect {
            disk::lock(&self.0).push(path.to_path_buf());
        }
        Ok(())
    }
}

#[tokio::test]
async fn session_of_which_bytes_were_made_durable_early_is_durable_itself() {
    let (volume, name) = (Volume::in_memory(), repository("a"));
    let synced = Synced::default();
    let store = Store::open_through(volume.options(), Box::new(synced.clone()))
        .await
        .unwrap();
    let keys = volume.keys();
    let id = store.upload_start(&name, None).await.unwrap();
    let piece = vec![0; usize::try_from(receive::WRITEBACK_BYTES).unwrap()];
    let small = body(&[&piece[1..]]);
    store
        .upload_append(&name, &id, Chunk::default(), small)
        .await
        .unwrap();
    let record = keys.upload_record(&id);
    let parts = [
        keys.upload_data(&id),
        keys.own().to_owned(),
        record,
        keys.uploads(),
    ];
    assert!(
        !disk::lock(&synced.0).contains(&parts[2]),
        "small uploads pay for it"
    );
    store
        .upload_append(&name, &id, Chunk::default(), body(&[&piece]))
        .await
        .unwrap();
    let all = async {
        while !parts.iter().all(|part| disk::lock(&synced.0).contains(part)) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let all = tokio::time::timeout(Duration::from_secs(20), all).await;
    assert!(all.is_ok(), "{:?}", disk::lock(&synced.0));
}
