//! The end of an upload: the last bytes come in, a blob comes out; IO in blocking threads.
//!
//! A push of something small takes little but new files and fsyncs, so as few of them as can be wait for each other: the
//! link is made ready while the last bytes are written and become durable, and only put in its place after that.

use std::sync::Arc;

use bytes::Bytes;
use futures::Stream;
use portolan_oci::{Digest, RepositoryName, UploadId};

use super::collect::Root;
use super::disk::Prepared;
use super::error::{BlobError, BodyError, Fault, UploadError};
use super::links::exists;
use super::receive::{Before, Failed, Received};
use super::renewal::renew;
use super::session::{Session, Writing};
use super::upload_file::UploadFile;
use super::uploads::{Chunk, begin};
use super::{Inner, Store, blocking};

/// What has the digest that it is to have.
struct Verified {
    writing: Writing,
    file: Arc<UploadFile>,
    before: Before,
}

impl Store {
    /// Appends a last body and makes the content a blob of the repository, if it has the digest; if not, the session
    /// is discarded. Returns when the blob is durable. Whoever asks again gets the same answer: the first may be lost.
    pub async fn upload_finish<S>(
        &self,
        repository: &RepositoryName,
        id: &UploadId,
        digest: &Digest,
        chunk: Chunk,
        body: S,
    ) -> Result<(), UploadError>
    where
        S: Stream<Item = Result<Bytes, BodyError>> + Send + Unpin,
    {
        let begun = async {
            let session = self.session(repository, id).await?;
            Ok((begin(&session, chunk).await?, session))
        };
        let (writing, session) = match begun.await {
            Err(UploadError::Unknown) => return self.finished_before(repository, digest).await,
            begun => begun?,
        };
        let came = self.inner.receive(&session, writing, chunk, body).await?;
        // A kill may have left the record of a session whose bytes have become the blob already.
        let is_of_nothing = *digest == Digest::of(digest.algorithm(), b"");
        if came.is_nothing() && !is_of_nothing {
            match self.finished_before(repository, digest).await {
                Err(UploadError::Unknown) => {}
                Err(fault) => return Err(fault),
                Ok(()) => {
                    let discarded = self
                        .inner
                        .changing(move |inner| inner.discard(&session.id, Some(came.into_writing())));
                    drop(discarded.await); // what stays behind expires
                    return Ok(());
                }
            }
        }
        self.inner.finish(&session, came, digest).await
    }

    /// Whether what a session that is over was about is there, durably: who publishes it holds the stripe until then,
    /// and when that fails the store takes no more writes.
    async fn finished_before(&self, repository: &RepositoryName, digest: &Digest) -> Result<(), UploadError> {
        let permit = self.inner.permit().await?;
        match self.blob_open(repository, digest).await {
            Ok(_) => {} // and nobody collects it now
            Err(BlobError::Fault(fault)) => return Err(fault.into()),
            Err(_) => return Err(UploadError::Unknown),
        }
        let stripe = self.inner.locks.hold(&[], &[digest]).await;
        let (inner, repository, digest) = (Arc::clone(&self.inner), repository.clone(), digest.clone());
        blocking(move || {
            let _held = (permit, stripe);
            inner.disk.check_writable()?;
            let found = inner.linked_blob(&repository, &digest)?;
            found.ok_or(UploadError::Unknown)?;
            inner.settle_link(&repository, &digest)?;
            Ok(inner.mark_came(&repository, &digest)?)
        })
        .await
    }
}

impl Inner {
    /// Makes what has come a blob of the session's repository.
    pub(super) async fn finish(
        self: &Arc<Self>,
        session: &Arc<Session>,
        came: Received,
        digest: &Digest,
    ) -> Result<(), UploadError> {
        let (of, named) = (Arc::clone(session), digest.clone());
        let left = self.changing(move |inner| {
            let (verified, link) = inner.make_ready(&of, came, &named)?;
            let Some(_stripe) = inner.locks.try_hold(&named) else {
                inner.disk.abandon(&link); // whoever waits may go away
                inner.disk.abandon_place(&inner.keys.blob(&named));
                return Ok(Some(verified));
            };
            inner.publish_upload(&of, verified, &link, &named)?;
            Ok::<_, UploadError>(None)
        });
        let Some(verified) = left.await? else {
            return Ok(());
        };
        let permit = self.permit().await?;
        let stripe = self.locks.hold(&[digest], &[]).await;
        let (inner, session, digest) = (Arc::clone(self), Arc::clone(session), digest.clone());
        blocking(move || {
            let _held = (permit, stripe);
            let link = match inner.prepare_layer_link(&session, &digest) {
                Ok(link) => link,
                Err(fault) => return Err(inner.not_published(&session, verified, fault).into()),
            };
            Ok(inner.publish_upload(&session, verified, &link, &digest)?)
        })
        .await
    }

