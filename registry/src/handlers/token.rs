//! The token service: credentials and scopes in, a token out. It grants what the user may do of what is asked for;
//! less than everything is no error, and asking for nothing still proves who one is.

use axum::body::Body;
use http::header::{AUTHORIZATION, CACHE_CONTROL};
use http::{HeaderValue, Method, Response, StatusCode};
use portolan_oci::{ErrorCode, RepositoryName};
use serde_json::json;

use super::{Answer, Call, json};
use crate::auth::Tokens;
use crate::auth::authenticate::AuthenticateError;
use crate::auth::basic::{self, Credentials};
use crate::auth::scope::Scope;
use crate::auth::token::{self, Claims};
use crate::error::ApiError;
use crate::request_body::RequestBody;
use crate::route::Query;

pub(super) async fn issue(call: &Call<'_>, body: &mut RequestBody) -> Answer {
    let Some((auth, tokens)) = call
        .app
        .auth
        .as_ref()
        .and_then(|auth| Some((auth, auth.tokens.as_ref()?)))
    else {
        let message = "there is no token service here; this registry takes no tokens";
        return Err(ApiError::new(ErrorCode::Unsupported, message).with_status(StatusCode::NOT_FOUND));
    };
    let (query, credentials) = if call.parts.method == Method::POST {
        let query = form(call, body).await?;
        let credentials = credentials_of_form(&query)?;
        (query, credentials)
    } else {
        let text = call.parts.uri.query().unwrap_or_default();
        (
            Query::parse_form(text).ok_or_else(unreadable)?,
            credentials_of_header(call)?,
        )
    };
    let verified = auth
        .users
        .current()
        .verify(&credentials.name, credentials.password.as_bytes());
    let Some((user, password_mark)) = verified else {
        return Err(wrong(AuthenticateError::Credentials));
    };
    let granted: Vec<Scope> = Scope::parse_all(query.all("scope"))
        .iter()
        .filter_map(|scope| {
            let may = |name: &str, action| {
                name.parse::<RepositoryName>()
                    .is_ok_and(|name| user.holds(name.as_str(), action))
            };
            scope.narrowed(may)
        })
        .collect();
    Ok(answer(call, tokens, &user.name, password_mark, granted))
}

fn answer(
    call: &Call<'_>,
    tokens: &Tokens,
    user: &str,
    password_mark: String,
    granted: Vec<Scope>,
) -> Response<Body> {
    let now = (call.app.clock)();
    let scope = granted
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(" ");
    let claims = Claims::new(
        &tokens.service,
        user,
        password_mark,
        granted,
        now,
        tokens.lifetime,
    );
    let token = token::sign(&claims, &tokens.keys.current());
    let issued_at = now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let body = json!({
        "token": token,
        "access_token": token,
        "token_type": "Bearer",
        "expires_in": tokens.lifetime.as_secs(),
        "issued_at": issued_at,
        "scope": scope,
    });
    let mut response = json(body.to_string());
    response
        .headers_mut()
        .insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn credentials_of_header(call: &Call<'_>) -> Result<Credentials, ApiError> {
    let Some(value) = call.parts.headers.get(AUTHORIZATION) else {
        let refusal = ApiError::new(
            ErrorCode::Unauthorized,
            "a token is only given for a user name and a password",
        );
        return Err(refusal.with_header(http::header::WWW_AUTHENTICATE, crate::auth::challenge::basic()));
    };
    let parsed = value.to_str().ok().and_then(|value| value.trim().split_once(' '));
    parsed
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("basic"))
        .and_then(|(_, encoded)| basic::parse(encoded))
        .ok_or_else(|| wrong(AuthenticateError::Malformed))
}

fn wrong(error: AuthenticateError) -> ApiError {
    ApiError::from(error).with_header(http::header::WWW_AUTHENTICATE, crate::auth::challenge::basic())
}

async fn form(call: &Call<'_>, body: &mut RequestBody) -> Result<Query, ApiError> {
    let form = body.collect(&call.app.forms).await?;
    std::str::from_utf8(&form.bytes)
        .ok()
        .and_then(Query::parse_form)
        .ok_or_else(unreadable)
}

fn credentials_of_form(form: &Query) -> Result<Credentials, ApiError> {
    let text = |key: &str| form.first(key).map(str::to_owned);
    match (form.first("grant_type"), text("username"), text("password")) {
        (Some("password"), Some(name), Some(password)) => Ok(Credentials { name, password }),
        // clients that wanted another way fall back to GET on this status
        _ => Err(ApiError::new(
            ErrorCode::Unsupported,
            "only grant_type=password with username and password is possible; or ask with GET and Basic credentials",
        )),
    }
}

fn unreadable() -> ApiError {
    ApiError::new(
        ErrorCode::Unsupported,
        "the query or form is no valid percent-encoding: encode it as UTF-8",
    )
    .with_status(StatusCode::BAD_REQUEST)
}
