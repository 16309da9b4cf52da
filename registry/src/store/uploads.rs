//! Upload sessions: body streams come in, blobs come out; IO in blocking threads.
//!
//! The bytes are hashed while they arrive. No answer about a session waits for an fsync before it is finished; early writeback
//! makes bytes durable all the same. After a power cut it may be shorter, a small one gone, and the client asks for its length.

use std::fs;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::Stream;
use portolan_oci::{Algorithm, RepositoryName, UploadId};

use super::error::{BodyError, Fault, UploadError};
use super::links::{exists, read_file};
use super::session::{Progress, Session, UploadRecord, Writing};
use super::upload_file::UploadFile;
use super::{Inner, Store, blocking};

/// Received bytes are handed to a blocking thread in batches of this size; two of them are all that an upload keeps.
pub(super) const BATCH_BYTES: usize = 256 << 10;

/// How far an upload has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UploadStatus {
    /// Bytes taken so far.
    pub offset: u64,
}

/// What a request says about its body; what it does not say is not checked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Chunk {
    /// Offset in the upload at which the body begins.
    pub at: Option<u64>,
    /// Length of the body. If another length comes, none of the body is kept.
    pub length: Option<u64>,
}

impl Store {
    /// Starts a session. The algorithm is a hint that saves reading the content again at the end.
    pub async fn upload_start(
        &self,
        repository: &RepositoryName,
        algorithm: Option<Algorithm>,
    ) -> Result<UploadId, UploadError> {
        let id = UploadId::from_random((self.inner.options.random)());
        let algorithm = algorithm.unwrap_or(Algorithm::Sha256).to_string();
        let record = UploadRecord {
            repository: repository.clone(),
            algorithm,
        };
        let work = move |inner: &Arc<Inner>| {
            inner.disk.make_directory(&inner.keys.uploads())?;
            let text = serde_json::json!(record).to_string();
            let path = inner.keys.upload_record(&id);
            // a full volume may have room for the file and none for what is in it
            inner
                .disk
                .write_again(&path, text.as_bytes())
                .inspect_err(|_| drop(inner.disk.discard(&path)))?;
            inner.sessions.insert(Session::new(id.clone(), record, 0));
            if let Some((surplus, writing)) = inner.sessions.surplus() {
                drop(inner.discard(&surplus.id, Some(writing))); // what stays behind expires
            }
            Ok(id)
        };
        self.inner.changing(work).await
    }

    /// How many bytes a session has; at any time, also while they flow.
    pub async fn upload_status(
        &self,
        repository: &RepositoryName,
        id: &UploadId,
    ) -> Result<UploadStatus, UploadError> {
        let session = self.session(repository, id).await?;
        Ok(UploadStatus {
            offset: session.offset(),
        })
    }

    /// Appends a body. Of two requests at once one wins; the other is told so before any of its bytes count.
    pub async fn upload_append<S>(
        &self,
        repository: &RepositoryName,
        id: &UploadId,
        chunk: Chunk,
        body: S,
    ) -> Result<UploadStatus, UploadError>
    where
        S: Stream<Item = Result<Bytes, BodyError>> + Send + Unpin,
    {
        let session = self.session(repository, id).await?;
        let writing = begin(&session, chunk).await?;
        let came = self.inner.receive(&session, writing, chunk, body).await?;
        let writing = self.inner.write_last(&session, came).await?;
        Ok(UploadStatus {
            offset: writing.offset,
        })
    }

    /// Ends a session and frees its bytes.
    pub async fn upload_cancel(&self, repository: &RepositoryName, id: &UploadId) -> Result<(), UploadError> {
        let session = self.session(repository, id).await?;
        let writing = begin(&session, Chunk::default()).await?;
        self.inner
            .changing(move |inner| Ok(inner.discard(&session.id, Some(writing))?))
            .await
    }

    /// Finds a session in memory, or on the volume after a restart.
    pub(super) async fn session(
        &self,
        repository: &RepositoryName,
        id: &UploadId,
    ) -> Result<Arc<Session>, UploadError> {
        let known = self.inner.sessions.find(id);
        let known = if known.is_some() {
            known
        } else {
            let (inner, id) = (Arc::clone(&self.inner), id.clone());
            blocking(move || inner.load(&id)).await?
        };
        known
            .filter(|session| session.repository == *repository)
            .ok_or(UploadError::Unknown)
    }
}

/// Who looks whether a session rests holds it for a moment: no client shall hear of that.
const MOMENT: Duration = Duration::from_millis(50);

/// Takes the right to write, if the request may go on where the upload is. Who finds another request there is refused, also if
/// that ends meanwhile: both may send the same.
pub(super) async fn begin(session: &Session, chunk: Chunk) -> Result<Writing, UploadError> {
    let before = session.offset();
    let writing = tokio::time::timeout(MOMENT, session.write()).await;
    let writing = writing.ok().filter(|writing| writing.offset == before);
    let writing = writing.ok_or_else(|| UploadError::Busy {
        offset: session.offset(),
    })?;
    if writing.is_over {
        return Err(UploadError::Unknown);
    }
    match chunk.at {
        Some(at) if at != writing.offset => Err(UploadError::OutOfOrder {
            offset: writing.offset,
        }),
        _ => Ok(writing),
    }
}

impl Inner {
    /// The session of the files on the volume, which another request may have loaded already.
    pub(super) fn load(&self, id: &UploadId) -> Result<Option<Arc<Session>>, Fault> {
        if let Some(session) = self.sessions.find(id) {
            return Ok(Some(session));
        }
        let Some(bytes) = read_file(&self.keys.upload_record(id))? else {
            return Ok(None);
        };
        // A torn record is what a power cut leaves of a session that was never made durable.
        let Ok(record) = serde_json::from_slice::<UploadRecord>(&bytes) else {
            return Ok(None);
        };
        let path = self.keys.upload_data(id);
        let offset = match fs::metadata(&path) {
            Ok(metadata) => metadata.len(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            Err(source) => {
                return Err(Fault::Io {
                    action: "look at",
                    path,
                    source,
                });
            }
        };
        let session = self.sessions.insert(Session::new(id.clone(), record, offset));
        // Another request may have finished it between the two reads.
        if !exists(&self.keys.upload_record(id))? {
            self.sessions.remove(id);
            return Ok(None);
        }
        Ok(Some(session))
    }

    /// The file of a session, which stays open until the session rests.
    pub(super) fn upload_file(
        &self,
        session: &Session,
        progress: &mut Progress,
    ) -> Result<Arc<UploadFile>, Fault> {
        progress.is_used = true;
        if let Some(file) = &progress.file {
            return Ok(Arc::clone(file));
        }
        self.close_surplus();
        let path = self.keys.upload_data(&session.id);
        let open = || UploadFile::open(&self.disk, path.clone(), &self.upload_files);
        let opened = match open() {
            // somebody has removed the directory by hand
            Err(Fault::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                self.disk.make_directory(&self.keys.uploads())?;
                open()
            }
            opened => opened,
        };
        let file = Arc::new(opened?);
        progress.file = Some(Arc::clone(&file));
        Ok(file)
    }

    /// Forgets a session and removes its files.
    pub(super) fn discard(&self, id: &UploadId, writing: Option<Writing>) -> Result<(), Fault> {
        if let Some(mut writing) = writing {
            writing.is_over = true;
            writing.file = None;
        }
        self.disk.put_by(&self.keys.upload_record(id))?;
        self.disk.discard(&self.keys.upload_data(id))?;
        self.sessions.remove(id); // last: as long as there are files, who asks finds it here
        Ok(())
    }
}
