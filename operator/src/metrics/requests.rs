//! Counts the answered requests to the API server: a layer around the client's HTTP service. Watches count when they
//! are opened.

use std::sync::Arc;
use std::task::{Context, Poll};

use futures::future::BoxFuture;
use http::{Method, Request, Response};
use tower::{Layer, Service};

use super::Metrics;

/// The layer, and the service that it makes.
#[derive(Clone, Debug)]
pub struct CountRequests<Inner = ()> {
    metrics: Arc<Metrics>,
    inner: Inner,
}

impl CountRequests {
    /// A layer that counts into `metrics`.
    pub fn new(metrics: Arc<Metrics>) -> Self {
        Self { metrics, inner: () }
    }
}

impl<Inner> Layer<Inner> for CountRequests {
    type Service = CountRequests<Inner>;

    fn layer(&self, inner: Inner) -> Self::Service {
        CountRequests {
            metrics: Arc::clone(&self.metrics),
            inner,
        }
    }
}

impl<Inner, In, Out> Service<Request<In>> for CountRequests<Inner>
where
    Inner: Service<Request<In>, Response = Response<Out>>,
    Inner::Future: Send + 'static,
    Inner::Error: 'static,
    Out: 'static,
{
    type Response = Inner::Response;
    type Error = Inner::Error;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<In>) -> Self::Future {
        let metrics = Arc::clone(&self.metrics);
        let resource = resource(request.uri().path());
        let verb = verb(request.method(), request.uri().query().unwrap_or_default());
        let answer = self.inner.call(request);
        Box::pin(async move {
            let answer = answer.await;
            let code = answer
                .as_ref()
                .map_or("none".to_owned(), |answer| answer.status().as_u16().to_string());
            metrics.kube_request(verb, &resource, &code);
            answer
        })
    }
}

/// What RBAC would call it, as far as the request line tells.
fn verb(method: &Method, query: &str) -> &'static str {
    let is_watch = query
        .split('&')
        .any(|pair| matches!(pair, "watch=true" | "watch=1"));
    match *method {
        Method::GET if is_watch => "watch",
        Method::GET => "get",
        Method::POST => "create",
        Method::PUT => "update",
        Method::PATCH => "patch",
        Method::DELETE => "delete",
        _ => "other",
    }
}

/// The resource, with its subresource, of a path of the API; names are left out.
fn resource(path: &str) -> String {
    let mut parts = path.trim_matches('/').split('/');
    let is_grouped = match parts.next() {
        Some("api") => false,
        Some("apis") => true,
        _ => return "none".to_owned(),
    };
    let mut rest: Vec<&str> = parts.skip(if is_grouped { 2 } else { 1 }).collect();
    if rest.first() == Some(&"namespaces") && rest.len() > 2 {
        rest.drain(..2);
    }
    match rest.as_slice() {
        [] => "none".to_owned(),
        [resource] | [resource, _] => (*resource).to_owned(),
        [resource, _, subresource, ..] => format!("{resource}/{subresource}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_tell_their_resource_and_no_name() {
        for (path, expected) in [
            ("/api/v1/namespaces/team-a/secrets/depot-tls", "secrets"),
            ("/api/v1/secrets", "secrets"),
            (
                "/apis/portolan.dev/v1alpha1/namespaces/team-a/registries/depot/status",
                "registries/status",
            ),
            ("/api/v1/namespaces/team-a", "namespaces"),
            ("/apis/storage.k8s.io/v1/storageclasses/fast", "storageclasses"),
            ("/version", "none"),
            ("/apis/apps/v1", "none"),
        ] {
            assert_eq!(resource(path), expected, "{path}");
        }
    }

    #[test]
    fn watches_are_told_from_reads() {
        assert_eq!(verb(&Method::GET, "watch=true&timeoutSeconds=290"), "watch");
        assert_eq!(verb(&Method::GET, "&watch=1"), "watch");
        assert_eq!(verb(&Method::GET, "limit=500"), "get");
        assert_eq!(verb(&Method::PATCH, "force=true"), "patch");
    }

    #[tokio::test]
    async fn answers_are_counted_by_verb_resource_and_code() {
        let metrics = Arc::new(Metrics::new("0.1.0"));
        let inner = tower::service_fn(|_: Request<()>| async {
            Response::builder()
                .status(409)
                .body(())
                .map_err(std::io::Error::other)
        });
        let mut service = CountRequests::new(Arc::clone(&metrics)).layer(inner);
        let request = Request::patch("/api/v1/namespaces/team-a/secrets/depot-tls")
            .body(())
            .unwrap();
        service.call(request).await.unwrap();
        let expected = r#"kube_requests_total{verb="patch",resource="secrets",code="409"} 1"#;
        assert!(metrics.render().unwrap().contains(expected));
    }
}
