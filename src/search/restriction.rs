//! Which documents may be found: the filter, the phrases that must occur, and what must not.

use std::collections::{BTreeMap, BTreeSet};

use super::bm25::{self, Selection};
use super::filter::Filter;
use super::lexical::{LexicalSide, TOO_MANY_FACETS, is_bigram};
use super::postings::{ChunkSet, Posting};
use super::query::Query;
use crate::db::{DbError, TenantTransaction};
use crate::documents::script::EastAsian;
use crate::identity::TenantId;

const PASSING: &str = include_str!("../../sql/queries/search/passing.sql");
const HOLDING: &str = include_str!("../../sql/queries/search/holding.sql");

/// Chunks that hold all words of a phrase and are looked at for the phrase itself, the best by words first.
const MOST_LOOKED_AT: usize = 300;

/// What the vectors' side needs to know of a selection.
#[derive(Debug, Default)]
pub(super) struct Restriction {
    pub passing: Option<Vec<i32>>,
    pub documents: Option<Vec<i32>>,
    pub excluded: Option<Vec<i32>>,
}

impl Restriction {
    pub(super) fn of(selection: &Selection) -> Self {
        Self {
            passing: selection.passing.as_ref().map(ChunkSet::to_vec),
            documents: selection.documents.as_ref().map(ChunkSet::to_vec),
            excluded: (!selection.excluded.is_empty()).then(|| selection.excluded.to_vec()),
        }
    }
}

/// Narrows the side's selection down to what the filter and the query's conditions let be found. Returns what a reader
/// should know of how that was done.
pub(super) async fn apply(
    transaction: &TenantTransaction,
    tenant_id: TenantId,
    filter: &Filter,
    query: &Query,
    side: &mut LexicalSide<'_>,
) -> Result<Vec<String>, DbError> {
    let mut notes = Vec::new();
    if !filter.is_empty() {
        side.selection.passing = Some(passing(transaction, tenant_id, filter, side).await?);
    }
    let required = query.phrases.iter().map(|text| (text, true));
    let excluded = query.excluded.iter().map(|text| (text, false));
    for (at, (text, is_required)) in required.chain(excluded).enumerate() {
        let alternatives = side.conditions.get(at).cloned().unwrap_or_default();
        if alternatives.values().all(BTreeSet::is_empty) {
            // In a tenant without documents nothing can be said of it, nor need be.
            if side.statistics.chunk_count > 0 {
                notes.push(format!("{text:?} has no searchable words, so it neither had to occur nor was excluded"));
            }
            continue;
        }
        let (holding, is_cut) = holding(transaction, tenant_id, text, &alternatives, side).await?;
        if is_cut {
            notes.push(format!("more than {MOST_LOOKED_AT} passages hold the words of {text:?}; only the best were looked at for the phrase"));
        }
        match is_required {
            true => {
                let both =
                    side.selection.documents.as_ref().map(|known| {
                        known.to_vec().into_iter().filter(|document| holding.contains(*document)).collect()
                    });
                side.selection.documents = Some(both.unwrap_or(holding));
            }
            false => {
                side.selection.excluded =
                    side.selection.excluded.to_vec().into_iter().chain(holding.to_vec()).collect();
            }
        }
    }
    Ok(notes)
}

/// The chunks that pass the filter: by their facets as far as those tell, else by looking at the documents.
async fn passing(
    transaction: &TenantTransaction,
    tenant_id: TenantId,
    filter: &Filter,
    side: &LexicalSide<'_>,
) -> Result<ChunkSet, DbError> {
    let mut candidates = None;
    if filter.has_facets() && !side.facets.is_empty() {
        let sure = side.holding_all(&side.facets)?;
        let unsure = side.holding_all([&TOO_MANY_FACETS.to_owned()])?;
        if unsure.is_empty() && filter.is_told_by_facets() {
            return Ok(sure.into_keys().collect());
        }
        candidates = Some(sure.into_keys().chain(unsure.into_keys()).collect::<Vec<i32>>());
    }
    let Filter { source, metadata, created_after, created_before, language } = filter;
    let parameters: [crate::db::Parameter<'_>; 7] =
        [&tenant_id, &candidates, source, metadata, created_after, created_before, language];
    // Which index is right hangs on what is given.
    let rows = transaction.query_planned(PASSING, &parameters).await?;
    rows.iter().map(|row| Ok(row.try_get("chunk_no")?)).collect()
}

/// The documents, by their first chunk, that hold a phrase, and whether some were not looked at.
async fn holding(
    transaction: &TenantTransaction,
    tenant_id: TenantId,
    text: &str,
    alternatives: &BTreeMap<String, BTreeSet<String>>,
    side: &LexicalSide<'_>,
) -> Result<(ChunkSet, bool), DbError> {
    let first_chunk_no = |posting: &Posting| posting.chunk_no - posting.ordinal;
    let mut documents: Vec<i32> = Vec::new();
    let mut candidates: BTreeMap<i32, Posting> = BTreeMap::new();
    let by_characters = text.chars().any(|c| EastAsian::of(c).is_some());
    for terms in alternatives.values().filter(|terms| !terms.is_empty()) {
        // A lone character is a term of its own only where it stands alone, so beside others it tells nothing.
        let is_lone = |term: &&String| is_bigram(term) && term.chars().count() == 1;
        let telling: Vec<&String> = terms.iter().filter(|term| !is_lone(term)).collect();
        let found = match telling.is_empty() {
            true => side.holding_all(terms)?,
            false => side.holding_all(telling)?,
        };
        // One word is found by its term alone; of several the order must be looked at.
        match terms.len() {
            1 => documents.extend(found.values().map(first_chunk_no)),
            _ => candidates.extend(found),
        }
    }
    let is_cut = candidates.len() > MOST_LOOKED_AT;
    if is_cut {
        let selection = Selection { passing: Some(candidates.keys().copied().collect()), ..side.selection.clone() };
        let mut best = bm25::score(side.statistics, bm25::Parameters::default(), &side.terms, &selection)?;
        best.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.chunk_no.cmp(&b.chunk_no)));
        let kept: ChunkSet = match best.is_empty() {
            true => candidates.keys().copied().take(MOST_LOOKED_AT).collect(),
            false => best.iter().map(|chunk| chunk.chunk_no).take(MOST_LOOKED_AT).collect(),
        };
        candidates.retain(|chunk_no, _| kept.contains(*chunk_no));
    }
    if !candidates.is_empty() {
        let chunk_nos: Vec<i32> = candidates.keys().copied().collect();
        let parameters: [crate::db::Parameter<'_>; 4] = [&tenant_id, &chunk_nos, &text, &by_characters];
        for row in transaction.query(HOLDING, &parameters).await? {
            documents.extend(candidates.get(&row.try_get("chunk_no")?).map(first_chunk_no));
        }
    }
    Ok((documents.into_iter().collect(), is_cut))
}
