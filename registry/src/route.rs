//! Method, path and query in, an [`Operation`] out. Pure.
//!
//! Paths are read from the right end, because a repository may be called `a/manifests/b` or `blobs/uploads`. They are
//! percent-decoded once, before anything looks at them; what still holds a percent sign afterwards is refused.

mod query;

use http::Method;
use portolan_oci::{
    Algorithm, Digest, DigestError, Reference, ReferenceError, RepositoryName, RepositoryNameError, Tag,
    TagError, UploadId,
};

use crate::operation::{NoDigest, Operation, Page, ReferrersPage, UploadStart};
pub use query::Query;

/// Why a request is no operation.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum RouteError {
    /// Nothing is there.
    #[error("there is nothing at this path: paths of the API begin with /v2/")]
    NotFound,
    /// The path or query is not percent-encoded as it should be.
    #[error("the path or query is not valid percent-encoding: encode it as UTF-8")]
    Encoding,
    /// The path exists, for other methods.
    #[error("method not allowed here; use {allow}")]
    Method {
        /// The methods that are possible.
        allow: &'static str,
    },
    /// The repository name is not spelled right.
    #[error(transparent)]
    Name(#[from] RepositoryNameError),
    /// The digest is not spelled right, or of an unknown algorithm.
    #[error(transparent)]
    Digest(#[from] DigestError),
    /// The tag is not spelled right.
    #[error(transparent)]
    Tag(#[from] TagError),
    /// No session ever had such an identifier.
    #[error("\"{0}\" is no upload of this registry: start one with POST /v2/<name>/blobs/uploads/")]
    UploadId(String),
    /// `n` is no number.
    #[error("n is \"{0}\"; write a number such as n=100")]
    PageSize(String),
}

/// Understands one request.
pub fn parse(method: &Method, path: &str, query: &str) -> Result<Operation, RouteError> {
    let path = query::decode(path).ok_or(RouteError::Encoding)?;
    if path == "/token" {
        // its query is a form, in which the names of users may hold anything
        return only(method, "GET, POST", &[Method::GET, Method::POST], || {
            Ok(Operation::IssueToken)
        });
    }
    let query = Query::parse(query).ok_or(RouteError::Encoding)?;
    match path.as_str() {
        "/v2" | "/v2/" => {
            return only(method, "GET, HEAD", &[Method::GET, Method::HEAD], || {
                Ok(Operation::Ping)
            });
        }
        "/v2/_catalog" => {
            let read = [Method::GET, Method::HEAD];
            return only(method, "GET, HEAD", &read, || {
                Ok(Operation::ListRepositories(page(&query)?))
            });
        }
        _ => {}
    }
    let path = path.strip_prefix("/v2/").ok_or(RouteError::NotFound)?;
    in_repository(method, path, &query)
}

fn in_repository(method: &Method, path: &str, query: &Query) -> Result<Operation, RouteError> {
    let (rest, last) = path.rsplit_once('/').ok_or(RouteError::NotFound)?;
    let (name, kind) = rest.rsplit_once('/').unwrap_or(("", rest));
    if let Some(name) = name.strip_suffix("/blobs")
        && kind == "uploads"
    {
        // <name>/blobs/uploads/<id>, and <name>/blobs/uploads/ to begin
        return if last.is_empty() {
            start(method, name, query)
        } else {
            upload(method, name, last, query)
        };
    }
    match (kind, last) {
        ("blobs", "uploads") => start(method, name, query),
        ("tags", "list") => only(method, "GET, HEAD", &[Method::GET, Method::HEAD], || {
            Ok(Operation::ListTags(name.parse()?, page(query)?))
        }),
        ("manifests", reference) => manifest(method, name, reference, query),
        ("blobs", digest) => blob(method, name, digest),
        ("referrers", digest) => only(method, "GET, HEAD", &[Method::GET, Method::HEAD], || {
            let artifact_types = query
                .all("artifactType")
                .filter(|t| !t.is_empty())
                .map(str::to_owned)
                .collect();
            let last = query.first("last").map(str::parse).transpose()?;
            let page = ReferrersPage { artifact_types, last };
            Ok(Operation::ListReferrers(name.parse()?, digest.parse()?, page))
        }),
        _ => Err(RouteError::NotFound),
    }
}

fn manifest(method: &Method, name: &str, reference: &str, query: &Query) -> Result<Operation, RouteError> {
    match *method {
        Method::GET | Method::HEAD => Ok(Operation::ReadManifest(
            name.parse()?,
            parse_reference(reference)?,
        )),
        Method::DELETE => Ok(Operation::DeleteManifest(
            name.parse()?,
            parse_reference(reference)?,
        )),
        Method::PUT => {
            let tags: Result<Vec<Tag>, TagError> = query.all("tag").map(str::parse).collect();
            Ok(Operation::WriteManifest(
                name.parse()?,
                parse_reference(reference)?,
                tags?,
            ))
        }
        _ => Err(RouteError::Method {
            allow: "GET, HEAD, PUT, DELETE",
        }),
    }
}

fn parse_reference(text: &str) -> Result<Reference, RouteError> {
    text.parse().map_err(|error| match error {
        ReferenceError::Tag(error) => RouteError::Tag(error),
        ReferenceError::Digest(error) => RouteError::Digest(error),
    })
}

fn blob(method: &Method, name: &str, digest: &str) -> Result<Operation, RouteError> {
    match *method {
        Method::GET | Method::HEAD => Ok(Operation::ReadBlob(name.parse()?, digest.parse()?)),
        Method::DELETE => Ok(Operation::DeleteBlob(name.parse()?, digest.parse()?)),
        _ => Err(RouteError::Method {
            allow: "GET, HEAD, DELETE",
        }),
    }
}

fn start(method: &Method, name: &str, query: &Query) -> Result<Operation, RouteError> {
    if *method != Method::POST {
        return Err(RouteError::Method { allow: "POST" });
    }
    let name: RepositoryName = name.parse()?;
    let start = if let Some(digest) = query.first("mount").filter(|digest| !digest.is_empty()) {
        // a source that cannot exist is one that does not have the blob: clients give up mounting on an error
        match (
            digest.parse::<Digest>(),
            query
                .first("from")
                .filter(|from| !from.is_empty())
                .map(str::parse),
        ) {
            (Ok(digest), None) => UploadStart::Mount(digest, None),
            (Ok(digest), Some(Ok(from))) => UploadStart::Mount(digest, Some(from)),
            (Err(error), _) => return Err(error.into()),
            (Ok(_), Some(Err(_))) => UploadStart::Session(algorithm(query)?),
        }
    } else if let Some(digest) = query.first("digest") {
        UploadStart::Whole(digest.parse()?)
    } else {
        UploadStart::Session(algorithm(query)?)
    };
    Ok(Operation::StartUpload(name, start))
}

fn algorithm(query: &Query) -> Result<Option<Algorithm>, RouteError> {
    Ok(query.first("digest-algorithm").map(str::parse).transpose()?)
}

fn upload(method: &Method, name: &str, id: &str, query: &Query) -> Result<Operation, RouteError> {
    let name: RepositoryName = name.parse()?;
    let id = || {
        id.parse::<UploadId>()
            .map_err(|_| RouteError::UploadId(id.to_owned()))
    };
    match *method {
        Method::GET | Method::HEAD => Ok(Operation::ReadUpload(name, id()?)),
        Method::PATCH => Ok(Operation::AppendUpload(name, id()?)),
        Method::PUT => {
            let digest = query.first("digest").ok_or(NoDigest::Missing);
            let digest = digest.and_then(|digest| Ok(digest.parse()?));
            Ok(Operation::FinishUpload(name, id()?, digest))
        }
        Method::DELETE => Ok(Operation::CancelUpload(name, id()?)),
        _ => Err(RouteError::Method {
            allow: "GET, HEAD, PATCH, PUT, DELETE",
        }),
    }
}

fn page(query: &Query) -> Result<Page, RouteError> {
    let n = match query.first("n") {
        None => None,
        // a number too large for this machine asks for everything
        Some(n) if !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()) => {
            Some(n.parse().unwrap_or(usize::MAX))
        }
        Some(n) => return Err(RouteError::PageSize(n.chars().take(40).collect())),
    };
    Ok(Page {
        n,
        last: query
            .first("last")
            .filter(|last| !last.is_empty())
            .map(str::to_owned),
    })
}

fn only(
    method: &Method,
    allow: &'static str,
    methods: &[Method],
    operation: impl FnOnce() -> Result<Operation, RouteError>,
) -> Result<Operation, RouteError> {
    if methods.contains(method) {
        operation()
    } else {
        Err(RouteError::Method { allow })
    }
}

#[cfg(test)]
mod tests;
