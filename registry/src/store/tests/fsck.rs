//! A check finds each kind of loss and nothing else, and a repair makes whole what can be made whole.

use std::fs;
use std::path::PathBuf;

use crate::store::fsck::{AmbiguousTag, FindingKind, FsckOptions, FsckReport, Leftovers, check};

use super::*;

fn checked(volume: &Volume, deep: bool) -> FsckReport {
    let options = FsckOptions {
        deep,
        pause: Duration::ZERO,
    };
    check(volume.path(), options, &|_| {}).unwrap()
}

fn kinds(report: &FsckReport) -> Vec<FindingKind> {
    report.findings.iter().map(|finding| finding.kind).collect()
}

async fn repaired(
    volume: &Volume,
    choose: impl FnMut(&AmbiguousTag) -> Option<Digest> + Send + 'static,
) -> FsckReport {
    let store = volume.open().await;
    let report = store.repair(true, choose).await.unwrap();
    store.close().await;
    report
}

/// Breaks something.
type Damage = Box<dyn Fn(&Content)>;

/// Two tagged images, an index of one of them, and a signature of it.
struct Content {
    volume: Volume,
    name: RepositoryName,
    image: Digest,
    index: Digest,
    signature: Digest,
}

impl Content {
    async fn new() -> Self {
        let (volume, name) = (Volume::new(), repository("team/app"));
        let store = volume.open().await;
        let image = push_image(&store, &name, "v1", "one").await;
        push_image(&store, &name, "v2", "two").await;
        let index = put(&store, &name, "all", &index(&[&image])).await.unwrap();
        let config = push_blob(&store, &name, b"{}").await;
        let mut document = super::image(&config, &[]);
        document["subject"] = descriptor(&image, MediaType::OCI_MANIFEST);
        document["artifactType"] = json!("application/x-signature");
        let reference = digest_of(document.to_string().as_bytes()).to_string();
        let signature = put(&store, &name, &reference, &document).await.unwrap();
        store.close().await;
        Self {
            volume,
            name,
            image,
            index,
            signature,
        }
    }

    fn keys(&self) -> Keys {
        self.volume.keys()
    }

    fn tag(&self, name: &str) -> PathBuf {
        self.keys().tag_link(&self.name, &tag(name))
    }
}

#[tokio::test]
async fn a_whole_volume_has_no_findings_and_no_leftovers() {
    let content = Content::new().await;
    let report = checked(&content.volume, true);
    assert_eq!(report.findings, []);
    assert_eq!(report.leftovers, Leftovers::default());
    assert!(report.locked && report.deep);
    let looked = &report.examined;
    assert_eq!(
        (
            looked.repositories,
            looked.tags,
            looked.manifests,
            looked.links,
            looked.blobs
        ),
        (1, 3, 4, 5, 9)
    );
}

#[tokio::test]
async fn a_check_changes_nothing_and_makes_no_volume() {
    let directory = tempfile::tempdir().unwrap();
    let options = FsckOptions {
        deep: true,
        pause: Duration::ZERO,
    };
    assert_eq!(check(directory.path(), options, &|_| {}).unwrap().findings, []);
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    let missing = check(&directory.path().join("none"), options, &|_| {}).unwrap_err();
    assert!(missing.to_string().contains("none"), "{missing}");
}

