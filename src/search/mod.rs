//! Hybrid search: BM25 over the tenant's own postings and cosine similarity over its own vectors, fused by Reciprocal
//! Rank Fusion. Two round trips: both sides at once, then the passages of the winners.

pub mod bm25;
pub mod filter;
pub mod fusion;
pub mod highlight;
pub mod lexical;
mod mode;
mod passages;
pub mod postings;
mod vector;

use std::collections::HashMap;

use crate::db::{DbError, TenantTransaction};
use crate::identity::TenantId;
use bm25::{Parameters, RankedDocument, Ranking};
use filter::Filter;
use fusion::{FusedDocument, Weights};
use lexical::LexicalRows;

pub use mode::{Mode, Ran};
pub use passages::Passage;

/// Documents that the vectors' side contributes at most. Twenty would cost .17 of recall@100.
pub const DEPTH: usize = 100;
/// Documents that the words' side contributes at most: more cost nothing there, and lift Cranfield's recall@100 from .790
/// to .793.
pub const WORDS_DEPTH: usize = 200;

/// A checked search.
#[derive(Debug, Clone)]
pub struct Search {
    /// Words to look for.
    pub query: String,
    /// Unit vector to compare with, and the model it is of.
    pub embedding: Option<QueryEmbedding>,
    /// Most documents to return.
    pub limit: usize,
    /// How much each side counts; not both 0.
    pub weights: Weights,
    /// Which documents may be found.
    pub filter: Filter,
    /// BM25's constants.
    pub parameters: Parameters,
    /// Whether to say which terms matched.
    pub explain: bool,
}

/// A query's vector.
#[derive(Debug, Clone)]
pub struct QueryEmbedding {
    /// Unit length, of the database's dimensions.
    pub vector: Vec<f32>,
    /// Which vectors it may be compared with (`embedding_models.id`).
    pub model_id: i16,
}

/// A document that was found.
#[derive(Debug, Clone)]
pub struct Found {
    /// Where both sides put it.
    pub place: FusedDocument,
    /// The chunk shown, with its document.
    pub passage: Passage,
    /// Terms of the query that the shown chunk holds, with how often, if that was asked for.
    pub terms: Vec<(String, u32)>,
    /// Fragments of the passage with the matched terms marked.
    pub highlights: Vec<String>,
}

/// What a search found.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Best first.
    pub found: Vec<Found>,
    /// Which sides took part, and why if not both.
    pub mode: Mode,
    /// Distinct documents among the best [`WORDS_DEPTH`] by words and [`DEPTH`] by vectors.
    pub total_candidates: usize,
    /// Documents that hold a term of the query and pass the filter.
    pub bm25_matches: usize,
}

/// The words' side alone: the best documents by BM25.
///
/// # Errors
/// Any [`DbError`].
pub async fn by_words(transaction: &TenantTransaction, tenant_id: TenantId, search: &Search) -> Result<Ranking, DbError> {
    let Some(rows) = lexical::read(transaction, tenant_id, search).await? else { return Ok(Ranking::default()) };
    let side = rows.side(search)?;
    Ok(bm25::rank(side.statistics, search.parameters, &side.terms, &side.selection, WORDS_DEPTH)?)
}

/// The vectors' side alone, without a filter: the nearest documents.
///
/// # Errors
/// Any [`DbError`].
pub async fn by_vector(
    transaction: &TenantTransaction,
    tenant_id: TenantId,
    search: &Search,
) -> Result<Vec<RankedDocument>, DbError> {
    Ok(vector::nearest(transaction, tenant_id, search, None).await?.unwrap_or_default())
}

/// Runs a search in the tenant's transaction.
///
/// # Errors
/// Any [`DbError`].
pub async fn run(transaction: &TenantTransaction, tenant_id: TenantId, search: &Search) -> Result<Outcome, DbError> {
    // Without a filter both sides go out at once. With one, the words' side first says which chunks pass.
    let (rows, nearest) = if search.filter.is_empty() {
        tokio::try_join!(
            lexical::read(transaction, tenant_id, search),
            vector::nearest(transaction, tenant_id, search, None),
        )?
    } else {
        let rows = lexical::read(transaction, tenant_id, search).await?;
        let passing = rows.as_ref().map(LexicalRows::passing).transpose()?.unwrap_or_default();
        (rows, vector::nearest(transaction, tenant_id, search, Some(&passing)).await?)
    };
    let side = rows.as_ref().map(|rows| rows.side(search)).transpose()?;
    let lexical = side.as_ref().filter(|side| side.has_words);
    let ranking = match lexical {
        Some(side) => bm25::rank(side.statistics, search.parameters, &side.terms, &side.selection, WORDS_DEPTH)?,
        None => Ranking::default(),
    };
    let mode = Mode::of(search, lexical.map(|side| side.terms.len()), nearest.as_ref().map(Vec::len));
    let nearest = nearest.unwrap_or_default();
    let fused = fusion::fuse(&ranking.documents, &nearest, search.weights);
    let winners = &fused.documents[..fused.documents.len().min(search.limit)];

    let names: Vec<&str> =
        lexical.into_iter().flat_map(|side| &side.terms).map(|term| term.term.as_str()).collect();
    let bigrams: Vec<String> = names.iter().filter(|term| lexical::is_bigram(term)).map(|term| (*term).to_owned()).collect();
    let chunk_nos: Vec<i32> = winners.iter().map(|winner| winner.chunk_no).collect();
    let mut passages: HashMap<i32, Passage> = passages::fetch(transaction, tenant_id, &chunk_nos, &names)
        .await?
        .into_iter()
        .map(|passage| (passage.chunk_no, passage))
        .collect();
    let held = match lexical {
        Some(side) if search.explain => side.held_terms(&chunk_nos)?,
        _ => vec![Vec::new(); winners.len()],
    };
    let found = winners.iter().zip(held).filter_map(|(place, terms)| {
        let passage = passages.remove(&place.chunk_no)?;
        let highlights =
            passage.marked.as_deref().map(|marked| highlight::highlight(marked, &bigrams)).unwrap_or_default();
        Some(Found { place: *place, passage, terms, highlights })
    });
    Ok(Outcome {
        found: found.collect(),
        mode,
        total_candidates: fused.total_candidates,
        bm25_matches: ranking.matching_documents,
    })
}
