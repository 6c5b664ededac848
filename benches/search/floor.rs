//! The floor: the statements of a search as a superuser, without row-level security, context, audit row or MCP.

use bailiwick::identity::TenantId;
use bailiwick::search::lexical::LexicalRows;
use bailiwick::search::{MATCHING_WORDS, Marks, QueryEmbedding, Search, bm25, fusion};
use tokio_postgres::{Client, Row, Statement};

use crate::world::Result;

const POSTINGS: &str = include_str!("../../sql/queries/search/postings.sql");
const NEAREST: &str = include_str!("../../sql/queries/search/nearest.sql");
const NEAREST_EXACT: &str = include_str!("../../sql/queries/search/nearest_exact.sql");
const PASSAGES: &str = include_str!("../../sql/queries/search/passages.sql");

/// A superuser's connection with the statements prepared.
pub struct Floor {
    client: Client,
    postings: Statement,
    nearest: Statement,
    nearest_exact: Statement,
    passages: Statement,
    matching_words: Statement,
}

impl Floor {
    pub async fn prepare(client: Client) -> Result<Self> {
        let settings = "SET hnsw.ef_search = 130; SET hnsw.iterative_scan = 'relaxed_order'; SET plan_cache_mode = force_custom_plan";
        client.batch_execute(settings).await?;
        let (postings, passages) = (client.prepare(POSTINGS).await?, client.prepare(PASSAGES).await?);
        let matching_words = client.prepare(MATCHING_WORDS).await?;
        let (nearest, nearest_exact) = (client.prepare(NEAREST).await?, client.prepare(NEAREST_EXACT).await?);
        Ok(Self { client, postings, nearest, nearest_exact, passages, matching_words })
    }

    /// The same work as a call of the tool: both sides at once, fusion, the passages of ten winners, which of their words match.
    /// Returns the number of passages.
    pub async fn search(&self, tenant_id: TenantId, search: &Search) -> Result<usize> {
        let embedding = search.embedding.as_ref().ok_or("a search with a vector")?;
        let none_text: Option<String> = None;
        let none_json: Option<serde_json::Value> = None;
        let nothing: Vec<String> = Vec::new();
        let words: [bailiwick::db::Parameter<'_>; 7] =
            [&tenant_id, &search.query.words, &nothing, &nothing, &none_text, &none_text, &none_json];
        let (begun, nearest, generic, rows) = tokio::join!(
            self.client.batch_execute("BEGIN"),
            self.nearest(&self.nearest, tenant_id, embedding, 100),
            self.client.batch_execute("SET LOCAL plan_cache_mode = force_generic_plan"),
            self.client.query(&self.postings, &words),
        );
        begun?;
        generic?;
        let rows = LexicalRows::new(rows?);
        let side = rows.side()?;
        let ranking = bm25::rank(side.statistics, bm25::Parameters::default(), &side.terms, &side.selection, 200)?;
        let mut near = Vec::new();
        for (row, rank) in nearest?.iter().zip(1..) {
            let (chunk_no, ordinal): (i32, i32) = (row.get(0), row.get(1));
            near.push(bm25::RankedDocument { first_chunk_no: chunk_no - ordinal, chunk_no, score: row.get(2), rank });
        }
        let fused = fusion::fuse(&ranking, &near, search.weights);
        let chunk_nos: Vec<i32> = fused.documents.iter().take(search.limit).map(|place| place.chunk_no).collect();
        let winners: [bailiwick::db::Parameter<'_>; 2] = [&tenant_id, &chunk_nos];
        let passages = self.client.query(&self.passages, &winners).await?;
        let names: Vec<&str> = side.terms.iter().map(|term| term.term.as_str()).collect();
        let texts = passages.iter().map(|row| (row.get("language"), row.get("passage")));
        let marks = Marks::new(texts, &names);
        let asked = marks.parameters().unwrap_or_default();
        let asked: Vec<bailiwick::db::Parameter<'_>> = asked.iter().map(|parameter| &**parameter as _).collect();
        let (matching, committed) = tokio::join!(
            async {
                match asked.is_empty() {
                    true => Ok(Vec::new()),
                    false => self.client.query(&self.matching_words, &asked).await,
                }
            },
            self.client.batch_execute("COMMIT"),
        );
        committed?;
        marks.highlights(&matching?)?;
        Ok(passages.len())
    }

    async fn nearest(
        &self,
        statement: &Statement,
        tenant_id: TenantId,
        embedding: &QueryEmbedding,
        limit: i64,
    ) -> std::result::Result<Vec<Row>, tokio_postgres::Error> {
        let none: Option<Vec<i32>> = None;
        let parameters: [bailiwick::db::Parameter<'_>; 7] =
            [&tenant_id, &embedding.vector, &embedding.model_id, &none, &limit, &none, &none];
        self.client.query(statement, &parameters).await
    }

    /// The chunks that are truly the ten nearest.
    pub async fn exact(&self, tenant_id: TenantId, search: &Search) -> Result<Vec<i32>> {
        let embedding = search.embedding.as_ref().ok_or("a search with a vector")?;
        let rows = self.nearest(&self.nearest_exact, tenant_id, embedding, 10).await?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }
}
