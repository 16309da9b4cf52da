//! What store operations answer instead of a result: one enum per family of operations, none of which knows HTTP.
//!
//! [`Fault`] is about the volume, everything else about the request. A fault is never reported as "not found".

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use portolan_oci::Digest;

use crate::manifest::InvalidManifest;

/// The volume cannot be opened at all; the program ends with this sentence.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error(
        "storage.volume.path: directory \"{path}\" does not exist and user {user} cannot create it ({}); \
         create it for that user, or write the path of another",
        .cause.kind()
    )]
    Missing {
        path: PathBuf,
        user: u32,
        cause: io::Error,
    },
    #[error("storage.volume.path: \"{path}\" is not a directory; write the path of one")]
    NotADirectory { path: PathBuf },
    #[error(
        "storage.volume.path: directory \"{path}\" belongs to user {owner} and cannot be read by user {user}; \
         run `chown -R {user}:{user} {whole}`, or start the registry as its owner (`--user {owner}:{owner}`)"
    )]
    OfAnotherUser {
        path: PathBuf,
        user: u32,
        owner: u32,
        /// The volume, if all of it may be that user's.
        whole: PathBuf,
    },
    #[error(
        "storage.volume.path: directory \"{path}\" cannot be read by user {user}, although it is that user's; \
         run `chmod u+rwx {path}`"
    )]
    Closed { path: PathBuf, user: u32 },
    #[error(
        "storage.volume.path: directory \"{path}\" is in use by {holder}, which has not ended within {waited:?}; \
         stop it, or give this registry a directory of its own"
    )]
    InUse {
        path: PathBuf,
        holder: String,
        waited: Duration,
    },
    #[error(
        "storage.volume.path: directory \"{path}\" was written by a newer version (format {found}, this version \
         knows 1); run that version, or give this one a directory of its own"
    )]
    NewerFormat { path: PathBuf, found: u64 },
    #[error(
        "storage.volume.path: file \"{path}\" is not readable as JSON with a number \"format\"; restore it, or delete \
         it if this volume was never used by a newer version"
    )]
    BadFormat { path: PathBuf },
    #[error(
        "storage.volume.path: directory \"{path}\" is on {kind}, where what was acknowledged can be lost and two \
         registries can write at once; write the path of a local file system such as ext4 or XFS, or set \
         storage.volume.allowUnsafeFilesystem: true if you accept that"
    )]
    UnsafeFilesystem { path: PathBuf, kind: &'static str },
    #[error(
        "storage.volume.path: directory \"{path}\" is on a file system that takes \"v1\" and \"V1\" for the same \
         name, so that tags overwrite each other; write the path of another, or set \
         storage.volume.allowUnsafeFilesystem: true if you accept that"
    )]
    CaseInsensitive { path: PathBuf },
    #[error(
        "storage.volume.path: \"{path}\" cannot be used ({cause}); check the volume, or write the path of another"
    )]
    Io { path: PathBuf, cause: io::Error },
}

/// The volume, not the request, is at fault. The messages are for the log and for the person who runs the registry.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// Nothing is accepted until the reason is gone and the program was started again; reads go on.
    #[error("storage is read-only: {reason}")]
    ReadOnly { reason: ReadOnlyReason },
    /// The system does not let this process write there, though it did when the volume was opened; only that write failed.
    #[error("cannot {action} \"{path}\": {sentence}")]
    NotAllowed {
        action: &'static str,
        path: PathBuf,
        sentence: String,
    },
    /// No space or inodes left, or over a quota; this write failed, everything stored before is untouched.
    #[error(
        "storage is full: no space or inodes left to write \"{path}\": enlarge the volume, or collect garbage"
    )]
    Full { path: PathBuf },
    /// Something that must be readable is not.
    #[error("cannot {action} \"{path}\"")]
    Io {
        action: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// Something was read, but it is not what the layout says it must be.
    #[error("\"{path}\" is damaged: {problem}")]
    Damaged { path: PathBuf, problem: String },
    /// [`super::Store::close`] was called.
    #[error("storage is closed: the registry is shutting down")]
    Closed,
}

