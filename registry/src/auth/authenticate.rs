//! Credentials to identity: the `Authorization` header in, who asks out. Pure; the clock comes in.

use http::HeaderMap;
use http::header::AUTHORIZATION;
use jiff::Timestamp;

use super::challenge::ChallengeError;
use super::{Auth, Identity, basic, token};

/// Why credentials that came along are not taken.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthenticateError {
    /// Neither Basic nor Bearer, or not spelled right.
    #[error(
        "the Authorization header is neither Basic with a name and a password nor Bearer with a token: send one of the two, or no such header"
    )]
    Malformed,
    /// The name or the password is wrong; which one is not told.
    #[error("user name or password is wrong: log in again with the right ones")]
    Credentials,
    /// The token is not good.
    #[error(transparent)]
    Token(#[from] token::TokenError),
    /// The token was good; its user or the password it was bought with is gone.
    #[error("the token's user or password is no longer valid: log in again")]
    Revoked,
}

impl AuthenticateError {
    /// What the challenge says about the token.
    pub fn challenge(&self) -> Option<ChallengeError> {
        match self {
            Self::Malformed | Self::Credentials => None,
            Self::Token(_) | Self::Revoked => Some(ChallengeError::InvalidToken),
        }
    }
}

/// Who asks. Credentials that are wrong are an error, never an anonymous identity.
pub fn authenticate(
    auth: Option<&Auth>,
    headers: &HeaderMap,
    now: Timestamp,
) -> Result<Identity, AuthenticateError> {
    let Some(auth) = auth else {
        return Ok(Identity::Everybody);
    };
    let Some(value) = headers.get(AUTHORIZATION) else {
        return Ok(Identity::Anonymous);
    };
    let value = value.to_str().map_err(|_| AuthenticateError::Malformed)?;
    let (scheme, rest) = value.trim().split_once(' ').ok_or(AuthenticateError::Malformed)?;
    if scheme.eq_ignore_ascii_case("basic") {
        let given = basic::parse(rest).ok_or(AuthenticateError::Malformed)?;
        let (user, _) = auth
            .users
            .current()
            .verify(&given.name, given.password.as_bytes())
            .ok_or(AuthenticateError::Credentials)?;
        return Ok(Identity::User { user, scopes: None });
    }
    if scheme.eq_ignore_ascii_case("bearer") {
        let tokens = auth.tokens.as_ref().ok_or(AuthenticateError::Malformed)?;
        let claims = token::verify(rest.trim(), &tokens.keys.current(), &tokens.service, now)?;
        let users = auth.users.current();
        let user = users
            .user(&claims.sub)
            .filter(|user| user.has_password_of(&claims.pwd));
        let user = user.ok_or(AuthenticateError::Revoked)?.clone();
        return Ok(Identity::User {
            user,
            scopes: Some(claims.access),
        });
    }
    Err(AuthenticateError::Malformed)
}
