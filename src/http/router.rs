use std::any::Any;
use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use http::header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderName, HeaderValue, Method, StatusCode};
use rmcp::ServerHandler;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::cors::{AllowOrigin, CorsLayer};

use super::authentication::Entrance;
use super::bodies::{self, Bodies};
use super::figures::Figures;
use super::legacy::{self, Legacy};
use super::limits::{self, Limits};
use super::mcp::{self, Mcp};
use super::resource::Resource;
use super::strangers::Strangers;
use super::streams::Streams;
use super::unread::{self, Unread};
use super::{Exposition, HttpOptions, a2a, authentication, barred, health, request, resource, scope};
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
    /// What calls are called; as skills of A2A they are run, too, where that is spoken.
    pub toolbox: Arc<Toolbox>,
    /// The figures of `/metrics`.
    pub exposition: Option<Exposition>,
    /// Bounds and names.
    pub options: HttpOptions,
}

/// All routes: MCP at `/mcp` (and `/sse` with `/messages`), answered by `server`, and beside it what an operator asks. Nothing
/// but these reaches a tenant's data, and they only with a credential.
pub fn router<S: ServerHandler + Clone>(face: Face, server: S) -> Router {
    let streams = Streams::new(&face.options);
    let limits = Limits::new(face.calls.clone(), face.options.requests_per_minute);
    let mcp = Mcp::new(server.clone(), &face.options, streams.clone(), Arc::clone(&limits));
    let cors = cors(&face.options.allowed_origins);
    let (bodies, unread) = (Bodies::new(&face.options), Unread::new(&face.options));
    let strangers = Strangers::new(face.options.bad_credentials_per_minute);
    let face = Arc::new(face);
    let entrance = Entrance { face: Arc::clone(&face), strangers };
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
    if face.options.a2a {
        let agents = a2a::router(face.calls.clone(), Arc::clone(&face.toolbox));
        let known = middleware::from_fn_with_state(mcp, mcp::known_origin::<S>);
        guarded = guarded.merge(agents.route_layer(known.clone()));
        // It repeats the host that it was asked by, so that one must be known, too.
        card = card.route(a2a_server::WELL_KNOWN_AGENT_CARD_PATH, get(a2a::card)).route_layer(known);
    }
    // RFC 9728, section 3.1: the well-known place comes before the resource's path; without one it tells of MCP's.
    let mut resources =
        Router::new().route(resource::WELL_KNOWN, get(async |face| resource::metadata(face, Resource::Mcp)));
    for resource in Resource::served(&face.options) {
        let path = format!("{}{}", resource::WELL_KNOWN, resource.path());
        resources = resources.route(&path, get(async move |face| resource::metadata(face, resource)));
    }
    let guarded = guarded
        // The last one added is asked first.
        .route_layer(middleware::from_fn_with_state(Arc::clone(&face), scope::challenge))
        .route_layer(middleware::from_fn_with_state(Arc::clone(&face), barred::keep_out))
        .route_layer(middleware::from_fn_with_state(bodies, bodies::whole_body))
        .route_layer(middleware::from_fn_with_state(unread, unread::let_on))
        .route_layer(middleware::from_fn_with_state(limits, limits::let_on))
        .route_layer(middleware::from_fn_with_state(entrance, authentication::authenticate));
    Router::new()
        .merge(guarded)
        .merge(card)
        .route("/healthz", get(health::healthy))
        .route(
            "/readyz",
            get(health::ready).with_state(health::Health::new(face.calls.clone(), face.toolbox.embeddings().clone())),
        )
        .route("/metrics", get(Figures::show).with_state(Figures::of(&face)))
        .merge(resources)
        // A call's panic is the wrapper's; this is for what is around it, so that its client is told, too.
        .layer(CatchPanicLayer::custom(fault))
        .layer(cors)
        .layer(middleware::from_fn_with_state(Arc::clone(&face), request::follow))
        .with_state(face)
}

/// What is told of a panic; its hook has told the log.
fn fault(_: Box<dyn Any + Send>) -> Response {
    (StatusCode::INTERNAL_SERVER_ERROR, "internal: a fault of the server; its operator finds it by the x-request-id")
        .into_response()
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

#[cfg(test)]
mod tests {
    use tower::ServiceExt;

    use super::*;

    #[tokio::test]
    async fn a_panic_is_told_as_a_fault_without_its_words() {
        async fn broken() -> &'static str {
            panic!("secret")
        }
        let router: Router = Router::new().route("/", get(broken)).layer(CatchPanicLayer::custom(fault));
        let request = Request::<axum::body::Body>::default();
        let response = router.oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        let body = axum::body::to_bytes(response.into_body(), 1_000).await.unwrap();
        assert!(body.starts_with(b"internal: "));
    }
}
