//! A blob that was pushed to registry:2 as sha384 or sha512: the repository has a link to it by that digest and one by the sha256
//! digest of the content, and registry:2 serves it only with both.

use super::interposed::Moment;
use super::renewed::{age, collect_daily};
use super::*;
use crate::store::disk::Step;
use crate::store::tests::faults::{ENOSPC, open_failing};

const BYTES: &[u8] = b"pushed as another algorithm";
/// registry:2 has the link of the content beside those of these.
const OTHERS: [Algorithm; 2] = [Algorithm::Sha384, Algorithm::Sha512];

fn link_to(volume: &Volume, name: &RepositoryName, named: &Digest, content: &Digest) {
    let link = volume.keys().layer_link(name, named);
    std::fs::create_dir_all(link.parent().unwrap()).unwrap();
    std::fs::write(link, content.as_str()).unwrap();
}

/// As registry:2 stores it. Returns the digest by which it was pushed and that of the content.
async fn push_as(
    algorithm: Algorithm,
    volume: &Volume,
    store: &Store,
    name: &RepositoryName,
) -> (Digest, Digest) {
    let content = push_blob(store, name, BYTES).await;
    let pushed = Digest::of(algorithm, BYTES);
    link_to(volume, name, &pushed, &content);
    (pushed, content)
}

fn has_link(volume: &Volume, name: &RepositoryName, digest: &Digest) -> bool {
    volume.keys().layer_link(name, digest).exists()
}

/// Such a blob in a repository.
struct TwoLinks {
    volume: Volume,
    store: Store,
    name: RepositoryName,
    pushed: Digest,
    content: Digest,
}

impl TwoLinks {
    async fn new(algorithm: Algorithm) -> Self {
        let (volume, name) = (Volume::new(), repository("a"));
        let store = volume.open().await;
        let (pushed, content) = push_as(algorithm, &volume, &store, &name).await;
        Self {
            volume,
            store,
            name,
            pushed,
            content,
        }
    }

    /// Pushes an image that names the blob by one of its digests.
    async fn tag(&self, named: &Digest) -> Digest {
        put_as(&self.store, &self.name, Some("v1"), &image(named, &[])).await
    }

    /// That by which it was pushed, and that of the content.
    fn has_links(&self) -> [bool; 2] {
        [&self.pushed, &self.content].map(|digest| has_link(&self.volume, &self.name, digest))
    }
}

#[tokio::test]
async fn both_stay_until_no_manifest_names_the_blob() {
    for algorithm in OTHERS {
        let it = TwoLinks::new(algorithm).await;
        it.tag(&it.pushed).await;
        let report = collect_at_once(&it.store).await;
        assert_eq!((report.candidates.links, report.freed.links), (0, 0));
        assert_eq!(it.has_links(), [true, true]);
        it.store.tag_delete(&it.name, &tag("v1")).await.unwrap();
        let report = collect_at_once(&it.store).await;
        assert_eq!((report.candidates.links, report.freed.links), (2, 2));
        assert!(contents(&it.volume).is_empty());
    }
}

#[tokio::test]
async fn that_of_the_content_stays_alone_when_nothing_names_the_other() {
    for algorithm in OTHERS {
        let it = TwoLinks::new(algorithm).await;
        it.tag(&it.content).await;
        collect_at_once(&it.store).await;
        assert_eq!(it.has_links(), [false, true]);
        assert_eq!(read_blob(&it.store, &it.name, &it.content).await, BYTES);
    }
}

#[tokio::test]
async fn young_link_keeps_the_old_one_of_the_content() {
    for algorithm in OTHERS {
        let it = TwoLinks::new(algorithm).await;
        age(&it.volume);
        assert!(has_blob(&it.store, &it.name, &it.pushed).await); // which makes it young
        collect_daily(&it.store, || {}).await;
        assert_eq!(it.has_links(), [true, true]);
    }
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
    for (deed, algorithm) in [
        (Deed::Ask, Algorithm::Sha384),
        (Deed::Tag, Algorithm::Sha512),
        (Deed::Mount, Algorithm::Sha384),
    ] {
        let mut in_time = 0;
        for point in 0.. {
            let volume = Volume::in_memory();
            let store = volume.open().await;
            let (pushed, content) = push_as(algorithm, &volume, &store, &repository("source")).await;
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
    for algorithm in OTHERS {
        let it = TwoLinks::new(algorithm).await;
        let manifest = it.tag(&it.pushed).await;
        for digest in [&it.pushed, &it.content] {
            let refused = it.store.blob_delete(&it.name, digest).await;
            assert!(
                matches!(&refused, Err(BlobError::Referenced { by, .. }) if *by == manifest),
                "{refused:?}"
            );
        }
        it.store.manifest_delete(&it.name, &manifest).await.unwrap();
        for digest in [&it.content, &it.pushed] {
            it.store.blob_delete(&it.name, digest).await.unwrap();
        }
    }
}

#[tokio::test]
async fn mount_writes_both_and_first_that_of_the_content() {
    for (algorithm, below) in OTHERS.into_iter().zip(["/b/_layers/sha384", "/b/_layers/sha512"]) {
        let volume = Volume::new();
        let (store, armed) = open_failing(&volume, Step::Rename, below, ENOSPC).await;
        let (source, target) = (repository("a"), repository("b"));
        let (pushed, content) = push_as(algorithm, &volume, &store, &source).await;
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
}
