use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use serde::Serialize;
use tokio::sync::Mutex;

use crate::call::Calls;
use crate::db::StartupError;
use crate::embedding::Embeddings;
use crate::migrations::{MigrationError, Migrations, Pending};

/// For so long what was found holds: anybody may ask, and the database shall not be asked by each.
const FRESH: Duration = Duration::from_secs(1);
/// How long the database may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// Room for some hundred audit rows; with less the next failure of the database would stop all calls.
const LEAST_ROOM_BYTES: u64 = 1 << 20;

/// `/readyz`: whether calls can be served, and what is in the way.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Ready {
    ready: bool,
    /// The database answers.
    database: bool,
    /// Its schema is this program's.
    migrations: bool,
    /// Audit rows can be kept.
    audit: bool,
    /// The disk has room for audit rows that the database cannot take.
    spool: bool,
    /// Audit rows on disk that wait for the database.
    spooled_bytes: u64,
    /// Documents are embedded with another model than this server is set up with: it serves, and searches by words alone.
    foreign_model: bool,
    /// The server is coming to its end.
    closing: bool,
}

/// What was found of the database, and when.
pub(super) struct Health {
    calls: Calls,
    embeddings: Embeddings,
    migrations: Option<Migrations>,
    found: Mutex<Option<(Instant, Database)>>,
}

#[derive(Debug, Clone, Copy)]
struct Database {
    answers: bool,
    schema: Schema,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Schema {
    /// This program's.
    Current,
    /// A newer program's: whoever rolls it out moves the schema first, and until then the old ones must go on.
    Newer,
    Other,
}

impl Health {
    pub(super) fn new(calls: Calls, embeddings: Embeddings) -> Arc<Self> {
        Arc::new(Self { calls, embeddings, migrations: Migrations::embedded().ok(), found: Mutex::default() })
    }

    async fn look(&self) -> Ready {
        let database = self.database().await;
        let readiness = self.calls.readiness();
        let spool = readiness.spool_room_bytes >= LEAST_ROOM_BYTES;
        let sound = database.answers && database.schema != Schema::Other && readiness.can_record && spool;
        Ready {
            ready: sound && !readiness.closing,
            database: database.answers,
            migrations: database.schema == Schema::Current,
            audit: readiness.can_record,
            spool,
            spooled_bytes: readiness.spooled_bytes,
            foreign_model: self.embeddings.is_foreign(),
            closing: readiness.closing,
        }
    }

    /// The same as a figure.
    pub(super) async fn gauge(&self) {
        metrics::gauge!("bailiwick_ready").set(f64::from(u8::from(self.look().await.ready)));
    }

    async fn database(&self) -> Database {
        let mut found = self.found.lock().await;
        if let Some((when, database)) = *found
            && when.elapsed() < FRESH
        {
            return database;
        }
        let database = self.ask().await;
        *found = Some((Instant::now(), database));
        database
    }

    async fn ask(&self) -> Database {
        let system = self.calls.system();
        let asked = async {
            let answers = system.clock_skew().await.is_ok();
            let schema = match (&self.migrations, answers) {
                (Some(migrations), true) => match system.pending_migrations(migrations).await {
                    Ok(Pending::UpToDate { .. }) => Schema::Current,
                    Err(StartupError::Migration(MigrationError::NewerDatabase { .. })) => Schema::Newer,
                    Ok(_) | Err(_) => Schema::Other,
                },
                _ => Schema::Other,
            };
            Database { answers, schema }
        };
        tokio::time::timeout(PATIENCE, asked).await.unwrap_or(Database { answers: false, schema: Schema::Other })
    }
}

pub(super) async fn ready(State(health): State<Arc<Health>>) -> (StatusCode, Json<Ready>) {
    let ready = health.look().await;
    (if ready.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, Json(ready))
}

/// `/healthz`: the process answers.
pub(super) async fn healthy() -> &'static str {
    "ok"
}