    /// Checks that the bytes have the digest.
    fn verify(
        &self,
        session: &Session,
        mut writing: Writing,
        before: Before,
        digest: &Digest,
    ) -> Result<Verified, UploadError> {
        let file = self.upload_file(session, &mut writing)?;
        file.trim(&self.disk, writing.offset)?;
        let actual = match &writing.hasher {
            Some(hasher) if hasher.algorithm() == digest.algorithm() => hasher.clone().finish(),
            _ => file.hash(digest.algorithm(), writing.offset)?.finish(),
        };
        if actual != *digest {
            self.discard(&session.id, Some(writing))?;
            return Err(UploadError::DigestMismatch {
                announced: digest.clone(),
                actual,
            });
        }
        Ok(Verified {
            writing,
            file,
            before,
        })
    }

    /// Checks the bytes and makes them durable where they are, and all that they and their link will need. May take long,
    /// so it holds no stripe: empty directories are all that can be seen of it, if the digest is right, and only until it
    /// fails; who publishes makes them again if need be.
    fn make_ready(
        self: &Arc<Self>,
        session: &Arc<Session>,
        came: Received,
        digest: &Digest,
    ) -> Result<(Verified, Prepared), UploadError> {
        let target = self.keys.layer_link(&session.repository, digest);
        let text = digest.as_str().as_bytes();
        let (verified, link) = self.disk.prepare_beside(&target, text, |is_right| {
            let before = came.before.clone();
            let writing = self.write_last_here(session, came)?;
            let verified = self.verify(session, writing, before, digest)?;
            is_right();
            if let Err(fault) = verified.file.sync(&self.disk) {
                drop(self.discard(&session.id, Some(verified.writing))); // what it was about is told below
                return Err(fault.into());
            }
            drop(self.disk.prepare_place(&self.keys.blob(digest))); // whoever publishes says what is wrong with it
            Ok::<_, UploadError>(verified)
        })?;
        match link {
            Ok(link) => Ok((verified, link)),
            Err(fault) => {
                self.disk.abandon_place(&self.keys.blob(digest));
                Err(self.not_published(session, verified, fault).into())
            }
        }
    }

    fn prepare_layer_link(&self, session: &Session, digest: &Digest) -> Result<Prepared, Fault> {
        let link = self.keys.layer_link(&session.repository, digest);
        self.disk.prepare_small(&link, digest.as_str().as_bytes())
    }

    /// The caller holds the stripe.
    fn publish_upload(
        &self,
        session: &Session,
        verified: Verified,
        link: &Prepared,
        digest: &Digest,
    ) -> Result<(), Fault> {
        self.arming.note(|| Root::Blob {
            repository: session.repository.clone(),
            digest: digest.clone(),
            content: digest.clone(),
        });
        let moved = self.disk.publish(verified.file.path(), &self.keys.blob(digest));
        let published = match moved {
            Ok(()) => {
                // from now on it is to be kept for a collection's grace, however long the fsyncs have taken
                renew(link.path(), (self.options.clock)());
                let linked = self.disk.publish_small(link);
                linked.and_then(|()| self.mark_came(&session.repository, digest))
            }
            Err(fault) => {
                self.disk.abandon(link);
                Err(fault)
            }
        };
        match published {
            Ok(()) => {
                drop(self.discard(&session.id, Some(verified.writing))); // a record that stays behind expires
                Ok(())
            }
            Err(fault) => Err(self.not_published(session, verified, fault)),
        }
    }

    /// Leaves the session as it was before the request, so that it can be made again. If the bytes have moved it has none,
    /// and is over; also if that cannot be told: nobody may write to what may be a blob.
    fn not_published(&self, session: &Session, verified: Verified, fault: Fault) -> Fault {
        let Verified {
            writing,
            file,
            before,
        } = verified;
        if exists(file.path()).unwrap_or(false) {
            self.refused_here(session, Failed { writing, fault }, before)
        } else {
            drop(self.discard(&session.id, Some(writing)));
            fault
        }
    }
}
