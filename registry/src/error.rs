//! The one place where inner errors become answers of the protocol: `{"errors":[{code,message,detail}]}` with a
//! status. Errors come in, responses go out; what only the operator of the registry should know goes to the log.

use axum::body::Body;
use http::header::{ALLOW, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use portolan_oci::ErrorCode;
use serde_json::{Value, json};

use crate::auth::authenticate::AuthenticateError;
use crate::request_body::CollectError;
use crate::route::RouteError;
use crate::store::{BlobError, Fault, ListError, ManifestError, ReadOnlyReason};

/// Bytes of a message.
const LONGEST_MESSAGE: usize = 1024;

/// An answer that is not what was asked for.
#[derive(Debug)]
pub struct ApiError(Box<Refusal>);

#[derive(Debug)]
struct Refusal {
    status: StatusCode,
    code: ErrorCode,
    message: String,
    detail: Option<Value>,
    headers: HeaderMap,
    /// For the log only.
    fault: Option<String>,
}

impl ApiError {
    /// With the code's usual status.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        let status = StatusCode::from_u16(code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let (message, headers) = (shortened(message.into()), HeaderMap::new());
        Self(Box::new(Refusal {
            status,
            code,
            message,
            detail: None,
            headers,
            fault: None,
        }))
    }

    /// With another status than the code's usual one.
    #[must_use]
    pub fn with_status(mut self, status: StatusCode) -> Self {
        self.0.status = status;
        self
    }

    /// With something for programs to read.
    #[must_use]
    pub fn with_detail(mut self, detail: Value) -> Self {
        self.0.detail = Some(detail);
        self
    }

    /// With one more header.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers.append(name, value);
        self
    }

    /// The registry failed; why goes to the log, not to the client.
    pub fn internal(fault: impl Into<String>) -> Self {
        Self::new(ErrorCode::Unknown, "the registry failed; its log has the reason").with_fault(fault)
    }

    fn with_fault(mut self, fault: impl Into<String>) -> Self {
        self.0.fault = Some(fault.into());
        self
    }

    /// The answer. `request_id` is how the log line of a failure is found.
    pub fn into_response(self, request_id: &str) -> Response<Body> {
        let Refusal {
            status,
            code,
            message,
            detail,
            headers,
            fault,
        } = *self.0;
        let mut entry = json!({"code": code.as_str(), "message": message});
        if let Some(detail) = detail {
            entry["detail"] = detail;
        }
        if status.is_server_error() {
            tracing::error!(request_id, "{}", fault.as_deref().unwrap_or(&message));
            entry["detail"] = json!({"requestId": request_id});
        }
        let body = json!({"errors": [entry]}).to_string();
        let mut response = Response::new(Body::empty());
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        response
            .headers_mut()
            .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response
            .headers_mut()
            .insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
        *response.body_mut() = Body::from(body);
        response
    }
}

/// A message may repeat what the client has sent. Its end says what to do, so what is left out is in the middle.
fn shortened(message: String) -> String {
    if message.len() <= LONGEST_MESSAGE {
        return message;
    }
    let begin = &message[..message.floor_char_boundary(LONGEST_MESSAGE / 2)];
    let end = &message[message.ceil_char_boundary(message.len() - LONGEST_MESSAGE / 2)..];
    format!("{begin} ... {end}")
}

impl From<RouteError> for ApiError {
    fn from(error: RouteError) -> Self {
        let message = error.to_string();
        match error {
            RouteError::NotFound => {
                Self::new(ErrorCode::Unsupported, message).with_status(StatusCode::NOT_FOUND)
            }
            RouteError::Method { allow } => {
                Self::new(ErrorCode::Unsupported, message).with_header(ALLOW, HeaderValue::from_static(allow))
            }
            RouteError::Encoding | RouteError::Name(_) => Self::new(ErrorCode::NameInvalid, message),
            // the specification has no code for a tag that cannot be
            RouteError::Tag(_) => Self::new(ErrorCode::ManifestInvalid, message),
            RouteError::Digest(_) => Self::new(ErrorCode::DigestInvalid, message),
            RouteError::UploadId(_) => Self::new(ErrorCode::BlobUploadUnknown, message),
            RouteError::PageSize(_) => {
                Self::new(ErrorCode::Unsupported, message).with_status(StatusCode::BAD_REQUEST)
            }
        }
    }
}

