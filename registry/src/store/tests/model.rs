//! Any sequence of operations answers as a simple reference does: a map per repository, no files, no locks.

mod reference;
mod steps;

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

use self::reference::{Answer, Model, Repository, refers_to};
use self::steps::step;

const REPOSITORIES: [&str; 3] = ["a", "a-b", "a/b"];
const TAGS: [&str; 3] = ["v1", "V1", "v1.0"];
const BLOBS: usize = 6;
/// How many manifests later actions can name.
const MANIFESTS: usize = 6;

#[derive(Debug, Clone)]
enum Action {
    PushBlob {
        repository: usize,
        blob: usize,
        cut_at: usize,
        hint: Option<Algorithm>,
    },
    MountBlob {
        from: Option<usize>,
        to: usize,
        blob: usize,
    },
    DeleteBlob {
        repository: usize,
        blob: usize,
    },
    PutImage {
        repository: usize,
        /// Its blobs are pushed first.
        is_whole: bool,
        config: usize,
        layers: BTreeSet<usize>,
        subject: Option<usize>,
        naming: Naming,
    },
    PutIndex {
        repository: usize,
        children: BTreeSet<usize>,
        blobs: BTreeSet<usize>,
        naming: Naming,
    },
    DeleteManifest {
        repository: usize,
        manifest: usize,
    },
    DeleteTag {
        repository: usize,
        tag: usize,
    },
    Collect {
        untagged: bool,
    },
    Restart {
        close: bool,
    },
}

/// How a manifest is put: by its digest, or by the first of its tags, if it has any.
#[derive(Debug, Clone)]
struct Naming {
    by: Option<Algorithm>,
    tags: BTreeSet<usize>,
}

fn numbers(below: usize) -> impl Strategy<Value = BTreeSet<usize>> {
    proptest::collection::btree_set(0..below, 0..3)
}

fn algorithm() -> impl Strategy<Value = Algorithm> {
    proptest::sample::select(Algorithm::ALL.to_vec())
}

fn naming() -> impl Strategy<Value = Naming> {
    let by = proptest::option::of(algorithm());
    (by, numbers(TAGS.len())).prop_map(|(by, tags)| Naming { by, tags })
}

fn actions() -> impl Strategy<Value = Vec<Action>> {
    let (repository, blob, tag) = (0..REPOSITORIES.len(), 0..BLOBS, 0..TAGS.len());
    let action = prop_oneof![
        4 => (repository.clone(), blob.clone(), 0..12_usize, proptest::option::of(algorithm()))
            .prop_map(|(repository, blob, cut_at, hint)| Action::PushBlob { repository, blob, cut_at, hint }),
        2 => (proptest::option::of(repository.clone()), repository.clone(), blob.clone())
            .prop_map(|(from, to, blob)| Action::MountBlob { from, to, blob }),
        1 => (repository.clone(), blob.clone()).prop_map(|(repository, blob)| Action::DeleteBlob { repository, blob }),
        6 => (
            (repository.clone(), proptest::bool::weighted(0.7)),
            (blob, numbers(BLOBS)),
            proptest::option::weighted(0.4, 0..MANIFESTS),
            naming(),
        )
            .prop_map(|((repository, is_whole), (config, layers), subject, naming)| {
                Action::PutImage { repository, is_whole, config, layers, subject, naming }
            }),
        2 => (repository.clone(), numbers(MANIFESTS), numbers(BLOBS), naming()).prop_map(
            |(repository, children, blobs, naming)| Action::PutIndex { repository, children, blobs, naming }
        ),
        2 => (repository.clone(), 0..MANIFESTS)
            .prop_map(|(repository, manifest)| Action::DeleteManifest { repository, manifest }),
        1 => (repository, tag).prop_map(|(repository, tag)| Action::DeleteTag { repository, tag }),
        2 => any::<bool>().prop_map(|untagged| Action::Collect { untagged }),
        1 => any::<bool>().prop_map(|close| Action::Restart { close }),
    ];
    proptest::collection::vec(action, 1..40)
}

/// The bytes of a blob. Three blobs each have the same.
fn content(blob: usize) -> Vec<u8> {
    format!("content {}", blob / Algorithm::ALL.len()).into_bytes()
}

/// The digest of a blob, by each algorithm in turn.
fn blob_digest(blob: usize) -> Digest {
    Digest::of(Algorithm::ALL[blob % Algorithm::ALL.len()], &content(blob))
}

/// Reads everything that there could be.
async fn compare(store: &Store, model: &Model) {
    let listed = store.repositories(None, 100, |_| true).await.unwrap().items;
    assert_eq!(
        listed.iter().map(RepositoryName::as_str).collect::<Vec<_>>(),
        model.repositories.keys().copied().collect::<Vec<_>>()
    );
    for (name, expected) in &model.repositories {
        let name = repository(name);
        for (digest, bytes) in (0..BLOBS).map(|blob| (blob_digest(blob), content(blob))) {
            let found = store.blob_open(&name, &digest).await;
            assert_eq!(found.is_ok(), expected.blobs.contains(&digest));
            if found.is_ok() {
                assert_eq!(read_blob(store, &name, &digest).await, bytes);
            }
        }
        let tags = store.tags(&name, None, 100).await.unwrap().items;
        assert_eq!(
            tags.iter().map(Tag::as_str).collect::<Vec<_>>(),
            expected.tags.keys().collect::<Vec<_>>()
        );
        for (tag, digest) in &expected.tags {
            assert_eq!(
                store
                    .manifest_read(&name, &tag.parse().unwrap())
                    .await
                    .unwrap()
                    .digest,
                *digest
            );
        }
        for digest in &model.known {
            let read = store
                .manifest_read(&name, &Reference::Digest(digest.clone()))
                .await;
            let document = expected.manifests.get(digest).map(ToString::to_string);
            assert_eq!(read.ok().map(|read| read.bytes), document.map(Bytes::from));
            let referrers = store.referrers(&name, digest, &[], None, 4 << 20).await.unwrap();
            let expected = expected
                .manifests
                .iter()
                .filter(|(_, document)| refers_to(document, digest))
                .map(|(digest, _)| digest);
            assert!(referrers.descriptors.iter().map(|it| &it.digest).eq(expected));
        }
    }
}

/// Removes what nobody can reach, and looks whether that and nothing else has gone.
async fn collect_both(store: &Store, model: &mut Model, volume: &Volume, untagged: bool) {
    let options = CollectOptions {
        untagged_after: untagged.then_some(Duration::ZERO),
        ..without_grace()
    };
    let report = store.collect(options, |_| {}).await.unwrap();
    assert_eq!(report.warnings, Vec::<String>::new());
    assert_eq!(
        (report.freed.manifests, report.freed.links),
        model.collect(untagged)
    );
    assert_eq!(collect::contents(volume), model.contents());
    compare(store, model).await;
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, max_shrink_iters: 300, ..ProptestConfig::default() })]

    #[test]
    fn store_answers_like_the_reference(actions in actions()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let volume = Volume::in_memory();
            let mut store = volume.open().await;
            let mut model = Model::default();
            for action in actions {
                match action {
                    Action::Restart { close } => {
                        if close {
                            store.close().await;
                        }
                        drop(store);
                        store = volume.open().await;
                        model.restart();
                    }
                    Action::Collect { untagged } => collect_both(&store, &mut model, &volume, untagged).await,
                    action => step(&store, &mut model, action).await,
                }
            }
            compare(&store, &model).await;
        });
    }
}
