//! Fragments of a passage with the matched terms in bold.
//!
//! Two indexes match, so two ways lead to a mark. Which words of a Latin (or other alphabetic) script match after stemming only
//! the database knows: it is asked about those that may (`words`), which is far less work than `ts_headline` has with the whole
//! passage. Terms in Hangul, Han and Kana are runs of characters, and names of hosts, versions and the like stand as they are:
//! both are looked for here.

pub mod words;

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use unicode_segmentation::UnicodeSegmentation;

use crate::documents::script::EastAsian;

const MAX_FRAGMENTS: usize = 3;
/// Characters of text in a fragment, without its marks and ellipses.
const FRAGMENT_CHARACTERS: usize = 160;

/// At most three fragments of the passage, of about 160 characters each, in order of position, with
/// matches in `**…**` and an ellipsis where text is left out. Empty if nothing matches.
///
/// `matches` are the bytes of the words that match, in order; `literals` are the query's terms that stand in the text as they are,
/// but for upper case. Fragments are those with the most distinct matches that no other fragment shows. Runs of whitespace become
/// one space and control characters are dropped, so that a fragment is one line.
pub fn highlight(text: &str, matches: &[Range<usize>], literals: &Literals) -> Vec<String> {
    let mut passage = Passage::new(text, matches);
    passage.find(literals);
    let spans = passage.spans();
    let mut fragments: Vec<Extent> = Vec::new();
    let mut shown = HashSet::new();
    while fragments.len() < MAX_FRAGMENTS {
        let Some(window) = best_window(&spans, &fragments, &shown) else {
            break;
        };
        shown.extend(spans[window.0..=window.1].iter().flat_map(|span| span.terms.iter().copied()));
        let matches = Extent { start: spans[window.0].extent.start, end: spans[window.1].extent.end };
        fragments.push(passage.widen(matches, &fragments));
    }
    fragments.sort_unstable_by_key(|fragment| fragment.start);
    fragments.into_iter().map(|fragment| passage.render(fragment, &spans)).collect()
}

/// Terms of a query that stand in a text as they are, but for upper case, by their first two characters.
#[derive(Debug, Clone, Default)]
pub struct Literals(HashMap<(char, Option<char>), Vec<Vec<char>>>);

impl<'a> FromIterator<&'a str> for Literals {
    fn from_iter<I: IntoIterator<Item = &'a str>>(terms: I) -> Self {
        let mut literals = Self::default();
        for term in terms.into_iter().collect::<HashSet<_>>() {
            let characters: Vec<char> = term.chars().map(lower).collect();
            if let Some(first) = characters.first() {
                literals.0.entry((*first, characters.get(1).copied())).or_default().push(characters);
            }
        }
        literals
    }
}

/// A range of character positions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Extent {
    start: usize,
    end: usize,
}

/// Touching matches, which are marked as one.
struct Span {
    extent: Extent,
    terms: Vec<usize>,
}

/// The text in one line, and where which term matched.
#[derive(Default)]
struct Passage {
    text: Vec<char>,
    matches: Vec<(Extent, usize)>,
    terms: HashMap<String, usize>,
}

impl Passage {
    fn new(text: &str, matches: &[Range<usize>]) -> Self {
        let mut passage = Self::default();
        let mut from = 0;
        for word in matches {
            let (Some(before), Some(matched)) = (text.get(from..word.start), text.get(word.clone())) else { continue };
            passage.push(before);
            let start = passage.text.len();
            passage.push(matched);
            let end = passage.text.len();
            passage.add(Extent { start, end }, matched.trim().to_lowercase());
            from = word.end;
        }
        passage.push(text.get(from..).unwrap_or_default());
        // So that what ends before it ends with the text.
        if passage.text.last() == Some(&' ') {
            passage.text.pop();
        }
        passage
    }

