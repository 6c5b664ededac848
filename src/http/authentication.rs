use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use http::header::{AUTHORIZATION, CACHE_CONTROL, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};

use super::address::client_address;
use super::limits::later;
use super::listener::Peer;
use super::resource::Resource;
use super::standing::{Refused, Standing};
use super::strangers::Strangers;
use super::{Face, resource};
use crate::mcp::ClientAddress;

/// Lines of the log about requests that are not let in: ten at once, then one in six seconds.
static SAMPLES: LazyLock<DefaultDirectRateLimiter> =
    LazyLock::new(|| RateLimiter::direct(Quota::per_minute(NonZeroU32::MIN.saturating_add(9))));

/// Where requests come in.
#[derive(Clone)]
pub(super) struct Entrance {
    pub face: Arc<Face>,
    pub strangers: Arc<Strangers>,
}

/// Lets a request in as whom its own credential says (`Authorization: Bearer`), and as nobody else: neither a session nor
/// anything in its body has a say (MCP, Authorization, Access Token Usage).
pub(super) async fn authenticate(State(entrance): State<Entrance>, mut request: Request, next: Next) -> Response {
    let face = &entrance.face;
    let peer = request.extensions().get::<Peer>().copied();
    let address = peer.map(|Peer(peer)| client_address(peer, request.headers(), &face.options));
    if let Some(address) = address {
        request.extensions_mut().insert(ClientAddress(address));
    }
    let resource = Resource::at(request.uri().path());
    match Standing::of(&entrance, address, request.headers()).await {
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
            // Whoever shows none wants to know where to get one, and whoever shows an old one to get another.
            let wait = address.filter(|_| refused == Refused::Invalid);
            let wait = match wait {
                Some(address) => entrance.strangers.failed(address).await,
                None => None,
            };
            match wait {
                Some(wait) => put_off(wait, address),
                None => refusal(face, refused, resource, address),
            }
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
        Refused::Invalid | Refused::Stale => {
            ("invalid", StatusCode::UNAUTHORIZED, "this credential is not valid (any more)")
        }
        Refused::Unavailable => {
            ("unavailable", StatusCode::SERVICE_UNAVAILABLE, "the credential cannot be checked now")
        }
    };
    told(reason, address);
    let mut response = (status, text).into_response();
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if status == StatusCode::SERVICE_UNAVAILABLE {
        headers.insert(RETRY_AFTER, HeaderValue::from_static("2"));
    } else if let Some(challenge) = resource::unauthorized(face, resource, refused != Refused::Missing) {
        headers.insert(WWW_AUTHENTICATE, challenge);
    }
    response
}

/// What whoever showed too many bad credentials is told.
fn put_off(wait: Duration, address: Option<IpAddr>) -> Response {
    told("invalid", address);
    let text = "too many credentials that are not valid came from this address";
    let mut response = later(StatusCode::TOO_MANY_REQUESTS, "bad_credentials", wait, text);
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Counted, and a sample told: whoever knocks without a key has no tenant whose trail could tell of it, and a flood of rows or
/// lines would be a weapon.
fn told(reason: &'static str, address: Option<IpAddr>) {
    metrics::counter!("bailiwick_http_unauthenticated_total", "reason" => reason).increment(1);
    if SAMPLES.check().is_ok() {
        let address = address.map(tracing::field::display);
        tracing::warn!(reason, address, "a request without a good credential (a sample: /metrics counts them all)");
    }
}
