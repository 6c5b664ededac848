//! The face for A2A 1.0 agents: the same tools as skills, over the same identity, limits and calls as MCP.
//!
//! A `SendMessage` is one call and its answer; there are no tasks that outlive it, hence nothing to look up, stream or cancel but by
//! closing the connection.

mod card;
mod skills;

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use http::header::USER_AGENT;
use http::{HeaderMap, StatusCode};

use crate::call::{Calls, Client};
use crate::identity::Caller;
use crate::mcp::{ClientAddress, Toolbox};

pub(super) use card::card;
use skills::Skills;

tokio::task_local! {
    /// Who the request is from: the crate's handlers are given its headers alone.
    static FROM: (Caller, Client);
}

/// `POST /a2a`: JSON-RPC, by the protocol's own crate. It must stand behind authentication.
pub(super) fn router<S: Clone + Send + Sync + 'static>(calls: Calls, toolbox: Arc<Toolbox>) -> Router<S> {
    let skills = Arc::new(Skills { toolbox, calls });
    // Nested, for the crate's one route is the root.
    let rpc = a2a_server::jsonrpc::jsonrpc_router(skills);
    Router::new().nest_service("/a2a", rpc).route_layer(middleware::from_fn(identify))
}

async fn identify(request: Request, next: Next) -> Response {
    let Some(caller) = request.extensions().get::<Caller>().cloned() else {
        return StatusCode::UNAUTHORIZED.into_response();
    };
    let client = Client {
        user_agent: user_agent(request.headers()),
        ip_address: request.extensions().get::<ClientAddress>().map(|address| address.0),
        ..Client::default()
    };
    FROM.scope((caller, client), next.run(request)).await
}

/// The client's text: bounded, and without what PostgreSQL or a terminal would stumble over.
fn user_agent(headers: &HeaderMap) -> Option<String> {
    let text = headers.get(USER_AGENT)?.to_str().ok()?;
    Some(text.chars().filter(|c| !c.is_control()).take(200).collect())
}
