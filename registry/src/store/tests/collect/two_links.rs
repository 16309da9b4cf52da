//! A blob that was pushed to registry:2 as sha512: the repository has a link to it by that digest and one by the sha256
//! digest of the content, and registry:2 serves it only with both.

use super::interposed::Moment;
use super::renewed::{age, collect_daily};
use super::*;
use crate::store::disk::Step;
use crate::store::tests::faults::{ENOSPC, open_failing};

const BYTES: &[u8] = b"pushed as sha512";

fn link_to(volume: &Volume, name: &RepositoryName, named: &Digest, content: &Digest) {
    let link = volume.keys().layer_link(name, named);
    std::fs::create_dir_all(link.parent().unwrap()).unwrap();
    std::fs::write(link, content.as_str()).unwrap();
}

/// As registry:2 stores it. Returns the digest by which it was pushed and that of the content.
async fn push_as_sha512(volume: &Volume, store: &Store, name: &RepositoryName) -> (Digest, Digest) {
    let content = push_blob(store, name, BYTES).await;
    let pushed = Digest::of(Algorithm::Sha512, BYTES);
    link_to(volume, name, &pushed, &content);
    (pushed, content)
}

fn has_link(volume: &Volume, name: &RepositoryName, digest: &Digest) -> bool {
    volume.keys().layer_link(name, digest).exists()
}

#[tokio::test]
async fn both_stay_until_no_manifest_names_the_blob() {
    let volume = Volume::new();
    let store = volume.open().await;
    let name = repository("a");
    let (pushed, content) = push_as_sha512(&volume, &store, &name).await;
    put_as(&store, &name, Some("v1"), &image(&pushed, &[])).await;
    let report = collect_at_once(&store).await;
    assert_eq!((report.candidates.links, report.freed.links), (0, 0));
    assert!(has_link(&volume, &name, &pushed) && has_link(&volume, &name, &content));
    store.tag_delete(&name, &tag("v1")).await.unwrap();
    let report = collect_at_once(&store).await;
    assert_eq!((report.candidates.links, report.freed.links), (2, 2));
    assert!(contents(&volume).is_empty());
}

#[tokio::test]
async fn that_of_the_content_stays_alone_when_nothing_names_the_other() {
    let volume = Volume::new();
    let store = volume.open().await;
    let name = repository("a");
    let (pushed, content) = push_as_sha512(&volume, &store, &name).await;
    put_as(&store, &name, Some("v1"), &image(&content, &[])).await;
    collect_at_once(&store).await;
    assert!(!has_link(&volume, &name, &pushed));
    assert_eq!(read_blob(&store, &name, &content).await, BYTES);
}

#[tokio::test]
async fn young_link_keeps_the_old_one_of_the_content() {
    let volume = Volume::new();
    let store = volume.open().await;
    let name = repository("a");
    let (pushed, content) = push_as_sha512(&volume, &store, &name).await;
    age(&volume);
    assert!(has_blob(&store, &name, &pushed).await); // which makes it young
    collect_daily(&store, || {}).await;
    assert!(has_link(&volume, &name, &pushed) && has_link(&volume, &name, &content));
}

/// What a client does with the blob while both links are to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Deed {
    Ask,
    Tag,
    Mount,
}

impl Deed {
    /// False: the client was told that the blob is not there.
    async fn is_done(self, store: &Store, blob: &Digest) -> bool {
        let name = repository("a");
        match self {
            Self::Ask => has_blob(store, &name, blob).await,
            Self::Tag => match put(store, &name, "v1", &image(blob, &[])).await {
                Ok(_) => true,
                Err(ManifestError::ContentMissing { .. }) => false,
                Err(error) => panic!("{error}"),
            },
            Self::Mount => {
                let source = MountSource::Repository(repository("source"));
                store.blob_mount(source, &name, blob).await.unwrap()
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_stay_when_a_client_asks_for_the_blob_or_names_or_mounts_it_at_any_point_of_a_run() {
    let name = repository("a");
    for deed in [Deed::Ask, Deed::Tag, Deed::Mount] {
        let mut in_time = 0;
        for point in 0.. {
            let volume = Volume::in_memory();
            let store = volume.open().await;
            let (pushed, content) = push_as_sha512(&volume, &store, &repository("source")).await;
            put_as(&store, &repository("source"), Some("v1"), &image(&pushed, &[])).await;
            // so many that these two go in different batches, and in the order of their inodes the wrong one would go first
            link_to(&volume, &name, &content, &content);
            for number in 0..100_u8 {
                let other = digest_of(&[number]);
                link_to(&volume, &name, &other, &other);
            }
            link_to(&volume, &name, &pushed, &content);
            age(&volume);
            let moment = Arc::new(Moment::default());
            let answer: Arc<Mutex<bool>> = Arc::default();
            let (client, blob, to) = (store.clone(), pushed.clone(), Arc::clone(&answer));
            moment.after(point, move || async move {
                let is_done = deed.is_done(&client, &blob).await;
                *to.lock().unwrap() = is_done;
            });
            let seen = Arc::clone(&moment);
            if deed == Deed::Ask {
                collect_daily(&store, move || seen.between()).await;
            } else {
                store.collect(at_once(), move |_| seen.between()).await.unwrap();
            }
            if !moment.join() {
                break;
            }
            let is_done = *answer.lock().unwrap();
            assert_eq!(has_link(&volume, &name, &pushed), is_done, "{deed:?} {point}");
            assert_eq!(has_link(&volume, &name, &content), is_done, "{deed:?} {point}");
            in_time += usize::from(is_done);
        }
        assert!(in_time > 5, "{deed:?}: {in_time} in time");
    }
}

#[tokio::test]
async fn blob_is_not_deleted_by_one_digest_while_a_manifest_names_it_by_the_other() {
    let volume = Volume::new();
    let store = volume.open().await;
    let name = repository("a");
    let (pushed, content) = push_as_sha512(&volume, &store, &name).await;
    let manifest = put_as(&store, &name, Some("v1"), &image(&pushed, &[])).await;
    for digest in [&pushed, &content] {
        let refused = store.blob_delete(&name, digest).await;
        assert!(
            matches!(&refused, Err(BlobError::Referenced { by, .. }) if *by == manifest),
            "{refused:?}"
        );
    }
    store.manifest_delete(&name, &manifest).await.unwrap();
    for digest in [&content, &pushed] {
        store.blob_delete(&name, digest).await.unwrap();
    }
}

#[tokio::test]
async fn mount_writes_both_and_first_that_of_the_content() {
    let volume = Volume::new();
    let (store, armed) = open_failing(&volume, Step::Rename, "/b/_layers/sha512", ENOSPC).await;
    let (source, target) = (repository("a"), repository("b"));
    let (pushed, content) = push_as_sha512(&volume, &store, &source).await;
    let mount = || store.blob_mount(MountSource::Repository(source.clone()), &target, &pushed);
    armed.store(1, Ordering::SeqCst);
    mount().await.unwrap_err();
    assert!(has_link(&volume, &target, &content) && !has_link(&volume, &target, &pushed));
    armed.store(0, Ordering::SeqCst);
    assert!(mount().await.unwrap());
    for digest in [&pushed, &content] {
        assert_eq!(read_blob(&store, &target, digest).await, BYTES);
    }
}
