use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{Method, StatusCode};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Map, Value};

use super::client::client;
use super::resource::Resource;
use super::standing::{Refused, Standing};
use super::{Face, a2a, authentication, mcp};
use crate::call::Kind;
use crate::db::TenantStatus;
use crate::mcp::ClientAddress;

/// Keeps out whose tenant may not call, on every route, whatever is asked: 403 where it is suspended, and 401, as for a credential
/// that nobody has, where it is gone.
///
/// What would have been a call leaves its one row: who is refused is known, and the tenant's trail must tell of it. Everything
/// else (an introduction, a list of tools, a stream) would have left none, and does not now.
pub(super) async fn keep_out(State(face): State<Arc<Face>>, request: Request, next: Next) -> Response {
    let Some(standing) = request.extensions().get::<Standing>().cloned() else {
        return StatusCode::UNAUTHORIZED.into_response();
    };
    let status = standing.tenant_status();
    if status == TenantStatus::Active {
        return next.run(request).await;
    }
    let (parts, body) = request.into_parts();
    // It was taken whole before, within its bounds.
    let body = axum::body::to_bytes(body, face.options.largest_body_bytes).await.unwrap_or_default();
    let resource = Resource::at(parts.uri.path());
    if parts.method == Method::POST {
        for kind in asked(&face, resource, &body, mcp::takes_batches(&parts.headers)) {
            face.calls.refuse_tenant(&kind, status, standing.caller(), client(&parts)).await;
        }
    }
    if status == TenantStatus::Suspended {
        metrics::counter!("bailiwick_http_refused_total", "reason" => "tenant_suspended").increment(1);
        let text = "forbidden: your tenant is suspended; its operator can activate it again.";
        return (StatusCode::FORBIDDEN, text).into_response();
    }
    let address = parts.extensions.get::<ClientAddress>().map(|address| address.0);
    authentication::refusal(&face, Refused::Invalid, resource, address)
}

/// As much of a message of JSON-RPC as tells what is asked. One without an id asks nothing.
#[derive(Deserialize)]
struct Message {
    #[serde(rename = "id")]
    _id: IgnoredAny,
    method: String,
    #[serde(default)]
    params: Map<String, Value>,
}

/// What the messages of a body would be as calls.
fn asked(face: &Face, resource: Resource, body: &Bytes, takes_batches: bool) -> Vec<Kind> {
    let kind = |Message { method, params, .. }| match resource {
        Resource::A2a => {
            (method == "SendMessage").then(|| a2a::skill_of(&params).map(|skill| face.toolbox.kind_of(skill)))?
        }
        Resource::Mcp | Resource::Sse => face.toolbox.kind_of_request(&method, &params),
    };
    if let Ok(message) = serde_json::from_slice(body) {
        return kind(message).into_iter().collect();
    }
    let are_taken = resource == Resource::Mcp && takes_batches;
    let batch = mcp::split(body).ok().filter(|batch| are_taken && batch.len() <= mcp::MOST_MESSAGES);
    let messages = batch.into_iter().flatten().filter_map(|message| serde_json::from_slice(&message).ok());
    messages.filter_map(kind).collect()
}
