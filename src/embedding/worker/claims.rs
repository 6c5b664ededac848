use std::time::Duration;

use uuid::Uuid;

use crate::call::Calls;
use crate::db::DbError;
use crate::documents::Cutting;
use crate::identity::Caller;

const CLAIM: &str = include_str!("../../../sql/queries/embedding/claim.sql");
const PASSAGES: &str = include_str!("../../../sql/queries/embedding/passages.sql");
const RELEASE: &str = include_str!("../../../sql/queries/embedding/release.sql");

/// Documents claimed at once.
const DOCUMENTS: i64 = 64;
/// How long they are this server's while it lives. Longer than a batch may take, and renewed by each.
pub(super) const LEASE: Duration = Duration::from_secs(300);
/// Tries of a document, after which it is given up.
pub(super) const MOST_ATTEMPTS: i32 = 6;
/// After a first failure; doubled for each one more.
const PAUSE: Duration = Duration::from_secs(30);

/// Documents that are this server's for a while.
pub(super) struct Claimed {
    pub documents: Vec<Uuid>,
    /// Those that were tried too often: whoever tried last did not live to say what went wrong.
    pub exhausted: Vec<Uuid>,
    /// Whether documents are embedded with this server's model at all.
    pub is_current: bool,
}

/// A passage without a vector.
#[derive(Debug, Clone)]
pub(super) struct Passage {
    pub chunk_no: i32,
    /// As it is embedded.
    pub text: String,
}

/// Claims some of a tenant's documents.
pub(super) async fn claim(calls: &Calls, caller: &Caller, model_id: i16) -> Result<Claimed, DbError> {
    let lease = calls.lease().await?;
    let transaction = calls.door().open(caller).await?;
    let lease_s = LEASE.as_secs_f64();
    let row = transaction.finish(CLAIM, &[&caller.tenant_id, &model_id, &DOCUMENTS, &lease_s, &lease]).await?;
    let (documents, attempts): (Vec<Uuid>, Vec<i32>) = (row.try_get("document_ids")?, row.try_get("attempts")?);
    let (exhausted, documents): (Vec<_>, Vec<_>) =
        documents.into_iter().zip(attempts).partition(|(_, attempts)| *attempts > MOST_ATTEMPTS);
    let ids = |pairs: Vec<(Uuid, i32)>| pairs.into_iter().map(|(id, _)| id).collect();
    Ok(Claimed { documents: ids(documents), exhausted: ids(exhausted), is_current: row.try_get("is_current")? })
}

/// The next passages of claimed documents that have no vector yet.
pub(super) async fn passages(
    calls: &Calls,
    caller: &Caller,
    documents: &[Uuid],
    (model_id, cutting): (i16, &Cutting),
    most: usize,
) -> Result<Vec<Passage>, DbError> {
    let transaction = calls.door().open(caller).await?;
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let rows = transaction.query(PASSAGES, &[&caller.tenant_id, &documents, &model_id, &most]).await;
    transaction.abandon().await;
    rows?
        .iter()
        .map(|row| {
            let (title, passage): (&str, &str) = (row.try_get("title")?, row.try_get("passage")?);
            Ok(Passage { chunk_no: row.try_get("chunk_no")?, text: cutting.passage_text(title, passage) })
        })
        .collect()
}

/// Why documents are let go of.
pub(super) enum Fault {
    /// The documents': counted.
    OfTheTexts,
    /// Theirs, and so that another try would cost as much and come to nothing: counted so that there is one more.
    Lasting,
    /// The service's, or the tenant's budget: they are tried again in so long, however often.
    Passing(Duration),
}

/// Lets go of documents that could not be embedded; how many of them were given up.
pub(super) async fn release(
    calls: &Calls,
    caller: &Caller,
    documents: &[Uuid],
    fault: Fault,
    error: &str,
) -> Result<i64, DbError> {
    let transaction = calls.door().open(caller).await?;
    let (uncounted, pause_s) = match fault {
        Fault::OfTheTexts => (0_i32, PAUSE.as_secs_f64()),
        Fault::Lasting => (1 - MOST_ATTEMPTS / 2, PAUSE.as_secs_f64()),
        Fault::Passing(pause) => (1, pause.as_secs_f64()),
    };
    let parameters: [crate::db::Parameter<'_>; 6] =
        [&caller.tenant_id, &documents, &error, &uncounted, &pause_s, &MOST_ATTEMPTS];
    Ok(transaction.finish(RELEASE, &parameters).await?.try_get("failed")?)
}