    fn push(&mut self, text: &str) {
        for character in text.chars() {
            if character.is_whitespace() {
                if self.text.last().is_some_and(|last| *last != ' ') {
                    self.text.push(' ');
                }
            } else if !character.is_control() {
                self.text.push(character);
            }
        }
    }

    /// Adds a match, without the spaces around it: of nothing but spaces none, as a fragment has none at its ends.
    fn add(&mut self, extent: Extent, term: String) {
        let extent = self.trimmed(extent);
        if extent.start == extent.end {
            return;
        }
        let next = self.terms.len();
        let term = *self.terms.entry(term).or_insert(next);
        self.matches.push((extent, term));
    }

    /// Finds every occurrence of each literal, overlapping ones too: that is how bigrams cover a word. Others stand between what is no
    /// letter and no digit.
    fn find(&mut self, literals: &Literals) {
        if literals.0.is_empty() {
            return;
        }
        let text: Vec<char> = self.text.iter().copied().map(lower).collect();
        let is_in_word = |at: Option<usize>| {
            let character = at.and_then(|at| text.get(at));
            character.is_some_and(|c| c.is_alphanumeric() && EastAsian::of(*c).is_none())
        };
        for start in 0..text.len() {
            let second = text.get(start + 1).copied();
            let by_two = second.and_then(|second| literals.0.get(&(text[start], Some(second))));
            let alone = literals.0.get(&(text[start], None));
            for literal in by_two.into_iter().chain(alone).flatten() {
                let end = start + literal.len();
                let is_whole = || !is_in_word(start.checked_sub(1)) && !is_in_word(Some(end));
                if text[start..].starts_with(literal) && (EastAsian::of(text[start]).is_some() || is_whole()) {
                    self.add(Extent { start, end }, literal.iter().collect());
                }
            }
        }
    }

    /// Matches in order, those that overlap or touch made one, and long ones cut to a fragment's
    /// length.
    fn spans(&mut self) -> Vec<Span> {
        self.matches.sort_unstable_by_key(|(extent, _)| (extent.start, extent.end));
        let mut spans: Vec<Span> = Vec::new();
        for (extent, term) in &self.matches {
            match spans.last_mut() {
                Some(last)
                    if extent.start <= last.extent.end && extent.end <= last.extent.start + FRAGMENT_CHARACTERS =>
                {
                    last.extent.end = last.extent.end.max(extent.end);
                    last.terms.push(*term);
                }
                last => {
                    let start = last.map_or(extent.start, |last| extent.start.max(last.extent.end));
                    let end = extent.end.min(start + FRAGMENT_CHARACTERS);
                    if start < end {
                        spans.push(Span { extent: Extent { start, end }, terms: vec![*term] });
                    }
                }
            }
        }
        spans
    }

    /// Adds context on both sides up to a fragment's length, up to word boundaries, and not into the
    /// fragments already chosen.
    fn widen(&self, matches: Extent, taken: &[Extent]) -> Extent {
        let floor = taken.iter().map(|t| t.end).filter(|end| *end <= matches.start).max().unwrap_or(0);
        let next_taken = taken.iter().map(|t| t.start).filter(|start| *start >= matches.end).min();
        let ceiling = next_taken.unwrap_or(self.text.len());
        let spare = FRAGMENT_CHARACTERS.saturating_sub(matches.end - matches.start);
        // What one side has no use for goes to the other.
        let after = (ceiling - matches.end).min(spare - spare / 2);
        let before = (matches.start - floor).min(spare - after);
        let after = (ceiling - matches.end).min(spare - before);
        let limit = Extent { start: matches.start - before, end: matches.end + after };
        // Where one word fills the whole side there is no boundary, and it is cut.
        let start = self.boundaries_around(limit.start).into_iter().find(|at| *at >= limit.start);
        let end = self.boundaries_around(limit.end).into_iter().rfind(|at| *at <= limit.end);
        Extent {
            start: start.filter(|at| *at <= matches.start).unwrap_or(limit.start),
            end: end.filter(|at| *at >= matches.end).unwrap_or(limit.end),
        }
    }

