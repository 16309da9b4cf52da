//! What a run removes, and what it says about it.

use super::*;

#[tokio::test]
async fn untagged_image_goes_with_its_blobs_and_leaves_what_others_share() {
    let volume = Volume::new();
    let store = volume.open().await;
    let (a, b) = (repository("a"), repository("b"));
    let kept = Image::push(&store, &a, Some("v1"), "one").await;
    let gone = Image::push(&store, &a, Some("v2"), "two").await;
    assert!(
        store
            .blob_mount(MountSource::Repository(a.clone()), &b, &gone.layer)
            .await
            .unwrap()
    );
    let user = image(&gone.layer, &[]);
    let user = put_as(&store, &b, Some("v1"), &user).await;
    store.tag_delete(&a, &tag("v2")).await.unwrap();
    let report = collect_at_once(&store).await;
    assert!(kept.is_whole(&store, &a).await);
    assert!(!has_manifest(&store, &a, &gone.digest).await);
    assert!(!has_blob(&store, &a, &gone.layer).await);
    assert!(has_blob(&store, &b, &gone.layer).await);
    assert_eq!(
        contents(&volume),
        hexes(&[&kept.digest, &kept.config, &kept.layer, &gone.layer, &user])
    );
    assert_eq!((report.examined.repositories, report.examined.manifests), (2, 3));
    assert_eq!((report.examined.links, report.examined.blobs), (5, 7));
    let freed = Counts {
        manifests: 1,
        links: 2,
        blobs: 2,
        bytes: gone.document.to_string().len() as u64 + "config of two".len() as u64,
    };
    assert_eq!((report.freed, report.candidates), (freed.clone(), freed));
    assert_eq!(report.kept.tagged, 2);
    assert_eq!(store.last_collection().unwrap().examined, report.examined);
}

#[tokio::test]
async fn dry_run_reports_what_would_go_and_changes_nothing() {
    let volume = Volume::new();
    let store = volume.open().await;
    let name = repository("a");
    let gone = Image::push(&store, &name, None, "x").await;
    let before = contents(&volume);
    let options = CollectOptions {
        dry_run: true,
        ..at_once()
    };
    let report = store.collect(options, |_| {}).await.unwrap();
    assert!(report.dry_run);
    assert_eq!(
        (
            report.candidates.manifests,
            report.candidates.links,
            report.candidates.blobs
        ),
        (1, 2, 3)
    );
    assert_eq!(report.freed, Counts::default());
    assert_eq!(contents(&volume), before);
    assert!(gone.is_whole(&store, &name).await);
    let options = CollectOptions {
        dry_run: true,
        untagged_after: Some(Duration::from_hours(1)),
        ..at_once()
    };
    store.collect(options, |_| {}).await.unwrap();
    assert!(!volume.keys().untagged_in(&name).exists());
    assert_eq!(collect_at_once(&store).await.freed, report.candidates);
    assert_eq!(contents(&volume), Vec::<String>::new());
}

#[tokio::test]
async fn blob_without_a_manifest_goes_and_can_be_pushed_again() {
    let volume = Volume::new();
    let store = volume.open().await;
    let name = repository("a");
    let blob = push_blob(&store, &name, b"alone").await;
    collect_at_once(&store).await;
    assert!(!has_blob(&store, &name, &blob).await);
    assert!(list(&volume.keys().layers(&name).join("sha256")).is_empty());
    push_blob(&store, &name, b"alone").await;
    assert!(has_blob(&store, &name, &blob).await);
}

#[tokio::test]
async fn content_that_a_crash_left_without_a_link_goes() {
    let volume = Volume::new();
    let store = volume.open().await;
    let digest = digest_of(b"published, never linked");
    let path = volume.keys().blob(&digest);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, b"published, never linked").unwrap();
    let empty = volume.keys().blob(&digest_of(b"not even published"));
    std::fs::create_dir_all(empty.parent().unwrap()).unwrap();
    let report = collect_at_once(&store).await;
    assert_eq!((report.freed.blobs, report.freed.bytes), (1, 23));
    assert_eq!(contents(&volume), Vec::<String>::new());
}

#[tokio::test]
async fn signature_goes_after_its_subject_with_all_that_is_said_about_both() {
    let volume = Volume::new();
    let store = volume.open().await;
    let name = repository("a");
    let subject = Image::push(&store, &name, None, "subject").await;
    let signature = Image::push_about(&store, &name, None, "signature", Some(&subject.digest)).await;
    let parent = put_as(
        &store,
        &name,
        None,
        &index(&[&subject.digest, &digest_of(b"never came")]),
    )
    .await;
    assert!(volume.keys().absent(&name, &parent).exists());
    let report = collect_at_once(&store).await;
    assert_eq!(report.freed.manifests, 3);
    assert!(!has_manifest(&store, &name, &signature.digest).await);
    assert!(!volume.keys().absent(&name, &parent).exists());
    assert!(!volume.keys().referrers(&name, &subject.digest).exists());
    assert_eq!(contents(&volume), Vec::<String>::new());
}

#[tokio::test]
async fn manifests_that_reach_each_other_go_together() {
    let volume = Volume::new();
    let store = volume.open().await;
    let name = repository("a");
    let subject = Image::push(&store, &name, None, "subject").await;
    let mut document = index(&[&subject.digest]);
    document["subject"] = descriptor(&subject.digest, MediaType::OCI_MANIFEST);
    let circle = put_as(&store, &name, Some("t"), &document).await;
    collect_at_once(&store).await;
    assert!(subject.is_whole(&store, &name).await);
    store.tag_delete(&name, &tag("t")).await.unwrap();
    assert_eq!(collect_at_once(&store).await.freed.manifests, 2);
    assert!(!has_manifest(&store, &name, &circle).await);
}

#[tokio::test]
async fn progress_goes_through_all_phases_in_order() {
    let volume = Volume::new();
    let store = volume.open().await;
    Image::push(&store, &repository("a"), None, "x").await;
    let seen: Arc<Mutex<Vec<CollectPhase>>> = Arc::default();
    let writer = Arc::clone(&seen);
    let note = move |progress: CollectProgress| writer.lock().unwrap().push(progress.phase);
    store.collect(at_once(), note).await.unwrap();
    let mut phases = seen.lock().unwrap().clone();
    phases.dedup();
    assert_eq!(
        phases,
        [
            CollectPhase::Arming,
            CollectPhase::Marking,
            CollectPhase::Manifests,
            CollectPhase::Links,
            CollectPhase::Blobs
        ]
    );
}

#[tokio::test]
async fn links_to_a_directory_above_are_not_followed_for_ever() {
    let volume = Volume::new();
    let store = volume.open().await;
    let name = repository("team/app");
    let (kept, loose) = (
        Image::push(&store, &name, Some("v1"), "kept").await,
        Image::push(&store, &name, None, "loose").await,
    );
    let team = volume.keys().repositories().join("team");
    for link in ["one", "two"] {
        std::os::unix::fs::symlink(&team, team.join(link)).unwrap();
    }
    collect_at_once(&store).await;
    assert!(kept.is_whole(&store, &name).await && !loose.is_whole(&store, &name).await);
    let listed = store.repositories(None, 10, |_| true).await.unwrap();
    assert_eq!(listed.items, [name]);
}
