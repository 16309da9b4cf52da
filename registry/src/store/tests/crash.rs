//! The process ends between any two steps of a sequence of operations: what was acknowledged is there after a restart,
//! what was not is there whole or not at all. And the steps themselves: what is durable before what.

use std::collections::BTreeMap;
use std::io;
use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;

use super::disk::{Act, Effect, Seam, Step, is_spare, lock};
use super::*;

/// Lets a number of steps through and none after them.
struct StopAfter {
    left: AtomicUsize,
}

impl Seam for StopAfter {
    fn before(&self, _: Step, _: &Path) -> io::Result<()> {
        let taken = self
            .left
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        taken
            .map(drop)
            .map_err(|_| io::Error::other("the process has ended"))
    }

    fn keeps_order(&self) -> bool {
        true
    }
}

/// What a client knows to be so; for the operation that was cut off, what was before and what was asked for.
#[derive(Default)]
struct Acknowledged {
    tags: BTreeMap<String, Option<Digest>>,
    pending: Option<(String, Option<Digest>)>,
    blobs: Vec<Digest>,
}

impl Acknowledged {
    /// Runs an operation that makes a tag name something else, or nothing.
    async fn tag<E>(
        &mut self,
        tag: &str,
        becomes: Option<Digest>,
        work: impl Future<Output = Result<(), E>>,
    ) -> Option<()> {
        self.pending = Some((tag.to_owned(), becomes.clone()));
        work.await.ok()?;
        self.pending = None;
        self.tags.insert(tag.to_owned(), becomes);
        Some(())
    }

    async fn blob(&mut self, store: &Store, bytes: &[u8]) -> Option<Digest> {
        let digest = digest_of(bytes);
        try_push_blob(store, &repository("a"), bytes).await.ok()?;
        self.blobs.push(digest.clone());
        Some(digest)
    }
}

/// Pushes, moves a tag, refers, deletes. `None`: cut off.
async fn work(store: &Store, known: &mut Acknowledged) -> Option<()> {
    let name = repository("a");
    let config = known.blob(store, b"{}").await?;
    let (one, two) = (known.blob(store, b"one").await?, known.blob(store, b"two").await?);
    let first = image(&config, &[&one]);
    let second = image(&config, &[&two]);
    let digest = |document: &Value| digest_of(document.to_string().as_bytes());
    known
        .tag("v1", Some(digest(&first)), async {
            put(store, &name, "v1", &first).await.map(drop)
        })
        .await?;
    known
        .tag("v1", Some(digest(&second)), async {
            put(store, &name, "v1", &second).await.map(drop)
        })
        .await?;
    let parent = index(&[&digest(&first)]);
    known
        .tag("multi", Some(digest(&parent)), async {
            put(store, &name, "multi", &parent).await.map(drop)
        })
        .await?;
    known.tag("v1", None, store.tag_delete(&name, &tag("v1"))).await?;
    known
        .tag("v1", Some(digest(&first)), async {
            put(store, &name, "v1", &first).await.map(drop)
        })
        .await?;
    known
        .tag("multi", None, store.manifest_delete(&name, &digest(&parent)))
        .await?;
    known
        .tag("v1", None, store.manifest_delete(&name, &digest(&first)))
        .await?;
    known.blobs.retain(|digest| *digest != one);
    store.blob_delete(&name, &one).await.ok()?;
    Some(())
}

#[tokio::test]
async fn nothing_acknowledged_is_lost_wherever_the_process_ends() {
    let mut cuts = 0;
    loop {
        let volume = Volume::in_memory();
        let seam = StopAfter {
            left: AtomicUsize::new(cuts),
        };
        let mut known = Acknowledged::default();
        let done = match Store::open_through(volume.options(), Box::new(seam)).await {
            Ok(store) => work(&store, &mut known).await,
            Err(_) => None,
        };
        let store = volume.open().await;
        check(&store, &known).await;
        if done.is_some() {
            break;
        }
        cuts += 1;
    }
    assert!(cuts > 100, "only {cuts} places to end at were found");
}

async fn check(store: &Store, known: &Acknowledged) {
    let name = repository("a");
    assert_eq!(store.read_only(), None);
    for digest in &known.blobs {
        assert_eq!(digest_of(&read_blob(store, &name, digest).await), *digest);
    }
    for tag in ["v1", "multi"] {
        let named = match store.manifest_read(&name, &tag.parse().unwrap()).await {
            Ok(manifest) => Some(manifest.digest),
            Err(ManifestError::Unknown { .. } | ManifestError::RepositoryUnknown) => None,
            Err(error) => panic!("{tag}: {error}"),
        };
        let before = known.tags.get(tag).cloned().flatten();
        let asked_for = known
            .pending
            .as_ref()
            .filter(|(pending, _)| pending == tag)
            .map(|(_, digest)| digest);
        assert!(
            named == before || Some(&named) == asked_for,
            "{tag} names {named:?}, was {before:?}"
        );
    }
    // Whatever happened, it can be done again.
    push_image(store, &name, "v1", "again").await;
}

