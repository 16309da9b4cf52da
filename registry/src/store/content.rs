//! The content of a blob that was found: an open file in, byte streams out; IO in blocking threads.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use bytes::Bytes;
use futures::Stream;
use portolan_oci::Digest;

use super::blocking;

/// How much is read at a time, and all that one download keeps in memory.
const BUFFER_BYTES: u64 = 256 << 10;

/// An open blob. It stays readable to the end even if the blob is deleted meanwhile.
#[derive(Debug, Clone)]
pub struct BlobContent {
    digest: Digest,
    size: u64,
    file: Arc<File>,
}

impl BlobContent {
    pub(super) fn new(digest: Digest, size: u64, file: File) -> Self {
        Self {
            digest,
            size,
            file: Arc::new(file),
        }
    }

    /// The digest that was asked for.
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// Size in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Reads the bytes of `range`, only as fast as they are taken. A file that turns out shorter than it was ends the
    /// stream with an error, so that the client notices.
    pub fn stream(&self, range: Range<u64>) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
        let file = Arc::clone(&self.file);
        futures::stream::unfold(Some((file, range)), |state| async move {
            let (file, range) = state.filter(|(_, range)| range.start < range.end)?;
            let end = range.end.min(range.start.saturating_add(BUFFER_BYTES));
            let reader = Arc::clone(&file);
            let read = blocking(move || read_exactly(&reader, range.start..end)).await;
            let next = read.is_ok().then_some((file, end..range.end));
            Some((read, next))
        })
    }
}

fn read_exactly(file: &File, range: Range<u64>) -> io::Result<Bytes> {
    let length = usize::try_from(range.end - range.start).map_err(io::Error::other)?;
    let mut buffer = vec![0; length];
    file.read_exact_at(&mut buffer, range.start)?;
    Ok(buffer.into())
}
