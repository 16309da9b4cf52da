//! The file that tells what a program must know to use `portolan/v1/`: its path in, whether this version does out;
//! blocking IO.

use std::io;

use crate::store::error::OpenError;
use crate::store::keys::Keys;
use crate::store::links::read_file;

/// The format of `portolan/v1/` that this version writes.
pub(in crate::store) const FORMAT: u64 = 1;

/// What a new volume says.
pub(super) fn document() -> String {
    format!("{{\"format\":{FORMAT},\"features\":[]}}\n")
}

/// True if there is no format file yet. A feature that this version does not know is no reason not to serve: only
/// garbage collection must know everything that keeps something.
pub(super) fn check(keys: &Keys) -> Result<bool, OpenError> {
    let path = keys.format();
    let bytes = match read_file(&path) {
        Ok(None) => return Ok(true),
        Ok(Some(bytes)) => bytes,
        Err(fault) => {
            return Err(OpenError::Io {
                path,
                cause: io::Error::other(fault),
            });
        }
    };
    let document: Option<serde_json::Value> = serde_json::from_slice(&bytes).ok();
    match document.and_then(|document| document.get("format")?.as_u64()) {
        Some(FORMAT) => Ok(false),
        Some(found) => Err(OpenError::NewerFormat {
            path: keys.root().to_owned(),
            found,
        }),
        None => Err(OpenError::BadFormat { path }),
    }
}
