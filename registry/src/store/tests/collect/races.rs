//! Changes that are under way when a run begins or decides, and clients that never stop.

use std::io;
use std::sync::mpsc;

use futures::future::join_all;

use super::interposed::opened_within;
use super::*;
use crate::store::disk::{Seam, Step};

/// Holds the first rename to a path until it is told to go on.
struct Gate {
    path: PathBuf,
    reached: mpsc::Sender<()>,
    go_on: Mutex<mpsc::Receiver<()>>,
}

impl Gate {
    fn at(path: PathBuf) -> (Box<Self>, mpsc::Receiver<()>, mpsc::Sender<()>) {
        let ((reached, when_reached), (go, go_on)) = (mpsc::channel(), mpsc::channel());
        let gate = Self {
            path,
            reached,
            go_on: Mutex::new(go_on),
        };
        (Box::new(gate), when_reached, go)
    }
}

impl Seam for Gate {
    fn before(&self, step: Step, path: &Path) -> io::Result<()> {
        if step == Step::Rename && path == self.path {
            let _ = self.reached.send(());
            let _ = self.go_on.lock().unwrap().recv();
        }
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn push_that_is_under_way_when_a_run_begins_is_waited_for_and_kept() {
    let volume = Volume::in_memory();
    let name = repository("a");
    let (seam, reached, go_on) = Gate::at(volume.keys().tag_link(&name, &tag("v1")));
    let store = Store::open_through(volume.options(), seam).await.unwrap();
    let image = Arc::new(Image::push(&store, &name, None, "x").await);
    let (client, document) = (store.clone(), image.document.clone());
    let push = tokio::spawn(async move {
        put_as(&client, &repository("a"), Some("v1"), &document).await;
    });
    tokio::task::block_in_place(|| reached.recv().unwrap());
    let phases: Arc<Mutex<Vec<CollectPhase>>> = Arc::default();
    let (collector, seen) = (store.clone(), Arc::clone(&phases));
    let run = tokio::spawn(async move {
        let note = move |progress: CollectProgress| seen.lock().unwrap().push(progress.phase);
        collector.collect(at_once(), note).await.unwrap()
    });
    // Changes that begin later do not wait for the run, nor the run for them.
    while phases.lock().unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
    let later = Image::push(&store, &repository("b"), Some("v1"), "later").await;
    assert_eq!(*phases.lock().unwrap(), [CollectPhase::Arming]);
    go_on.send(()).unwrap();
    push.await.unwrap();
    run.await.unwrap();
    assert!(image.is_whole(&store, &name).await && later.is_whole(&store, &repository("b")).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_goes_before_a_change_that_was_read_half_done_is_durable() {
    let volume = Volume::in_memory();
    let name = repository("a");
    let (seam, reached, go_on) = Gate::at(volume.keys().tag_link(&name, &tag("moved")));
    let store = Store::open_through(volume.options(), seam).await.unwrap();
    let old = Image::push(&store, &name, None, "old").await;
    let new = Image::push(&store, &name, Some("v1"), "new").await;
    let (client, document) = (store.clone(), new.document.clone());
    let pushing: Arc<Mutex<Option<tokio::task::JoinHandle<()>>>> = Arc::default();
    let (handle, to) = (tokio::runtime::Handle::current(), Arc::clone(&pushing));
    let reached = Mutex::new(reached);
    let begin = move |progress: CollectProgress| {
        if progress.phase == CollectPhase::Marking && to.lock().unwrap().is_none() {
            let (client, document) = (client.clone(), document.clone());
            let push = handle.spawn(async move {
                put_as(&client, &repository("a"), Some("moved"), &document).await;
            });
            *to.lock().unwrap() = Some(push);
            reached.lock().unwrap().recv().unwrap();
        }
    };
    let collector = store.clone();
    let mut run = tokio::spawn(async move { collector.collect(at_once(), begin).await.unwrap() });
    let early = tokio::time::timeout(Duration::from_millis(300), &mut run).await;
    assert!(early.is_err(), "the run did not wait");
    assert!(old.is_whole(&store, &name).await);
    go_on.send(()).unwrap();
    assert_eq!(run.await.unwrap().freed.manifests, 1);
    let push = pushing.lock().unwrap().take().unwrap();
    push.await.unwrap();
    assert!(new.is_whole(&store, &name).await);
}

/// Holds the removal of a file until it is told to go on, and fails it then.
struct Refusal(Gate);

impl Seam for Refusal {
    fn before(&self, step: Step, path: &Path) -> io::Result<()> {
        if step == Step::Remove && path == self.0.path {
            self.0.before(Step::Rename, path)?;
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn manifest_whose_tags_were_away_while_the_run_looked_stays_when_its_delete_has_failed() {
    let volume = Volume::in_memory();
    let name = repository("a");
    let bytes = image(&digest_of(b"config of x"), &[&digest_of(b"layer of x")]).to_string();
    let link = volume.keys().revision_link(&name, &digest_of(bytes.as_bytes()));
    let (gate, reached, go_on) = Gate::at(link);
    let store = Store::open_through(volume.options(), Box::new(Refusal(*gate)))
        .await
        .unwrap();
    let image = Image::push(&store, &name, Some("v1"), "x").await;
    let deleting: Arc<Mutex<Option<tokio::task::JoinHandle<_>>>> = Arc::default();
    let (handle, to) = (tokio::runtime::Handle::current(), Arc::clone(&deleting));
    let (client, digest, reached) = (store.clone(), image.digest.clone(), Mutex::new(reached));
    let begin = move |progress: CollectProgress| {
        if progress.phase == CollectPhase::Marking && to.lock().unwrap().is_none() {
            let (client, digest) = (client.clone(), digest.clone());
            let delete = handle.spawn(async move { client.manifest_delete(&repository("a"), &digest).await });
            *to.lock().unwrap() = Some(delete);
            reached.lock().unwrap().recv().unwrap();
        }
    };
    let collector = store.clone();
    let mut run = tokio::spawn(async move { collector.collect(at_once(), begin).await.unwrap() });
    let early = tokio::time::timeout(Duration::from_millis(300), &mut run).await;
    assert!(early.is_err(), "the run did not wait");
    drop(go_on); // nor is anybody else to wait who would remove it
    assert_eq!(run.await.unwrap().freed.manifests, 0);
    let delete = deleting.lock().unwrap().take().unwrap();
    assert!(delete.await.unwrap().is_err());
    assert!(image.is_whole(&store, &name).await);
    let by_tag = store.manifest_read(&name, &"v1".parse().unwrap()).await;
    assert_eq!(by_tag.unwrap().digest, image.digest);
}

#[tokio::test]
async fn second_run_is_refused_and_a_run_that_is_given_up_makes_way() {
    let volume = Volume::in_memory();
    let store = volume.open().await;
    Image::push(&store, &repository("a"), None, "x").await;
    let permit = store.inner.permit().await.unwrap();
    let mut first = Box::pin(store.collect(at_once(), |_| {}));
    assert!(futures::poll!(&mut first).is_pending());
    let refused = store.collect(at_once(), |_| {}).await.unwrap_err();
    assert!(matches!(refused, CollectError::AlreadyRunning { .. }));
    drop(first);
    drop(permit);
    assert_eq!(collect_at_once(&store).await.freed.blobs, 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn manifest_deleted_while_its_tag_moves_takes_the_moved_tag_not_with_it() {
    let name = repository("a");
    let mut points = 0;
    loop {
        let volume = Volume::in_memory();
        let (store, moment) = opened_within(&volume).await;
        let old = Image::push(&store, &name, Some("v1"), "old").await;
        let new = Image::push(&store, &name, None, "new").await;
        let (client, document) = (store.clone(), new.document.clone());
        moment.after(points, move || async move {
            put_as(&client, &repository("a"), Some("v1"), &document).await;
        });
        store.manifest_delete(&name, &old.digest).await.unwrap();
        if !moment.join() {
            break;
        }
        let named = store
            .manifest_read(&name, &"v1".parse().unwrap())
            .await
            .unwrap()
            .digest;
        assert_eq!(named, new.digest, "point {points}");
        collect_at_once(&store).await;
        assert!(new.is_whole(&store, &name).await && !old.is_whole(&store, &name).await);
        points += 1;
    }
    assert!(points > 3, "only {points} points were found");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn referrer_pushed_while_the_only_other_one_is_deleted_is_listed() {
    let name = repository("a");
    let mut points = 0;
    loop {
        let volume = Volume::in_memory();
        let (store, moment) = opened_within(&volume).await;
        let subject = Image::push(&store, &name, Some("v1"), "subject").await;
        let config = push_blob(&store, &name, b"{}").await;
        let signed_by = |signer: &str| {
            let mut document = image(&config, &[]);
            document["subject"] = descriptor(&subject.digest, MediaType::OCI_MANIFEST);
            document["annotations"] = json!({"signer": signer});
            document
        };
        let old = put_as(&store, &name, None, &signed_by("old")).await;
        let client = store.clone();
        moment.after(points, move || async move {
            client.manifest_delete(&repository("a"), &old).await.unwrap();
        });
        let new = put_as(&store, &name, None, &signed_by("new")).await;
        if !moment.join() {
            break;
        }
        let listed = store
            .referrers(&name, &subject.digest, &[], None, 4 << 20)
            .await
            .unwrap();
        let listed: Vec<_> = listed.descriptors.into_iter().map(|it| it.digest).collect();
        assert_eq!(listed, [new], "point {points}");
        points += 1;
    }
    assert!(points > 5, "only {points} points were found");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tag_deleted_while_it_moves_ends_as_one_of_both_after_the_other() {
    let name = repository("a");
    let mut points = 0;
    loop {
        let volume = Volume::in_memory();
        let (store, moment) = opened_within(&volume).await;
        Image::push(&store, &name, Some("v1"), "old").await;
        let new = Image::push(&store, &name, None, "new").await;
        let client = store.clone();
        moment.after(points, move || async move {
            client.tag_delete(&repository("a"), &tag("v1")).await.unwrap();
        });
        put_as(&store, &name, Some("v1"), &new.document).await;
        if !moment.join() {
            break;
        }
        collect_at_once(&store).await;
        let is_there = match store.manifest_read(&name, &"v1".parse().unwrap()).await {
            Ok(named) => named.digest == new.digest,
            Err(ManifestError::Unknown { .. }) => false,
            Err(error) => panic!("point {points}: {error}"),
        };
        assert_eq!(new.is_whole(&store, &name).await, is_there, "point {points}");
        points += 1;
    }
    assert!(points > 5, "only {points} points were found");
}

/// A generator of its own for each client, so that a failure can be run again.
struct Choices(u64);

impl Choices {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.0 >> 33) % limit
    }
}

/// Pushes an image as clients do: what turns out to be missing again.
async fn push_until_taken(store: &Store, name: &RepositoryName, tag: &str, number: u64) -> Vec<Digest> {
    let (config, layer) = (format!("config {}", number % 3), format!("layer {}", number % 5));
    let document = image(&digest_of(config.as_bytes()), &[&digest_of(layer.as_bytes())]);
    loop {
        for blob in [&config, &layer] {
            if !has_blob(store, name, &digest_of(blob.as_bytes())).await {
                push_blob(store, name, blob.as_bytes()).await;
            }
        }
        match put(store, name, tag, &document).await {
            Ok(digest) => return vec![digest, digest_of(config.as_bytes()), digest_of(layer.as_bytes())],
            Err(ManifestError::ContentMissing { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

async fn check_pull(store: &Store, name: &RepositoryName, tag: &str, expected: &[Digest]) {
    let found = store.manifest_read(name, &tag.parse().unwrap()).await.unwrap();
    assert_eq!(found.digest, expected[0]);
    for blob in &expected[1..] {
        assert_eq!(digest_of(&read_blob(store, name, blob).await), *blob);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn clients_that_push_move_mount_and_delete_during_endless_runs_lose_nothing() {
    let volume = Volume::in_memory();
    let store = volume.open().await;
    let clients = (0..4_u64).map(|client| {
        let store = store.clone();
        tokio::spawn(async move {
            // Two clients share a repository and the blobs in it, never a tag.
            let name = repository(&format!("r{}", client / 2));
            let mut choices = Choices(client + 1);
            let mut tags: BTreeMap<String, Vec<Digest>> = BTreeMap::new();
            for _ in 0..60 {
                let tag_name = format!("t{client}-{}", choices.below(3));
                match choices.below(5) {
                    0..3 => {
                        let pushed = push_until_taken(&store, &name, &tag_name, choices.below(15)).await;
                        check_pull(&store, &name, &tag_name, &pushed).await;
                        tags.insert(tag_name, pushed);
                    }
                    3 => {
                        if tags.remove(&tag_name).is_some() {
                            store.tag_delete(&name, &tag(&tag_name)).await.unwrap();
                        }
                    }
                    _ => {
                        let blob = digest_of(format!("layer {}", choices.below(5)).as_bytes());
                        let source = MountSource::Any(Arc::new(|_| true));
                        let target = repository("mounted");
                        store.blob_mount(source, &target, &blob).await.unwrap();
                    }
                }
                for (tag, expected) in &tags {
                    check_pull(&store, &name, tag, expected).await;
                }
            }
            (name, tags)
        })
    });
    let clients: Vec<_> = clients.collect();
    let mut freed = 0;
    while clients.iter().any(|client| !client.is_finished()) {
        freed += collect_at_once(&store).await.freed.blobs;
    }
    let results = join_all(clients).await;
    freed += collect_at_once(&store).await.freed.blobs; // on a busy machine all that is ever collected
    assert!(freed > 0, "nothing was ever collected");
    for result in results {
        let (name, tags) = result.unwrap();
        for (tag, expected) in tags {
            check_pull(&store, &name, &tag, &expected).await;
        }
    }
}