/// Writes down every step; before a rename, what was done last with what is renamed.
#[derive(Clone, Default)]
struct Record {
    steps: Arc<Mutex<Vec<(Step, PathBuf)>>>,
    before_renames: Arc<Mutex<Vec<Renamed>>>,
}

/// To where, and the last step about it where it was.
type Renamed = (PathBuf, Option<Step>);

impl Seam for Record {
    fn take(&self, effect: &Effect<'_>, act: Act<'_>) -> io::Result<()> {
        let mut steps = lock(&self.steps);
        if let Effect::Rename { from, to } = effect {
            let last = steps.iter().rev().find(|(_, path)| path == from);
            let last = last.map(|(step, _)| *step);
            lock(&self.before_renames).push(((*to).to_owned(), last));
        }
        steps.push((effect.step(), effect.path().to_owned()));
        act()
    }

    fn keeps_order(&self) -> bool {
        true
    }
}

#[tokio::test]
async fn every_name_is_made_durable_before_the_next_step_relies_on_it() {
    let volume = Volume::in_memory();
    let record = Record::default();
    let store = Store::open_through(volume.options(), Box::new(record.clone()))
        .await
        .unwrap();
    work(&store, &mut Acknowledged::default()).await.unwrap();
    drop(store);
    let steps = lock(&record.steps).clone();
    let (temporary, uploads) = (volume.keys().temporary(), volume.keys().uploads());
    for (position, (step, path)) in steps.iter().enumerate() {
        let next = steps.get(position + 1);
        match step {
            // What nobody misses.
            Step::Rename if is_spare(path) || path.starts_with(&uploads) => {}
            Step::Rename if path.starts_with(&temporary) => {
                assert!(
                    matches!(next, Some((Step::SyncDirectory, _))),
                    "{path:?} was moved away, then {next:?}"
                );
            }
            // What is in them is gone after a power cut anyway, or may be.
            Step::CreateDirectory if [&temporary, &uploads].contains(&path) => {}
            Step::Rename | Step::CreateDirectory => {
                let synced = (Step::SyncDirectory, path.parent().unwrap().to_owned());
                assert_eq!(next, Some(&synced), "after {step:?} {path:?}");
            }
            _ => {}
        }
    }
    for (target, last) in lock(&record.before_renames).iter() {
        if !target.starts_with(&temporary) && !target.starts_with(&uploads) {
            assert_eq!(*last, Some(Step::SyncFile), "before {target:?} was written");
        }
    }
}

/// All that is proved by ending or cutting off after a number of steps needs that.
#[tokio::test]
async fn steps_have_one_order_for_a_seam_that_keeps_it() {
    let mut runs = Vec::new();
    for _ in 0..2 {
        let volume = Volume::in_memory();
        let record = Record::default();
        let store = Store::open_through(volume.options(), Box::new(record.clone()));
        push_blob(&store.await.unwrap(), &repository("a"), b"x").await;
        let uploads = volume.keys().uploads(); // named by chance
        let steps = lock(&record.steps).clone().into_iter();
        let steps = steps.filter(|(_, path)| !path.starts_with(&uploads));
        let inside = |path: PathBuf| path.strip_prefix(volume.path()).unwrap().to_owned();
        runs.push(steps.map(|(step, path)| (step, inside(path))).collect::<Vec<_>>());
    }
    assert_eq!(runs[0], runs[1]);
    let first = |of: &str| runs[0].iter().position(|(_, path)| path.ends_with(of));
    assert!(first("blobs") < first("_layers"), "{:#?}", runs[0]);
}

#[tokio::test]
async fn manifest_is_durable_before_its_tag_and_tags_go_before_their_manifest() {
    let volume = Volume::in_memory();
    let record = Record::default();
    let store = Store::open_through(volume.options(), Box::new(record.clone()))
        .await
        .unwrap();
    let name = repository("a");
    let digest = push_image(&store, &name, "v1", "x").await;
    store.manifest_delete(&name, &digest).await.unwrap();
    drop(store);
    let keys = volume.keys();
    let steps = lock(&record.steps).clone();
    let position = |step: Step, path: &Path| {
        steps
            .iter()
            .position(|it| *it == (step, path.to_owned()))
            .unwrap()
    };
    let synced = |path: PathBuf| position(Step::SyncDirectory, path.parent().unwrap());
    let link = keys.revision_link(&name, &digest);
    let tag_written = position(Step::Rename, &keys.tag_link(&name, &tag("v1")));
    assert!(synced(keys.blob(&digest)) < position(Step::Rename, &link));
    assert!(synced(link.clone()) < tag_written);
    let tags_synced = steps
        .iter()
        .rposition(|it| *it == (Step::SyncDirectory, keys.tags(&name)))
        .unwrap();
    assert!(tag_written < tags_synced && tags_synced < position(Step::Remove, &link));
}