impl From<AuthenticateError> for ApiError {
    fn from(error: AuthenticateError) -> Self {
        Self::new(ErrorCode::Unauthorized, error.to_string())
    }
}

impl From<CollectError> for ApiError {
    fn from(error: CollectError) -> Self {
        let message = error.to_string();
        let wrong = |message| Self::new(ErrorCode::SizeInvalid, message);
        match error {
            CollectError::TooLarge { .. } => wrong(message).with_status(StatusCode::PAYLOAD_TOO_LARGE),
            CollectError::Interrupted(_) => wrong(message),
            CollectError::TooSlow(_) => wrong(message).with_status(StatusCode::REQUEST_TIMEOUT),
            CollectError::NoRoom => later(Self::new(ErrorCode::Unavailable, message)),
        }
    }
}

fn later(error: ApiError) -> ApiError {
    error.with_header(RETRY_AFTER, HeaderValue::from_static("5"))
}

impl From<Fault> for ApiError {
    fn from(fault: Fault) -> Self {
        match &fault {
            Fault::ReadOnly {
                reason: ReadOnlyReason::Configured,
            } => Self::new(
                ErrorCode::Unsupported,
                "this registry is read-only: it is being maintained, or only serves pulls",
            ),
            Fault::ReadOnly {
                reason: ReadOnlyReason::NotWritable(_),
            } => {
                let message =
                    "this registry is read-only: its volume cannot be written; its log says what to do";
                Self::new(ErrorCode::Unsupported, message)
            }
            Fault::ReadOnly {
                reason: ReadOnlyReason::Failed(_),
            } => {
                let message =
                    "this registry takes no writes since its volume failed; its log says what to do";
                later(Self::new(ErrorCode::Unavailable, message)).with_fault(crate::error_chain(&fault))
            }
            Fault::NotAllowed { .. } => {
                let message = "the registry is not allowed to write to its volume; its log says what to do";
                Self::new(ErrorCode::Unknown, message).with_fault(crate::error_chain(&fault))
            }
            Fault::Full { .. } => Self::new(
                ErrorCode::Unavailable,
                "the registry's volume is full: delete images and collect garbage, or enlarge the volume",
            )
            .with_status(StatusCode::INSUFFICIENT_STORAGE)
            .with_fault(crate::error_chain(&fault)),
            Fault::Closed => later(Self::new(ErrorCode::Unavailable, "the registry is shutting down")),
            Fault::Io { .. } | Fault::Damaged { .. } => Self::internal(crate::error_chain(&fault)),
        }
    }
}

impl From<BlobError> for ApiError {
    fn from(error: BlobError) -> Self {
        let message = error.to_string();
        match error {
            BlobError::Unknown { .. } => Self::new(ErrorCode::BlobUnknown, message),
            BlobError::Referenced { .. } | BlobError::PerhapsReferenced { .. } => {
                Self::new(ErrorCode::Unsupported, message)
            }
            BlobError::Fault(fault) => fault.into(),
        }
    }
}

impl From<ListError> for ApiError {
    fn from(error: ListError) -> Self {
        match error {
            ListError::RepositoryUnknown => Self::new(ErrorCode::NameUnknown, error.to_string()),
            ListError::Fault(fault) => fault.into(),
        }
    }
}

