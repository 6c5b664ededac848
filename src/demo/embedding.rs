use std::time::{Duration, Instant};

use serde::Serialize;

use super::DemoError;
use crate::cli::progress;
use crate::db::{DbError, admin};
use crate::startup::Deployment;
use crate::telemetry;

const EMBEDDED: &str = include_str!("../../sql/queries/demo/embedded.sql");

/// However slow the machine, it takes no longer.
const PATIENCE: Duration = Duration::from_secs(300);

/// What the servers' workers did.
#[derive(Debug, Serialize)]
pub(super) struct EmbeddingTold {
    pub model: &'static str,
    pub documents: i64,
    pub tokens: i64,
    /// From the last insert until the last document was embedded.
    pub duration_ms: u64,
}

/// Waits until the servers have embedded what was stored; `None` if they embed nothing, for the database is of another model.
pub(super) async fn wait(deployment: &Deployment, model: &'static str) -> Result<Option<EmbeddingTold>, DemoError> {
    let started = Instant::now();
    let client = admin::connect(deployment.admin()?).await?;
    let mut bar = None;
    loop {
        let row = client.query_one(EMBEDDED, &[&model]).await.map_err(DbError::from)?;
        if !row.get::<_, bool>("is_current") {
            return Ok(None);
        }
        let pending = row.get::<_, i64>("pending").unsigned_abs();
        let (total, bar) = bar.get_or_insert_with(|| {
            if pending > 0 && !telemetry::is_watched() {
                telemetry::announce(&format!("Embedding {pending} documents on this computer ..."));
            }
            (pending, progress::counter("documents embedded on this computer", Some(pending)))
        });
        bar.set_position(total.saturating_sub(pending));
        if pending == 0 {
            bar.finish_and_clear();
            return Ok(Some(EmbeddingTold {
                model,
                documents: row.get("documents"),
                tokens: row.get("tokens"),
                duration_ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
            }));
        }
        if started.elapsed() > PATIENCE {
            return Err("the documents were not embedded in time".into());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
