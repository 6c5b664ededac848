//! Which words of the passages may match a term, so that the database is asked what those few are stemmed to and not all.

use std::collections::HashSet;
use std::ops::Range;

use unicode_segmentation::UnicodeSegmentation;

use crate::documents::script::EastAsian;

/// A lexeme up to this length may come of a word that shares but its first letter: die of dying.
const SHORT: usize = 3;

/// How many letters at the beginning of a word its stemmer surely keeps.
fn kept_letters(language: &str) -> usize {
    match language {
        "en" | "ko" | "ja" | "zh" | "simple" => 2,
        // German makes one letter of two, others take accents off or turn them.
        "ca" | "da" | "de" | "es" | "eu" | "fi" | "fr" | "hu" | "it" | "no" | "pt" | "ro" | "ru" | "sv" => 1,
        // Some take prefixes off, or write in other letters.
        _ => 0,
    }
}

/// The words of a text that have spaces or the like between them, much as PostgreSQL's parser has them: runs of letters and digits with
/// the marks on them. Hangul, Han and Kana are no part of one, nor are the pieces of names of hosts, paths, addresses and numbers with a point,
/// which are indexed whole.
pub fn words(text: &str) -> Vec<Range<usize>> {
    let mut words: Vec<Range<usize>> = Vec::new();
    let mut add = |start: usize, end: usize| match words.last_mut() {
        Some(last) if last.end == start => last.end = end,
        _ => words.push(start..end),
    };
    if text.is_ascii() {
        for (at, byte) in text.bytes().enumerate() {
            if byte.is_ascii_alphanumeric() {
                add(at, at + 1);
            }
        }
    } else {
        for (at, grapheme) in text.grapheme_indices(true) {
            let is_of_word = |c: char| c.is_alphanumeric() && EastAsian::of(c).is_none();
            if grapheme.chars().next().is_some_and(is_of_word) {
                add(at, at + grapheme.len());
            }
        }
    }
    let is_joint = |between: &str| matches!(between, "." | "/" | "@");
    let are_joined: Vec<bool> = words.windows(2).map(|pair| is_joint(&text[pair[0].end..pair[1].start])).collect();
    let is_joined = |at: usize| are_joined.get(at).copied().unwrap_or(false);
    let mut at = 0..words.len();
    words.retain(|_| at.next().is_some_and(|at| !is_joined(at) && !at.checked_sub(1).is_some_and(is_joined)));
    words
}

/// Sorts out the words that are certainly not stemmed to any of some lexemes.
pub struct Sieve(Vec<[Option<char>; 2]>);

impl Sieve {
    /// For words that may become one of these lexemes.
    pub fn new<'a>(lexemes: impl IntoIterator<Item = &'a str>) -> Self {
        let beginnings = lexemes.into_iter().map(|lexeme| match lexeme.chars().count() > SHORT {
            true => beginning(lexeme),
            false => [beginning(lexeme)[0], None],
        });
        let different: HashSet<[Option<char>; 2]> = beginnings.collect();
        Self(different.into_iter().collect())
    }

    /// Whether the word may become one of the lexemes in that language.
    pub fn lets_through(&self, language: &str, word: &str) -> bool {
        let letters = kept_letters(language);
        let [first, second] = beginning(word);
        // What is indexed may have several letters in the place of one, as fi for the ligature.
        let word = [first, first.and(second)];
        self.0.iter().any(|lexeme| {
            let pairs = lexeme.iter().zip(word).take(letters);
            !pairs.into_iter().any(|pair| matches!(pair, (Some(a), Some(b)) if *a != b))
        })
    }
}

/// The first two characters where they are none that a stemmer may change; `None` is any.
fn beginning(word: &str) -> [Option<char>; 2] {
    let mut characters = word.chars().map(|character| match character {
        'a'..='z' | '0'..='9' => Some(character),
        'A'..='Z' => Some(character.to_ascii_lowercase()),
        // Ё becomes е in Russian.
        'а'..='д' | 'ж'..='я' => Some(character),
        'А'..='Д' | 'Ж'..='Я' => character.to_lowercase().next(),
        _ => None,
    });
    [characters.next().flatten(), characters.next().flatten()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Vec<&str> {
        words(text).into_iter().map(|range| &text[range]).collect()
    }

    #[test]
    fn words_are_runs_of_letters_and_digits() {
        assert_eq!(of("Don't self-host libc6.1, please"), ["Don", "t", "self", "host", "please"]);
        assert_eq!(of("Mail j.doe@example.org or see src/main.rs, 3.5. End."), ["Mail", "or", "see", "End"]);
        assert_eq!(of("e\u{301}te\u{301} हिन्दी 검색SQL엔진 Straße"), ["e\u{301}te\u{301}", "हिन्दी", "SQL", "Straße"]);
        assert!(of(" — \u{2}").is_empty());
    }

    #[test]
    fn the_sieve_keeps_what_may_match() {
        let sieve = Sieve::new(["librari", "die", "uber", "école", "лес"]);
        for (language, word) in [
            ("en", "Libraries"),
            ("en", "dying"),
            ("de", "ueber"),
            ("fr", "Écoles"),
            ("en", "ecole"),
            ("en", "ﬂibraries"),
            ("ru", "лесов"),
            ("ru", "лётчик"),
            // Prefixes fall away.
            ("id", "memperpustakaan"),
            ("tr", "anything"),
        ] {
            assert!(sieve.lets_through(language, word), "{language} {word}");
        }
        let sieve = Sieve::new(["librari", "file", "лес"]);
        for (language, word) in [("en", "lobby"), ("en", "and"), ("de", "und"), ("ru", "дом"), ("ko", "SQL")] {
            assert!(!sieve.lets_through(language, word), "{language} {word}");
        }
    }
}
