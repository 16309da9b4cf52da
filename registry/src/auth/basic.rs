//! The Basic scheme: the value of an `Authorization` header in, user name and password out. Pure.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// A user name and a password, as given.
pub struct Credentials {
    /// Before the first colon.
    pub name: String,
    /// After it; may hold colons.
    pub password: String,
}

/// Reads what follows `Basic `; `None` when it is not base64 of text with a colon.
pub fn parse(encoded: &str) -> Option<Credentials> {
    let decoded = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (name, password) = decoded.split_once(':')?;
    Some(Credentials {
        name: name.to_owned(),
        password: password.to_owned(),
    })
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_may_hold_colons() {
        let credentials = parse(&STANDARD.encode("ann:a:b")).unwrap();
        assert_eq!(
            (credentials.name.as_str(), credentials.password.as_str()),
            ("ann", "a:b")
        );
        assert!(!format!("{credentials:?}").contains("a:b"));
    }

    #[test]
    fn what_is_no_pair_is_refused() {
        for text in [
            "",
            "%%%",
            &STANDARD.encode("ann"),
            &STANDARD.encode([0xff, b':', 0xfe]),
        ] {
            assert!(parse(text).is_none(), "{text}");
        }
    }
}
