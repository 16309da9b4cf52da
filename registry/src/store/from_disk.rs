//! Reading what the disk has, not what memory remembers of it: a file comes in, its bytes are asked of the disk next
//! time. IO.
//!
//! A page that was damaged in memory is found damaged at every look while the disk is good; one that is good in memory
//! hides what has rotted. Both only help where the kernel can tell and forget; on `tmpfs` there is no disk to ask.

use std::fs::File;
use std::io::IoSliceMut;
use std::path::Path;

use rustix::fs::{Advice, fadvise};
use rustix::io::{ReadWriteFlags, preadv2};

/// Makes the next read of a file, by whomever, come from the disk. Bytes that were not written back yet stay.
pub(super) fn forget_pages(file: &File) {
    let _ = fadvise(file, 0, None, Advice::DontNeed); // who cannot forget reads what is remembered
}

/// The same for the file at a path; without one there is nothing to forget.
pub(super) fn forget(path: &Path) {
    if let Ok(file) = File::open(path) {
        forget_pages(&file);
    }
}

/// Whether reading the file's begin needs no disk: somebody has used it lately. So it is too where nobody can tell.
pub(super) fn is_remembered(file: &File) -> bool {
    let mut byte = [0];
    let read = preadv2(file, &mut [IoSliceMut::new(&mut byte)], 0, ReadWriteFlags::NOWAIT);
    !matches!(read, Err(rustix::io::Errno::AGAIN))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read as _, Write as _};

    #[test]
    fn what_was_forgotten_comes_from_the_disk_again() {
        let mut file = tempfile::tempfile().unwrap();
        let written = vec![7; 1 << 20];
        file.write_all(&written).unwrap();
        file.sync_all().unwrap();
        assert!(is_remembered(&file));
        forget_pages(&file);
        let is_disk = rustix::fs::fstatfs(&file).unwrap().f_type != 0x0102_1994; // tmpfs
        assert_eq!(is_remembered(&file), !is_disk);
        let mut bytes = Vec::new();
        let mut again = &file;
        std::io::Seek::seek(&mut again, std::io::SeekFrom::Start(0)).unwrap();
        again.read_to_end(&mut bytes).unwrap();
        assert!(bytes == written && is_remembered(&file));
    }
}
