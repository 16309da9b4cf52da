//! From a request to its answer: route, authenticate, authorize, handle; the order is the one in [`App::answer`].
//! Requests come in through axum, answers go out; every answer is logged and counted when its last byte is sent.

use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use futures::FutureExt as _;
use http::header::{ALLOW, CONNECTION, WWW_AUTHENTICATE};
use http::request::Parts;
use http::{HeaderName, HeaderValue, Method, Response, StatusCode, Version};
use jiff::Timestamp;
use portolan_oci::{ErrorCode, headers};

use crate::access_log::{Entry, Logged};
use crate::auth::challenge::{self, Bearer, ChallengeError};
use crate::auth::hosts::{OwnHosts, Scheme, realm};
use crate::auth::scope::Scope;
use crate::auth::{Auth, Decision, Identity, authenticate, decide};
use crate::buffers::Buffers;
use crate::error::ApiError;
use crate::handlers;
use crate::metrics::Metrics;
use crate::operation::{Operation, UploadStart};
use crate::reload::Current;
use crate::request_body::RequestBody;
use crate::request_head;
use crate::route;
use crate::store::Store;
use crate::tls::Tls;

/// What every request may need. Shared; nothing in it changes but what [`Current`] swaps.
pub struct App {
    /// Where the images are.
    pub store: Store,
    /// Access control; `None` lets everybody do everything.
    pub auth: Option<Auth>,
    /// The certificate that clients see; its names are ours.
    pub tls: Option<Arc<Current<Tls>>>,
    /// Further names of ours.
    pub hosts: Vec<String>,
    /// Where clients reach us, if that cannot be told from what they ask.
    pub external_url: Option<String>,
    /// Whether deletes are carried out at all.
    pub delete_enabled: bool,
    /// The most bytes that one blob may have.
    pub max_blob_bytes: u64,
    /// For manifests that come in.
    pub manifests: Buffers,
    /// For forms of the token service that come in.
    pub forms: Buffers,
    /// Counts requests.
    pub metrics: Metrics,
    /// The wall clock.
    pub clock: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    /// Randomness, to tell requests apart in the log.
    pub random: Arc<dyn Fn() -> [u8; 16] + Send + Sync>,
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("App")
            .field("hosts", &self.hosts)
            .finish_non_exhaustive()
    }
}

/// The router of the public listener: one route, because repository names hold slashes.
pub fn router(app: Arc<App>) -> Router {
    Router::new().fallback(respond).with_state(app)
}

