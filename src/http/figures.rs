use std::net::IpAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::StatusCode;
use http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, HOST, ORIGIN};
use http::uri::Authority;
use secrecy::{ExposeSecret, SecretString};

use super::health::Health;
use super::listener::Peer;
use super::{Exposition, Face};
use crate::call::Calls;
use crate::embedding::Embeddings;

/// Whose eyes the figures are for.
#[derive(Debug, Clone)]
pub(super) enum Readers {
    /// Whoever has this token, as a bearer.
    Bearers(SecretString),
    /// This machine's programs.
    Neighbours,
    /// Nobody.
    Nobody,
}

/// The figures, and who may read them.
#[derive(Clone)]
pub(super) struct Figures {
    calls: Calls,
    health: Arc<Health>,
    exposition: Option<Exposition>,
    readers: Readers,
}

impl Figures {
    /// Those beside the other routes: for a token alone. Whatever a proxy before us leaves of a request, or adds to it, it can
    /// make a stranger's look like a neighbour's, but it cannot make up a token.
    pub(super) fn of(face: &Face) -> Self {
        let readers = face.options.metrics_token.clone().map_or(Readers::Nobody, Readers::Bearers);
        let (calls, exposition) = (face.calls.clone(), face.exposition.clone());
        let health = Health::new(calls.clone(), face.toolbox.embeddings().clone());
        Self { calls, health, exposition, readers }
    }

    /// Answers `GET /metrics`; who may not read them finds nothing.
    pub(super) async fn show(State(figures): State<Self>, request: Request) -> Response {
        let Some(exposition) = figures.exposition.as_ref().filter(|_| figures.readers.include(&request)) else {
            return StatusCode::NOT_FOUND.into_response();
        };
        figures.calls.gauge();
        figures.health.gauge().await;
        let kind = (CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8");
        ([kind, (CACHE_CONTROL, "no-store")], exposition.text()).into_response()
    }
}

/// The figures alone, for a listener of their own. Without a token it must be one that only this machine reaches.
pub fn figures(calls: Calls, embeddings: Embeddings, exposition: Exposition, token: Option<SecretString>) -> Router {
    let readers = token.map_or(Readers::Neighbours, Readers::Bearers);
    let health = Health::new(calls.clone(), embeddings);
    let figures = Figures { calls, health, exposition: Some(exposition), readers };
    Router::new().route("/metrics", get(Figures::show)).with_state(figures)
}

impl Readers {
    fn include(&self, request: &Request) -> bool {
        let headers = request.headers();
        match self {
            Self::Nobody => false,
            Self::Bearers(token) => {
                let mut given = headers.get_all(AUTHORIZATION).iter();
                let bearer = given.next().and_then(|value| value.to_str().ok()?.split_once(' '));
                let bearer = bearer.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
                bearer.is_some_and(|(_, given)| same(given.trim(), token.expose_secret())) && given.next().is_none()
            }
            Self::Neighbours => {
                let is_loopback = |address: IpAddr| address.to_canonical().is_loopback();
                let is_near = request.extensions().get::<Peer>().is_some_and(|peer| is_loopback(peer.0.ip()));
                // A page of another site, whose name was made to point here, still says its own name.
                let host = headers.get(HOST).and_then(|host| host.to_str().ok()?.parse::<Authority>().ok());
                let is_ours = host.is_some_and(|host| ["localhost", "127.0.0.1", "[::1]"].contains(&host.host()));
                let is_page = headers.contains_key(ORIGIN);
                let is_forwarded = ["x-forwarded-for", "forwarded"].iter().any(|name| headers.contains_key(*name));
                is_near && is_ours && !is_page && !is_forwarded
            }
        }
    }
}

/// Whether two secrets are equal, told by their hashes so that the time taken tells nothing of where they differ.
fn same(given: &str, secret: &str) -> bool {
    use sha2::{Digest, Sha256};
    Sha256::digest(given) == Sha256::digest(secret)
}
