//! A blob that comes in one request: a body comes in, a blob comes out. IO in blocking threads.
//!
//! Nobody but the request knows its session. So that has no record, and however the request ends, nothing is left of it.

use std::sync::Arc;

use bytes::Bytes;
use futures::Stream;
use portolan_oci::{Digest, RepositoryName, UploadId};
use tokio::runtime::Handle;

use super::error::{BodyError, UploadError};
use super::session::{Session, UploadRecord};
use super::uploads::{Chunk, begin};
use super::{Inner, Store};

/// A session that ends with its request.
struct Unnamed {
    inner: Arc<Inner>,
    session: Option<Arc<Session>>,
}

impl Store {
    /// Makes a body a blob of the repository, if it has the digest. Returns when the blob is durable.
    pub async fn upload_whole<S>(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        chunk: Chunk,
        body: S,
    ) -> Result<(), UploadError>
    where
        S: Stream<Item = Result<Bytes, BodyError>> + Send + Unpin,
    {
        drop(self.inner.permit().await?); // no body is waited for that cannot be kept
        let record = UploadRecord {
            repository: repository.clone(),
            algorithm: digest.algorithm().to_string(),
        };
        let id = UploadId::from_random((self.inner.options.random)());
        let session = self.inner.sessions.insert(Session::new(id, record, 0));
        let unnamed = Unnamed {
            inner: Arc::clone(&self.inner),
            session: Some(Arc::clone(&session)),
        };
        let whole = async {
            let writing = begin(&session, chunk).await?;
            let came = self.inner.receive(&session, writing, chunk, body).await?;
            self.inner.finish(&session, came, digest).await
        };
        let finished = whole.await;
        unnamed.end().await;
        finished
    }
}

impl Unnamed {
    /// Whoever is told of a refusal finds that it takes no room any more.
    async fn end(mut self) {
        if let Some(session) = self.session.take() {
            let inner = Arc::clone(&self.inner);
            let ending = tokio::spawn(async move { inner.end_unnamed(session).await });
            drop(ending.await); // it goes on when the client goes
        }
    }
}

impl Drop for Unnamed {
    /// The client has gone.
    fn drop(&mut self) {
        if let (Some(session), Ok(runtime)) = (self.session.take(), Handle::try_current()) {
            let inner = Arc::clone(&self.inner);
            runtime.spawn(async move { inner.end_unnamed(session).await });
        }
    }
}

impl Inner {
    /// Waits for what may still be written. What stays behind is nobody's, which expiry sees.
    async fn end_unnamed(self: &Arc<Self>, session: Arc<Session>) {
        let writing = session.write().await;
        if writing.is_over {
            return;
        }
        let id = session.id.clone();
        let ended = self.changing(move |inner| inner.discard(&session.id, Some(writing)));
        if ended.await.is_err() {
            self.sessions.remove(&id);
        }
    }
}
