//! Every rule by which something stays.

use super::*;

#[tokio::test]
async fn tag_keeps_nested_indexes_their_images_and_the_blobs_that_they_name() {
    let volume = Volume::new();
    let store = volume.open().await;
    let name = repository("a");
    let child = Image::push(&store, &name, None, "child").await;
    let cache = push_blob(&store, &name, b"a blob that an index names").await;
    let inner = put_as(&store, &name, None, &index(&[&child.digest, &cache])).await;
    let outer = put_as(&store, &name, Some("v1"), &index(&[&inner])).await;
    let before = contents(&volume);
    let report = collect_at_once(&store).await;
    assert_eq!(contents(&volume), before);
    assert!(child.is_whole(&store, &name).await && has_blob(&store, &name, &cache).await);
    assert!(has_manifest(&store, &name, &outer).await && has_manifest(&store, &name, &inner).await);
    assert_eq!((report.kept.tagged, report.kept.children), (1, 2));
}

/// P118.
#[tokio::test]
async fn kept_subject_keeps_what_refers_to_it_and_what_refers_to_that() {
    let volume = Volume::new();
    let store = volume.open().await;
    let name = repository("a");
    let subject = Image::push(&store, &name, Some("v1"), "subject").await;
    let bom = Image::push_about(&store, &name, None, "bom", Some(&subject.digest)).await;
    let signature = Image::push_about(&store, &name, None, "signature", Some(&bom.digest)).await;
    // as registry:2 keeps it: nothing but the manifest itself tells
    std::fs::remove_dir_all(volume.keys().referrers(&name, &bom.digest)).unwrap();
    let report = collect_at_once(&store).await;
    assert!(bom.is_whole(&store, &name).await && signature.is_whole(&store, &name).await);
    assert_eq!(report.kept.referrers, 2);
}

#[tokio::test]
async fn referrer_keeps_neither_its_subject_nor_itself() {
    let volume = Volume::new();
    let store = volume.open().await;
    let name = repository("a");
    let subject = Image::push(&store, &name, None, "subject").await;
    let tagged = Image::push_about(&store, &name, Some("sig"), "tagged", Some(&subject.digest)).await;
    let loose = Image::push_about(&store, &name, None, "loose", Some(&subject.digest)).await;
    collect_at_once(&store).await;
    assert!(tagged.is_whole(&store, &name).await);
    assert!(!subject.is_whole(&store, &name).await && !loose.is_whole(&store, &name).await);
}

#[tokio::test]
async fn without_the_option_untagged_manifests_stay() {
    let volume = Volume::new();
    let store = volume.open().await;
    let name = repository("a");
    let image = Image::push(&store, &name, None, "x").await;
    let options = CollectOptions {
        untagged_after: None,
        ..at_once()
    };
    let report = store.collect(options, |_| {}).await.unwrap();
    assert!(image.is_whole(&store, &name).await);
    assert_eq!(report.kept.untagged_off, 1);
}

/// P82.
#[tokio::test]
async fn grace_keeps_blobs_and_untagged_manifests_that_were_pushed_or_asked_for_lately() {
    let volume = Volume::new();
    let store = volume.open().await;
    let name = repository("a");
    let keys = volume.keys();
    let manifest = Image::push(&store, &name, None, "x").await;
    let (pushed, asked, old) = (
        push_blob(&store, &name, b"pushed").await,
        push_blob(&store, &name, b"asked for").await,
        push_blob(&store, &name, b"old").await,
    );
    let two_days_ago = now() - Duration::from_hours(48);
    let links = [&asked, &old].map(|blob| keys.layer_link(&name, blob));
    for link in links.iter().chain([&keys.revision_link(&name, &manifest.digest)]) {
        std::fs::File::open(link)
            .unwrap()
            .set_modified(two_days_ago)
            .unwrap();
    }
    assert!(has_blob(&store, &name, &asked).await);
    assert!(has_manifest(&store, &name, &manifest.digest).await);
    let options = CollectOptions {
        grace: Duration::from_hours(24),
        ..at_once()
    };
    let report = store.collect(options, |_| {}).await.unwrap();
    assert!(has_blob(&store, &name, &pushed).await && has_blob(&store, &name, &asked).await);
    assert!(!has_blob(&store, &name, &old).await);
    assert!(manifest.is_whole(&store, &name).await);
    assert_eq!((report.kept.link_grace, report.kept.untagged_young), (2, 1));
}

