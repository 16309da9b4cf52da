//! Who takes a reference away, and who deletes what it named, at the same time: the second waits until the first is
//! durable, so that a power cut brings nothing back that has lost what it needs.

use std::io;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};

use tokio::task::JoinHandle;

use super::disk::{Seam, Step, lock};
use super::*;

/// Keeps one change from becoming durable, once it is told which, until the test lets it.
struct Gate {
    at: Arc<Mutex<Option<(Step, PathBuf)>>>,
    reached: Sender<()>,
    opened: Mutex<Receiver<()>>,
}

impl Seam for Gate {
    fn before(&self, step: Step, path: &Path) -> io::Result<()> {
        let is_here = lock(&self.at)
            .take_if(|(wanted, at)| *wanted == step && path == at)
            .is_some();
        if is_here {
            self.reached.send(()).unwrap();
            lock(&self.opened).recv().unwrap();
        }
        Ok(())
    }
}

/// A store whose next fsync of a directory can be delayed.
pub(super) struct Delayed {
    pub(super) volume: Volume,
    pub(super) store: Store,
    at: Arc<Mutex<Option<(Step, PathBuf)>>>,
    reached: Option<Receiver<()>>,
    open: Sender<()>,
}

impl Delayed {
    pub(super) async fn new() -> Self {
        let volume = Volume::new();
        let (at, (reached, is_reached), (open, opened)) = (Arc::default(), channel(), channel());
        let gate = Gate {
            at: Arc::clone(&at),
            reached,
            opened: Mutex::new(opened),
        };
        let store = Store::open_through(volume.options(), Box::new(gate))
            .await
            .unwrap();
        Self {
            volume,
            store,
            at,
            reached: Some(is_reached),
            open,
        }
    }

    /// Runs `first` until it has changed something below `directory` that is not durable.
    pub(super) async fn held_at<A>(&mut self, directory: &Path, first: A) -> JoinHandle<A::Output>
    where
        A: Future<Output: Send + 'static> + Send + 'static,
    {
        *lock(&self.at) = Some((Step::SyncDirectory, directory.to_owned()));
        let first = tokio::spawn(first);
        let reached = self.reached.take().unwrap();
        blocking(move || reached.recv().unwrap()).await;
        first
    }

    pub(super) fn let_go(&self) {
        self.open.send(()).unwrap();
    }

    /// Runs `first` until it has changed something below `directory` that is not durable, then `second`, which must not
    /// end before `first` may.
    async fn second_waits_for_first<A, B>(
        &mut self,
        directory: &Path,
        first: A,
        second: B,
    ) -> (A::Output, B::Output)
    where
        A: Future<Output: Send + 'static> + Send + 'static,
        B: Future<Output: Send + 'static> + Send + 'static,
    {
        let (first, second) = (Box::pin(first), Box::pin(second));
        self.beside_both(directory, first, second, std::future::ready(()))
            .await
    }

    /// The same; while both wait, `third` is done.
    pub(super) async fn beside_both<A, B>(
        &mut self,
        directory: &Path,
        first: A,
        second: B,
        third: impl Future<Output = ()>,
    ) -> (A::Output, B::Output)
    where
        A: Future<Output: Send + 'static> + Send + 'static,
        B: Future<Output: Send + 'static> + Send + 'static,
    {
        let first = self.held_at(directory, first).await;
        let mut second = tokio::spawn(second);
        // Whoever does not wait is done by then; whoever does costs the test this time.
        let early = tokio::time::timeout(Duration::from_millis(300), &mut second).await;
        let done = tokio::time::timeout(Duration::from_secs(20), third).await;
        self.let_go();
        assert!(early.is_err(), "it did not wait for what may come back");
        assert!(done.is_ok(), "it waited for both");
        (first.await.unwrap(), second.await.unwrap())
    }
}