    /// Positions between words (Unicode Standard Annex 29) from the space before a position to the space after it, on both of
    /// whose sides there always is one. To look for all of a passage's takes as long as the rest of a search.
    fn boundaries_around(&self, position: usize) -> Vec<usize> {
        let (before, after) = self.text.split_at(position);
        let start = before.iter().rposition(|character| *character == ' ').map_or(0, |space| space + 1);
        let end =
            after.iter().position(|character| *character == ' ').map_or(self.text.len(), |space| position + space);
        let run: String = self.text[start..end].iter().collect();
        let mut at = start;
        let mut boundaries = vec![start];
        for word in run.split_word_bounds() {
            at += word.chars().count();
            boundaries.push(at);
        }
        boundaries
    }

    fn render(&self, fragment: Extent, spans: &[Span]) -> String {
        let Extent { start, end } = self.trimmed(fragment);
        let mut out = String::new();
        if start > 0 {
            out.push('…');
        }
        let mut marked_to = start;
        let first = spans.partition_point(|span| span.extent.end <= start);
        for span in spans[first..].iter().take_while(|span| span.extent.start < end) {
            let from = span.extent.start.max(start);
            // A long run of matches is several spans: mark it as one.
            if from == marked_to && out.ends_with("**") {
                out.truncate(out.len() - 2);
            } else {
                out.extend(&self.text[marked_to..from]);
                out.push_str("**");
            }
            marked_to = span.extent.end.min(end);
            out.extend(&self.text[from..marked_to]);
            out.push_str("**");
        }
        out.extend(&self.text[marked_to..end]);
        if end < self.text.len() {
            out.push('…');
        }
        out
    }

    fn trimmed(&self, Extent { mut start, mut end }: Extent) -> Extent {
        while start < end && self.text[start] == ' ' {
            start += 1;
        }
        while start < end && self.text[end - 1] == ' ' {
            end -= 1;
        }
        Extent { start, end }
    }
}

/// The character in lower case, where that is one.
fn lower(character: char) -> char {
    let mut lower = character.to_lowercase();
    match (lower.next(), lower.next()) {
        (Some(lower), None) => lower,
        _ => character,
    }
}

/// The spans, first and last, that fit in one fragment with the most distinct terms not yet shown,
/// then the most distinct terms, then the earliest. Keeps clear of the fragments already chosen.
fn best_window(spans: &[Span], taken: &[Extent], shown: &HashSet<usize>) -> Option<(usize, usize)> {
    let free = |extent: Extent| taken.iter().all(|t| extent.end <= t.start || t.end <= extent.start);
    let mut best: Option<((usize, usize), (usize, usize))> = None;
    let mut counts: HashMap<usize, usize> = HashMap::new();
    let mut fresh = 0;
    let mut last = 0;
    for first in 0..spans.len() {
        let start = spans[first].extent.start;
        while let Some(span) = spans.get(last)
            && (last <= first || span.extent.end <= start + FRAGMENT_CHARACTERS)
            && free(Extent { start, end: span.extent.end })
        {
            for term in &span.terms {
                let count = counts.entry(*term).or_default();
                fresh += usize::from(*count == 0 && !shown.contains(term));
                *count += 1;
            }
            last += 1;
        }
        if last == first {
            // This span lies in a fragment already chosen.
            last += 1;
            continue;
        }
        let value = (fresh, counts.len());
        if best.is_none_or(|(most, _)| value > most) {
            best = Some((value, (first, last - 1)));
        }
        for term in &spans[first].terms {
            if let Some(count) = counts.get_mut(term) {
                *count -= 1;
                if *count == 0 {
                    counts.remove(term);
                    fresh -= usize::from(!shown.contains(term));
                }
            }
        }
    }
    best.map(|(_, window)| window)
}

#[cfg(test)]
mod tests;
