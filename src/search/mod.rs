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
mod query;
mod restriction;
mod typo;
mod vector;

use std::collections::HashMap;

use crate::db::{DbError, TenantTransaction};
use crate::identity::TenantId;
use bm25::{Parameters, RankedDocument};
use filter::Filter;
use fusion::{FusedDocument, Weights};
use lexical::Terms;
use restriction::Restriction;

pub use mode::{Mode, Ran};
pub use passages::Passage;
pub use query::Query;
pub use typo::Correction;

/// Documents that the vectors' side contributes at most. Twenty would cost .17 of recall@100.
pub const DEPTH: usize = 100;
/// Documents that the words' side contributes at most: more cost nothing there, and lift Cranfield's recall@100 from .790
/// to .793.
pub const WORDS_DEPTH: usize = 200;

/// A checked search.
#[derive(Debug, Clone)]
pub struct Search {
    /// What to look for.
    pub query: Query,
    /// Unit vector to compare with, and the model it is of.
    pub embedding: Option<QueryEmbedding>,
    /// Why there is none, where that was found out.
    pub no_embedding: Option<String>,
    /// Most documents to return.
    pub limit: usize,
    /// How much each side counts; not both 0.
    pub weights: Weights,
    /// Which documents may be found.
    pub filter: Filter,
    /// BM25's constants; the tenant's own if absent (`tenants.settings`, else the standard ones).
    pub parameters: Option<Parameters>,
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
    /// Words that no document holds and what they were read as.
    pub corrections: Vec<Correction>,
    /// What else a reader should know of how the search was done.
    pub notes: Vec<String>,
}

impl Search {
    fn has_words(&self) -> bool {
        self.weights.bm25 > 0.0
    }

    fn terms(&self) -> Terms<'_> {
        Terms {
            words: if self.has_words() { &self.query.words } else { "" },
            conditions: self.query.phrases.iter().chain(&self.query.excluded).map(String::as_str).collect(),
            lexemes: Vec::new(),
            filter: self.filter.clone(),
        }
    }
}

/// The words' side alone: the best documents by BM25.
///
/// # Errors
/// Any [`DbError`].
pub async fn by_words(
    transaction: &TenantTransaction,
    tenant_id: TenantId,
    search: &Search,
) -> Result<Vec<RankedDocument>, DbError> {
    let rows = lexical::read(transaction, tenant_id, &search.terms()).await?;
    let side = rows.side()?;
    let parameters = search.parameters.unwrap_or_default();
    Ok(bm25::rank(side.statistics, parameters, &side.terms, &side.selection, WORDS_DEPTH)?)
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
    Ok(vector::nearest(transaction, tenant_id, search, &Restriction::default()).await?.unwrap_or_default())
}

/// Runs a search in the tenant's transaction.
///
/// # Errors
/// Any [`DbError`].
pub async fn run(transaction: &TenantTransaction, tenant_id: TenantId, search: &Search) -> Result<Outcome, DbError> {
    let terms = search.terms();
    let is_restricted = !search.filter.is_empty() || search.query.has_conditions();
    // Without a restriction both sides go out at once. With one, the words' side first says what may be found.
    let unrestricted = Restriction::default();
    let (rows, mut nearest) = tokio::try_join!(lexical::read(transaction, tenant_id, &terms), async {
        match is_restricted {
            true => Ok(None),
            false => vector::nearest(transaction, tenant_id, search, &unrestricted).await,
        }
    })?;
    let mut side = rows.side()?;
    let mut notes = Vec::new();
    if is_restricted {
        notes = restriction::apply(transaction, tenant_id, &search.filter, &search.query, &mut side).await?;
        nearest = vector::nearest(transaction, tenant_id, search, &Restriction::of(&side.selection)).await?;
    }
    let (corrections, readings) = typo::read(transaction, tenant_id, terms.words, &side).await?;
    let resembling;
    if !readings.is_empty() {
        let lexemes = readings.iter().map(|reading| reading.lexeme.clone()).collect();
        resembling = lexical::read(transaction, tenant_id, &Terms { lexemes, ..Terms::default() }).await?;
        typo::widen(&mut side, &mut resembling.side()?, &readings);
    }
    let parameters = match search.parameters {
        Some(parameters) => parameters,
        None => Parameters::of_settings(&transaction.tenant().await?.settings),
    };
    let ranking = match search.has_words() {
        true => bm25::rank(side.statistics, parameters, &side.terms, &side.selection, WORDS_DEPTH)?,
        false => Vec::new(),
    };
    let mode = Mode::of(search, search.has_words().then_some(side.terms.len()), nearest.as_ref().map(Vec::len));
    let nearest = nearest.unwrap_or_default();
    let fused = fusion::fuse(&ranking, &nearest, search.weights);
    let winners = &fused.documents[..fused.documents.len().min(search.limit)];

    let names: Vec<&str> = side.terms.iter().map(|term| term.term.as_str()).collect();
    let bigrams: Vec<String> =
        names.iter().filter(|term| lexical::is_bigram(term)).map(|term| (*term).to_owned()).collect();
    let chunk_nos: Vec<i32> = winners.iter().map(|winner| winner.chunk_no).collect();
    let mut passages: HashMap<i32, Passage> = passages::fetch(transaction, tenant_id, &chunk_nos, &names)
        .await?
        .into_iter()
        .map(|passage| (passage.chunk_no, passage))
        .collect();
    let held = match search.explain {
        true => side.held_terms(&chunk_nos)?,
        false => vec![Vec::new(); winners.len()],
    };
    let found = winners.iter().zip(held).filter_map(|(place, terms)| {
        let passage = passages.remove(&place.chunk_no)?;
        let highlights =
            passage.marked.as_deref().map(|marked| highlight::highlight(marked, &bigrams)).unwrap_or_default();
        Some(Found { place: *place, passage, terms, highlights })
    });
    Ok(Outcome { found: found.collect(), mode, total_candidates: fused.total_candidates, corrections, notes })
}