#[tokio::test]
async fn finish_of_a_session_that_is_over_waits_until_the_blob_of_another_is_durable() {
    let mut delayed = Delayed::new().await;
    let (store, name, digest) = (delayed.store.clone(), repository("a"), digest_of(b"x"));
    let link = delayed.volume.keys().layer_link(&name, &digest);
    let (first, second) = (store.clone(), store.clone());
    let (pushed, told) = delayed
        .second_waits_for_first(
            link.parent().unwrap(),
            async move { try_push_blob(&first, &repository("a"), b"x").await },
            async move {
                let over = portolan_oci::UploadId::from_random([0; 16]);
                second
                    .upload_finish(&name, &over, &digest, Chunk::default(), body(&[]))
                    .await
            },
        )
        .await;
    pushed.unwrap();
    told.unwrap();
}

#[tokio::test]
async fn manifest_is_not_deleted_before_the_tag_that_left_it_is_durable() {
    let mut delayed = Delayed::new().await;
    let (store, name) = (delayed.store.clone(), repository("a"));
    let old = push_image(&store, &name, "v1", "old").await;
    push_image(&store, &name, "v2", "new").await;
    let new = store
        .manifest_read(&name, &"v2".parse().unwrap())
        .await
        .unwrap()
        .bytes;
    let directory = delayed.volume.keys().tag(&name, &tag("v1")).join("current");
    let (first, second) = (store.clone(), store.clone());
    let (moved, deleted) = delayed
        .second_waits_for_first(
            &directory,
            async move {
                let v1 = "v1".parse().unwrap();
                first.manifest_put(&repository("a"), &v1, &[], None, new).await
            },
            async move { second.manifest_delete(&repository("a"), &old).await },
        )
        .await;
    assert_eq!(moved.unwrap().tags, [tag("v1")]);
    deleted.unwrap();
    assert!(store.manifest_read(&name, &"v1".parse().unwrap()).await.is_ok());
}

#[tokio::test]
async fn manifest_is_not_deleted_before_the_deletion_of_its_tag_is_durable() {
    let mut delayed = Delayed::new().await;
    let (store, name) = (delayed.store.clone(), repository("a"));
    let digest = push_image(&store, &name, "v1", "x").await;
    let directory = delayed.volume.keys().tags(&name);
    let (first, second) = (store.clone(), store.clone());
    let (untagged, deleted) = delayed
        .second_waits_for_first(
            &directory,
            async move { first.tag_delete(&repository("a"), &tag("v1")).await },
            async move { second.manifest_delete(&repository("a"), &digest).await },
        )
        .await;
    untagged.unwrap();
    deleted.unwrap();
}

#[tokio::test]
async fn child_is_not_deleted_before_the_deletion_of_its_index_is_durable() {
    let mut delayed = Delayed::new().await;
    let (store, name) = (delayed.store.clone(), repository("a"));
    let child = push_image(&store, &name, "child", "x").await;
    let parent = put(&store, &name, "parent", &index(&[&child])).await.unwrap();
    let link = delayed.volume.keys().revision_link(&name, &parent);
    let (first, second) = (store.clone(), store.clone());
    let (parent_deleted, child_deleted) = delayed
        .second_waits_for_first(
            link.parent().unwrap(),
            async move { first.manifest_delete(&repository("a"), &parent).await },
            async move { second.manifest_delete(&repository("a"), &child).await },
        )
        .await;
    parent_deleted.unwrap();
    child_deleted.unwrap();
}

#[tokio::test]
async fn layer_is_not_deleted_before_the_deletion_of_its_manifest_is_durable() {
    let mut delayed = Delayed::new().await;
    let (store, name) = (delayed.store.clone(), repository("a"));
    let digest = push_image(&store, &name, "v1", "x").await;
    let layer = digest_of(b"layer of x");
    let link = delayed.volume.keys().revision_link(&name, &digest);
    let (first, second) = (store.clone(), store.clone());
    let (manifest_deleted, layer_deleted) = delayed
        .second_waits_for_first(
            link.parent().unwrap(),
            async move { first.manifest_delete(&repository("a"), &digest).await },
            async move { second.blob_delete(&repository("a"), &layer).await },
        )
        .await;
    manifest_deleted.unwrap();
    layer_deleted.unwrap();
}