async fn respond(State(app): State<Arc<App>>, request: Request) -> Response<Body> {
    let request_id = crate::hex(&(app.random)()[..8]);
    let (parts, body) = request.into_parts();
    let mut body = RequestBody::new(body, &parts.headers);
    let operation = request_head::check(&parts).and_then(|()| {
        let query = parts.uri.query().unwrap_or_default();
        Ok(route::parse(&parts.method, parts.uri.path(), query)?)
    });
    let is_read_only = app.store.read_only().is_some();
    let left = operation.as_ref().map_or("", |it| it.methods_left(is_read_only));
    let mut entry = Entry::new(&parts, &operation, request_id.clone(), app.metrics.clone());

    let answered = AssertUnwindSafe(app.answer(operation, &parts, &mut body, &mut entry))
        .catch_unwind()
        .await;
    let result = answered.unwrap_or_else(|_| Err(ApiError::internal("a request handler panicked")));
    let is_http1 = parts.version < Version::HTTP_2;
    if is_http1 || result.is_err() {
        // an unread body would make the connection end, and in a reset, which hides the answer from the client
        body.drain().await;
    }
    let mut response = result.unwrap_or_else(|error| error.into_response(&request_id));
    if is_http1 && !body.is_whole() {
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(CONNECTION, close);
    }
    let version = HeaderName::from_static(headers::DOCKER_DISTRIBUTION_API_VERSION);
    response
        .headers_mut()
        .insert(version, HeaderValue::from_static("registry/2.0"));
    response.headers_mut().insert(
        http::header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    if response.status() == StatusCode::METHOD_NOT_ALLOWED {
        let allow = response.headers_mut().entry(ALLOW);
        allow.or_insert(HeaderValue::from_static(left));
    }
    entry.received = body.received();
    Logged::wrap(response, entry)
}

impl App {
    async fn answer(
        &self,
        operation: Result<Operation, ApiError>,
        parts: &Parts,
        body: &mut RequestBody,
        entry: &mut Entry,
    ) -> Result<Response<Body>, ApiError> {
        let operation = operation?;
        let identity =
            match authenticate::authenticate(self.auth_for(&operation), &parts.headers, (self.clock)()) {
                Ok(identity) => identity,
                Err(error) => {
                    // whoever gets a new token wants it for this: with less it would be refused once more, and give up
                    let scopes = match decide(&Identity::Anonymous, &operation) {
                        Decision::Challenge { scopes, .. } => scopes,
                        _ => Vec::new(),
                    };
                    return Err(self.challenged(error.challenge(), &scopes, parts, error.into()));
                }
            };
        entry.identity = identity.name().map(str::to_owned);
        let operation = match decide(&identity, &operation) {
            Decision::Allow => operation,
            Decision::AllowWithoutMount => without_mount(operation),
            Decision::Challenge { scopes, error } => {
                let message = match error {
                    Some(ChallengeError::InsufficientScope) => {
                        "the token does not allow this; get one that does"
                    }
                    _ => "authentication required",
                };
                let refusal = ApiError::new(ErrorCode::Unauthorized, message);
                return Err(self.challenged(error, &scopes, parts, refusal));
            }
            Decision::Deny { repository, action } => {
                let name = identity.name().unwrap_or_default();
                let message = format!(
                    "user \"{name}\" may not {} in repository \"{repository}\"",
                    action.as_str()
                );
                return Err(ApiError::new(ErrorCode::Denied, message));
            }
            Decision::Hide => return handlers::hidden(&operation),
        };
        request_head::check_name(parts, &operation)?;
        let call = handlers::Call {
            app: self,
            identity: &identity,
            parts,
            head: parts.method == Method::HEAD,
        };
        handlers::handle(&call, operation, body).await
    }

    /// The token service checks credentials by itself: a token that has expired must not keep its owner from getting
    /// a new one.
    fn auth_for(&self, operation: &Operation) -> Option<&Auth> {
        self.auth
            .as_ref()
            .filter(|_| !matches!(operation, Operation::IssueToken))
    }

    /// Adds to a refusal what the client can do about it.
    pub fn challenged(
        &self,
        error: Option<ChallengeError>,
        scopes: &[Scope],
        parts: &Parts,
        mut refusal: ApiError,
    ) -> ApiError {
        let Some(auth) = &self.auth else { return refusal };
        if let Some(tokens) = &auth.tokens {
            let realm = self
                .realm(parts)
                .unwrap_or_else(|| format!("https://{}/token", tokens.service));
            let bearer = Bearer {
                realm: &realm,
                service: &tokens.service,
                scopes,
                error,
            };
            refusal = refusal.with_header(WWW_AUTHENTICATE, bearer.header());
        }
        refusal.with_header(WWW_AUTHENTICATE, challenge::basic())
    }

    fn realm(&self, parts: &Parts) -> Option<String> {
        if let Some(url) = &self.external_url {
            return Some(format!("{url}/token"));
        }
        let asked = request_head::host(parts);
        let mut own = OwnHosts {
            configured: self.hosts.clone(),
            ..OwnHosts::default()
        };
        let scheme = match &self.tls {
            None => Scheme::Http,
            Some(tls) => {
                let tls = tls.current();
                own.names.clone_from(&tls.names);
                own.addresses.clone_from(&tls.addresses);
                Scheme::Https
            }
        };
        realm(scheme, asked, &own)
    }

    /// Refuses a delete when they are switched off.
    pub fn require_delete_enabled(&self) -> Result<(), ApiError> {
        if self.delete_enabled {
            return Ok(());
        }
        let message = "deleting is switched off here; set storage.deleteEnabled, or REGISTRY_STORAGE_DELETE_ENABLED=true";
        Err(ApiError::new(ErrorCode::Unsupported, message))
    }
}

fn without_mount(operation: Operation) -> Operation {
    match operation {
        Operation::StartUpload(name, UploadStart::Mount(..)) => {
            Operation::StartUpload(name, UploadStart::Session(None))
        }
        other => other,
    }
}
