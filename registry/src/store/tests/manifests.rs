//! Manifests and tags: what a push needs, what a reader sees, what a delete takes with it.

use super::*;

#[tokio::test]
async fn pushed_manifest_is_read_back_byte_for_byte_by_tag_and_digest() {
    let volume = Volume::new();
    let store = volume.open().await;
    let name = repository("a");
    let config = push_blob(&store, &name, b"{}").await;
    let text = format!("  {}\n", image(&config, &[]));
    let put = store
        .manifest_put(
            &name,
            &by("v1"),
            &[],
            Some(MediaType::OCI_MANIFEST),
            text.clone().into(),
        )
        .await;
    let digest = put.unwrap().digest;
    for reference in [by("v1"), Reference::Digest(digest.clone())] {
        let read = store.manifest_read(&name, &reference).await.unwrap();
        assert_eq!(
            (&read.digest, read.media_type.as_str()),
            (&digest, MediaType::OCI_MANIFEST)
        );
        assert_eq!(read.bytes, text);
    }
}

/// P40.
#[tokio::test]
async fn manifest_pushed_by_any_algorithm_is_read_under_that_digest_through_its_tags() {
    for algorithm in Algorithm::ALL {
        let volume = Volume::new();
        let store = volume.open().await;
        let name = repository("a");
        let config = push_blob(&store, &name, b"{}").await;
        let bytes = image(&config, &[]).to_string();
        let digest = Digest::of(algorithm, bytes.as_bytes());
        let tags = [tag("x"), tag("y"), tag("x")];
        let put = store
            .manifest_put(
                &name,
                &Reference::Digest(digest.clone()),
                &tags,
                None,
                bytes.into(),
            )
            .await
            .unwrap();
        assert_eq!((&put.digest, put.tags), (&digest, vec![tag("x"), tag("y")]));
        assert_eq!(store.manifest_read(&name, &by("y")).await.unwrap().digest, digest);
    }
}

/// P95.
#[tokio::test]
async fn wrong_digest_is_refused_and_nothing_is_stored() {
    let volume = Volume::new();
    let store = volume.open().await;
    let name = repository("a");
    let bytes = index(&[]).to_string();
    let announced = digest_of(b"something else");
    let refused = store
        .manifest_put(
            &name,
            &Reference::Digest(announced),
            &[tag("t")],
            None,
            bytes.into(),
        )
        .await;
    assert!(matches!(refused, Err(ManifestError::DigestMismatch { .. })));
    assert!(matches!(
        store.manifest_read(&name, &by("t")).await,
        Err(ManifestError::RepositoryUnknown)
    ));
}

#[tokio::test]
async fn image_without_its_blobs_is_refused_with_their_names() {
    let volume = Volume::new();
    let store = volume.open().await;
    let name = repository("a");
    let config = push_blob(&store, &name, b"{}").await;
    let elsewhere = push_blob(&store, &repository("b"), b"layer").await;
    match put(&store, &name, "v1", &image(&config, &[&elsewhere])).await {
        Err(ManifestError::ContentMissing { missing }) => assert_eq!(missing, [elsewhere]),
        other => panic!("{other:?}"),
    }
    assert!(matches!(
        store.manifest_read(&name, &by("v1")).await,
        Err(ManifestError::Unknown { .. })
    ));
}

#[tokio::test]
async fn index_is_accepted_before_its_children() {
    let volume = Volume::new();
    let store = volume.open().await;
    let name = repository("a");
    put(&store, &name, "multi", &index(&[&digest_of(b"to come")]))
        .await
        .unwrap();
    assert!(store.manifest_read(&name, &by("multi")).await.is_ok());
}

#[tokio::test]
async fn deleting_a_manifest_takes_its_tags_and_no_others() {
    let volume = Volume::new();
    let store = volume.open().await;
    let name = repository("a");
    let first = push_image(&store, &name, "v1", "first").await;
    assert_eq!(push_image(&store, &name, "latest", "first").await, first);
    push_image(&store, &name, "v2", "second").await;
    store.manifest_delete(&name, &first).await.unwrap();
    let tags = store.tags(&name, None, 10).await.unwrap();
    assert_eq!(
        tags,
        Page {
            items: vec![tag("v2")],
            has_more: false
        }
    );
    for reference in [by("v1"), by("latest"), Reference::Digest(first.clone())] {
        assert!(matches!(
            store.manifest_read(&name, &reference).await,
            Err(ManifestError::Unknown { .. })
        ));
    }
    assert!(matches!(
        store.manifest_delete(&name, &first).await,
        Err(ManifestError::Unknown { .. })
    ));
    assert_eq!(push_image(&store, &name, "v1", "first").await, first);
    assert!(store.manifest_read(&name, &by("v1")).await.is_ok());
}

