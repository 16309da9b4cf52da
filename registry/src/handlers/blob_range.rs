//! Several parts of a blob in one answer (`multipart/byteranges`). Ranges in, a stream of known length out.

use std::io;

use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{Stream, StreamExt as _};
use portolan_oci::{ByteRange, Digest};

use crate::store::BlobContent;

/// An answer of several parts.
#[derive(Debug)]
pub(super) struct Multipart {
    parts: Vec<(String, ByteRange)>,
    end: String,
    content_type: String,
}

impl Multipart {
    /// The boundary is made of the digest: content that holds it could only be made by who can invert the hash.
    pub(super) fn new(parts: &[ByteRange], size: u64, digest: &Digest) -> Self {
        let boundary = &digest.hex()[..32];
        let head = |part: &ByteRange| {
            format!(
                "\r\n--{boundary}\r\nContent-Type: application/octet-stream\r\nContent-Range: bytes {}-{}/{size}\r\n\r\n",
                part.first, part.last
            )
        };
        Self {
            parts: parts.iter().map(|part| (head(part), *part)).collect(),
            end: format!("\r\n--{boundary}--\r\n"),
            content_type: format!("multipart/byteranges; boundary={boundary}"),
        }
    }

    pub(super) fn content_type(&self) -> &str {
        &self.content_type
    }

    pub(super) fn length(&self) -> u64 {
        let parts: u64 = self
            .parts
            .iter()
            .map(|(head, part)| head.len() as u64 + part.len())
            .sum();
        parts + self.end.len() as u64
    }

    pub(super) fn stream(
        &self,
        content: &BlobContent,
    ) -> impl Stream<Item = io::Result<Bytes>> + Send + use<> {
        let end = Bytes::from(self.end.clone());
        let parts: Vec<BoxStream<'static, io::Result<Bytes>>> = self
            .parts
            .iter()
            .map(|(head, part)| {
                let head = futures::stream::iter([Ok(Bytes::from(head.clone()))]);
                head.chain(content.stream(part.first..part.last + 1)).boxed()
            })
            .collect();
        futures::stream::iter(parts)
            .flatten()
            .chain(futures::stream::iter([Ok(end)]))
    }
}
