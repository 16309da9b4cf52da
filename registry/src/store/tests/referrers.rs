//! Lists of referrers: files, fallback tags, filters, pages.

use std::pin::pin;

use futures::future::{Either, join, select};
use futures::poll;

use super::disk::Step;
use super::faults::{ENOSPC, NOTHING, open_failing};
use super::*;

fn referring(subject: &Digest, config: &Digest, artifact_type: &str) -> Value {
    let mut document = image(config, &[]);
    document["subject"] = descriptor(subject, MediaType::OCI_MANIFEST);
    document["artifactType"] = json!(artifact_type);
    document["annotations"] = json!({"of": artifact_type});
    document
}

/// As a client does that knows no lists of referrers.
async fn put_fallback(store: &Store, name: &RepositoryName, subject: &Digest, entries: &[&Digest]) -> Digest {
    let tag = Tag::referrers_fallback(subject);
    put(store, name, tag.as_str(), &index(entries)).await.unwrap()
}

async fn listed(store: &Store, name: &RepositoryName, subject: &Digest, types: &[&str]) -> Vec<Digest> {
    let types: Vec<String> = types.iter().map(ToString::to_string).collect();
    let page = store
        .referrers(name, subject, &types, None, 4 << 20)
        .await
        .unwrap();
    assert!(!page.has_more);
    page.descriptors
        .into_iter()
        .map(|descriptor| descriptor.digest)
        .collect()
}

fn sorted(mut digests: Vec<Digest>) -> Vec<Digest> {
    digests.sort_unstable();
    digests
}

/// P113, P117.
#[tokio::test]
async fn referrers_are_listed_before_and_after_their_subject_is_pushed_and_after_it_is_deleted() {
    let volume = Volume::new();
    let store = volume.open().await;
    let name = repository("a");
    let config = push_blob(&store, &name, b"{}").await;
    let subject_document = index(&[]);
    let subject = digest_of(subject_document.to_string().as_bytes());
    assert!(listed(&store, &name, &subject, &[]).await.is_empty());
    let document = referring(&subject, &config, "sig");
    let bytes = Bytes::from(document.to_string());
    let outcome = store
        .manifest_put(&name, &"sig".parse().unwrap(), &[], None, bytes.clone())
        .await
        .unwrap();
    assert_eq!(outcome.subject, Some(subject.clone()));
    let referrer = outcome.digest;
    assert_eq!(
        listed(&store, &name, &subject, &[]).await,
        std::slice::from_ref(&referrer)
    );
    put(&store, &name, "v1", &subject_document).await.unwrap();
    store.manifest_delete(&name, &subject).await.unwrap();
    let page = store
        .referrers(&name, &subject, &[], None, 4 << 20)
        .await
        .unwrap();
    let [descriptor] = page.descriptors.as_slice() else {
        panic!("{page:?}")
    };
    assert_eq!(
        (&descriptor.digest, descriptor.size),
        (&referrer, bytes.len() as u64)
    );
    assert_eq!(
        (
            descriptor.artifact_type.as_deref(),
            descriptor.annotations["of"].as_str()
        ),
        (Some("sig"), "sig")
    );
}

/// P117.
#[tokio::test]
async fn deleted_referrer_leaves_the_list_at_once() {
    let volume = Volume::new();
    let store = volume.open().await;
    let name = repository("a");
    let config = push_blob(&store, &name, b"{}").await;
    let subject = push_image(&store, &name, "v1", "x").await;
    let kept = put(&store, &name, "one", &referring(&subject, &config, "sbom"))
        .await
        .unwrap();
    let deleted = put(&store, &name, "two", &referring(&subject, &config, "sig"))
        .await
        .unwrap();
    store.manifest_delete(&name, &deleted).await.unwrap();
    assert_eq!(listed(&store, &name, &subject, &[]).await, [kept]);
}

