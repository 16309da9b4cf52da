//! How large the reserve is: what is wanted and what the volume has in, bytes and files out. Pure.

use rustix::fs::StatVfs;

/// How much of the volume is kept free for deletes and garbage collection.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ReserveSize {
    /// Whatever reserve is there stays as it is, and is not used: for programs that only look after a volume.
    #[default]
    Untouched,
    /// As much as is sensible for the size of the volume.
    Usual,
    /// So many bytes; 0: no reserve.
    Bytes(u64),
}

const MOST_BYTES: u64 = 64 << 20;
const MOST_FILES: u64 = 64;
const FEWEST_FILES: u64 = 8;
/// Space is allocated in blocks of at most this size.
const BLOCK: u64 = 4096;
/// What making the reserve costs beside its bytes.
const MARGIN_BLOCKS: u64 = 16;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Room {
    pub(super) bytes: u64,
    pub(super) files: u64,
}

impl Room {
    pub(super) fn is_nothing(self) -> bool {
        self.bytes == 0 && self.files == 0
    }

    /// Whether a volume has so much room and some more.
    pub(super) fn fits(self, space: &StatVfs) -> bool {
        let blocks = self.bytes.div_ceil(space.f_frsize.max(1)) + MARGIN_BLOCKS;
        space.f_bavail >= blocks && (space.f_files == 0 || space.f_favail > self.files)
    }
}

/// None: whatever is there stays.
pub(super) fn planned(wanted: ReserveSize, space: &StatVfs) -> Option<Room> {
    let bytes = match wanted {
        ReserveSize::Untouched => return None,
        ReserveSize::Usual => (space.f_blocks.saturating_mul(space.f_frsize) / 100).min(MOST_BYTES),
        ReserveSize::Bytes(bytes) => bytes,
    };
    // Where there is no fixed number of inodes they take space, which the bytes keep.
    let files = if bytes == 0 || space.f_files == 0 {
        0
    } else {
        (space.f_files / 100).clamp(FEWEST_FILES, MOST_FILES)
    };
    Some(Room {
        bytes: bytes.next_multiple_of(BLOCK),
        files,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn volume(bytes: u64, files: u64) -> StatVfs {
        let mut space = rustix::fs::statvfs("/").unwrap();
        (space.f_frsize, space.f_blocks, space.f_bavail) = (4096, bytes / 4096, bytes / 4096);
        (space.f_files, space.f_favail) = (files, files);
        space
    }

    fn room(wanted: ReserveSize, bytes: u64, files: u64) -> Option<(u64, u64)> {
        planned(wanted, &volume(bytes, files)).map(|room| (room.bytes, room.files))
    }

    #[test]
    fn the_usual_reserve_is_a_hundredth_of_the_volume_and_at_most_64_mib() {
        let usual = ReserveSize::Usual;
        assert_eq!(room(usual, 1 << 40, 1 << 26), Some((64 << 20, 64)));
        assert_eq!(room(usual, 1 << 30, 1 << 16), Some((10_739_712, 64)));
        assert_eq!(room(usual, 1 << 30, 100), Some((10_739_712, 8)));
        // btrfs makes inodes as it needs them
        assert_eq!(room(usual, 1 << 30, 0), Some((10_739_712, 0)));
        assert_eq!(room(ReserveSize::Bytes(5000), 1 << 30, 1000), Some((8192, 10)));
        assert_eq!(room(ReserveSize::Bytes(0), 1 << 30, 1000), Some((0, 0)));
        assert_eq!(room(ReserveSize::Untouched, 1 << 30, 1000), None);
    }

    #[test]
    fn the_reserve_is_taken_back_only_where_there_is_more_room_than_it_takes() {
        let room = Room {
            bytes: 1 << 20,
            files: 8,
        };
        assert!(room.fits(&volume(2 << 20, 9)) && room.fits(&volume(2 << 20, 0)));
        assert!(!room.fits(&volume(1 << 20, 9)) && !room.fits(&volume(2 << 20, 8)));
    }
}
