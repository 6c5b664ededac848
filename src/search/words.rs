//! The words' side of a search, ranked.

use std::sync::OnceLock;

use super::bm25::{self, Parameters, RankedDocument};
use super::lexical::{self, LexicalRows, LexicalSide, Terms};
use super::typo::{self, Correction};
use super::{Search, WORDS_DEPTH};
use crate::db::{DbError, TenantTransaction};
use crate::identity::TenantId;

/// What the database answers about terms: postings are borrowed from it.
#[derive(Default)]
pub(super) struct LexicalAnswers {
    query: OnceLock<LexicalRows>,
    resembling: OnceLock<LexicalRows>,
}

impl LexicalAnswers {
    /// Looks up the query's terms, once.
    pub(super) async fn read(
        &self,
        transaction: &TenantTransaction,
        tenant_id: TenantId,
        terms: &Terms<'_>,
    ) -> Result<LexicalSide<'_>, DbError> {
        let rows = lexical::read(transaction, tenant_id, terms).await?;
        self.query.get_or_init(|| rows).side()
    }
}

/// The words' side and its ranking.
pub(super) struct Words<'a> {
    /// The terms, with those that words were read as.
    pub side: LexicalSide<'a>,
    /// The best [`WORDS_DEPTH`] documents; none if words have no weight.
    pub ranking: Vec<RankedDocument>,
    /// Words that no document holds and what they were read as.
    pub corrections: Vec<Correction>,
}

impl<'a> Words<'a> {
    /// Reads words that no document holds as others, and ranks.
    pub(super) async fn rank(
        transaction: &TenantTransaction,
        tenant_id: TenantId,
        search: &Search,
        answers: &'a LexicalAnswers,
        mut side: LexicalSide<'a>,
    ) -> Result<Self, DbError> {
        if !search.has_words() {
            return Ok(Self { side, ranking: Vec::new(), corrections: Vec::new() });
        }
        let (corrections, readings) = typo::read(transaction, tenant_id, &search.query.words, &side).await?;
        if !readings.is_empty() {
            let lexemes = readings.iter().map(|reading| reading.lexeme.clone()).collect();
            let rows = lexical::read(transaction, tenant_id, &Terms { lexemes, ..Terms::default() }).await?;
            typo::widen(&mut side, &mut answers.resembling.get_or_init(|| rows).side()?, &readings);
        }
        let parameters = match search.parameters {
            Some(parameters) => parameters,
            None => Parameters::of_settings(&transaction.tenant().await?.settings),
        };
        let ranking = bm25::rank(side.statistics, parameters, &side.terms, &side.selection, WORDS_DEPTH)?;
        Ok(Self { side, ranking, corrections })
    }
}
