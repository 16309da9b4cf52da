//! A link that is lost is not taken for a name that never came: what it may lead to again stays.

use super::*;

/// Loses one link, collects, and expects that nothing goes and that the report names what was lost.
async fn nothing_goes_without(volume: &Volume, store: &Store, link: &Path, lost: &Digest) {
    let before = contents(volume);
    let text = std::fs::read(link).unwrap();
    std::fs::remove_dir_all(link.parent().unwrap()).unwrap();
    let report = collect_at_once(store).await;
    assert_eq!(contents(volume), before);
    assert_eq!((report.freed.manifests, report.freed.links), (0, 0));
    let [warning] = report.warnings.as_slice() else {
        panic!("{:?}", report.warnings)
    };
    assert!(
        warning.contains(lost.as_str()) && warning.contains("fsck --repair"),
        "{warning}"
    );
    std::fs::create_dir_all(link.parent().unwrap()).unwrap();
    std::fs::write(link, text).unwrap();
}

#[tokio::test]
async fn tagged_manifest_or_child_or_layer_that_lost_its_link_keeps_its_repository() {
    let volume = Volume::new();
    let store = volume.open().await;
    let (name, keys) = (repository("a"), volume.keys());
    let tagged = Image::push(&store, &name, Some("v1"), "tagged").await;
    let child = Image::push(&store, &name, None, "child").await;
    put_as(&store, &name, Some("v2"), &index(&[&child.digest])).await;
    let loose = Image::push(&store, &name, None, "loose").await;
    let revision = |digest| keys.revision_link(&name, digest);
    nothing_goes_without(&volume, &store, &revision(&tagged.digest), &tagged.digest).await;
    nothing_goes_without(&volume, &store, &revision(&child.digest), &child.digest).await;
    let layer = keys.layer_link(&name, &tagged.layer);
    nothing_goes_without(&volume, &store, &layer, &tagged.layer).await;
    assert_eq!(collect_at_once(&store).await.warnings, Vec::<String>::new());
    assert!(tagged.is_whole(&store, &name).await && child.is_whole(&store, &name).await);
    assert!(!loose.is_whole(&store, &name).await);
}

#[tokio::test]
async fn all_links_of_manifests_and_layers_may_be_lost_and_what_tags_lead_to_stays() {
    let volume = Volume::new();
    let store = volume.open().await;
    let name = repository("a");
    let child = Image::push(&store, &name, None, "child").await;
    let inner = put_as(&store, &name, None, &index(&[&child.digest])).await;
    put_as(&store, &name, Some("v1"), &index(&[&inner])).await;
    let before = contents(&volume);
    std::fs::remove_dir_all(volume.keys().revisions(&name)).unwrap();
    std::fs::remove_dir_all(volume.keys().layers(&name)).unwrap();
    collect_at_once(&store).await;
    assert_eq!(contents(&volume), before);
}

#[tokio::test]
async fn a_child_that_never_came_keeps_nothing_though_another_repository_has_it() {
    let volume = Volume::new();
    let store = volume.open().await;
    let (name, elsewhere) = (repository("a"), repository("b"));
    let child = Image::push(&store, &elsewhere, Some("v1"), "child").await;
    put_as(&store, &name, Some("multi"), &index(&[&child.digest])).await;
    let loose = Image::push(&store, &name, None, "loose").await;
    let report = collect_at_once(&store).await;
    assert_eq!(report.warnings, Vec::<String>::new());
    assert!(!loose.is_whole(&store, &name).await && child.is_whole(&store, &elsewhere).await);
}

#[tokio::test]
async fn content_that_came_late_and_is_gone_is_found_without_a_collection_in_between() {
    let volume = Volume::new();
    let store = Store::open(accepting(&volume)).await.unwrap();
    let name = repository("a");
    let (config, layer) = (push_blob(&store, &name, b"{}").await, digest_of(b"late"));
    put_as(&store, &name, Some("v1"), &image(&config, &[&layer])).await;
    push_blob(&store, &name, b"late").await;
    std::fs::remove_file(volume.keys().blob(&layer)).unwrap();
    let report = checked(&volume, false);
    let lost = report
        .findings
        .iter()
        .any(|it| it.kind == FindingKind::ReferenceLost && it.problem.contains(layer.as_str()));
    assert!(lost, "{:?}", report.findings);
}
