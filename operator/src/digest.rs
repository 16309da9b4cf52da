//! Digests as text. In: bytes. Out: lower-case hexadecimal. Pure.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

/// The whole SHA-256.
pub fn sha256(bytes: impl AsRef<[u8]>) -> String {
    hex(&Sha256::digest(bytes))
}

/// The first `length` bytes of the SHA-256, where a name or an annotation has to be short.
pub fn short_sha256(bytes: impl AsRef<[u8]>, length: usize) -> String {
    hex(&Sha256::digest(bytes)[..length.min(32)])
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digest_of_nothing_is_the_known_one() {
        assert_eq!(short_sha256("", 4), "e3b0c442");
        assert!(sha256("").starts_with("e3b0c44298fc1c14") && sha256("").len() == 64);
    }
}
