use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::{Arc, LazyLock};

use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use http::header::{AUTHORIZATION, CACHE_CONTROL, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};

use super::address::client_address;
use super::listener::Peer;
use super::resource::Resource;
use super::standing::{Refused, Standing};
use super::{Face, resource};
use crate::mcp::ClientAddress;

/// Lines of the log about requests that are not let in: ten at once, then one in six seconds.
static SAMPLES: LazyLock<DefaultDirectRateLimiter> =
    LazyLock::new(|| RateLimiter::direct(Quota::per_minute(NonZeroU32::MIN.saturating_add(9))));

/// Lets a request in as whom its own credential says (`Authorization: Bearer`), and as nobody else: neither a session nor
/// anything in its body has a say (MCP, Authorization, Access Token Usage).
pub(super) async fn authenticate(State(face): State<Arc<Face>>, mut request: Request, next: Next) -> Response {
    if let Some(Peer(peer)) = request.extensions().get::<Peer>().copied() {
        let address = client_address(peer, request.headers(), &face.options);
        request.extensions_mut().insert(ClientAddress(address));
    }
    let resource = Resource::at(request.uri().path());
    match Standing::of(&face, request.headers()).await {
        Ok(standing) => {
            // What follows needs the caller, not the credential.
            request.headers_mut().remove(AUTHORIZATION);
            request.extensions_mut().insert(standing.caller().clone());
            request.extensions_mut().insert(standing);
            let mut response = next.run(request).await;
            response.headers_mut().entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
            response
        }
        Err(refused) => {
            let address = request.extensions().get::<ClientAddress>().map(|address| address.0);
            refusal(&face, refused, resource, address)
        }
    }
}

/// What a request is told that is not let in.
pub(super) fn refusal(face: &Face, refused: Refused, resource: Resource, address: Option<IpAddr>) -> Response {
    let (reason, status, text) = match refused {
        Refused::Missing if face.issuer.is_some() => {
            ("missing", StatusCode::UNAUTHORIZED, "give an access token or an API key: Authorization: Bearer …")
        }
        Refused::Missing => ("missing", StatusCode::UNAUTHORIZED, "give an API key: Authorization: Bearer bwk_…"),
        Refused::Invalid => ("invalid", StatusCode::UNAUTHORIZED, "this credential is not valid (any more)"),
        Refused::Unavailable => {
            ("unavailable", StatusCode::SERVICE_UNAVAILABLE, "the credential cannot be checked now")
        }
    };
    // Counted, and a sample told: whoever knocks without a key has no tenant whose trail could tell of it, and a flood of rows
    // or lines would be a weapon.
    metrics::counter!("bailiwick_http_unauthenticated_total", "reason" => reason).increment(1);
    if SAMPLES.check().is_ok() {
        tracing::warn!(reason, ?address, "a request without a good credential (a sample: /metrics counts them all)");
    }
    let mut response = (status, text).into_response();
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if status == StatusCode::SERVICE_UNAVAILABLE {
        headers.insert(RETRY_AFTER, HeaderValue::from_static("2"));
    } else if let Some(challenge) = resource::unauthorized(face, resource, refused == Refused::Invalid) {
        headers.insert(WWW_AUTHENTICATE, challenge);
    }
    response
}

/// Takes the body whole, within its bounds of size and time, before anything works on it.
pub(super) async fn whole_body(State(face): State<Arc<Face>>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let read = axum::body::to_bytes(body, face.options.largest_body_bytes);
    match tokio::time::timeout(face.options.body_limit, read).await {
        Ok(Ok(bytes)) => next.run(Request::from_parts(parts, Body::from(bytes))).await,
        Ok(Err(_)) => (StatusCode::PAYLOAD_TOO_LARGE, "the body is too large, or was cut").into_response(),
        Err(_elapsed) => (StatusCode::REQUEST_TIMEOUT, "the body did not come in time").into_response(),
    }
}
