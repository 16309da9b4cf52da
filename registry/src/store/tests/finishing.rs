//! The request that ends an upload, when it is made again.

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