/// P111.
#[tokio::test]
async fn lists_are_filtered_by_artifact_type_and_kept_apart_by_repository() {
    let volume = Volume::new();
    let store = volume.open().await;
    let name = repository("a");
    let config = push_blob(&store, &name, b"{}").await;
    let subject = digest_of(b"subject");
    let mut all = Vec::new();
    for artifact_type in ["sig", "sbom", "vex"] {
        all.push(
            put(
                &store,
                &name,
                artifact_type,
                &referring(&subject, &config, artifact_type),
            )
            .await
            .unwrap(),
        );
    }
    assert_eq!(listed(&store, &name, &subject, &["sbom"]).await, [all[1].clone()]);
    assert_eq!(
        listed(&store, &name, &subject, &["sbom", "vex"]).await,
        sorted(all[1..].to_vec())
    );
    assert!(listed(&store, &name, &subject, &["other"]).await.is_empty());
    assert!(listed(&store, &repository("b"), &subject, &[]).await.is_empty());
}

/// P115, P116.
#[tokio::test]
async fn entries_of_a_fallback_tag_are_listed_once_and_only_if_they_name_the_subject() {
    let volume = Volume::new();
    let name = repository("a");
    let store = volume.open().await;
    let config = push_blob(&store, &name, b"{}").await;
    let subject = digest_of(b"subject");
    let known = put(&store, &name, "one", &referring(&subject, &config, "one"))
        .await
        .unwrap();
    let adopted = put(&store, &name, "two", &referring(&subject, &config, "two"))
        .await
        .unwrap();
    let unrelated = push_image(&store, &name, "three", "x").await;
    std::fs::remove_file(volume.keys().referrer(&name, &subject, &adopted)).unwrap(); // as registry:2 leaves it
    assert_eq!(
        listed(&store, &name, &subject, &[]).await,
        std::slice::from_ref(&known)
    );
    let entries = [&known, &adopted, &unrelated, &digest_of(b"missing")];
    put_fallback(&store, &name, &subject, &entries).await;
    assert_eq!(
        listed(&store, &name, &subject, &[]).await,
        sorted(vec![known, adopted])
    );
}

/// P116.
#[tokio::test]
async fn anything_else_under_a_fallback_tag_is_no_fault() {
    let volume = Volume::new();
    let store = volume.open().await;
    let name = repository("a");
    let subject = digest_of(b"subject");
    push_image(&store, &name, Tag::referrers_fallback(&subject).as_str(), "x").await;
    assert!(listed(&store, &name, &subject, &[]).await.is_empty());
}

/// P112.
#[tokio::test]
async fn long_lists_come_in_pages_that_hold_at_least_one_entry() {
    let volume = Volume::new();
    let store = volume.open().await;
    let name = repository("a");
    let config = push_blob(&store, &name, b"{}").await;
    let subject = digest_of(b"subject");
    let mut all = Vec::new();
    for number in 0..5 {
        let artifact_type = format!("type-{number}");
        all.push(
            put(
                &store,
                &name,
                &artifact_type,
                &referring(&subject, &config, &artifact_type),
            )
            .await
            .unwrap(),
        );
    }
    for (limit_bytes, pages) in [(1, 5), (600, 3), (1 << 20, 1)] {
        let (mut paged, mut count) = (Vec::new(), 0);
        loop {
            let page = store
                .referrers(&name, &subject, &[], paged.last(), limit_bytes)
                .await
                .unwrap();
            paged.extend(page.descriptors.into_iter().map(|descriptor| descriptor.digest));
            count += 1;
            if !page.has_more {
                break;
            }
        }
        assert_eq!((&paged, count), (&sorted(all.clone()), pages), "{limit_bytes}");
    }
}

#[tokio::test]
async fn referrer_that_cannot_be_listed_is_not_there() {
    let volume = Volume::new();
    let (store, armed) = open_failing(&volume, Step::Rename, "/referrers/", ENOSPC).await;
    let name = repository("a");
    let subject = push_image(&store, &name, "v1", "x").await;
    let mut signature = index(&[]);
    signature["subject"] = descriptor(&subject, MediaType::OCI_MANIFEST);
    let digest = digest_of(signature.to_string().as_bytes());
    armed.store(1, Ordering::SeqCst);
    let refused = put(&store, &name, digest.as_str(), &signature).await;
    let is_full = matches!(refused, Err(ManifestError::Fault(Fault::Full { .. })));
    assert!(is_full, "{refused:?}");
    let seen = store
        .manifest_head(&name, &Reference::Digest(digest.clone()))
        .await;
    assert!(matches!(seen, Err(ManifestError::Unknown { .. })), "{seen:?}");
    armed.store(NOTHING, Ordering::SeqCst);
    put(&store, &name, digest.as_str(), &signature).await.unwrap();
    store.manifest_delete(&name, &digest).await.unwrap();
    assert!(!volume.keys().referrers(&name, &subject).exists());
}

