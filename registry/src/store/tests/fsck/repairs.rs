//! A repair makes whole what can be made whole, and says what it has changed.

use super::*;

#[tokio::test]
async fn a_repair_writes_lost_links_again_where_the_content_is_still_there() {
    let content = Content::new().await;
    let keys = content.keys();
    let layer = digest_of(b"layer of one");
    fs::remove_file(keys.layer_link(&content.name, &layer)).unwrap();
    fs::remove_file(keys.revision_link(&content.name, &content.index)).unwrap();
    fs::write(keys.layer_link(&content.name, &digest_of(b"layer of two")), "").unwrap();
    fs::remove_file(keys.referrer(&content.name, &content.image, &content.signature)).unwrap();
    let report = repaired(&content.volume, |_| None).await;
    assert_eq!(report.changes.len(), 4, "{:#?}", report.changes);
    assert_eq!(report.findings, []);
    assert_eq!(report.leftovers, Leftovers::default());
    assert_eq!(checked(&content.volume, true).findings, []);
    let store = content.volume.open().await;
    assert_eq!(read_blob(&store, &content.name, &layer).await, b"layer of one");
    let referrers = store
        .referrers(&content.name, &content.image, &[], None, 1 << 20)
        .await
        .unwrap();
    assert_eq!(referrers.descriptors[0].digest, content.signature);
    let again = store.repair(true, |_| None).await.unwrap();
    assert_eq!(again.changes, [] as [String; 0]);
    store.close().await;
}

#[tokio::test]
async fn a_repair_moves_damaged_content_aside_and_a_push_heals_it() {
    let content = Content::new().await;
    let layer = digest_of(b"layer of one");
    for rot in ["rot", "more rot"] {
        fs::write(content.keys().blob(&layer), rot).unwrap();
        let report = repaired(&content.volume, |_| None).await;
        assert_eq!(kinds(&report), [FindingKind::ReferenceLost]);
        let store = content.volume.open().await;
        assert!(matches!(
            store.blob_open(&content.name, &layer).await,
            Err(BlobError::Unknown { .. })
        ));
        push_blob(&store, &content.name, b"layer of one").await;
        store.close().await;
        assert_eq!(checked(&content.volume, true).findings, []);
    }
    let aside = fs::read_dir(content.keys().quarantine()).unwrap();
    let mut kept: Vec<String> = aside
        .map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap())
        .collect();
    kept.sort();
    assert_eq!(kept, ["more rot", "rot"]);
}

#[tokio::test]
async fn a_repair_asks_what_an_empty_tag_with_a_history_names() {
    let content = Content::new().await;
    let history = content.keys().tag(&content.name, &tag("v1")).join("index/sha256");
    for digest in [&content.image, &content.index] {
        fs::create_dir_all(history.join(digest.hex())).unwrap();
        fs::write(history.join(digest.hex()).join("link"), digest.as_str()).unwrap();
    }
    fs::write(content.tag("v1"), "").unwrap();
    assert_eq!(
        kinds(&repaired(&content.volume, |_| None).await),
        [FindingKind::TagUnreadable]
    );
    let wanted = content.image.clone();
    let report = repaired(&content.volume, move |asked| {
        assert_eq!((asked.tag.as_str(), asked.candidates.len()), ("v1", 2));
        Some(wanted.clone())
    })
    .await;
    assert_eq!(report.findings, []);
    assert_eq!(
        fs::read_to_string(content.tag("v1")).unwrap(),
        content.image.as_str()
    );
}

#[tokio::test]
async fn a_repair_goes_on_to_what_its_own_links_let_it_see() {
    let content = Content::new().await;
    let keys = content.keys();
    let layer = digest_of(b"layer of one");
    fs::remove_file(keys.revision_link(&content.name, &content.index)).unwrap();
    fs::remove_file(keys.revision_link(&content.name, &content.image)).unwrap();
    fs::remove_file(content.tag("v1")).unwrap();
    fs::remove_file(keys.layer_link(&content.name, &layer)).unwrap();
    let report = repaired(&content.volume, |_| None).await;
    assert_eq!((report.changes.len(), report.findings), (3, vec![]));
}

#[tokio::test]
async fn a_repair_gives_no_repository_what_belongs_to_another() {
    let content = Content::new().await;
    let keys = content.keys();
    let layer = digest_of(b"layer of one");
    let store = content.volume.open().await;
    push_blob(&store, &repository("other"), b"layer of one").await;
    store.close().await;
    fs::remove_file(keys.layer_link(&content.name, &layer)).unwrap();
    let report = repaired(&content.volume, |_| None).await;
    assert_eq!(kinds(&report), [FindingKind::ReferenceLost]);
    assert_eq!(report.changes, [] as [String; 0]);
    for report in [report, checked(&content.volume, false)] {
        let said = &report.findings[0].problem;
        assert!(
            said.contains("another repository") && said.contains("push the image again"),
            "{said}"
        );
    }
}

#[tokio::test]
async fn a_repair_gives_no_repository_anything_while_it_cannot_see_what_others_have() {
    let content = Content::new().await;
    let keys = content.keys();
    let layer = digest_of(b"layer of one");
    let store = content.volume.open().await;
    push_blob(&store, &repository("z"), b"layer of one").await;
    store.close().await;
    fs::remove_file(keys.layer_link(&content.name, &layer)).unwrap();
    // whoever walks over the repositories in their order gets no further, and does not come to the other one
    let between = keys.repositories().join("u/u");
    fs::create_dir(keys.repositories().join("u")).unwrap();
    std::os::unix::fs::symlink(&between, &between).unwrap();
    let report = repaired(&content.volume, |_| None).await;
    assert_eq!(report.changes, [] as [String; 0]);
    assert!(kinds(&report).contains(&FindingKind::ReferenceLost), "{report:?}");
    fs::remove_file(between).unwrap();
    let report = repaired(&content.volume, |_| None).await;
    assert_eq!(report.changes, [] as [String; 0], "it belongs to the other one");
}

#[tokio::test]
async fn a_repair_hashes_everything_once_and_tells_what_stays_damaged() {
    let content = Content::new().await;
    let keys = content.keys();
    let (one, two) = (digest_of(b"layer of one"), digest_of(b"layer of two"));
    fs::remove_file(keys.revision_link(&content.name, &content.index)).unwrap();
    fs::remove_file(keys.layer_link(&content.name, &one)).unwrap();
    fs::write(keys.blob(&two), "rot").unwrap();
    let before = checked(&content.volume, true);
    let report = repaired(&content.volume, |_| None).await;
    assert_eq!(report.changes.len(), 3, "{:?}", report.changes);
    assert_eq!(report.examined.bytes, before.examined.bytes);
    assert_eq!(kinds(&report), [FindingKind::ReferenceLost]);
    assert!(report.findings[0].problem.contains("its content is gone"));
}

#[tokio::test]
async fn a_repair_links_the_blob_of_an_index_as_a_blob() {
    let content = Content::new().await;
    let store = content.volume.open().await;
    let cached = push_blob(&store, &content.name, b"what a build has cached").await;
    put(&store, &content.name, "cache", &index(&[&cached]))
        .await
        .unwrap();
    store.close().await;
    fs::remove_file(content.keys().layer_link(&content.name, &cached)).unwrap();
    assert_eq!(repaired(&content.volume, |_| None).await.findings, []);
    let store = content.volume.open().await;
    assert_eq!(
        read_blob(&store, &content.name, &cached).await,
        b"what a build has cached"
    );
    store.close().await;
}
