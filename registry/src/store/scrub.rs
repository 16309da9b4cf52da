//! Reads stored bytes again, slowly, and moves aside what is not what its digest says, so that the next push heals it.
//! A speed comes in, a status goes out; IO in blocking threads.
//!
//! A pass goes through all digests in order; where it is is kept on the volume, so that a restart goes on there. Bytes
//! are read from the disk, and what nobody used lately is forgotten again. What looks damaged is hashed once more, then
//! moved if it is still the same file once its digest is locked: a push may have healed it meanwhile.

use std::fs::File;
use std::io::{self, Read as _};
use std::num::NonZeroU64;
use std::os::unix::fs::MetadataExt as _;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use portolan_oci::{Algorithm, Digest, Hasher};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::disk::lock;
use super::error::Fault;
use super::from_disk::{forget_pages, is_remembered};
use super::links::{names_in, read_file};
use super::{Inner, Store, blocking};

const PIECE_BYTES: usize = 256 << 10;
/// What looking at a file costs even if it is small.
const FILE_COST: u64 = 4 << 10;
/// How often the position is written down.
const NOTE_INTERVAL: Duration = Duration::from_mins(1);
/// How many damaged digests the status lists.
const LISTED: usize = 20;

/// Where scrubbing is, as it is kept on the volume and shown.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ScrubStatus {
    /// When the pass that goes on was begun.
    pub pass_started_at: Option<Timestamp>,
    /// The last digest that it has looked at.
    pub position: Option<Digest>,
    /// When a pass has last come to its end.
    pub last_finished_at: Option<Timestamp>,
    /// Of the pass that goes on, or else of the last one.
    pub blobs: u64,
    pub bytes: u64,
    /// What was moved aside by it, and what could not be read.
    pub damaged: u64,
    pub unreadable: u64,
    /// The newest of these.
    pub damaged_digests: Vec<Digest>,
}

/// What became of a look at a blob.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Seen {
    Good(u64),
    Damaged(u64, Identity),
    Gone,
}

/// What tells a file from another one, and from itself with other bytes: device, inode, size, and when it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Identity {
    device: u64,
    inode: u64,
    size: u64,
    written: (i64, i64),
}

impl From<std::fs::Metadata> for Identity {
    fn from(metadata: std::fs::Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            written: (metadata.mtime(), metadata.mtime_nsec()),
        }
    }
}

impl Store {
    /// Where scrubbing is.
    pub fn scrub_status(&self) -> ScrubStatus {
        lock(&self.inner.scrub).clone()
    }

    /// Reads where a predecessor was. A note that cannot be read is none: the pass begins anew.
    pub async fn load_scrub_status(&self) -> ScrubStatus {
        let inner = Arc::clone(&self.inner);
        blocking(move || {
            let bytes = read_file(&inner.keys.scrub()).ok().flatten();
            let status: ScrubStatus = bytes
                .and_then(|bytes| serde_json::from_slice(&bytes).ok())
                .unwrap_or_default();
            *lock(&inner.scrub) = status.clone();
            status
        })
        .await
    }

    /// Goes on with the pass that was begun, or begins one, and returns at its end. Dropping the future stops it.
    pub async fn scrub(&self, bytes_per_second: NonZeroU64) -> Result<ScrubStatus, Fault> {
        self.inner.disk.check_writable()?;
        let now = self.now();
        let after = {
            let mut status = lock(&self.inner.scrub);
            if status.pass_started_at.is_none() {
                *status = ScrubStatus {
                    pass_started_at: Some(now),
                    last_finished_at: status.last_finished_at,
                    ..ScrubStatus::default()
                };
            }
            status.position.clone()
        };
        let mut noted = Instant::now();
        for algorithm in Algorithm::ALL {
            for shard in 0..=u8::MAX {
                for digest in self.shard(algorithm, shard).await? {
                    if after.as_ref().is_some_and(|after| !is_behind(&digest, after)) {
                        continue;
                    }
                    self.scrub_one(&digest, bytes_per_second).await?;
                    if noted.elapsed() > NOTE_INTERVAL {
                        self.note_scrub().await?;
                        noted = Instant::now();
                    }
                }
            }
        }
        {
            let mut status = lock(&self.inner.scrub);
            status.pass_started_at = None;
            status.position = None;
            status.last_finished_at = Some(self.now());
        }
        self.note_scrub().await?;
        Ok(self.scrub_status())
    }

    fn now(&self) -> Timestamp {
        Timestamp::try_from((self.inner.options.clock)()).unwrap_or(Timestamp::UNIX_EPOCH)
    }

    /// Writes down where the pass is.
    async fn note_scrub(&self) -> Result<(), Fault> {
        let text = serde_json::json!(self.scrub_status()).to_string();
        let work = move |inner: &Arc<Inner>| {
            match inner.disk.write_small(&inner.keys.scrub(), text.as_bytes()) {
                Err(Fault::Full { .. }) => Ok(()), // after a restart some is read twice
                written => written,
            }
        };
        self.inner.changing(work).await
    }

