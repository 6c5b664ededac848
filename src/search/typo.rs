//! Widens a word that no document holds to the tenant's lexemes that it may be a misspelling of.

use std::collections::{BTreeMap, BTreeSet};

use super::bm25::TermPostings;
use super::lexical::{LexicalSide, is_bigram};
use super::postings::block::Block;
use crate::db::{DbError, TenantTransaction};
use crate::identity::TenantId;

const VOCABULARY: &str = include_str!("../../sql/queries/search/vocabulary.sql");
const WORD_TERMS: &str = include_str!("../../sql/queries/search/word_terms.sql");

/// Shorter terms have too many neighbours.
const SHORTEST: usize = 4;
/// A term of so many letters may have two slips, a shorter one has one.
const LONG: usize = 8;
/// Lexemes that a term is widened to.
const MOST_READINGS: usize = 3;
/// Terms of a query that are looked up.
const MOST_TERMS: usize = 4;
/// Blocks that are read for one term: 1.6 MB.
const MOST_BLOCKS: i64 = 400;
/// How much a reading counts against a word that is as it was typed, by its number of slips.
const DISCOUNTS: [f64; 3] = [1.0, 0.7, 0.5];

/// A word of the query that was read as others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Correction {
    /// The query's term, as it would be indexed.
    pub term: String,
    /// What it was read as, likeliest first.
    pub readings: Vec<String>,
}

/// A reading: the lexeme and how much it counts.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Reading {
    pub lexeme: String,
    pub weight: f64,
}

/// Finds readings for the words of the query that no document holds.
pub(super) async fn read(
    transaction: &TenantTransaction,
    tenant_id: TenantId,
    words: &str,
    side: &LexicalSide<'_>,
) -> Result<(Vec<Correction>, Vec<Reading>), DbError> {
    let (mut corrections, mut readings) = (Vec::new(), Vec::new());
    let mut unknown = BTreeMap::new();
    for term in &side.terms {
        if may_be_misspelt(&term.term) && term.df(&side.selection.dead)? == 0 {
            unknown.insert(term.term.as_str(), term);
        }
    }
    if unknown.is_empty() {
        return Ok((corrections, readings));
    }
    let initials: BTreeSet<char> = unknown.keys().filter_map(|term| term.chars().next()).collect();
    let (vocabulary, misspelt) = tokio::try_join!(
        vocabulary(transaction, tenant_id, &initials),
        misspelt(transaction, tenant_id, words, &unknown),
    )?;
    for term in misspelt.iter().filter_map(|term| unknown.get(term.as_str())).take(MOST_TERMS) {
        let nearest = nearest(&term.term, &vocabulary);
        if nearest.is_empty() {
            continue;
        }
        corrections.push(Correction {
            term: term.term.clone(),
            readings: nearest.iter().map(|(lexeme, _)| lexeme.clone()).collect(),
        });
        readings.extend(nearest.into_iter().map(|(lexeme, slips)| Reading {
            lexeme,
            weight: term.query_weight * DISCOUNTS.get(slips).copied().unwrap_or_default(),
        }));
    }
    Ok((corrections, readings))
}

/// The terms of words that no document holds in any of the tenant's languages and that are no stop word in one: a query is
/// analysed in each language, and what one makes of a word may well be unknown where what another makes of it is not.
async fn misspelt(
    transaction: &TenantTransaction,
    tenant_id: TenantId,
    words: &str,
    unknown: &BTreeMap<&str, &TermPostings<'_>>,
) -> Result<BTreeSet<String>, DbError> {
    let words: Vec<&str> = words.split_whitespace().collect();
    let mut terms: BTreeMap<i64, Option<BTreeSet<String>>> = BTreeMap::new();
    for row in transaction.query(WORD_TERMS, &[&tenant_id, &words]).await? {
        let word = terms.entry(row.try_get("no")?).or_insert_with(|| Some(BTreeSet::new()));
        match row.try_get::<_, Option<String>>("lexeme")? {
            Some(lexeme) if unknown.contains_key(lexeme.as_str()) => {
                if let Some(word) = word {
                    word.insert(lexeme);
                }
            }
            // Known, or a stop word.
            _ => *word = None,
        }
    }
    Ok(terms.into_values().flatten().flatten().collect())
}

