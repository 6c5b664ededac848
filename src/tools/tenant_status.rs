use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Map;

use super::budget::BudgetOutput;
use crate::call::{Action, Answer, Call, Failure, Hints, Problems, Tool};
use crate::costs::Budget;
use crate::db::DbError;
use crate::documents::Quota;
use crate::embedding::Embeddings;
use crate::identity::Scope;

const STATUS: &str = include_str!("../../sql/queries/tenants/status.sql");

/// `tenant_status`.
pub struct TenantStatus {
    /// What searches get their vectors from.
    pub embeddings: Embeddings,
}

/// Arguments of `tenant_status`: none.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Input {}

/// Answer of `tenant_status`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Output {
    /// The organisation's short name.
    tenant: String,
    /// Its name.
    name: String,
    /// What it stores and may store.
    quota: Quota,
    /// What it spent on models and may spend.
    budget: BudgetOutput,
    /// Passages that its documents are cut into.
    chunks: i64,
    /// Documents that wait for their embedding: found by words, not yet by meaning.
    documents_without_embedding: i64,
    /// Documents that could not be embedded after several tries: found by words alone until their operator tries again.
    documents_not_embedded: i64,
    /// Why searches go by words alone, unless they bring a query_embedding; absent where they go by meaning too.
    #[serde(skip_serializing_if = "Option::is_none")]
    words_only_because: Option<String>,
    /// How far the upkeep of its search index has come. Searches are right at any state.
    index: IndexState,
    /// When the figures of the operator's overview were counted last.
    #[serde(skip_serializing_if = "Option::is_none")]
    statistics_as_of: Option<Timestamp>,
}

/// How far the upkeep of an index has come.
#[derive(Debug, Serialize, JsonSchema)]
pub struct IndexState {
    /// Passages that are searched one by one until they are merged: some hundreds at most where upkeep runs.
    fresh_chunks: i64,
    /// Deleted passages that are not cleared away yet.
    deleted_chunks: i64,
    /// When passages were merged last.
    #[serde(skip_serializing_if = "Option::is_none")]
    merged_at: Option<Timestamp>,
    /// How vectors are compared: exact (few vectors), indexed, or building.
    vectors: &'static str,
}

impl Tool for TenantStatus {
    type Input = Input;
    type Request = ();
    type Output = Output;

    const NAME: &'static str = "tenant_status";
    const TITLE: &'static str = "Status of your organisation";
    const DESCRIPTION: &'static str = "What your organisation stores, how much of its quota that is, what it may spend, and how far its search index has come. \
Use it to see whether there is anything to search, or why a search is slow.";
    const SCOPE: Scope = Scope::DocumentsRead;
    const ACTION: Action = Action::Read;
    const HINTS: Hints = Hints { read_only: true, idempotent: true, destructive: false };

    fn check(&self, _: Input) -> Result<(), Problems> {
        Ok(())
    }

    async fn run(&self, call: &Call<'_>, (): &()) -> Result<Answer<Output>, Failure> {
        let output = read(call, &self.embeddings).await.map_err(|error| call.failed(&error))?;
        let details = Map::from_iter([("chunks".to_owned(), output.chunks.into())]);
        Ok(Answer::new(output).telling(details))
    }
}

/// What the tool and the resource of statistics answer.
pub(crate) async fn read(call: &Call<'_>, embeddings: &Embeddings) -> Result<Output, DbError> {
    let tenant_id = call.caller.tenant_id;
    let status: [crate::db::Parameter<'_>; 1] = [&tenant_id];
    let (quota, budget, row) = tokio::try_join!(
        Quota::read(call.transaction, tenant_id),
        Budget::read(call.transaction, call.caller, call.id),
        call.transaction.query_one(STATUS, &status),
    )?;
    Ok(Output {
        tenant: row.try_get("slug")?,
        name: row.try_get("name")?,
        quota,
        budget: (&budget).into(),
        chunks: row.try_get("chunk_count")?,
        documents_without_embedding: row.try_get("pending_documents")?,
        documents_not_embedded: row.try_get("failed_documents")?,
        words_only_because: embeddings.absence().map(str::to_owned),
        index: IndexState {
            fresh_chunks: row.try_get("fresh_chunks")?,
            deleted_chunks: row.try_get("deleted_chunks")?,
            merged_at: row.try_get("merged_at")?,
            vectors: match row.try_get("has_vector_index")? {
                None => "exact",
                Some(false) => "building",
                Some(true) => "indexed",
            },
        },
        statistics_as_of: row.try_get("statistics_as_of")?,
    })
}