impl From<ManifestError> for ApiError {
    fn from(error: ManifestError) -> Self {
        let message = error.to_string();
        match error {
            ManifestError::RepositoryUnknown => Self::new(ErrorCode::NameUnknown, message),
            ManifestError::Unknown { .. } => Self::new(ErrorCode::ManifestUnknown, message),
            ManifestError::Invalid(_) => Self::new(ErrorCode::ManifestInvalid, message),
            ManifestError::DigestMismatch { .. } => Self::new(ErrorCode::DigestInvalid, message),
            ManifestError::ContentMissing { missing } => {
                let missing: Vec<_> = missing.iter().map(ToString::to_string).collect();
                Self::new(
                    ErrorCode::ManifestBlobUnknown,
                    format!("{message}: push {} first", missing.join(", ")),
                )
                .with_detail(json!({"missing": missing}))
            }
            ManifestError::PreconditionFailed { .. } => {
                Self::new(ErrorCode::Denied, message).with_status(StatusCode::PRECONDITION_FAILED)
            }
            ManifestError::Referenced { .. } | ManifestError::PerhapsReferenced { .. } => {
                Self::new(ErrorCode::Unsupported, message)
            }
            ManifestError::Fault(fault) => fault.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::token::TokenError;

    /// P14, P16, P149.
    #[test]
    fn faults_of_the_volume_are_5xx_and_say_when_to_come_back() {
        let path = || "/secret/place".into();
        let source = || std::io::Error::other("disk");
        let reason = ReadOnlyReason::Failed("fsync".to_owned());
        let not_allowed = Fault::NotAllowed {
            action: "write",
            path: path(),
            sentence: "\"/secret\" belongs to user 0".to_owned(),
        };
        for (fault, status, later) in [
            (Fault::ReadOnly { reason }, 503, true),
            (not_allowed, 500, false),
            (Fault::Closed, 503, true),
            (Fault::Full { path: path() }, 507, false),
            (
                Fault::Io {
                    action: "read",
                    path: path(),
                    source: source(),
                },
                500,
                false,
            ),
        ] {
            let (is_closed, sentence) = (matches!(fault, Fault::Closed), crate::error_chain(&fault));
            let error = ApiError::from(fault);
            assert!(!error.0.message.contains("secret"), "{error:?}");
            let logged = error.0.fault.as_ref().unwrap_or(&error.0.message);
            assert!(is_closed || *logged == sentence, "{error:?}");
            let response = error.into_response("id");
            assert_eq!(response.status().as_u16(), status);
            assert_eq!(response.headers().contains_key(RETRY_AFTER), later, "{status}");
        }
        for reason in [
            ReadOnlyReason::Configured,
            ReadOnlyReason::NotWritable("chown".to_owned()),
        ] {
            let refused = ApiError::from(Fault::ReadOnly { reason });
            assert_eq!(refused.into_response("id").status().as_u16(), 405);
        }
    }

    /// What `docker push` prints is all that its user has.
    #[test]
    fn a_refusal_says_what_to_do_after_what_is_wrong() {
        let digest = || portolan_oci::Digest::of(portolan_oci::Algorithm::Sha256, b"x");
        let reference = || "v1".to_owned();
        let refusals = [
            ApiError::from(RouteError::NotFound),
            RouteError::Encoding.into(),
            RouteError::UploadId("x".to_owned()).into(),
            AuthenticateError::Malformed.into(),
            AuthenticateError::Credentials.into(),
            AuthenticateError::Revoked.into(),
            AuthenticateError::Token(TokenError::Signature).into(),
            AuthenticateError::Token(TokenError::Audience).into(),
            AuthenticateError::Token(TokenError::Expired).into(),
            BlobError::Unknown { digest: digest() }.into(),
            BlobError::PerhapsReferenced {
                digest: digest(),
                by: digest(),
            }
            .into(),
            ListError::RepositoryUnknown.into(),
            ManifestError::RepositoryUnknown.into(),
            ManifestError::Unknown {
                reference: reference(),
            }
            .into(),
            ManifestError::DigestMismatch {
                announced: digest(),
                actual: digest(),
            }
            .into(),
            ManifestError::PerhapsReferenced {
                digest: digest(),
                by: digest(),
            }
            .into(),
            ManifestError::ContentMissing {
                missing: vec![digest()],
            }
            .into(),
            ManifestError::PreconditionFailed {
                reference: reference(),
            }
            .into(),
        ];
        for refusal in refusals {
            let (what, remedy) = refusal.0.message.split_once(": ").unwrap_or_default();
            assert!(!what.is_empty() && remedy.len() > 10, "{refusal:?}");
        }
    }
}