/// P130.
#[tokio::test]
async fn child_of_an_index_is_not_deleted_before_the_index() {
    let volume = Volume::new();
    let store = volume.open().await;
    let name = repository("a");
    let child = push_image(&store, &name, "amd64", "child").await;
    let parent = put(&store, &name, "multi", &index(&[&child])).await.unwrap();
    match store.manifest_delete(&name, &child).await {
        Err(ManifestError::Referenced { by, .. }) => assert_eq!(by, parent),
        other => panic!("{other:?}"),
    }
    assert!(store.manifest_read(&name, &by("amd64")).await.is_ok());
    store.manifest_delete(&name, &parent).await.unwrap();
    store.manifest_delete(&name, &child).await.unwrap();
}

#[tokio::test]
async fn deleting_a_tag_leaves_the_manifest_and_the_other_tags() {
    let volume = Volume::new();
    let store = volume.open().await;
    let name = repository("a");
    let digest = push_image(&store, &name, "v1", "x").await;
    push_image(&store, &name, "v2", "x").await;
    store.tag_delete(&name, &tag("v1")).await.unwrap();
    assert!(matches!(
        store.tag_delete(&name, &tag("v1")).await,
        Err(ManifestError::Unknown { .. })
    ));
    assert!(matches!(
        store.tag_delete(&repository("b"), &tag("v1")).await,
        Err(ManifestError::RepositoryUnknown)
    ));
    assert_eq!(
        store.manifest_read(&name, &by("v2")).await.unwrap().digest,
        digest
    );
    store.tag_delete(&name, &tag("v2")).await.unwrap();
    assert!(
        store
            .manifest_read(&name, &Reference::Digest(digest))
            .await
            .is_ok()
    );
    assert_eq!(store.tags(&name, None, 10).await.unwrap().items, []);
}

/// P5.
#[tokio::test]
async fn tags_that_differ_in_case_are_two() {
    let volume = Volume::new();
    let store = volume.open().await;
    let name = repository("a");
    let (lower, upper) = (
        push_image(&store, &name, "v1", "1").await,
        push_image(&store, &name, "V1", "2").await,
    );
    assert_eq!(store.manifest_read(&name, &by("v1")).await.unwrap().digest, lower);
    assert_eq!(store.manifest_read(&name, &by("V1")).await.unwrap().digest, upper);
}

#[tokio::test]
async fn tags_are_listed_in_byte_order_page_by_page() {
    let volume = Volume::new();
    let store = volume.open().await;
    let name = repository("a");
    let sorted = ["V1", "_x", "a", "a-b", "a.b", "a0", "ab"];
    for name_of_tag in sorted.iter().rev() {
        push_image(&store, &name, name_of_tag, "x").await;
    }
    std::fs::create_dir_all(volume.keys().tag(&name, &tag("aa")).join("current")).unwrap(); // never acknowledged
    let all = store.tags(&name, None, 100).await.unwrap();
    assert_eq!(all.items.iter().map(Tag::as_str).collect::<Vec<_>>(), sorted);
    let mut paged = Vec::new();
    loop {
        let after = paged.last().map(|tag: &Tag| tag.as_str().to_owned());
        let page = store.tags(&name, after.as_deref(), 3).await.unwrap();
        paged.extend(page.items);
        if !page.has_more {
            break;
        }
    }
    assert_eq!(paged, all.items);
    assert_eq!(
        store.tags(&name, Some("a-"), 1).await.unwrap(),
        Page {
            items: vec![tag("a-b")],
            has_more: true
        }
    );
    assert_eq!(
        store.tags(&name, None, 0).await.unwrap(),
        Page {
            items: vec![],
            has_more: false
        }
    );
    assert!(matches!(
        store.tags(&repository("b"), None, 1).await,
        Err(ListError::RepositoryUnknown)
    ));
}