#[tokio::test]
async fn links_are_followed_to_the_content_that_they_hold() {
    let volume = Volume::new();
    let store = volume.open().await;
    let name = repository("a");
    let layer = push_blob(&store, &name, b"layer").await;
    let named = Digest::of(Algorithm::Sha512, b"layer");
    let link = volume.keys().layer_link(&name, &named);
    std::fs::create_dir_all(link.parent().unwrap()).unwrap();
    std::fs::write(&link, layer.as_str()).unwrap();
    store.blob_delete(&name, &layer).await.unwrap();
    put_as(&store, &name, Some("v1"), &image(&named, &[])).await;
    collect_at_once(&store).await;
    assert_eq!(read_blob(&store, &name, &named).await, b"layer");
}

#[tokio::test]
async fn history_of_a_tag_that_cannot_be_read_does_not_tell_what_it_names() {
    let volume = Volume::new();
    let store = volume.open().await;
    let name = repository("a");
    let before = Image::push(&store, &name, None, "by registry:2").await;
    let now = Image::push(&store, &name, Some("v1"), "moved by us").await;
    let directory = volume.keys().tag(&name, &tag("v1"));
    let entry = directory.join("index/sha256").join(before.digest.hex());
    std::fs::create_dir_all(&entry).unwrap();
    std::fs::write(entry.join("link"), before.digest.as_str()).unwrap();
    std::fs::write(directory.join("current/link"), [0; 71]).unwrap();
    let report = collect_at_once(&store).await;
    assert_eq!((report.freed, report.warnings.len()), (Counts::default(), 1));
    assert!(before.is_whole(&store, &name).await && now.is_whole(&store, &name).await);
}

#[tokio::test]
async fn what_cannot_be_understood_keeps_everything_in_its_repository() {
    let volume = Volume::new();
    let store = volume.open().await;
    let (a, b) = (repository("a"), repository("b"));
    let tagged = Image::push(&store, &a, Some("v1"), "tagged").await;
    let other = Image::push(&store, &a, None, "other").await;
    Image::push(&store, &b, Some("v1"), "b").await;
    let loose = Image::push(&store, &b, None, "loose").await;
    let path = volume.keys().blob(&tagged.digest);
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, b"rotten").unwrap();
    std::fs::write(volume.keys().tag_link(&b, &tag("v1")), b"nonsense").unwrap();
    let report = collect_at_once(&store).await;
    assert_eq!((report.freed, report.kept.damaged), (Counts::default(), 3));
    assert_eq!(report.warnings.len(), 2, "{:?}", report.warnings);
    assert!(report.warnings[0].contains(tagged.digest.as_str()));
    // What the damage has kept goes with the damage.
    std::fs::write(&path, bytes).unwrap();
    store.tag_delete(&b, &tag("v1")).await.unwrap();
    collect_at_once(&store).await;
    assert!(tagged.is_whole(&store, &a).await);
    assert!(!other.is_whole(&store, &a).await && !loose.is_whole(&store, &b).await);
}

#[tokio::test]
async fn untagged_manifest_whose_bytes_are_damaged_goes_like_any_other() {
    let volume = Volume::new();
    let store = volume.open().await;
    let name = repository("a");
    let damaged = Image::push(&store, &name, None, "x").await;
    std::fs::write(volume.keys().blob(&damaged.digest), b"rotten").unwrap();
    collect_at_once(&store).await;
    assert_eq!(contents(&volume), Vec::<String>::new());
}

#[tokio::test]
async fn deleted_tags_that_may_come_back_and_manifests_in_use_stay() {
    let volume = Volume::new();
    let store = volume.open().await;
    let (a, b) = (repository("a"), repository("b"));
    let trashed = Image::push(&store, &a, None, "trashed").await;
    let in_use = Image::push(&store, &b, None, "in use").await;
    let gone = Image::push(&store, &b, None, "gone").await;
    let own = volume.keys().own().to_owned();
    let entry = own.join("trash/01J");
    std::fs::create_dir_all(entry.join("tag")).unwrap();
    let record = json!({"repository": "a", "tag": "v1", "digest": trashed.digest});
    std::fs::write(entry.join("record.json"), record.to_string()).unwrap();
    std::fs::write(
        own.join("inuse.json"),
        json!({"digests": [in_use.digest]}).to_string(),
    )
    .unwrap();
    let report = collect_at_once(&store).await;
    assert!(trashed.is_whole(&store, &a).await && in_use.is_whole(&store, &b).await);
    assert!(!gone.is_whole(&store, &b).await);
    assert_eq!((report.kept.trash, report.kept.in_use), (1, 1));
    for (path, before) in [("trash/01J/record.json", "{"), ("inuse.json", "[]")] {
        let path = own.join(path);
        let text = std::fs::read(&path).unwrap();
        std::fs::write(&path, before).unwrap();
        let error = store.collect(at_once(), |_| {}).await.unwrap_err().to_string();
        assert!(error.contains(path.to_str().unwrap()), "{error}");
        std::fs::write(&path, text).unwrap();
    }
}

