use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::StatusCode;
use http::header::WWW_AUTHENTICATE;

use super::resource::Resource;
use super::standing::Standing;
use super::{Face, resource};
use crate::mcp::DeniedScope;

/// Says over HTTP, too, that a call was denied for want of a scope: 403 with what to ask the issuer for (RFC 6750, section 3.1).
///
/// The call goes its usual way, so it has its one row, and the answer is the tool's: a result with `isError`. Only its status
/// and challenge are ours, and only for a token, whose holder can get another; whoever has a key can do nothing about its
/// scopes, and most clients would show their model nothing of an answer with that status. An answer that is a stream has its
/// status before the call has ended, and keeps it.
pub(super) async fn challenge(State(face): State<Arc<Face>>, mut request: Request, next: Next) -> Response {
    let Some(standing) = request.extensions().get::<Standing>().filter(|standing| standing.can_grow()).cloned() else {
        return next.run(request).await;
    };
    let resource = Resource::at(request.uri().path());
    let denied = DeniedScope::default();
    request.extensions_mut().insert(denied.clone());
    let mut response = next.run(request).await;
    if let Some(needed) = denied.get()
        && response.status() == StatusCode::OK
        && let Some(challenge) = resource::insufficient_scope(&face, resource, &standing.caller().scopes, needed)
    {
        *response.status_mut() = StatusCode::FORBIDDEN;
        response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
    }
    response
}