#[tokio::test]
async fn each_loss_is_found_as_what_it_is() {
    let layer = digest_of(b"layer of one");
    let keys_of = |content: &Content| content.keys();
    let cases: Vec<(FindingKind, Damage)> = vec![
        (
            FindingKind::ManifestLost,
            Box::new(move |it| fs::remove_file(keys_of(it).blob(&it.signature)).unwrap()),
        ),
        (
            FindingKind::ReferenceLost,
            Box::new({
                let layer = layer.clone();
                move |it| fs::remove_file(keys_of(it).blob(&layer)).unwrap()
            }),
        ),
        (
            FindingKind::ReferenceLost,
            Box::new({
                let layer = layer.clone();
                move |it| fs::remove_file(keys_of(it).layer_link(&it.name, &layer)).unwrap()
            }),
        ),
        (
            FindingKind::ContentDamaged,
            Box::new({
                let layer = layer.clone();
                move |it| fs::write(keys_of(it).blob(&layer), "layer of 0ne").unwrap()
            }),
        ),
        (
            FindingKind::ContentDamaged,
            Box::new(|it| fs::write(it.keys().blob(&it.signature), "{}").unwrap()),
        ),
        (
            FindingKind::TagDangling,
            Box::new(|it| fs::remove_file(it.keys().revision_link(&it.name, &it.index)).unwrap()),
        ),
        (
            FindingKind::TagUnreadable,
            Box::new(|it| fs::write(it.tag("v1"), "nonsense").unwrap()),
        ),
        (
            FindingKind::TagUnreadable,
            Box::new(|it| fs::write(it.tag("v1"), "").unwrap()),
        ),
        (
            FindingKind::LinkDamaged,
            Box::new(move |it| fs::write(keys_of(it).revision_link(&it.name, &it.signature), "x").unwrap()),
        ),
        (
            FindingKind::ReferrerWrong,
            Box::new(|it| {
                fs::write(it.keys().referrer(&it.name, &it.image, &it.signature), "{}").unwrap();
            }),
        ),
        (
            FindingKind::RecordDamaged,
            Box::new(|it| fs::write(it.keys().in_use(), "[]").unwrap()),
        ),
    ];
    for (number, (kind, damage)) in cases.into_iter().enumerate() {
        let content = Content::new().await;
        damage(&content);
        assert_eq!(kinds(&checked(&content.volume, true)), [kind], "case {number}");
        assert_eq!(
            fs::metadata(content.keys().temporary())
                .map(|it| it.is_dir())
                .ok(),
            Some(true)
        );
    }
}

#[tokio::test]
async fn a_reference_that_never_came_is_no_loss() {
    let content = Content::new().await;
    let keys = content.keys();
    let absent = keys.absent(&content.name, &content.index);
    fs::create_dir_all(absent.parent().unwrap()).unwrap();
    fs::write(&absent, json!([content.image]).to_string()).unwrap();
    fs::remove_dir_all(content.tag("v1").parent().unwrap().parent().unwrap()).unwrap();
    fs::remove_file(keys.revision_link(&content.name, &content.image)).unwrap();
    let report = checked(&content.volume, false);
    assert_eq!(report.findings, []);
    assert_eq!(report.leftovers.never_came, 1);
    fs::write(&absent, "nonsense").unwrap();
    assert_eq!(
        kinds(&checked(&content.volume, false)),
        [FindingKind::ReferenceLost, FindingKind::RecordDamaged]
    );
}

#[tokio::test]
async fn what_crashes_and_other_registries_leave_is_counted_and_is_no_finding() {
    let content = Content::new().await;
    let keys = content.keys();
    fs::create_dir_all(keys.tag(&content.name, &tag("unfinished")).join("current")).unwrap();
    let stray = digest_of(b"stray");
    fs::create_dir_all(keys.blob(&stray).parent().unwrap()).unwrap();
    fs::write(keys.blob(&stray), "stray").unwrap();
    let gone = keys.layer_link(&content.name, &digest_of(b"gone"));
    fs::create_dir_all(gone.parent().unwrap()).unwrap();
    fs::write(&gone, digest_of(b"gone").as_str()).unwrap();
    fs::remove_file(keys.referrer(&content.name, &content.image, &content.signature)).unwrap();
    let report = checked(&content.volume, true);
    assert_eq!(report.findings, []);
    let left = &report.leftovers;
    assert_eq!((left.unreferenced_blobs, left.unreferenced_bytes), (1, 5));
    assert_eq!(
        (
            left.links_without_content,
            left.unlisted_referrers,
            left.empty_directories
        ),
        (1, 1, 1)
    );
}

#[tokio::test]
async fn beside_a_running_registry_a_check_holds_no_lock_and_still_finds() {
    let content = Content::new().await;
    let store = content.volume.open().await;
    assert!(!checked(&content.volume, false).locked);
    fs::remove_file(content.keys().blob(&content.signature)).unwrap();
    let report = checked(&content.volume, true);
    assert_eq!(kinds(&report), [FindingKind::ManifestLost]);
    fs::write(content.keys().blob(&digest_of(b"layer of two")), "x").unwrap();
    assert_eq!(kinds(&checked(&content.volume, true)).len(), 2);
    store.close().await;
}

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