#[tokio::test]
async fn volume_with_a_feature_that_is_not_known_is_served_and_not_collected() {
    let volume = Volume::new();
    let store = volume.open().await;
    let name = repository("a");
    let loose = Image::push(&store, &name, None, "x").await;
    let format = json!({"format": 1, "features": ["tiers"]});
    std::fs::write(volume.keys().format(), format.to_string()).unwrap();
    let error = store.collect(at_once(), |_| {}).await.unwrap_err();
    assert!(matches!(error, CollectError::UnknownFeature { ref feature, .. } if feature == "tiers"));
    assert!(loose.is_whole(&store, &name).await);
}

#[tokio::test]
async fn what_cannot_be_read_ends_the_run_before_anything_goes() {
    let volume = Volume::new();
    let store = volume.open().await;
    let (a, b) = (repository("a"), repository("b"));
    let loose = Image::push(&store, &a, None, "x").await;
    Image::push(&store, &b, Some("v1"), "b").await;
    let link = volume.keys().tag_link(&b, &tag("v1"));
    std::fs::remove_file(&link).unwrap();
    std::os::unix::fs::symlink(&link, &link).unwrap();
    let error = store.collect(at_once(), |_| {}).await.unwrap_err();
    assert!(matches!(error, CollectError::Fault(Fault::Io { .. })), "{error}");
    assert!(loose.is_whole(&store, &a).await);
}

#[tokio::test]
async fn what_is_not_understood_among_repositories_ends_the_run_before_anything_goes() {
    let volume = Volume::new();
    let store = volume.open().await;
    let name = repository("a");
    let loose = Image::push(&store, &name, None, "x").await;
    for strange in ["Upper-Case", "_layers/md5", "_manifests/revisions/blake3"] {
        let path = volume.keys().repository(&name).join(strange);
        std::fs::create_dir(&path).unwrap();
        let error = store.collect(at_once(), |_| {}).await.unwrap_err().to_string();
        assert!(error.contains(strange), "{error}");
        std::fs::remove_dir(&path).unwrap();
    }
    let elsewhere = volume.keys().repositories().join("elsewhere");
    std::os::unix::fs::symlink("/nowhere", &elsewhere).unwrap();
    let error = store.collect(at_once(), |_| {}).await.unwrap_err().to_string();
    assert!(error.contains("elsewhere"), "{error}");
    std::fs::remove_file(&elsewhere).unwrap();
    assert!(loose.is_whole(&store, &name).await);
    assert_eq!(collect_at_once(&store).await.freed.manifests, 1);
}

#[tokio::test]
async fn hold_lets_a_run_report_and_remove_nothing() {
    let volume = Volume::new();
    let store = volume.open().await;
    let name = repository("a");
    let loose = Image::push(&store, &name, None, "x").await;
    store.hold("backup").await.unwrap();
    let report = collect_at_once(&store).await;
    assert_eq!(report.suspended_by.as_deref(), Some("backup"));
    assert_eq!((report.candidates.blobs, report.freed.blobs), (3, 0));
    assert!(loose.is_whole(&store, &name).await);
    assert!(store.release("backup").await.unwrap());
    assert_eq!(collect_at_once(&store).await.freed.blobs, 3);
}

