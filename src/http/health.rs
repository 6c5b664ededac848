use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use serde::Serialize;

use super::Face;
use crate::call::Calls;

/// `/readyz`: whether calls can be served, and what is in the way.
#[derive(Debug, Serialize)]
pub(super) struct Ready {
    ready: bool,
    /// The database answers.
    database: bool,
    /// Audit rows can be kept.
    audit: bool,
    /// Audit rows on disk that wait for the database.
    spooled_bytes: u64,
    /// The server is coming to its end.
    closing: bool,
}

pub(super) async fn ready(State(face): State<Arc<Face>>) -> (StatusCode, Json<Ready>) {
    let ready = look(&face.calls).await;
    (if ready.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, Json(ready))
}

async fn look(calls: &Calls) -> Ready {
    let readiness = calls.readiness();
    let asked = tokio::time::timeout(std::time::Duration::from_secs(2), calls.system().clock_skew()).await;
    let database = matches!(asked, Ok(Ok(_)));
    Ready {
        ready: database && readiness.can_record && !readiness.closing,
        database,
        audit: readiness.can_record,
        spooled_bytes: readiness.spooled_bytes,
        closing: readiness.closing,
    }
}

/// `/healthz`: the process answers.
pub(super) async fn healthy() -> &'static str {
    "ok"
}
