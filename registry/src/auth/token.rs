//! Tokens of the built-in token service: claims and keys in, signed text out, and back. Pure; the clock comes in.
//!
//! A token says who asked and for which scopes. It is no proof of a right by itself: whoever presents it has, at that
//! moment, what the users file gives the user, narrowed to the scopes, and only while the password that the token was
//! bought with is still one of the user's.

mod keys;
mod ring_provider;

use std::time::Duration;

use jiff::Timestamp;
use jsonwebtoken::{Algorithm, Header, Validation};
use serde::{Deserialize, Serialize};

use super::scope::Scope;
use super::unix_seconds;
pub use keys::{KeysError, TokenKeys};

/// What a token says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// Who made it: the service.
    pub iss: String,
    /// The user's name.
    pub sub: String,
    /// What it is for: the service.
    pub aud: String,
    /// Not good from this second on.
    pub exp: u64,
    /// Not good before this second.
    pub nbf: u64,
    /// Made in this second.
    pub iat: u64,
    /// Which of the user's passwords it was bought with.
    pub pwd: String,
    /// What was asked for and granted.
    pub access: Vec<Scope>,
}

/// Why a token is not good.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Not one of ours, or changed on the way.
    #[error("the token was not signed by a key of this registry: ask its token service for a new one")]
    Signature,
    /// Ours, for something else.
    #[error("the token is for another service: ask the token service of this registry for one")]
    Audience,
    /// Its time is over, or has not come.
    #[error("the token has expired, or is not valid yet: ask for a new one")]
    Expired,
}

/// Two machines' clocks may differ by so much before a fresh token is refused.
const LEEWAY: Duration = Duration::from_secs(10);

impl Claims {
    /// Claims that start now.
    pub fn new(
        service: &str,
        user: &str,
        pwd: String,
        access: Vec<Scope>,
        now: Timestamp,
        life: Duration,
    ) -> Self {
        let iat = unix_seconds(now);
        Self {
            iss: service.to_owned(),
            sub: user.to_owned(),
            aud: service.to_owned(),
            exp: iat + life.as_secs(),
            nbf: iat.saturating_sub(LEEWAY.as_secs()),
            iat,
            pwd,
            access,
        }
    }
}

/// Signs with the active key.
pub fn sign(claims: &Claims, keys: &TokenKeys) -> String {
    let (kid, key) = keys.active();
    let header = Header {
        kid: Some(kid.to_owned()),
        ..Header::new(Algorithm::ES256)
    };
    jsonwebtoken::encode(&header, claims, key).expect("a key that was read has signed before")
}

/// Checks signature, audience and time.
pub fn verify(token: &str, keys: &TokenKeys, service: &str, now: Timestamp) -> Result<Claims, TokenError> {
    let header = jsonwebtoken::decode_header(token).map_err(|_| TokenError::Signature)?;
    let key = header
        .kid
        .and_then(|kid| keys.verifying(&kid))
        .ok_or(TokenError::Signature)?;
    let mut validation = Validation::new(Algorithm::ES256);
    // audience and time are checked below: against the caller's clock, and each with its own answer
    validation.validate_exp = false;
    validation.validate_aud = false;
    let claims = jsonwebtoken::decode::<Claims>(token, key, &validation)
        .map_err(|_| TokenError::Signature)?
        .claims;
    if claims.aud != service || claims.iss != service {
        return Err(TokenError::Audience);
    }
    let now = unix_seconds(now);
    if now >= claims.exp || now < claims.nbf {
        return Err(TokenError::Expired);
    }
    Ok(claims)
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    use super::*;

    fn keys(active: &str, names: &[&str]) -> TokenKeys {
        let pem = |_: &&str| rcgen::KeyPair::generate().unwrap().serialize_pem().into_bytes();
        TokenKeys::new(
            active,
            names.iter().map(|name| ((*name).to_owned(), pem(name))).collect(),
        )
        .unwrap()
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn claims() -> Claims {
        let access = vec![Scope::parse("repository:a:pull").unwrap()];
        Claims::new(
            "svc",
            "ann",
            "mark".into(),
            access,
            at(1_000),
            Duration::from_mins(5),
        )
    }

    /// P35.
    #[test]
    fn a_token_is_good_from_issue_to_expiry() {
        let keys = keys("k1", &["k1", "k2"]);
        let token = sign(&claims(), &keys);
        assert_eq!(verify(&token, &keys, "svc", at(1_000)), Ok(claims()));
        assert_eq!(verify(&token, &keys, "svc", at(1_299)), Ok(claims()));
        assert_eq!(verify(&token, &keys, "svc", at(1_300)), Err(TokenError::Expired));
        assert_eq!(verify(&token, &keys, "svc", at(900)), Err(TokenError::Expired));
        assert_eq!(
            verify(&token, &keys, "other", at(1_000)),
            Err(TokenError::Audience)
        );
    }

    #[test]
    fn a_key_that_no_longer_signs_still_verifies() {
        let pem = rcgen::KeyPair::generate().unwrap().serialize_pem().into_bytes();
        let other = rcgen::KeyPair::generate().unwrap().serialize_pem().into_bytes();
        let before = TokenKeys::new("k1", vec![("k1".into(), pem.clone())]).unwrap();
        let after = TokenKeys::new("k2", vec![("k1".into(), pem), ("k2".into(), other.clone())]).unwrap();
        let gone = TokenKeys::new("k2", vec![("k2".into(), other)]).unwrap();
        let token = sign(&claims(), &before);
        assert!(verify(&token, &after, "svc", at(1_000)).is_ok());
        assert_eq!(
            verify(&token, &gone, "svc", at(1_000)),
            Err(TokenError::Signature)
        );
    }

    /// P35.
    #[test]
    fn changed_and_foreign_tokens_are_refused() {
        let keys = keys("k1", &["k1"]);
        let token = sign(&claims(), &keys);
        let mut parts: Vec<&str> = token.split('.').collect();
        let payload = String::from_utf8(URL_SAFE_NO_PAD.decode(parts[1]).unwrap()).unwrap();
        let forged = URL_SAFE_NO_PAD.encode(payload.replace("pull", "push"));
        parts[1] = &forged;
        let none = URL_SAFE_NO_PAD.encode(r#"{"alg":"none","kid":"k1"}"#);
        let hmac = URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256","kid":"k1"}"#);
        for token in [
            parts.join("."),
            format!("{none}.{forged}."),
            format!("{hmac}.{forged}.{}", parts[2]),
            "not a token".to_owned(),
            String::new(),
        ] {
            assert_eq!(
                verify(&token, &keys, "svc", at(1_000)),
                Err(TokenError::Signature),
                "{token}"
            );
        }
        let others = self::keys("k1", &["k1"]);
        assert_eq!(
            verify(&sign(&claims(), &others), &keys, "svc", at(1_000)),
            Err(TokenError::Signature)
        );
    }
}
