//! How much a request may say before its body: the head in, nothing or a refusal out. Pure.
//!
//! The connection has a limit of its own (64 KiB in HTTP/1.1, 40 KiB in HTTP/2, path and query included), beyond which the
//! status is all that a client gets.

use http::StatusCode;
use http::header::HOST;
use http::request::Parts;
use http::uri::Authority;
use portolan_oci::ErrorCode;

use crate::error::ApiError;
use crate::operation::Operation;

/// Long tokens and many `tag` parameters fit.
const LARGEST: usize = 40 * 1024;
/// A path with a name of 255 characters and 128 tags of 128 fits.
const LARGEST_URI: usize = 32 * 1024;

/// Clients take references of so many characters, host and slash included.
const LONGEST_REFERENCE: usize = 255;

/// The host that the client asked, with its port if it wrote one.
pub fn host(parts: &Parts) -> Option<&str> {
    let header = parts.headers.get(HOST).and_then(|host| host.to_str().ok());
    parts.uri.authority().map(Authority::as_str).or(header)
}

/// Refuses to create what clients that come by this host could not name.
pub fn check_name(parts: &Parts, operation: &Operation) -> Result<(), ApiError> {
    let (Operation::StartUpload(name, _) | Operation::WriteManifest(name, ..)) = operation else {
        return Ok(());
    };
    let length = host(parts).unwrap_or_default().len() + 1 + name.as_str().len();
    if length <= LONGEST_REFERENCE {
        return Ok(());
    }
    let message = format!(
        "host and repository name have {length} characters together; clients take {LONGEST_REFERENCE}: choose a shorter name"
    );
    Err(ApiError::new(ErrorCode::NameInvalid, message))
}

/// Refuses a head that is larger than any client needs.
pub fn check(parts: &Parts) -> Result<(), ApiError> {
    let uri = parts.uri.path().len() + parts.uri.query().map_or(0, str::len);
    if uri > LARGEST_URI {
        let message =
            format!("the path and query have {uri} bytes; {LARGEST_URI} are the most: ask for less at once");
        return Err(ApiError::new(ErrorCode::Unsupported, message).with_status(StatusCode::URI_TOO_LONG));
    }
    let headers: usize = parts
        .headers
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len() + 4)
        .sum();
    if headers > LARGEST {
        let message =
            format!("the headers have {headers} bytes; {LARGEST} are the most: send fewer or shorter ones");
        let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
        return Err(ApiError::new(ErrorCode::Unsupported, message).with_status(status));
    }
    Ok(())
}
