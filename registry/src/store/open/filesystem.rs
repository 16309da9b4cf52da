//! Which file systems a registry can trust. What the kernel says of one comes in, why it will not do goes out; the
//! looking is blocking IO.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use crate::store::error::OpenError;
use crate::store::keys::Keys;

/// Refuses a directory on a file system that does not keep what the store relies on: what was fsynced is there after a
/// power cut, renames are atomic for everybody, and a lock keeps out every other process.
pub(super) fn check_kind(root: &Path, is_allowed: bool) -> Result<(), OpenError> {
    let kind = rustix::fs::statfs(root).map_err(|error| OpenError::Io {
        path: root.to_owned(),
        cause: error.into(),
    })?;
    // The field is as wide as a word, or signed, depending on the processor; the numbers have 32 bits.
    let number = kind.f_type.cast_unsigned() & u64::from(u32::MAX);
    unsafe_kind(number).map_or(Ok(()), |kind| {
        refuse_unless(
            is_allowed,
            OpenError::UnsafeFilesystem {
                path: root.to_owned(),
                kind,
            },
        )
    })
}

/// Refuses a directory in which the names of two tags or uploads can be those of one file. The lock file is there.
pub(super) fn check_case(keys: &Keys, is_allowed: bool) -> Result<(), OpenError> {
    let identity = |path: &Path| -> io::Result<Option<(u64, u64)>> {
        match fs::metadata(path) {
            Ok(metadata) => Ok(Some((metadata.dev(), metadata.ino()))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    };
    let (upper, lower) = (keys.lock(), keys.own().join("lock"));
    let found = identity(&upper).and_then(|upper| Ok((upper, identity(&lower)?)));
    match found {
        Ok((Some(upper), Some(lower))) if upper == lower => refuse_unless(
            is_allowed,
            OpenError::CaseInsensitive {
                path: keys.root().to_owned(),
            },
        ),
        Ok(_) => Ok(()),
        Err(cause) => Err(OpenError::Io { path: upper, cause }),
    }
}

fn refuse_unless(is_allowed: bool, error: OpenError) -> Result<(), OpenError> {
    if is_allowed {
        tracing::warn!("allowed all the same: {error}");
        Ok(())
    } else {
        Err(error)
    }
}

/// By the numbers of `linux/magic.h`.
fn unsafe_kind(number: u64) -> Option<&'static str> {
    match number {
        0x6969 => Some("NFS"),
        0x517B | 0xFF53_4D42 | 0xFE53_4D42 => Some("SMB"),
        0x6573_5546 => Some("FUSE"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn network_and_user_space_file_systems_are_known_by_their_numbers() {
        for (number, kind) in [
            (0x6969, Some("NFS")),
            (0x517B, Some("SMB")),
            (0xFF53_4D42, Some("SMB")),
            (0xFE53_4D42, Some("SMB")),
            (0x6573_5546, Some("FUSE")),
            (0xEF53, None),
            (0x5846_5342, None),
            (0x0102_1994, None),
            (0x794C_7630, None),
        ] {
            assert_eq!(unsafe_kind(number), kind, "{number:x}");
        }
    }
}