    /// The digests of one directory of content, in order.
    async fn shard(&self, algorithm: Algorithm, shard: u8) -> Result<Vec<Digest>, Fault> {
        let inner = Arc::clone(&self.inner);
        blocking(move || {
            let directory = inner.keys.blobs().join(algorithm.as_str());
            let names = names_in(&directory.join(format!("{shard:02x}")))?;
            let digests = names
                .iter()
                .filter_map(|hex| Digest::from_parts(algorithm, hex).ok());
            let mut digests: Vec<Digest> = digests.collect();
            digests.sort_unstable();
            Ok(digests)
        })
        .await
    }

    async fn scrub_one(&self, digest: &Digest, bytes_per_second: NonZeroU64) -> Result<(), Fault> {
        let mut seen = self.look(digest, bytes_per_second).await;
        if matches!(seen, Ok(Seen::Damaged(..))) {
            seen = self.look(digest, bytes_per_second).await;
        }
        if let Ok(Seen::Damaged(_, identity)) = seen
            && !self.move_aside(digest, identity).await?
        {
            seen = Ok(Seen::Gone);
        }
        let mut status = lock(&self.inner.scrub);
        status.position = Some(digest.clone());
        match seen {
            Ok(Seen::Good(bytes)) => {
                status.blobs += 1;
                status.bytes += bytes;
            }
            Ok(Seen::Damaged(bytes, _)) => {
                status.blobs += 1;
                status.bytes += bytes;
                status.damaged += 1;
                status.damaged_digests.insert(0, digest.clone());
                status.damaged_digests.truncate(LISTED);
            }
            Ok(Seen::Gone) => {}
            Err(error) => {
                tracing::error!("blob {digest} cannot be read ({error}): check the disk, then push it again");
                status.unreadable += 1;
            }
        }
        Ok(())
    }

    /// Hashes what the disk has of one file, slowly.
    pub(super) async fn look(&self, digest: &Digest, bytes_per_second: NonZeroU64) -> io::Result<Seen> {
        let path = self.inner.keys.blob(digest);
        let opened = blocking(move || {
            let file = File::open(path)?;
            let identity = Identity::from(file.metadata()?);
            let is_remembered = is_remembered(&file);
            forget_pages(&file);
            Ok((file, identity, is_remembered))
        });
        let (mut file, identity, is_remembered) = match opened.await {
            Err(error) if io::Error::kind(&error) == io::ErrorKind::NotFound => return Ok(Seen::Gone),
            opened => opened?,
        };
        let (mut hasher, mut bytes) = (Hasher::new(digest.algorithm()), 0);
        rest(FILE_COST, bytes_per_second).await;
        loop {
            let length;
            (file, hasher, length) = blocking(move || piece(file, hasher)).await?;
            if length == 0 {
                break;
            }
            bytes += length;
            rest(length, bytes_per_second).await;
        }
        if !is_remembered {
            blocking(move || forget_pages(&file)).await;
        }
        Ok(if hasher.finish() == *digest {
            Seen::Good(bytes)
        } else {
            Seen::Damaged(bytes, identity)
        })
    }

    /// Moves a damaged file to the quarantine. False: another one has come in its place, or none.
    pub(super) async fn move_aside(&self, digest: &Digest, damaged: Identity) -> Result<bool, Fault> {
        let permit = self.inner.permit().await?;
        let stripes = self.inner.locks.hold(&[digest], &[]).await;
        let (inner, digest) = (Arc::clone(&self.inner), digest.clone());
        blocking(move || {
            let _held = (permit, stripes);
            inner.quarantine(&digest, damaged)
        })
        .await
    }
}

impl Inner {
    fn quarantine(&self, digest: &Digest, damaged: Identity) -> Result<bool, Fault> {
        let name = format!("{}-{}", digest.algorithm(), digest.hex());
        let (path, target) = (self.keys.blob(digest), self.free_place(&name));
        let now = std::fs::metadata(&path).ok().map(Identity::from);
        if now != Some(damaged) {
            return Ok(false);
        }
        match self.disk.move_aside(&path, &target) {
            Err(Fault::Full { .. }) => tracing::error!(
                "blob {digest} is damaged, and the volume is too full to move it aside: free space, and push it again"
            ),
            moved => {
                moved?;
                tracing::error!(
                    "blob {digest} was damaged and is now at \"{}\": push it again, from now on it is asked for",
                    target.display()
                );
            }
        }
        Ok(true)
    }
}

/// The order of a pass: by algorithm, then by digits.
fn is_behind(digest: &Digest, after: &Digest) -> bool {
    (digest.algorithm().as_str(), digest.hex()) > (after.algorithm().as_str(), after.hex())
}

fn piece(mut file: File, mut hasher: Hasher) -> io::Result<(File, Hasher, u64)> {
    let mut buffer = vec![0; PIECE_BYTES];
    let length = file.read(&mut buffer)?;
    hasher.update(&buffer[..length]);
    Ok((file, hasher, length as u64))
}

/// Waits as long as so many bytes may take.
async fn rest(bytes: u64, per_second: NonZeroU64) {
    let nanoseconds = u128::from(bytes) * 1_000_000_000 / u128::from(per_second.get());
    tokio::time::sleep(Duration::from_nanos(
        u64::try_from(nanoseconds).unwrap_or(u64::MAX),
    ))
    .await;
}
