//! Any sequence of operations answers as a simple reference does: a map per repository, no files, no locks.

mod steps;

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

use self::steps::step;

const REPOSITORIES: [&str; 3] = ["a", "a-b", "a/b"];
const TAGS: [&str; 3] = ["v1", "V1", "v1.0"];
const BLOBS: usize = 4;

#[derive(Debug, Clone)]
enum Action {
    PushBlob {
        repository: usize,
        blob: usize,
        cut_at: usize,
        sha512: bool,
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
        config: usize,
        layers: BTreeSet<usize>,
        subject: Option<usize>,
        tag: Option<usize>,
    },
    PutIndex {
        repository: usize,
        children: BTreeSet<usize>,
        tag: usize,
    },
    DeleteManifest {
        repository: usize,
        manifest: usize,
    },
    DeleteTag {
        repository: usize,
        tag: usize,
    },
    Restart {
        close: bool,
    },
}

fn actions() -> impl Strategy<Value = Vec<Action>> {
    let (repository, blob, tag) = (0..REPOSITORIES.len(), 0..BLOBS, 0..TAGS.len());
    let set = |range: std::ops::Range<usize>| proptest::collection::btree_set(range, 0..3);
    let action = prop_oneof![
        4 => (repository.clone(), blob.clone(), 0..12_usize, any::<bool>())
            .prop_map(|(repository, blob, cut_at, sha512)| Action::PushBlob { repository, blob, cut_at, sha512 }),
        2 => (proptest::option::of(repository.clone()), repository.clone(), blob.clone())
            .prop_map(|(from, to, blob)| Action::MountBlob { from, to, blob }),
        1 => (repository.clone(), blob.clone()).prop_map(|(repository, blob)| Action::DeleteBlob { repository, blob }),
        5 => (
            repository.clone(),
            blob.clone(),
            set(blob),
            proptest::option::weighted(0.3, 0..6_usize),
            proptest::option::of(tag.clone())
        )
            .prop_map(|(repository, config, layers, subject, tag)| {
                Action::PutImage { repository, config, layers, subject, tag }
            }),
        2 => (repository.clone(), set(0..6), tag.clone())
            .prop_map(|(repository, children, tag)| Action::PutIndex { repository, children, tag }),
        2 => (repository.clone(), 0..6_usize)
            .prop_map(|(repository, manifest)| Action::DeleteManifest { repository, manifest }),
        1 => (repository, tag).prop_map(|(repository, tag)| Action::DeleteTag { repository, tag }),
        1 => any::<bool>().prop_map(|close| Action::Restart { close }),
    ];
    proptest::collection::vec(action, 1..40)
}

/// What an operation came to, as far as the reference can tell.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    Done,
    Unknown,
    RepositoryUnknown,
    Missing,
    Referenced,
}

#[derive(Default)]
struct Repository {
    blobs: BTreeSet<Digest>,
    manifests: BTreeMap<Digest, Value>,
    tags: BTreeMap<String, Digest>,
}

/// The reference, and every manifest that was ever tried, so that later actions can name it.
#[derive(Default)]
struct Model {
    repositories: BTreeMap<&'static str, Repository>,
    known: Vec<Digest>,
}

fn content(blob: usize) -> Vec<u8> {
    format!("content {blob}").into_bytes()
}

fn digest_in(value: &Value) -> Digest {
    serde_json::from_value(value["digest"].clone()).unwrap()
}

fn needed_by(document: &Value) -> BTreeSet<Digest> {
    let lists = [&document["layers"], &document["manifests"]];
    let mut digests: BTreeSet<Digest> = lists
        .iter()
        .filter_map(|it| it.as_array())
        .flatten()
        .map(digest_in)
        .collect();
    digests.extend(document.get("config").map(digest_in));
    digests
}

impl Repository {
    fn is_needed(&self, digest: &Digest) -> bool {
        self.manifests
            .values()
            .any(|document| needed_by(document).contains(digest))
    }
}

impl Model {
    /// The manifest that an action means by a number; one that nobody has, if there are not so many.
    fn manifest(&self, number: usize) -> Digest {
        self.known
            .get(number)
            .cloned()
            .unwrap_or_else(|| digest_of(format!("unknown {number}").as_bytes()))
    }

    fn put(&mut self, repository: &'static str, document: &Value, tag: Option<&str>) -> Answer {
        let has = |digest: &Digest| {
            self.repositories
                .get(repository)
                .is_some_and(|it| it.blobs.contains(digest))
        };
        let is_image = document.get("config").is_some();
        if is_image && !needed_by(document).iter().all(has) {
            return Answer::Missing;
        }
        let digest = digest_of(document.to_string().as_bytes());
        if !self.known.contains(&digest) {
            self.known.push(digest.clone());
        }
        let entry = self.repositories.entry(repository).or_default();
        entry.manifests.insert(digest.clone(), document.clone());
        entry.tags.extend(tag.map(|tag| (tag.to_owned(), digest)));
        Answer::Done
    }

    fn delete_manifest(&mut self, repository: &str, digest: &Digest) -> Answer {
        let Some(entry) = self.repositories.get_mut(repository) else {
            return Answer::RepositoryUnknown;
        };
        if !entry.manifests.contains_key(digest) {
            return Answer::Unknown;
        }
        if entry.is_needed(digest) {
            return Answer::Referenced;
        }
        entry.manifests.remove(digest);
        entry.tags.retain(|_, named| named != digest);
        Answer::Done
    }
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
        for blob in (0..BLOBS).map(content) {
            let found = store.blob_open(&name, &digest_of(&blob)).await;
            assert_eq!(found.is_ok(), expected.blobs.contains(&digest_of(&blob)));
            if found.is_ok() {
                assert_eq!(read_blob(store, &name, &digest_of(&blob)).await, blob);
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
            let refers =
                |document: &Value| document.get("subject").is_some_and(|it| digest_in(it) == *digest);
            let expected = expected
                .manifests
                .iter()
                .filter(|(_, document)| refers(document))
                .map(|(digest, _)| digest);
            assert!(referrers.descriptors.iter().map(|it| &it.digest).eq(expected));
        }
    }
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
                if let Action::Restart { close } = action {
                    if close {
                        store.close().await;
                    }
                    drop(store);
                    store = volume.open().await;
                } else {
                    step(&store, &mut model, action).await;
                }
            }
            compare(&store, &model).await;
        });
    }
}
