//! Hybrid search: BM25 over the tenant's own postings and cosine similarity over its own vectors, fused by Reciprocal
//! Rank Fusion. Two round trips: both sides at once, then the passages of the winners.

pub mod bm25;
pub mod filter;
pub mod fusion;
pub mod highlight;
pub mod lexical;
mod marks;
mod mode;
mod passages;
pub mod postings;
mod query;
mod restriction;
mod typo;
mod vector;
mod words;

use std::collections::HashMap;

use crate::db::{DbError, TenantTransaction};
use crate::identity::TenantId;
use bm25::{Parameters, RankedDocument};
use filter::Filter;
use fusion::{FusedDocument, Weights};
use lexical::Terms;
use restriction::Restriction;
use words::{LexicalAnswers, Words};

pub use marks::{MATCHING_WORDS, Marks};
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
}

/// What a search found.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Best first.
    pub found: Vec<Found>,
    /// What it takes to show which words of their passages match.
    pub marks: Marks,
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

    /// Whether not every document may be found.
    fn is_restricted(&self) -> bool {
        !self.filter.is_empty() || self.query.has_conditions()
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
    let rows = LexicalAnswers::default();
    let (notes, words, nearest);
    if search.is_restricted() {
        // The words' side first says what may be found.
        let mut side = rows.read(transaction, tenant_id, &terms).await?;
        notes = restriction::apply(transaction, tenant_id, &search.filter, &search.query, &mut side).await?;
        let restriction = Restriction::of(&side.selection);
        (words, nearest) = tokio::try_join!(
            Words::rank(transaction, tenant_id, search, &rows, side),
            vector::nearest(transaction, tenant_id, search, &restriction),
        )?;
    } else {
        notes = Vec::new();
        let unrestricted = Restriction::default();
        // Both go out at once, and words are scored while the database looks for vectors.
        (words, nearest) = tokio::try_join!(
            async {
                let side = rows.read(transaction, tenant_id, &terms).await?;
                Words::rank(transaction, tenant_id, search, &rows, side).await
            },
            vector::nearest(transaction, tenant_id, search, &unrestricted),
        )?;
    }
    let Words { side, ranking, corrections } = words;
    let mode = Mode::of(search, search.has_words().then_some(side.terms.len()), nearest.as_ref().map(Vec::len));
    let nearest = nearest.unwrap_or_default();
    let fused = fusion::fuse(&ranking, &nearest, search.weights);
    let winners = &fused.documents[..fused.documents.len().min(search.limit)];

    let chunk_nos: Vec<i32> = winners.iter().map(|winner| winner.chunk_no).collect();
    let passages = passages::fetch(transaction, tenant_id, &chunk_nos).await?;
    let mut passages: HashMap<i32, Passage> = passages.into_iter().map(|passage| (passage.chunk_no, passage)).collect();
    let held = match search.explain {
        true => side.held_terms(&chunk_nos)?,
        false => vec![Vec::new(); winners.len()],
    };
    let found = winners.iter().zip(held).filter_map(|(place, terms)| {
        let passage = passages.remove(&place.chunk_no)?;
        Some(Found { place: *place, passage, terms })
    });
    let found: Vec<Found> = found.collect();
    let mut terms: Vec<_> = side.terms.iter().collect();
    terms.sort_by_key(|term| term.posting_count());
    let names: Vec<&str> = terms.iter().map(|term| term.term.as_str()).collect();
    let texts = found.iter().map(|found| (found.passage.language.as_str(), found.passage.text.as_str()));
    let marks = Marks::new(texts, &names);
    Ok(Outcome { found, marks, mode, total_candidates: fused.total_candidates, corrections, notes })
}
