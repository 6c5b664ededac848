//! What guards this resource, for clients that ask (RFC 9728), and what a refused one is told (RFC 6750, section 3).

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::CACHE_CONTROL;
use http::{HeaderValue, StatusCode};
use serde::Serialize;

use super::Face;
use crate::identity::{Scope, Scopes};

/// The scopes that a client is told to ask the issuer for at first; those that a key has by default. More come by a challenge.
const FIRST: [Scope; 3] = [Scope::DocumentsRead, Scope::DocumentsWrite, Scope::CostsRead];

/// Protected resource metadata (RFC 9728, section 2).
#[derive(Serialize)]
struct Metadata<'a> {
    resource: String,
    resource_name: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    authorization_servers: Option<[&'a str; 1]>,
    scopes_supported: [&'static str; 5],
    bearer_methods_supported: [&'static str; 1],
    tls_client_certificate_bound_access_tokens: bool,
    dpop_bound_access_tokens_required: bool,
}

/// `/.well-known/oauth-protected-resource/mcp`, and the same without the path.
pub(super) async fn metadata(State(face): State<Arc<Face>>) -> Response {
    let Some(url) = &face.options.public_url else { return StatusCode::NOT_FOUND.into_response() };
    let metadata = Metadata {
        resource: format!("{url}/mcp"),
        resource_name: "Bailiwick",
        authorization_servers: face.issuer.as_ref().map(|issuer| [issuer.identifier()]),
        scopes_supported: Scope::ALL.map(Scope::name),
        bearer_methods_supported: ["header"],
        tls_client_certificate_bound_access_tokens: false,
        dpop_bound_access_tokens_required: false,
    };
    let mut response = axum::Json(metadata).into_response();
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=300"));
    response
}

/// The challenge of a request without a good credential.
pub(super) fn unauthorized(face: &Face, is_invalid: bool) -> Option<HeaderValue> {
    let mut challenge = "Bearer realm=\"bailiwick\"".to_owned();
    if is_invalid {
        challenge.push_str(", error=\"invalid_token\"");
    }
    if face.issuer.is_some() {
        challenge.push_str(&format!(", scope=\"{}\"", FIRST.into_iter().collect::<Scopes>()));
    }
    finish(face, challenge)
}

/// The challenge of a caller whose token lacks a scope: what it has and what it needs, so that asking for that loses nothing (MCP,
/// Authorization, Scope Challenge Handling).
pub(super) fn insufficient_scope(face: &Face, granted: &Scopes, needed: Scope) -> Option<HeaderValue> {
    let wanted: Scopes = Scope::ALL.into_iter().filter(|scope| granted.allow(*scope) || *scope == needed).collect();
    let described = format!("error_description=\"this tool needs the scope {needed}\"");
    finish(face, format!("Bearer realm=\"bailiwick\", error=\"insufficient_scope\", scope=\"{wanted}\", {described}"))
}

fn finish(face: &Face, mut challenge: String) -> Option<HeaderValue> {
    if let Some(url) = &face.options.public_url {
        challenge.push_str(&format!(", resource_metadata=\"{url}/.well-known/oauth-protected-resource/mcp\""));
    }
    HeaderValue::from_str(&challenge).ok()
}
