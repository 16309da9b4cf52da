//! A check finds each kind of loss and nothing else.

mod referrers;
mod repairs;

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use crate::store::fsck::{AmbiguousTag, FsckError, Leftovers};
use crate::store::open::BriefLock;

use super::*;

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
async fn a_directory_without_a_volume_is_told_to_be_that_and_becomes_none() {
    let directory = tempfile::tempdir().unwrap();
    let options = FsckOptions {
        deep: true,
        pause: Duration::ZERO,
    };
    let unused = check(directory.path(), options, &|_| {}).unwrap_err();
    assert!(matches!(unused, FsckError::NoVolume { .. }), "{unused}");
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
            FindingKind::ReferrerUnlisted,
            Box::new(|it| {
                fs::remove_file(it.keys().referrer(&it.name, &it.image, &it.signature)).unwrap();
            }),
        ),
        (
            FindingKind::ReferrerWrong,
            Box::new(|it| {
                fs::write(it.keys().referrer(&it.name, &it.image, &it.signature), "{}").unwrap();
            }),
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
async fn what_collections_refuse_is_found() {
    let cases: Vec<(FindingKind, Damage)> = vec![
        (
            FindingKind::RecordDamaged,
            Box::new(|it| fs::write(it.keys().in_use(), "[]").unwrap()),
        ),
        (
            FindingKind::RecordDamaged,
            Box::new(|it| fs::create_dir_all(it.keys().trash().join("01J/tag")).unwrap()),
        ),
        (
            FindingKind::NotUnderstood,
            Box::new(|it| {
                fs::write(it.keys().format(), r#"{"format":1,"features":["x"]}"#).unwrap();
            }),
        ),
        (
            FindingKind::NotUnderstood,
            Box::new(|it| fs::create_dir_all(it.keys().repositories().join("Team/app/_layers")).unwrap()),
        ),
        (
            FindingKind::NotUnderstood,
            Box::new(|it| fs::create_dir_all(it.keys().layers(&it.name).join("md5/00")).unwrap()),
        ),
        (
            FindingKind::NotUnderstood,
            Box::new(|it| fs::create_dir_all(it.keys().tags(&it.name).join("v 1/current")).unwrap()),
        ),
    ];
    for (number, (kind, damage)) in cases.into_iter().enumerate() {
        let content = Content::new().await;
        damage(&content);
        assert_eq!(kinds(&checked(&content.volume, true)), [kind], "case {number}");
        let store = content.volume.open().await;
        let refused = store.collect(CollectOptions::default(), |_| {}).await;
        assert!(refused.is_err(), "case {number}");
        store.close().await;
    }
}

#[tokio::test]
async fn volume_of_a_later_format_is_not_called_whole() {
    let content = Content::new().await;
    fs::write(content.keys().format(), r#"{"format":2}"#).unwrap();
    let report = checked(&content.volume, false);
    assert_eq!(kinds(&report), [FindingKind::NotUnderstood]);
    let problem = &report.findings[0].problem;
    assert!(problem.starts_with("it says format 2, which"), "{problem}");
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
    let report = checked(&content.volume, true);
    assert_eq!(report.findings, []);
    let left = &report.leftovers;
    assert_eq!((left.unreferenced_blobs, left.unreferenced_bytes), (1, 5));
    assert_eq!((left.links_without_content, left.empty_directories), (1, 1));
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
    let shard = content.keys().blobs().join("sha512");
    std::os::unix::fs::symlink(&shard, &shard).unwrap(); // nobody can list it
    let repositories = content.keys().repositories().join("u");
    std::os::unix::fs::symlink(&repositories, &repositories).unwrap();
    let report = checked(&content.volume, true);
    let unreadable = report
        .findings
        .iter()
        .filter(|it| it.kind == FindingKind::Unreadable);
    let unreadable: BTreeSet<_> = unreadable.map(|it| it.path.clone()).collect();
    let expected = ["blobs/sha512", "repositories"].map(|it| Path::new("docker/registry/v2").join(it));
    assert_eq!(unreadable, BTreeSet::from(expected), "{report:?}");
    store.close().await;
}

#[tokio::test]
async fn a_check_tells_who_waits_for_it_and_lets_go_before_it_reads_all_bytes() {
    let content = Content::new().await;
    let volume = &content.volume;
    let in_use = |store: Result<Store, OpenError>| match store {
        Err(OpenError::InUse { holder, .. }) => Some(holder),
        _ => None,
    };
    let opened = || volume.open_now();
    let lock = BriefLock::take(&content.keys(), "which checks the volume").unwrap();
    let holder = in_use(opened().await).unwrap();
    assert!(holder.ends_with(", which checks the volume"), "{holder}");
    drop(lock);
    let (told, options) = (
        std::sync::Mutex::new(Vec::new()),
        FsckOptions {
            deep: true,
            pause: Duration::ZERO,
        },
    );
    let report = check(volume.path(), options, &|_| {
        let is_free = BriefLock::take(&content.keys(), "").is_some();
        told.lock().unwrap().push(is_free);
    });
    assert!(report.unwrap().locked);
    let told = told.into_inner().unwrap();
    // one repository and nine blobs, then the bytes
    assert_eq!((told.len(), told.iter().filter(|it| **it).count()), (19, 9));
}
