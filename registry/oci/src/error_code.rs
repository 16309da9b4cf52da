//! Error codes of the distribution protocol: each once, with its usual status, its message and what it means. Pure.

use std::fmt;

macro_rules! error_codes {
    ($($variant:ident $text:literal $status:literal $message:literal $meaning:literal;)*) => {
        /// The `code` of an error answer. The first fourteen are the table of the specification; `Unknown` and
        /// `Unavailable` are what registries answer with 5xx statuses, for which that table has nothing.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum ErrorCode {
            $(#[doc = $meaning] $variant,)*
        }

        impl ErrorCode {
            /// Every code, in the order of the table.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The identifier in the JSON body.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }

            /// The HTTP status that usually goes with it; a handler may know better (413, 416, 507).
            pub fn status(self) -> u16 {
                match self { $(Self::$variant => $status,)* }
            }

            /// The short message for people, when there is nothing more exact to say.
            pub fn message(self) -> &'static str {
                match self { $(Self::$variant => $message,)* }
            }
        }
    };
}

error_codes! {
    BlobUnknown "BLOB_UNKNOWN" 404 "blob unknown to registry" "The repository has no such blob.";
    BlobUploadInvalid "BLOB_UPLOAD_INVALID" 400 "blob upload invalid" "The upload cannot go on as asked, for example out of order.";
    BlobUploadUnknown "BLOB_UPLOAD_UNKNOWN" 404 "blob upload unknown to registry" "The upload session never was, or is finished, cancelled or expired.";
    DigestInvalid "DIGEST_INVALID" 400 "provided digest did not match uploaded content" "A digest is malformed, of an unknown algorithm, or not that of the content.";
    ManifestBlobUnknown "MANIFEST_BLOB_UNKNOWN" 400 "manifest references a manifest or blob unknown to registry" "A manifest names content that the repository does not have.";
    ManifestInvalid "MANIFEST_INVALID" 400 "manifest invalid" "A manifest cannot be parsed or contradicts itself or its media type.";
    ManifestUnknown "MANIFEST_UNKNOWN" 404 "manifest unknown to registry" "The repository has no manifest of that tag or digest.";
    NameInvalid "NAME_INVALID" 400 "invalid repository name" "A repository name or tag is not spelled as the specification wants.";
    NameUnknown "NAME_UNKNOWN" 404 "repository name not known to registry" "Nothing was ever pushed to that repository.";
    SizeInvalid "SIZE_INVALID" 400 "provided length did not match content length" "A body is longer or shorter than announced.";
    Unauthorized "UNAUTHORIZED" 401 "authentication required" "The client must authenticate, or has failed to.";
    Denied "DENIED" 403 "requested access to the resource is denied" "The identity may not do that.";
    Unsupported "UNSUPPORTED" 405 "the operation is unsupported" "The registry, as configured or in its present state, does not do that.";
    TooManyRequests "TOOMANYREQUESTS" 429 "too many requests" "The client must slow down.";
    Unknown "UNKNOWN" 500 "unknown error" "The registry failed; the content may well exist.";
    Unavailable "UNAVAILABLE" 503 "service unavailable" "The registry cannot do that now; try again later.";
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    /// P13.
    #[test]
    fn every_code_is_declared_once() {
        let texts: HashSet<_> = ErrorCode::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!((texts.len(), ErrorCode::ALL.len()), (16, 16));
    }

    /// P13: as in the table of the specification.
    #[test]
    fn codes_are_spelled_as_the_specification_wants() {
        let texts: Vec<_> = ErrorCode::ALL.iter().map(|code| code.as_str()).collect();
        let expected = "BLOB_UNKNOWN BLOB_UPLOAD_INVALID BLOB_UPLOAD_UNKNOWN DIGEST_INVALID MANIFEST_BLOB_UNKNOWN \
                        MANIFEST_INVALID MANIFEST_UNKNOWN NAME_INVALID NAME_UNKNOWN SIZE_INVALID UNAUTHORIZED DENIED \
                        UNSUPPORTED TOOMANYREQUESTS UNKNOWN UNAVAILABLE";
        assert_eq!(texts.join(" "), expected);
    }

    #[test]
    fn codes_are_upper_case_letters_and_underscores_with_an_error_status() {
        for code in ErrorCode::ALL {
            assert!(
                code.as_str().bytes().all(|b| b.is_ascii_uppercase() || b == b'_'),
                "{code}"
            );
            assert!((400..600).contains(&code.status()), "{code}");
        }
    }
}
