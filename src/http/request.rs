use std::sync::Arc;
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::{CONNECTION, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use tracing::{Instrument, field};
use uuid::Uuid;

use super::Face;
use super::listener::Peer;
use crate::telemetry::{RemoteContext, RequestSpan};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Longest id that a proxy may give.
const LONGEST_ID: usize = 64;

/// Gives a request its id, which is in each of its log lines and in the answer's `x-request-id`, its span, and its place in the
/// figures. A path that is no route counts as none, so that strangers make no new series.
pub(super) async fn follow(State(face): State<Arc<Face>>, mut request: Request, next: Next) -> Response {
    let started = Instant::now();
    let route =
        request.extensions().get::<MatchedPath>().map_or_else(|| "none".to_owned(), |path| path.as_str().to_owned());
    let id = request_id(&face, &request);
    let span = tracing::info_span!(
        "request",
        request_id = id.to_str().unwrap_or_default(),
        otel.name = format!("{} {route}", method(&request)),
        otel.kind = "server",
        otel.status_code = field::Empty,
        http.route = route,
        http.response.status_code = field::Empty,
    );
    if let Some(context) = RemoteContext::of_headers(request.headers()) {
        context.adopt(&span);
    }
    request.extensions_mut().insert(RequestSpan(span.clone()));
    let is_chunked = request.headers().contains_key(TRANSFER_ENCODING);
    let mut response = if is_coded(request.headers()) {
        // RFC 9112, section 6.1.
        (StatusCode::NOT_IMPLEMENTED, "the one transfer coding that is known is chunked").into_response()
    } else {
        next.run(request).instrument(span.clone()).await
    };
    let status = response.status().as_u16();
    span.record("http.response.status_code", status);
    if response.status().is_server_error() {
        span.record("otel.status_code", "ERROR");
    }
    span.in_scope(|| tracing::debug!(route, status, took_ms = started.elapsed().as_millis(), "answered"));
    metrics::counter!("bailiwick_http_requests_total", "route" => route, "status" => status.to_string()).increment(1);
    response.headers_mut().insert(REQUEST_ID, id);
    if is_chunked {
        // It may have said its length in another way, too, which hyper passes over; what is before us may have gone by that one, so
        // what follows on the connection is nobody's (RFC 9112, section 6.1).
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// Whether its body is coded in a way beside being chunked: hyper would pass it on as it stands, and whoever is before us may have
/// decoded it.
fn is_coded(headers: &HeaderMap) -> bool {
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    let is_chunked = codings.next().is_none_or(|coding| coding.as_bytes().eq_ignore_ascii_case(b"chunked"));
    !is_chunked || codings.next().is_some()
}

/// The request's method, unless it is a word of the client's own, which belongs into no span's name (OpenTelemetry, HTTP spans).
fn method(request: &Request) -> &str {
    const KNOWN: [Method; 7] =
        [Method::GET, Method::POST, Method::DELETE, Method::HEAD, Method::OPTIONS, Method::PUT, Method::PATCH];
    if KNOWN.contains(request.method()) { request.method().as_str() } else { "HTTP" }
}

/// The one that a trusted proxy gave, if it is plain; else a new one.
fn request_id(face: &Face, request: &Request) -> HeaderValue {
    let is_trusted =
        request.extensions().get::<Peer>().is_some_and(|Peer(peer)| face.options.trusted_proxies.contain(peer.ip()));
    let is_plain = |value: &&HeaderValue| {
        let bytes = value.as_bytes();
        let plain = bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(byte));
        plain && !bytes.is_empty() && bytes.len() <= LONGEST_ID
    };
    let given = request.headers().get(REQUEST_ID).filter(|_| is_trusted).filter(is_plain);
    given.cloned().unwrap_or_else(|| {
        // Hexadecimal digits and hyphens are always a header's value.
        HeaderValue::from_str(&Uuid::now_v7().to_string()).unwrap_or_else(|_| HeaderValue::from_static("unknown"))
    })
}