/// P124.
#[tokio::test]
async fn repositories_are_listed_in_byte_order_page_by_page() {
    let volume = Volume::new();
    let store = volume.open().await;
    let sorted = ["a", "a-b", "a.b/c", "a/b", "a/b/c", "a/manifests", "ab", "b/c"];
    for name in sorted {
        push_blob(&store, &repository(name), b"x").await;
    }
    let listed = |page: &Page<RepositoryName>| page.items.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(
        listed(&store.repositories(None, 100, |_| true).await.unwrap()),
        sorted
    );
    for (position, after) in sorted.iter().enumerate() {
        let page = store.repositories(Some(after), 2, |_| true).await.unwrap();
        let rest = &sorted[position + 1..];
        assert_eq!(listed(&page), &rest[..rest.len().min(2)], "after {after}");
        assert_eq!(page.has_more, rest.len() > 2, "after {after}");
    }
    assert_eq!(
        listed(&store.repositories(Some("a.b"), 1, |_| true).await.unwrap()),
        ["a.b/c"]
    );
}

#[tokio::test]
async fn damaged_manifest_is_a_fault_and_not_unknown() {
    let volume = Volume::new();
    let store = volume.open().await;
    let name = repository("a");
    let digest = push_image(&store, &name, "v1", "x").await;
    let path = volume.keys().blob(&digest);
    std::fs::write(&path, b"rotten").unwrap();
    assert!(matches!(
        store.manifest_read(&name, &by("v1")).await,
        Err(ManifestError::Fault(Fault::Damaged { .. }))
    ));
    std::fs::remove_file(&path).unwrap();
    assert!(matches!(
        store.manifest_read(&name, &by("v1")).await,
        Err(ManifestError::Fault(Fault::Damaged { .. }))
    ));
    push_image(&store, &name, "v1", "x").await;
    assert!(store.manifest_read(&name, &by("v1")).await.is_ok());
}

/// P56.
#[tokio::test]
async fn unreadable_link_is_a_fault_and_not_unknown() {
    let volume = Volume::new();
    let store = volume.open().await;
    let name = repository("a");
    let digest = push_blob(&store, &name, b"x").await;
    let link = volume.keys().layer_link(&name, &digest);
    std::fs::remove_file(&link).unwrap();
    std::fs::create_dir(&link).unwrap(); // reading it fails with something else than "not found"
    assert!(matches!(
        store.blob_open(&name, &digest).await,
        Err(BlobError::Fault(Fault::Io { .. }))
    ));
}

/// P44.
#[tokio::test]
async fn head_of_a_manifest_reads_its_bytes_once_and_never_tells_of_bytes_that_are_gone() {
    let volume = Volume::new();
    let store = volume.open().await;
    let name = repository("a");
    let digest = push_image(&store, &name, "v1", "x").await;
    let data = volume.keys().blob(&digest);
    let size = std::fs::metadata(&data).unwrap().len();
    let head = store.manifest_head(&name, &by("v1")).await.unwrap();
    assert_eq!((&head.digest, head.size), (&digest, size));
    assert_eq!(head.media_type.as_str(), MediaType::OCI_MANIFEST);
    // what is not read again need not be whole
    let length = usize::try_from(size).unwrap();
    std::fs::write(&data, vec![b' '; length]).unwrap();
    assert_eq!(store.manifest_head(&name, &by("v1")).await.unwrap(), head);
    // but once it was seen not to be, it is not told about any more
    assert!(store.manifest_read(&name, &by("v1")).await.is_err());
    assert!(store.manifest_head(&name, &by("v1")).await.is_err());
    std::fs::write(&data, vec![b' '; length - 1]).unwrap();
    for reference in [by("v1"), Reference::Digest(digest.clone())] {
        let cut_short = store.manifest_head(&name, &reference).await;
        assert!(matches!(
            cut_short,
            Err(ManifestError::Fault(Fault::Damaged { .. }))
        ));
    }
    store.tag_delete(&name, &tag("v1")).await.unwrap();
    assert!(matches!(
        store.manifest_head(&name, &by("v1")).await,
        Err(ManifestError::Unknown { .. })
    ));
}