/// Adds the readings to the terms to score by.
pub(super) fn widen<'a>(side: &mut LexicalSide<'a>, looked_up: &mut LexicalSide<'a>, readings: &[Reading]) {
    for Reading { lexeme, weight } in readings {
        if side.terms.iter().all(|term| term.term != *lexeme)
            && let Some(term) = looked_up.take_other(lexeme)
        {
            side.terms.push(TermPostings { query_weight: *weight, ..term });
        }
    }
}

fn may_be_misspelt(term: &str) -> bool {
    term.chars().count() >= SHORTEST && term.chars().all(char::is_alphabetic) && !is_bigram(term)
}

/// The tenant's lexemes that begin with one of these letters, with the number of chunks that hold them: a word's first
/// letter is hardly ever wrong, and without it the whole vocabulary would have to be read.
async fn vocabulary(
    transaction: &TenantTransaction,
    tenant_id: TenantId,
    initials: &BTreeSet<char>,
) -> Result<BTreeMap<String, usize>, DbError> {
    let from: Vec<String> = initials.iter().map(char::to_string).collect();
    // Code points and their UTF-8 bytes are in the same order. No letter is the last of all code points, nor the last
    // before the surrogates.
    let next = |initial: &char| char::from_u32(*initial as u32 + 1).unwrap_or(char::MAX).to_string();
    let to: Vec<String> = initials.iter().map(next).collect();
    let mut lexemes: BTreeMap<String, usize> = BTreeMap::new();
    for row in transaction.query(VOCABULARY, &[&tenant_id, &from, &to, &MOST_BLOCKS]).await? {
        match row.try_get::<_, Option<&[u8]>>("block")? {
            None => {
                let df = usize::try_from(row.try_get::<_, i64>("df")?).unwrap_or_default();
                *lexemes.entry(row.try_get("lexeme")?).or_default() += df;
            }
            Some(block) => {
                let low: &str = row.try_get("low")?;
                for (lexeme, df) in Block::open(block)?.lexemes()? {
                    if lexeme.starts_with(low) {
                        *lexemes.entry(lexeme).or_default() += df;
                    }
                }
            }
        }
    }
    Ok(lexemes)
}

/// The lexemes within the slips that a term of this length may have, nearest first, of equals the more frequent.
///
/// Slips by optimal string alignment: a letter too many, missing, wrong, or two that changed places.
fn nearest(term: &str, vocabulary: &BTreeMap<String, usize>) -> Vec<(String, usize)> {
    let most = if term.chars().count() >= LONG { 2 } else { 1 };
    let initial = term.chars().next();
    let mut near: Vec<(usize, usize, &String)> = vocabulary
        .iter()
        .filter(|(lexeme, _)| lexeme.chars().next() == initial && lexeme.len().abs_diff(term.len()) <= 4 * most)
        .map(|(lexeme, df)| (strsim::osa_distance(term, lexeme), *df, lexeme))
        .filter(|(slips, _, _)| (1..=most).contains(slips))
        .collect();
    near.sort_by(|a, b| a.0.cmp(&b.0).then(b.1.cmp(&a.1)).then_with(|| a.2.cmp(b.2)));
    near.truncate(MOST_READINGS);
    near.into_iter().map(|(slips, _, lexeme)| (lexeme.clone(), slips)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_and_then_the_most_frequent_come_first() {
        let vocabulary = |words: &[(&str, usize)]| -> BTreeMap<String, usize> {
            words.iter().map(|(word, df)| ((*word).to_owned(), *df)).collect()
        };
        let known = vocabulary(&[("polici", 9), ("polic", 3), ("polish", 50), ("print", 7), ("pocket", 1)]);
        assert_eq!(nearest("polci", &known), [("polici".to_owned(), 1), ("polic".to_owned(), 1)]);
        let known = vocabulary(&[("restaurant", 2), ("restor", 40)]);
        assert_eq!(nearest("restuarnat", &known), [("restaurant".to_owned(), 2)]);
        assert_eq!(nearest("bank", &vocabulary(&[("bench", 2), ("bark", 1)])), [("bark".to_owned(), 1)]);
    }

    #[test]
    fn short_words_numbers_and_characters_are_taken_as_they_are() {
        for term in ["abc", "a1b2c3", "2026", "휴가", "\u{1}f00f"] {
            assert!(!may_be_misspelt(term), "{term}");
        }
        assert!(may_be_misspelt("größe") && may_be_misspelt("отпуск"));
    }
}
