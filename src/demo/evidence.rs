use std::collections::HashMap;

use serde::Serialize;
use uuid::Uuid;

use super::DemoError;
use super::story::{Told, user_of};
use crate::db::{DbError, Door, Pool, PoolOptions, System, admin};
use crate::identity::{Caller, Scopes, UserId};
use crate::startup::Deployment;

const OWNERS: &str = include_str!("../../sql/queries/demo/owners.sql");
const TRAIL: &str = include_str!("../../sql/queries/demo/trail.sql");
const TAKE_FOREIGN: &str = include_str!("../../sql/queries/demo/take_foreign_document.sql");
const PLANT_FOREIGN: &str = include_str!("../../sql/queries/demo/plant_foreign_document.sql");

/// What the database says happened.
pub(super) struct Evidence {
    /// The run's audit rows, summed up.
    pub trail: Vec<TrailRow>,
    /// Documents in answers that belong to another tenant than the asker.
    pub leaks: usize,
    /// What the server's own database role could do to another tenant's document.
    pub attempts: Vec<Attempt>,
}

/// Audit rows of one tenant, action and outcome.
#[derive(Debug, Serialize)]
pub(super) struct TrailRow {
    pub tenant: String,
    pub action: String,
    pub resource: String,
    pub outcome: String,
    pub error: Option<String>,
    pub rows: i64,
    pub mean_ms: f64,
}

/// Something that the database must refuse.
#[derive(Debug, Serialize)]
pub(super) struct Attempt {
    pub attempt: String,
    pub answer: String,
    pub refused: bool,
}

/// Reads back, past row-level security, what the run left, and tries to get past it as the server's own role.
pub(super) async fn collect(deployment: &Deployment, run_id: &str, told: &Told) -> Result<Evidence, DemoError> {
    let client = admin::connect(deployment.admin()?).await?;
    let owners = client.query(OWNERS, &[]).await.map_err(DbError::from)?;
    let owners: HashMap<String, String> =
        owners.iter().map(|row| (row.get::<_, Uuid>("id").to_string(), row.get("slug"))).collect();
    let foreign = |search: &super::story::SearchTold| {
        search.document_ids.iter().filter(|id| owners.get(*id).is_none_or(|owner| owner != search.tenant)).count()
    };
    let leaks = told.searches.iter().map(foreign).sum();
    let trail = client.query(TRAIL, &[&user_of(run_id)]).await.map_err(DbError::from)?;
    let trail = trail.iter().map(|row| TrailRow {
        tenant: row.get("tenant"),
        action: row.get("action"),
        resource: row.get("resource"),
        outcome: row.get("outcome"),
        error: row.get("error"),
        rows: row.get("rows"),
        mean_ms: row.get("mean_ms"),
    });
    let target = owners.iter().find(|(_, owner)| *owner == "enterprise").map(|(id, _)| id.parse());
    let target = target.transpose()?.ok_or("enterprise has no document")?;
    Ok(Evidence { trail: trail.collect(), leaks, attempts: attempt(deployment, target).await? })
}

/// Goes for the document with bare SQL, in the context of `demo`.
async fn attempt(deployment: &Deployment, target: Uuid) -> Result<Vec<Attempt>, DemoError> {
    let pool = Pool::new(deployment.app()?.clone(), &PoolOptions::default())?;
    let tenant = |slug| {
        let system = System::new(pool.clone());
        async move { system.resolve_tenant(slug).await?.ok_or_else(|| DemoError::from(format!("no tenant {slug}"))) }
    };
    let (demo, enterprise) = (tenant("demo").await?, tenant("enterprise").await?);
    let caller = Caller { tenant_id: demo.id, user_id: UserId::parse("demo-intruder")?, scopes: Scopes::all() };
    let door = Door::new(pool.clone(), crate::db::Deadlines::default());

    let transaction = door.open(&caller).await?;
    let taken = transaction.query(TAKE_FOREIGN, &[&target]).await;
    transaction.abandon().await;
    let transaction = door.open(&caller).await?;
    let planted = transaction.query(PLANT_FOREIGN, &[&enterprise.id]).await;
    transaction.abandon().await;
    pool.close();
    Ok(vec![
        Attempt {
            attempt: "SQL as the server's role: change enterprise's document by its id, in demo's context".to_owned(),
            refused: taken.as_ref().is_ok_and(Vec::is_empty),
            answer: taken.map_or_else(|error| error.to_string(), |rows| format!("{} rows touched", rows.len())),
        },
        Attempt {
            attempt: "SQL as the server's role: insert a document for enterprise, in demo's context".to_owned(),
            refused: matches!(planted, Err(DbError::Forbidden(_))),
            answer: planted.map_or_else(|error| error.to_string(), |rows| format!("{} rows inserted", rows.len())),
        },
    ])
}
