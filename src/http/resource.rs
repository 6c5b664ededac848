//! What guards this resource, for clients that ask (RFC 9728), and what a refused one is told (RFC 6750, section 3).

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::CACHE_CONTROL;
use http::{HeaderValue, StatusCode};
use serde::Serialize;

use super::{Face, HttpOptions};
use crate::identity::{Scope, Scopes};

/// The scopes that a client is told to ask the issuer for at first; those that a key has by default. More come by a challenge.
const FIRST: [Scope; 3] = [Scope::DocumentsRead, Scope::DocumentsWrite, Scope::CostsRead];

/// Where metadata is, before a resource's own path.
pub(super) const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";

/// What a client is given access to, by the path at which it calls: each has a name of its own, for a client compares it with the URL
/// that it was given (RFC 9728, section 3.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Resource {
    /// MCP by Streamable HTTP.
    Mcp,
    /// MCP by HTTP+SSE.
    Sse,
    /// A2A.
    A2a,
}

impl Resource {
    /// Those that are served.
    pub(super) fn served(options: &HttpOptions) -> impl Iterator<Item = Self> {
        let served = [(Self::Mcp, true), (Self::Sse, options.legacy_sse), (Self::A2a, options.a2a)];
        served.into_iter().filter(|(_, is_served)| *is_served).map(|(resource, _)| resource)
    }

    /// The one that a request is for.
    pub(super) fn at(path: &str) -> Self {
        match path {
            "/sse" | "/messages" => Self::Sse,
            _ if path == "/a2a" || path.starts_with("/a2a/") => Self::A2a,
            _ => Self::Mcp,
        }
    }

    /// Its own path.
    pub(super) const fn path(self) -> &'static str {
        match self {
            Self::Mcp => "/mcp",
            Self::Sse => "/sse",
            Self::A2a => "/a2a",
        }
    }
}

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

/// A resource's metadata.
pub(super) fn metadata(State(face): State<Arc<Face>>, resource: Resource) -> Response {
    let Some(url) = &face.options.public_url else { return StatusCode::NOT_FOUND.into_response() };
    let metadata = Metadata {
        resource: format!("{url}{}", resource.path()),
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
pub(super) fn unauthorized(face: &Face, resource: Resource, is_invalid: bool) -> Option<HeaderValue> {
    let mut challenge = "Bearer realm=\"bailiwick\"".to_owned();
    if is_invalid {
        challenge.push_str(", error=\"invalid_token\"");
    }
    if face.issuer.is_some() {
        challenge.push_str(&format!(", scope=\"{}\"", FIRST.into_iter().collect::<Scopes>()));
    }
    finish(face, resource, challenge)
}

/// The challenge of a caller whose token lacks a scope: what it has and what it needs, so that asking for that loses nothing (MCP,
/// Authorization, Scope Challenge Handling).
pub(super) fn insufficient_scope(
    face: &Face,
    resource: Resource,
    granted: &Scopes,
    needed: Scope,
) -> Option<HeaderValue> {
    let wanted: Scopes = Scope::ALL.into_iter().filter(|scope| granted.allow(*scope) || *scope == needed).collect();
    let described = format!("error_description=\"this tool needs the scope {needed}\"");
    let error = "error=\"insufficient_scope\"";
    finish(face, resource, format!("Bearer realm=\"bailiwick\", {error}, scope=\"{wanted}\", {described}"))
}

fn finish(face: &Face, resource: Resource, mut challenge: String) -> Option<HeaderValue> {
    if let Some(url) = &face.options.public_url {
        challenge.push_str(&format!(", resource_metadata=\"{url}{WELL_KNOWN}{}\"", resource.path()));
    }
    HeaderValue::from_str(&challenge).ok()
}
