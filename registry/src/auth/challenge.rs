//! `WWW-Authenticate`: what a client must do to get in. Scopes and realm in, header values out. Pure.

use http::HeaderValue;

use super::scope::Scope;

/// Why the challenge is made although a token came along.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChallengeError {
    /// The token is not good (any more).
    InvalidToken,
    /// The token is good, for less than this; the user may get one for more.
    InsufficientScope,
}

/// A challenge to get a token.
#[derive(Debug)]
pub struct Bearer<'a> {
    /// The URL of the token service.
    pub realm: &'a str,
    /// What the token must be for.
    pub service: &'a str,
    /// What it must allow; nothing for a mere login.
    pub scopes: &'a [Scope],
    /// What was wrong with the token that came along.
    pub error: Option<ChallengeError>,
}

impl Bearer<'_> {
    /// The header's value. Realm and service hold no quotes: both are checked where they come from.
    pub fn header(&self) -> HeaderValue {
        let mut text = format!("Bearer realm=\"{}\",service=\"{}\"", self.realm, self.service);
        if !self.scopes.is_empty() {
            let scopes: Vec<String> = self.scopes.iter().map(ToString::to_string).collect();
            text.push_str(",scope=\"");
            text.push_str(&scopes.join(" "));
            text.push('"');
        }
        match self.error {
            None => {}
            Some(ChallengeError::InvalidToken) => text.push_str(",error=\"invalid_token\""),
            Some(ChallengeError::InsufficientScope) => text.push_str(",error=\"insufficient_scope\""),
        }
        HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("Bearer"))
    }
}

/// The challenge for a user name and a password.
pub fn basic() -> HeaderValue {
    HeaderValue::from_static("Basic realm=\"portolan\",charset=\"UTF-8\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// P22.
    #[test]
    fn every_parameter_is_quoted_and_scopes_are_joined_by_blanks() {
        let scopes = [
            Scope::parse("repository:a:pull,push").unwrap(),
            Scope::parse("repository:b:pull").unwrap(),
        ];
        let error = Some(ChallengeError::InsufficientScope);
        let header = Bearer {
            realm: "https://r/token",
            service: "r",
            scopes: &scopes,
            error,
        }
        .header();
        assert_eq!(
            header,
            "Bearer realm=\"https://r/token\",service=\"r\",scope=\"repository:a:pull,push repository:b:pull\",error=\"insufficient_scope\""
        );
    }

    #[test]
    fn a_login_asks_for_no_scope() {
        let header = Bearer {
            realm: "https://r/token",
            service: "r",
            scopes: &[],
            error: None,
        }
        .header();
        assert_eq!(header, "Bearer realm=\"https://r/token\",service=\"r\"");
    }
}