/// As registry:2 may have stored it: it takes as many names as there is room for.
fn adopt_index(volume: &Volume, name: &RepositoryName, entries: &[Digest]) -> Digest {
    let document = index(&entries.iter().collect::<Vec<_>>()).to_string();
    let digest = digest_of(document.as_bytes());
    let (data, link) = (
        volume.keys().blob(&digest),
        volume.keys().revision_link(name, &digest),
    );
    for (path, bytes) in [(data, document.as_str()), (link, digest.as_str())] {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
    digest
}

fn strangers(seed: &str, count: usize) -> Vec<Digest> {
    (0..count)
        .map(|number| digest_of(format!("{seed} {number}").as_bytes()))
        .collect()
}

/// P94.
#[tokio::test]
async fn a_stored_index_of_more_than_may_be_pushed_is_pushed_again_and_keeps_what_it_names() {
    let volume = Volume::in_memory();
    let store = volume.open().await;
    let name = repository("a");
    let image = Image::push(&store, &name, None, "child").await;
    let mut entries = strangers("x", 6_000);
    entries.push(image.digest.clone());
    let digest = adopt_index(&volume, &name, &entries);
    let link = volume.keys().tag_link(&name, &tag("v1"));
    std::fs::create_dir_all(link.parent().unwrap()).unwrap();
    std::fs::write(link, digest.as_str()).unwrap();
    let read = store.manifest_read(&name, &"v1".parse().unwrap()).await.unwrap();
    let put = async |to: &RepositoryName, reference: &str| {
        let (reference, bytes) = (reference.parse().unwrap(), read.bytes.clone());
        store.manifest_put(to, &reference, &[], None, bytes).await
    };
    let elsewhere = put(&repository("b"), "v1").await;
    assert!(
        matches!(elsewhere, Err(ManifestError::Invalid(_))),
        "{elsewhere:?}"
    );
    put(&name, "v2").await.unwrap();
    store.tag_delete(&name, &tag("v1")).await.unwrap();
    // What is gone comes back by the push that every report advises.
    std::fs::remove_file(volume.keys().blob(&digest)).unwrap();
    put(&name, digest.as_str()).await.unwrap();
    assert!(has_manifest(&store, &name, &digest).await);
    assert_eq!(collect_at_once(&store).await.freed.manifests, 0);
    assert!(image.is_whole(&store, &name).await);
}

#[tokio::test]
async fn manifests_that_name_much_go_few_at_a_time() {
    let volume = Volume::in_memory();
    let store = volume.open().await;
    let name = repository("a");
    for seed in ["1", "2", "3", "4", "5"] {
        adopt_index(&volume, &name, &strangers(seed, 4_000));
    }
    let batches: Arc<Mutex<Vec<u64>>> = Arc::default();
    let seen = Arc::clone(&batches);
    let report = store
        .collect(at_once(), move |progress| {
            if progress.phase == CollectPhase::Manifests {
                seen.lock().unwrap().push(progress.done);
            }
        })
        .await
        .unwrap();
    assert_eq!(report.freed.manifests, 5);
    assert_eq!(*batches.lock().unwrap(), [0, 2, 4]);
}

#[tokio::test]
async fn a_grace_in_which_nobody_can_rely_on_an_answer_is_refused() {
    let volume = Volume::in_memory();
    let store = volume.open().await;
    let name = repository("a");
    let blob = push_blob(&store, &name, b"x").await;
    let with = |grace| CollectOptions {
        grace,
        dry_run: true,
        ..CollectOptions::default()
    };
    let refused = store.collect(with(Duration::from_mins(59)), |_| {}).await;
    let sentence = refused.unwrap_err().to_string();
    assert!(sentence.contains("59m") && sentence.contains("1h"), "{sentence}");
    for grace in [Duration::ZERO, Duration::from_hours(1)] {
        store.collect(with(grace), |_| {}).await.unwrap();
    }
    // What was asked for stays at least for half of it.
    let link = volume.keys().layer_link(&name, &blob);
    let file = std::fs::File::open(&link).unwrap();
    file.set_modified(now() - Duration::from_mins(31)).unwrap();
    assert!(has_blob(&store, &name, &blob).await);
    assert!(file.metadata().unwrap().modified().unwrap() >= now() - Duration::from_mins(1));
}

/// `registry:2` takes it, and clients in Go pull it.
#[tokio::test]
async fn adopted_manifest_whose_fields_are_spelled_otherwise_keeps_all_that_it_names() {
    let volume = Volume::new();
    let store = volume.open().await;
    let name = repository("a");
    let before = Image::push(&store, &name, Some("v1"), "x").await;
    let text = before.document.to_string().replace("\"layers\"", "\"Layers\"");
    let digest = digest_of(text.as_bytes());
    let keys = volume.keys();
    for (path, bytes) in [
        (keys.blob(&digest), text.as_bytes()),
        (keys.revision_link(&name, &digest), digest.as_str().as_bytes()),
        (keys.tag_link(&name, &tag("v1")), digest.as_str().as_bytes()),
    ] {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
    collect_at_once(&store).await;
    assert!(has_manifest(&store, &name, &digest).await && !has_manifest(&store, &name, &before.digest).await);
    assert!(has_blob(&store, &name, &before.config).await && has_blob(&store, &name, &before.layer).await);
    let refused = store.blob_delete(&name, &before.layer).await;
    assert!(
        matches!(refused, Err(BlobError::Referenced { .. })),
        "{refused:?}"
    );
}
