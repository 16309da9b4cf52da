//! Uploads of the layer that go on, over a restart or beside something else. As the other operations, doing it again is
//! no error.

use futures::future::BoxFuture;

use super::super::*;
use super::operations::{LAYER, a, b, told, with_blobs};

/// The first session of a volume: its client comes back to it.
pub(super) const SESSION: [u8; 16] = [7; 16];

/// What was sent before the end.
const PART: &[u8] = LAYER.split_at(2).0;

/// Uploads of the layer that have only to be ended: two to `a`, one to `b`.
pub(super) async fn with_uploads(store: &Store) {
    for name in [a(), a(), b()] {
        let begun = store.upload_start(&name, None).await.unwrap();
        let part = body(&[PART]);
        let sent = store.upload_append(&name, &begun, Chunk::default(), part);
        sent.await.unwrap();
    }
}

/// All blobs, and the layer is being pushed again.
pub(super) async fn with_blobs_and_uploads(store: &Store) {
    with_uploads(store).await;
    with_blobs(store).await;
}

/// Sends the first part of a blob. What was acknowledged of it may be lost in a power cut, and nothing else.
pub(super) fn send_first_part(store: Store) -> BoxFuture<'static, Result<(), String>> {
    Box::pin(async move {
        let begun = store
            .upload_start(&a(), None)
            .await
            .map_err(|it| it.to_string())?;
        told(
            store
                .upload_append(&a(), &begun, Chunk::default(), body(&[PART]))
                .await,
        )
    })
}

pub(super) fn end_upload(store: Store) -> BoxFuture<'static, Result<(), String>> {
    Box::pin(async move { end(&store, &a(), 0).await })
}

pub(super) fn end_upload_beside(store: Store) -> BoxFuture<'static, Result<(), String>> {
    Box::pin(async move { end(&store, &a(), 1).await })
}

pub(super) fn end_upload_to_b(store: Store) -> BoxFuture<'static, Result<(), String>> {
    Box::pin(async move { end(&store, &b(), 2).await })
}

/// Goes on with a session where it is, or sends all of it in a new one.
async fn end(store: &Store, name: &RepositoryName, number: u8) -> Result<(), String> {
    let (digest, session) = (digest_of(LAYER), SESSION.map(|byte| byte + number));
    let session = portolan_oci::UploadId::from_random(session);
    match store.upload_status(name, &session).await {
        Ok(UploadStatus { offset }) => {
            let at = usize::try_from(offset).unwrap();
            let rest = LAYER.get(at..).ok_or("the session has more than was sent")?;
            let chunk = Chunk {
                at: Some(offset),
                length: Some(rest.len() as u64),
            };
            let finished = store
                .upload_finish(name, &session, &digest, chunk, body(&[rest]))
                .await;
            match finished {
                Ok(()) => return Ok(()),
                Err(UploadError::DigestMismatch { .. }) => {}
                Err(error) => return Err(error.to_string()),
            }
        }
        Err(UploadError::Unknown) => {}
        Err(error) => return Err(error.to_string()),
    }
    told(try_push_blob(store, name, LAYER).await)
}
