//! What a request asks for: the one vocabulary of routing, authorization, logs and metrics. Pure data.

use portolan_oci::{Algorithm, Digest, DigestError, Reference, RepositoryName, Tag, UploadId};

/// A request, understood. Everything that decides whether it may be done is in here, so that nothing can be
/// authorized as one thing and carried out as another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Is this a registry, and may I use it?
    Ping,
    /// Ask for a token; the details are in the query or the form.
    IssueToken,
    /// List repositories.
    ListRepositories(Page),
    /// List the tags of a repository.
    ListTags(RepositoryName, Page),
    /// Read a manifest, or only its headers.
    ReadManifest(RepositoryName, Reference),
    /// Store a manifest under its digest or a tag; the tags are those asked for beside the reference.
    WriteManifest(RepositoryName, Reference, Vec<Tag>),
    /// Delete a manifest, or only a tag.
    DeleteManifest(RepositoryName, Reference),
    /// Read a blob, or only its headers.
    ReadBlob(RepositoryName, Digest),
    /// Take a blob out of a repository.
    DeleteBlob(RepositoryName, Digest),
    /// Begin an upload, which may be over at once.
    StartUpload(RepositoryName, UploadStart),
    /// Where does an upload stand?
    ReadUpload(RepositoryName, UploadId),
    /// Add bytes to an upload.
    AppendUpload(RepositoryName, UploadId),
    /// Add the last bytes to an upload and make it a blob. Without a digest it is refused, but what comes after that
    /// is decided first: the refusal says where the upload stands.
    FinishUpload(RepositoryName, UploadId, Result<Digest, NoDigest>),
    /// Give an upload up.
    CancelUpload(RepositoryName, UploadId),
    /// List the manifests whose subject is this one.
    ListReferrers(RepositoryName, Digest, ReferrersPage),
}

/// Which of the manifests with a subject are asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReferrersPage {
    /// Only these artifact types; all when empty.
    pub artifact_types: Vec<String>,
    /// Only what comes after this one.
    pub last: Option<Digest>,
}

/// How an upload begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UploadStart {
    /// A session to send bytes to, hashed with this algorithm when the client says so ahead.
    Session(Option<Algorithm>),
    /// The body is the whole blob.
    Whole(Digest),
    /// Take the blob from another repository (or from any that may be read); a session when that cannot be.
    Mount(Digest, Option<RepositoryName>),
}

/// The last request of an upload does not say what was uploaded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoDigest {
    /// Not at all.
    #[error("the request that finishes an upload must have a digest parameter, as in ?digest=sha256:<hex>")]
    Missing,
    /// Not in a way that can be used.
    #[error(transparent)]
    Unusable(#[from] DigestError),
}

/// Which part of a list is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// At most so many entries.
    pub n: Option<usize>,
    /// Only entries after this one, which need not exist.
    pub last: Option<String>,
}

impl Operation {
    /// The methods that are left at its path when this one is refused for what the registry is or holds at present.
    pub fn methods_left(&self, is_read_only: bool) -> &'static str {
        match self {
            Self::IssueToken => "GET",
            Self::StartUpload(..) => "",
            Self::DeleteManifest(..) if !is_read_only => "GET, HEAD, PUT",
            _ => "GET, HEAD",
        }
    }

    /// A short stable name for logs and metrics.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Ping => "ping",
            Self::IssueToken => "issue-token",
            Self::ListRepositories(_) => "list-repositories",
            Self::ListTags(..) => "list-tags",
            Self::ReadManifest(..) => "read-manifest",
            Self::WriteManifest(..) => "write-manifest",
            Self::DeleteManifest(..) => "delete-manifest",
            Self::ReadBlob(..) => "read-blob",
            Self::DeleteBlob(..) => "delete-blob",
            Self::StartUpload(..) => "start-upload",
            Self::ReadUpload(..) => "read-upload",
            Self::AppendUpload(..) => "append-upload",
            Self::FinishUpload(..) => "finish-upload",
            Self::CancelUpload(..) => "cancel-upload",
            Self::ListReferrers(..) => "list-referrers",
        }
    }
}
