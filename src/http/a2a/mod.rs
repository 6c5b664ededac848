//! The face for A2A 1.0 agents: the same tools as skills, over the same identity, limits and calls as MCP.
//!
//! A `SendMessage` is one call and its answer; there are no tasks that outlive it, hence nothing to look up, stream or cancel but by
//! closing the connection.

mod card;
mod numbers;
mod skills;

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use http::StatusCode;

use super::client::client;
use crate::call::{Calls, Client};
use crate::identity::Caller;
use crate::mcp::{DeniedScope, Toolbox};

pub(super) use card::card;
use skills::Skills;
pub(super) use skills::skill_of;

tokio::task_local! {
    /// Who the request is from, and where a denial is noted: the crate's handlers are given its headers alone.
    static FROM: From;
}

/// `POST /a2a`: JSON-RPC, by the protocol's own crate. It must stand behind authentication.
pub(super) fn router<S: Clone + Send + Sync + 'static>(calls: Calls, toolbox: Arc<Toolbox>) -> Router<S> {
    let skills = Arc::new(Skills { toolbox, calls });
    // Nested, for the crate's one route is the root.
    let rpc = a2a_server::jsonrpc::jsonrpc_router(skills);
    Router::new()
        .nest_service("/a2a", rpc)
        .route_layer(middleware::from_fn(identify))
        .route_layer(middleware::from_fn(numbers::whole_ones))
}

/// What is known of a request beside its message.
#[derive(Clone)]
struct From {
    caller: Caller,
    client: Client,
    /// Where it is noted for want of which scope the call was denied.
    denied: Option<DeniedScope>,
}

async fn identify(request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let Some(caller) = parts.extensions.get::<Caller>().cloned() else {
        return StatusCode::UNAUTHORIZED.into_response();
    };
    let from = From { caller, client: client(&parts), denied: parts.extensions.get::<DeniedScope>().cloned() };
    FROM.scope(from, next.run(Request::from_parts(parts, body))).await
}
