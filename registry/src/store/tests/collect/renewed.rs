//! What somebody asks for while a run goes on stays, if the answer was that it is there. The grace is that of most runs,
//! and everything is older than it until it is asked for.

use super::interposed::Moment;
use super::*;

const DAY: Duration = Duration::from_hours(24);

pub(super) async fn collect_daily(store: &Store, progress: impl Fn() + Send + Sync + 'static) {
    let options = CollectOptions {
        grace: DAY,
        ..at_once()
    };
    store.collect(options, move |_| progress()).await.unwrap();
}

/// Makes every link as old as if it had been pushed two days ago.
pub(super) fn age(volume: &Volume) {
    let mut waiting = vec![volume.keys().repositories()];
    while let Some(path) = waiting.pop() {
        if path.is_dir() {
            waiting.extend(list(&path));
        } else {
            let file = std::fs::File::open(path).unwrap();
            file.set_modified(now() - 2 * DAY).unwrap();
        }
    }
}

/// What a client asks for, and what stays with it.
struct Asked {
    digest: Digest,
    manifests: Vec<Digest>,
    blobs: Vec<Digest>,
}

impl Asked {
    async fn is_there(&self, store: &Store) -> bool {
        let name = repository("a");
        if self.manifests.contains(&self.digest) {
            has_manifest(store, &name, &self.digest).await
        } else {
            has_blob(store, &name, &self.digest).await
        }
    }

    /// Whether all of it can be pulled.
    async fn is_whole(&self, store: &Store) -> bool {
        let (name, mut is_whole) = (repository("a"), true);
        for digest in &self.manifests {
            is_whole = is_whole && has_manifest(store, &name, digest).await;
        }
        for digest in &self.blobs {
            is_whole = is_whole && has_blob(store, &name, digest).await;
        }
        is_whole
    }
}

/// Asks at each point of a run at which nobody holds a lock, each time on a new volume. Returns how often it was there
/// and how often it had gone.
async fn ask_at_every_point(push: impl AsyncFn(&Store) -> Asked) -> (usize, usize) {
    let (mut in_time, mut late) = (0, 0);
    for point in 0.. {
        let volume = Volume::in_memory();
        let store = volume.open().await;
        let asked = Arc::new(push(&store).await);
        age(&volume);
        let moment = Arc::new(Moment::default());
        let answer: Arc<Mutex<Option<bool>>> = Arc::default();
        let (client, of, to) = (store.clone(), Arc::clone(&asked), Arc::clone(&answer));
        moment.after(point, move || async move {
            let is_there = of.is_there(&client).await;
            *to.lock().unwrap() = Some(is_there);
        });
        let seen = Arc::clone(&moment);
        collect_daily(&store, move || seen.between()).await;
        if !moment.join() {
            break;
        }
        let was_there = answer.lock().unwrap().unwrap();
        let mut stays: Vec<&Digest> = asked.manifests.iter().chain(&asked.blobs).collect();
        stays.retain(|_| was_there);
        // Nobody asks for the rest of it between the runs: that would make it young, too.
        assert_eq!(contents(&volume), hexes(&stays), "point {point}");
        collect_daily(&store, || {}).await;
        assert_eq!(contents(&volume), hexes(&stays), "point {point}, next run");
        assert_eq!(asked.is_whole(&store).await, was_there, "point {point}");
        *if was_there { &mut in_time } else { &mut late } += 1;
    }
    (in_time, late)
}

/// A nested index, its image, and what is said about the image: manifests from the top, and blobs.
async fn push_nested(store: &Store) -> (Vec<Digest>, Vec<Digest>) {
    let name = repository("a");
    let child = Image::push(store, &name, None, "child").await;
    let bom = Image::push_about(store, &name, None, "bom", Some(&child.digest)).await;
    let inner = put_as(store, &name, None, &index(&[&child.digest])).await;
    let outer = put_as(store, &name, None, &index(&[&inner])).await;
    (
        vec![outer, inner, child.digest, bom.digest],
        vec![child.config, child.layer, bom.config, bom.layer],
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn index_that_is_asked_for_while_it_was_to_go_stays_with_all_that_follows_from_it() {
    let (in_time, late) = ask_at_every_point(async |store| {
        let (manifests, blobs) = push_nested(store).await;
        Asked {
            digest: manifests[0].clone(),
            manifests,
            blobs,
        }
    })
    .await;
    assert!(in_time >= 3 && late >= 4, "{in_time} in time, {late} too late");
}

/// Its indexes go all the same, before it: there are more points at which it is there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn image_that_is_asked_for_while_it_was_to_go_stays_with_what_is_said_about_it() {
    let (in_time, late) = ask_at_every_point(async |store| {
        let (manifests, blobs) = push_nested(store).await;
        Asked {
            digest: manifests[2].clone(),
            manifests: manifests[2..].to_vec(),
            blobs,
        }
    })
    .await;
    assert!(in_time >= 5 && late >= 2, "{in_time} in time, {late} too late");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn blob_that_is_asked_for_while_its_link_was_to_go_stays_with_its_content() {
    let (in_time, late) = ask_at_every_point(async |store| {
        let name = repository("a");
        push_blob(store, &name, b"nobody asks for it").await;
        let digest = push_blob(store, &name, b"asked for").await;
        Asked {
            blobs: vec![digest.clone()],
            digest,
            manifests: Vec::new(),
        }
    })
    .await;
    assert!(in_time >= 3 && late >= 1, "{in_time} in time, {late} too late");
}
