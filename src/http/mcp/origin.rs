use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::{HOST, ORIGIN};
use http::request::Parts;
use http::{HeaderMap, Method, StatusCode};
use rmcp::ServerHandler;

use super::Mcp;

/// Whether host or page is named twice: of two, what is before us may have judged the other one (RFC 9112, section 3.2).
pub(super) fn is_ambiguous(headers: &HeaderMap) -> bool {
    [HOST, ORIGIN].iter().any(|name| headers.get_all(name).iter().nth(1).is_some())
}

pub(super) fn ambiguous() -> Response {
    (StatusCode::BAD_REQUEST, "Host and Origin are given once").into_response()
}

/// Keeps foreign hosts and pages away from a route that rmcp does not serve.
pub(in crate::http) async fn known_origin<S>(State(mcp): State<Mcp<S>>, request: Request, next: Next) -> Response
where
    S: ServerHandler + Clone,
{
    if is_ambiguous(request.headers()) {
        return ambiguous();
    }
    let (parts, body) = request.into_parts();
    match known(&mcp, &parts).await {
        Ok(()) => next.run(Request::from_parts(parts, body)).await,
        Err(refusal) => *refusal,
    }
}

/// Whether host and page are known, by the very check that rmcp makes where it serves: a request without body that it would answer
/// 405 has passed it. Else what it says.
pub(super) async fn known<S>(mcp: &Mcp<S>, parts: &Parts) -> Result<(), Box<Response>>
where
    S: ServerHandler + Clone,
{
    let mut probe = Request::new(Body::empty());
    *probe.method_mut() = Method::GET;
    probe.uri_mut().clone_from(&parts.uri);
    for name in [HOST, ORIGIN] {
        if let Some(value) = parts.headers.get(&name) {
            probe.headers_mut().insert(name, value.clone());
        }
    }
    let judged = mcp.json.handle(probe).await;
    if judged.status() == StatusCode::METHOD_NOT_ALLOWED { Ok(()) } else { Err(Box::new(judged.map(Body::new))) }
}