/// Why the store takes no writes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadOnlyReason {
    /// Asked for by whoever runs the registry.
    #[error(
        "storage.readOnly is true: the registry only serves pulls; take it out of the configuration to push"
    )]
    Configured,
    /// Found when opening: files of another user, or a read-only mount. A matter of configuration.
    #[error("{0}")]
    NotWritable(String),
    /// The disk has failed a write or an fsync: what it has kept of earlier writes is unknown until the volume is looked at.
    #[error("{0}")]
    Failed(String),
}

/// Why a blob was not read, mounted or deleted.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    #[error("blob {digest} is not in this repository: push or mount it first")]
    Unknown { digest: Digest },
    #[error("blob {digest} is used by manifest {by} of this repository: delete that first")]
    Referenced { digest: Digest, by: Digest },
    /// What cannot be read may name it.
    #[error(
        "manifest {by} of this repository is damaged and may need blob {digest}: push {by} again, or delete it first"
    )]
    PerhapsReferenced { digest: Digest, by: Digest },
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// Why an upload did not go on. `offset` is the length that counts: the next byte to send.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    /// Never was, of another repository, finished, cancelled or expired.
    #[error("upload session is not known: start a new one")]
    Unknown,
    /// The body does not begin where the upload ends; nothing was taken.
    #[error("the upload has {offset} bytes: send the chunk that begins at byte {offset}")]
    OutOfOrder { offset: u64 },
    /// Another request writes to the session right now; nothing was taken.
    #[error(
        "another request is writing to this upload: wait for it to end, then ask for the offset with GET"
    )]
    Busy { offset: u64 },
    /// The body is not as long as announced; nothing was taken.
    #[error("the body has {actual} bytes, announced were {announced}: send the rest from byte {offset}")]
    Length {
        offset: u64,
        announced: u64,
        actual: u64,
    },
    /// The client went away; what had come before is kept.
    #[error("the body ended early: send the rest from byte {offset}")]
    Interrupted {
        offset: u64,
        #[source]
        source: BodyError,
    },
    /// The content is not what the digest says; the session is gone.
    #[error(
        "content has digest {actual}, announced was {announced}: push it again with the digest of what is sent"
    )]
    DigestMismatch { announced: Digest, actual: Digest },
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// What a body stream may fail with.
pub type BodyError = Box<dyn std::error::Error + Send + Sync>;

/// Why a manifest was not stored, read or deleted.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// Nothing was ever pushed to the repository.
    #[error("repository is not known: check its name, or push to it first")]
    RepositoryUnknown,
    #[error("manifest {reference} is not in this repository: check its name, or push it first")]
    Unknown { reference: String },
    #[error(transparent)]
    Invalid(#[from] InvalidManifest),
    #[error(
        "manifest has digest {actual}, announced was {announced}: push it again with the digest of what is sent"
    )]
    DigestMismatch { announced: Digest, actual: Digest },
    /// Content that must be pushed first.
    #[error("manifest names content that is not in this repository")]
    ContentMissing { missing: Vec<Digest> },
    /// The client said what it wanted to be so, and it is not.
    #[error("\"{reference}\" does not name what the request expects: read it again and repeat the change")]
    PreconditionFailed { reference: String },
    #[error("manifest {digest} is used by index {by} of this repository: delete that first")]
    Referenced { digest: Digest, by: Digest },
    /// What cannot be read may name it.
    #[error(
        "manifest {by} of this repository is damaged and may need {digest}: push {by} again, or delete it first"
    )]
    PerhapsReferenced { digest: Digest, by: Digest },
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// Why a list was not answered.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    /// Nothing was ever pushed to the repository.
    #[error("repository is not known: check its name, or push to it first")]
    RepositoryUnknown,
    #[error(transparent)]
    Fault(#[from] Fault),
}