/// P115.
#[tokio::test]
async fn manifests_under_a_fallback_tag_that_refer_to_something_else_are_read_once() {
    let volume = Volume::new();
    let store = volume.open().await;
    let name = repository("a");
    let subject = digest_of(b"subject");
    let stranger = push_image(&store, &name, "v1", "x").await;
    put_fallback(&store, &name, &subject, &[&stranger]).await;
    assert!(listed(&store, &name, &subject, &[]).await.is_empty());
    std::fs::write(volume.keys().blob(&stranger), "not to be read").unwrap();
    assert!(listed(&store, &name, &subject, &[]).await.is_empty());
}

/// P115, P117.
#[tokio::test]
async fn what_is_remembered_of_a_manifest_lists_it_only_while_it_is_there_and_under_its_subject() {
    let volume = Volume::new();
    let store = volume.open().await;
    let name = repository("a");
    let config = push_blob(&store, &name, b"{}").await;
    let (subject, other) = (digest_of(b"subject"), digest_of(b"other"));
    let document = referring(&subject, &config, "sig");
    let referrer = put(&store, &name, "sig", &document).await.unwrap();
    let file = volume.keys().referrer(&name, &subject, &referrer);
    std::fs::remove_file(&file).unwrap(); // as registry:2 leaves it
    put_fallback(&store, &name, &other, &[&referrer]).await;
    let fallback = put_fallback(&store, &name, &subject, &[&referrer]).await;
    for _ in 0..2 {
        assert!(listed(&store, &name, &other, &[]).await.is_empty());
        let of_subject = listed(&store, &name, &subject, &[]).await;
        assert_eq!(of_subject, std::slice::from_ref(&referrer));
    }
    for deleted in [&fallback, &referrer] {
        store.manifest_delete(&name, deleted).await.unwrap();
    }
    put_fallback(&store, &name, &subject, &[&referrer]).await;
    assert!(listed(&store, &name, &subject, &[]).await.is_empty());
    put(&store, &name, "sig", &document).await.unwrap();
    std::fs::remove_file(&file).unwrap();
    assert_eq!(listed(&store, &name, &subject, &[]).await, [referrer]);
}

/// P115.
#[tokio::test]
async fn a_short_list_does_not_wait_for_all_of_a_long_one() {
    let volume = Volume::new();
    let store = volume.open().await;
    let name = repository("a");
    let mut read = Vec::new();
    for seed in ["1", "2", "3", "4"] {
        read.push(push_image(&store, &name, seed, seed).await);
    }
    let missing = (0..3_000_u32).map(|n| digest_of(&n.to_be_bytes()));
    let missing: Vec<Digest> = missing.collect();
    let (long, short) = (digest_of(b"long"), digest_of(b"short"));
    for entries in [&read, &missing] {
        let entries: Vec<&Digest> = entries.iter().collect();
        put_fallback(&store, &name, &long, &entries).await;
        let turns = &store.inner.turns;
        let (_kept, turn) = (turns.referrers().await, turns.referrers().await);
        let mut of_long = pin!(listed(&store, &name, &long, &[]));
        let mut of_short = pin!(listed(&store, &name, &short, &[]));
        let mut next = pin!(turns.referrers());
        assert!(poll!(&mut of_long).is_pending() && poll!(&mut of_short).is_pending());
        assert!(poll!(&mut next).is_pending());
        drop(turn);
        let Either::Left(((mut turn, of_short), _)) = select(join(next, of_short), &mut of_long).await else {
            panic!("the long list has not waited for the short one");
        };
        assert!(of_short.is_empty());
        for _ in 0..2 {
            let mut next = pin!(turns.referrers());
            assert!(poll!(&mut of_long).is_pending() && poll!(&mut next).is_pending());
            drop(turn);
            let Either::Left((given, _)) = select(next, &mut of_long).await else {
                panic!("the long list has had more than one turn at once");
            };
            turn = given;
        }
    }
}
