//! `hash-password`: a password in, its entry of `passwordSha256` out. Pure.

use portolan_oci::{Algorithm, Digest};

/// 22 letters and digits hold 128 random bits.
const SHORTEST: usize = 22;

/// A password that is not hashed.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// Nothing came.
    #[error(
        "no password on standard input; pipe one in, as in `head -c 24 /dev/urandom | base64 | portolan-registry hash-password`"
    )]
    Empty,
    /// Too short for a fast hash.
    #[error(
        "the password has {0} characters; generate one of at least 22, as in `head -c 24 /dev/urandom | base64`"
    )]
    Short(usize),
    /// A password of several lines cannot be typed.
    #[error("the password has several lines; write one line")]
    Lines,
}

/// Hashes what came on standard input; one line end at its end is not part of the password.
pub fn run(input: &[u8]) -> Result<String, PasswordError> {
    let password = input.strip_suffix(b"\n").unwrap_or(input);
    let password = password.strip_suffix(b"\r").unwrap_or(password);
    let length = String::from_utf8_lossy(password).chars().count();
    if length == 0 {
        return Err(PasswordError::Empty);
    }
    if password.contains(&b'\n') {
        return Err(PasswordError::Lines);
    }
    if length < SHORTEST {
        return Err(PasswordError::Short(length));
    }
    Ok(Digest::of(Algorithm::Sha256, password).hex().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_end_is_not_part_of_the_password() {
        let hash = run(b"0123456789abcdefghijkl").unwrap();
        assert_eq!(hash.len(), 64);
        assert_eq!(run(b"0123456789abcdefghijkl\n").unwrap(), hash);
        assert_eq!(run(b"0123456789abcdefghijkl\r\n").unwrap(), hash);
    }

    #[test]
    fn passwords_that_can_be_guessed_are_refused() {
        assert_eq!(run(b""), Err(PasswordError::Empty));
        assert_eq!(run(b"\n"), Err(PasswordError::Empty));
        assert_eq!(run(b"hunter2\n"), Err(PasswordError::Short(7)));
        assert_eq!(run(b"0123456789abcdefghijkl\nx"), Err(PasswordError::Lines));
    }
}
