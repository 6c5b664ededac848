use std::net::IpAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST, RETRY_AFTER, WWW_AUTHENTICATE};
use http::uri::Authority;
use http::{HeaderName, HeaderValue, Method, StatusCode};
use rmcp::ServerHandler;
use secrecy::ExposeSecret;
use tower_http::cors::{AllowOrigin, CorsLayer};

use super::legacy::{self, Legacy};
use super::limits::{self, Limits};
use super::listener::Peer;
use super::mcp::{self, Mcp};
use super::streams::Streams;
use super::{Exposition, HttpOptions, a2a, authentication, health, request, resource, scope};
use crate::call::Calls;
use crate::identity::{Issuer, KeyRing};
use crate::mcp::Toolbox;

/// What the routes share.
pub struct Face {
    /// Runs what is called.
    pub calls: Calls,
    /// Whom keys stand for.
    pub keys: KeyRing,
    /// Whose tokens are believed beside keys.
    pub issuer: Option<Issuer>,
    /// The skills of A2A, where that is spoken.
    pub a2a: Option<Arc<Toolbox>>,
    /// The figures of `/metrics`.
    pub exposition: Option<Exposition>,
    /// Bounds and names.
    pub options: HttpOptions,
}

/// All routes: MCP at `/mcp` (and `/sse` with `/messages`), answered by `server`, and beside it what an operator asks. Nothing
/// but these reaches a tenant's data, and they only with a credential.
pub fn router<S: ServerHandler + Clone>(face: Face, server: S) -> Router {
    let streams = Streams::new(&face.options);
    let mcp = Mcp::new(server.clone(), &face.options, streams.clone());
    let cors = cors(&face.options.allowed_origins);
    let limits = Limits::new(face.calls.clone(), face.options.requests_per_minute);
    let face = Arc::new(face);
    let mut guarded = Router::new().route("/mcp", {
        let mcp = mcp.clone();
        any(move |request: Request| mcp.clone().answer(request))
    });
    if face.options.legacy_sse {
        let legacy = Legacy::new(Arc::clone(&face), server, streams);
        let routes = Router::new()
            .route("/sse", get(legacy::listen::<S>))
            .route("/messages", post(legacy::post::<S>))
            .route_layer(middleware::from_fn_with_state(mcp.clone(), mcp::known_origin::<S>));
        guarded = guarded.merge(routes.with_state(legacy));
    }
    let mut card = Router::new();
    if let Some(toolbox) = face.a2a.clone() {
        let agents = a2a::router(face.calls.clone(), toolbox);
        let known = middleware::from_fn_with_state(mcp, mcp::known_origin::<S>);
        guarded = guarded.merge(agents.route_layer(known.clone()));
        // It repeats the host that it was asked by, so that one must be known, too.
        card = card.route(a2a_server::WELL_KNOWN_AGENT_CARD_PATH, get(a2a::card)).route_layer(known);
    }
    let guarded = guarded
        // The last one added is asked first.
        .route_layer(middleware::from_fn_with_state(Arc::clone(&face), scope::challenge))
        .route_layer(middleware::from_fn_with_state(Arc::clone(&face), authentication::whole_body))
        .route_layer(middleware::from_fn_with_state(limits, limits::let_on))
        .route_layer(middleware::from_fn_with_state(Arc::clone(&face), authentication::authenticate));
    Router::new()
        .merge(guarded)
        .merge(card)
        .route("/healthz", get(health::healthy))
        .route("/readyz", get(health::ready).with_state(health::Health::new(face.calls.clone())))
        .route("/metrics", get(figures))
        .route("/.well-known/oauth-protected-resource", get(resource::metadata))
        .route("/.well-known/oauth-protected-resource/mcp", get(resource::metadata))
        .layer(cors)
        .layer(middleware::from_fn_with_state(Arc::clone(&face), request::follow))
        .with_state(face)
}

/// Lets browsers of the allowed origins call, and no others (Fetch Standard, CORS).
fn cors(origins: &[String]) -> CorsLayer {
    let origins: Vec<HeaderValue> = origins.iter().filter_map(|origin| origin.parse().ok()).collect();
    let ours = [
        "mcp-protocol-version",
        "mcp-session-id",
        "mcp-method",
        "mcp-name",
        "last-event-id",
        "a2a-version",
        "traceparent",
        "tracestate",
    ]
    .map(HeaderName::from_static);
    CorsLayer::new()
        .allow_origin(AllowOrigin::list(origins))
        .allow_methods([Method::POST, Method::GET, Method::DELETE])
        .allow_headers(ours.into_iter().chain([AUTHORIZATION, CONTENT_TYPE]).collect::<Vec<_>>())
        .expose_headers([
            HeaderName::from_static("mcp-session-id"),
            HeaderName::from_static("x-request-id"),
            WWW_AUTHENTICATE,
            RETRY_AFTER,
        ])
}

async fn figures(State(face): State<Arc<Face>>, request: Request) -> Response {
    let Some(exposition) = &face.exposition else { return StatusCode::NOT_FOUND.into_response() };
    let is_loopback = |address: IpAddr| address.to_canonical().is_loopback();
    let allowed = match &face.options.metrics_token {
        Some(token) => {
            let given =
                request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
            given.is_some_and(|given| same(given, token.expose_secret()))
        }
        // A proxy on this machine calls from loopback too, for strangers.
        None => {
            let peer = request.extensions().get::<Peer>().is_some_and(|peer| is_loopback(peer.0.ip()));
            let is_forwarded =
                ["x-forwarded-for", "forwarded"].iter().any(|name| request.headers().contains_key(*name));
            // A page of another site, whose name was made to point here, still says its own name.
            let host = request.headers().get(HOST).and_then(|host| host.to_str().ok()?.parse::<Authority>().ok());
            let is_ours = host.is_some_and(|host| ["localhost", "127.0.0.1", "[::1]"].contains(&host.host()));
            peer && is_ours && !is_forwarded
        }
    };
    if !allowed {
        return StatusCode::NOT_FOUND.into_response();
    }
    face.calls.gauge();
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], exposition.text()).into_response()
}

/// Whether two secrets are equal, told by their hashes so that the time taken tells nothing of where they differ.
fn same(given: &str, secret: &str) -> bool {
    use sha2::{Digest, Sha256};
    Sha256::digest(given) == Sha256::digest(secret)
}
