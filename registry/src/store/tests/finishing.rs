//! The requests that begin and end an upload, when they fail or are made again.

use super::disk::{Act, Effect, Seam};
use super::*;

#[tokio::test]
async fn finish_that_is_repeated_gets_the_same_answer_and_one_of_nothing_is_unknown() {
    let volume = Volume::new();
    let store = volume.open().await;
    let name = repository("a");
    let id = store.upload_start(&name, None).await.unwrap();
    let finish = |digest: Digest| {
        let (store, name, id) = (store.clone(), name.clone(), id.clone());
        async move {
            store
                .upload_finish(&name, &id, &digest, Chunk::default(), body(&[b"x"]))
                .await
        }
    };
    finish(digest_of(b"x")).await.unwrap();
    finish(digest_of(b"x")).await.unwrap();
    let other = finish(digest_of(b"y")).await;
    assert!(matches!(other, Err(UploadError::Unknown)), "{other:?}");
    store.close().await;
    let refused = finish(digest_of(b"x")).await;
    assert!(
        matches!(refused, Err(UploadError::Fault(Fault::Closed))),
        "{refused:?}"
    );
}

/// Has room for files and none for bytes.
struct NoBytes;

impl Seam for NoBytes {
    fn take(&self, effect: &Effect<'_>, act: Act<'_>) -> std::io::Result<()> {
        match effect {
            Effect::Write { path, .. } if path.extension().is_some_and(|it| it == "json") => {
                Err(std::io::ErrorKind::StorageFull.into())
            }
            _ => act(),
        }
    }
}

#[tokio::test]
async fn upload_that_a_full_volume_refuses_leaves_no_file() {
    let volume = Volume::new();
    let store = Store::open_through(volume.options(), Box::new(NoBytes))
        .await
        .unwrap();
    let refused = store.upload_start(&repository("a"), None).await;
    assert!(
        matches!(refused, Err(UploadError::Fault(Fault::Full { .. }))),
        "{refused:?}"
    );
    assert_eq!(std::fs::read_dir(volume.keys().uploads()).unwrap().count(), 0);
}
