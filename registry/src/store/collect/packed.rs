//! Digests in little memory: a volume has many. Pure.

use portolan_oci::{Algorithm, Digest};

/// The first 128 bits of a digest, turned over for each algorithm in a way of its own, to look it up by. Two that fall
/// together keep more than they should; of two manifests of one repository, one counts for both, to the harm of who made them so.
pub(super) type Key = u128;

pub(super) fn key(digest: &Digest) -> Key {
    let first = digest.hex().bytes().take(32);
    let bits = first.fold(0, |bits, digit| bits << 4 | Key::from(nibble(digit)));
    match digest.algorithm() {
        Algorithm::Sha256 => bits,
        Algorithm::Sha384 => bits ^ (Key::MAX / 3), // every other bit
        Algorithm::Sha512 => !bits,
    }
}

/// A digest in 40 bytes instead of a hundred.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::store) enum Packed {
    Sha256([u8; 32]),
    Sha384(Box<[u8; 48]>),
    Sha512(Box<[u8; 64]>),
}

impl Packed {
    pub(super) fn new(digest: &Digest) -> Self {
        fn fill(bytes: &mut [u8], hex: &str) {
            for (byte, digits) in bytes.iter_mut().zip(hex.as_bytes().chunks_exact(2)) {
                *byte = nibble(digits[0]) << 4 | nibble(digits[1]);
            }
        }
        match digest.algorithm() {
            Algorithm::Sha256 => {
                let mut bytes = [0; 32];
                fill(&mut bytes, digest.hex());
                Self::Sha256(bytes)
            }
            Algorithm::Sha384 => {
                let mut bytes = Box::new([0; 48]);
                fill(bytes.as_mut_slice(), digest.hex());
                Self::Sha384(bytes)
            }
            Algorithm::Sha512 => {
                let mut bytes = Box::new([0; 64]);
                fill(bytes.as_mut_slice(), digest.hex());
                Self::Sha512(bytes)
            }
        }
    }

    pub(super) fn digest(&self) -> Digest {
        match self {
            Self::Sha256(bytes) => Digest::from_sha256(bytes),
            Self::Sha384(bytes) => Digest::from_sha384(bytes),
            Self::Sha512(bytes) => Digest::from_sha512(bytes),
        }
    }
}

fn nibble(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => digit.wrapping_sub(b'a').wrapping_add(10) & 15,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn packed_digests_come_out_as_they_went_in() {
        for algorithm in Algorithm::ALL {
            let digest = Digest::of(algorithm, b"x");
            assert_eq!(Packed::new(&digest).digest(), digest);
        }
    }

    #[test]
    fn keys_are_the_first_bits_and_tell_algorithms_apart() {
        let hex = "0123456789abcdef".repeat(8);
        let keys = Algorithm::ALL.map(|algorithm| {
            let digest = Digest::from_parts(algorithm, &hex[..algorithm.hex_len()]).unwrap();
            key(&digest)
        });
        assert_eq!(keys[0], 0x0123_4567_89ab_cdef_0123_4567_89ab_cdef);
        assert_eq!(HashSet::from(keys).len(), keys.len());
    }
}
