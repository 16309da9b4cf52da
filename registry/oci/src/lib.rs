//! Vocabulary of the OCI distribution and image specifications, for the server. Text comes in, validated values go out;
//! pure, no IO, no clock.
//!
//! Every value can only be made by parsing, so whoever holds a [`Digest`], [`RepositoryName`], [`Tag`] or [`UploadId`]
//! may put it into a file name or a URL path without a further check.
#![warn(missing_docs)]

mod descriptor;
mod digest;
mod error_code;
pub mod headers;
mod media_type;
mod range;
mod reference;
mod repository_name;
mod tag;
mod upload_id;

pub use descriptor::Descriptor;
pub use digest::{Algorithm, Digest, DigestError, Hasher};
pub use error_code::ErrorCode;
pub use media_type::MediaType;
pub use range::{ByteRange, ContentRange, ContentRangeError, RangeRequest};
pub use reference::{Reference, ReferenceError};
pub use repository_name::{RepositoryName, RepositoryNameError};
pub use tag::{Tag, TagError};
pub use upload_id::{UploadId, UploadIdError};
