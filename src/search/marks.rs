//! Which words of the passages that were found match the query.

use std::collections::HashMap;
use std::ops::Range;

use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::highlight::words::{Sieve, words};
use super::highlight::{Literals, highlight};
use super::lexical::is_bigram;
use crate::db::DbError;

/// What is to be asked of the database to tell which words match: `sql/queries/search/matching_words.sql`.
pub const MATCHING_WORDS: &str = include_str!("../../sql/queries/search/matching_words.sql");

/// Words that are asked for, those of the best passages first, and lexemes that they are compared with: each with each, in the end of
/// a call that nobody stops any more.
const MOST_WORDS: usize = 2_048;
const MOST_LEXEMES: usize = 64;

/// Passages, and which of their words may match.
#[derive(Debug, Clone, Default)]
pub struct Marks {
    passages: Vec<Marked>,
    /// The words that may match, each once, and its language.
    asked: Vec<(String, String)>,
    lexemes: Vec<String>,
    literals: Literals,
}

#[derive(Debug, Clone)]
struct Marked {
    text: String,
    /// Where words are, and which of those that are asked for.
    words: Vec<(Range<usize>, usize)>,
}

impl Marks {
    /// For passages, each a language and a text, and the query's terms as they are indexed, those first that matter most.
    #[must_use]
    pub fn new<'a>(passages: impl IntoIterator<Item = (&'a str, &'a str)>, terms: &[&str]) -> Self {
        let lexemes: Vec<&str> = terms.iter().filter(|term| !is_bigram(term)).copied().take(MOST_LEXEMES).collect();
        let bigrams = terms.iter().filter(|term| is_bigram(term));
        let sieve = Sieve::new(lexemes.iter().copied());
        let mut asked: HashMap<(&str, &str), usize> = HashMap::new();
        let marked = passages.into_iter().map(|(language, text)| {
            let mut may_match = words(text);
            may_match.retain(|word| sieve.lets_through(language, &text[word.clone()]));
            let words = may_match.into_iter().filter_map(|word| {
                let (next, key) = (asked.len(), (language, &text[word.clone()]));
                let at = match asked.get(&key) {
                    Some(at) => *at,
                    None if next == MOST_WORDS => return None,
                    None => *asked.entry(key).or_insert(next),
                };
                Some((word, at))
            });
            Marked { words: words.collect(), text: text.to_owned() }
        });
        let passages = marked.collect();
        let mut asked: Vec<_> = asked.into_iter().collect();
        asked.sort_unstable_by_key(|(_, at)| *at);
        Self {
            passages,
            asked: asked.into_iter().map(|((language, word), _)| (language.to_owned(), word.to_owned())).collect(),
            lexemes: lexemes.iter().map(|lexeme| (*lexeme).to_owned()).collect(),
            // What is no word of letters and digits is one to look for as it stands.
            literals: bigrams
                .chain(lexemes.iter().filter(|lexeme| !lexeme.chars().all(char::is_alphanumeric)))
                .copied()
                .collect(),
        }
    }

    /// The parameters of [`MATCHING_WORDS`]; `None` if there is nothing to ask.
    #[must_use]
    pub fn parameters(&self) -> Option<Vec<Box<dyn ToSql + Sync + Send>>> {
        let (languages, words): (Vec<String>, Vec<String>) = self.asked.iter().cloned().unzip();
        (!words.is_empty()).then(|| -> Vec<Box<dyn ToSql + Sync + Send>> {
            vec![Box::new(languages), Box::new(words), Box::new(self.lexemes.clone())]
        })
    }

    /// Fragments of each passage with the words that match in bold, as the rows of [`MATCHING_WORDS`] tell.
    ///
    /// # Errors
    /// [`DbError`] for rows of another statement.
    pub fn highlights(&self, rows: &[Row]) -> Result<Vec<Vec<String>>, DbError> {
        let mut matches = vec![false; self.asked.len()];
        for row in rows {
            let place: i64 = row.try_get("place")?;
            if let Some(word) = usize::try_from(place - 1).ok().and_then(|at| matches.get_mut(at)) {
                *word = true;
            }
        }
        let highlighted = self.passages.iter().map(|Marked { text, words }| {
            let words: Vec<Range<usize>> =
                words.iter().filter(|(_, asked)| matches[*asked]).map(|(word, _)| word.clone()).collect();
            highlight(text, &words, &self.literals)
        });
        Ok(highlighted.collect())
    }
}
