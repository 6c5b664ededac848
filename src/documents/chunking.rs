//! Cuts a document's content into the chunks that are indexed and embedded.
//!
//! Offsets count Unicode code points from 0, half open, so that
//! `substr(content, char_start + 1, char_end - char_start)` is a chunk's text in PostgreSQL.
//!
//! The boundaries are those of the text-splitter crate: headings, blocks, lines, sentences, words,
//! the largest that fit. It is run over bounded windows of the content, since its work for one
//! chunk grows with all of the text that is left, which made a long document quadratic. The last
//! chunk of a window, which the window's edge may have cut short, is made again at the head of the
//! next window: a window's edge shows only where one chunk fills half a window, which takes a
//! tokenizer to which long stretches cost nothing.

use std::ops::Range;

use text_splitter::{ChunkConfig, ChunkSizer, MarkdownSplitter, TextSplitter};

use super::script::EastAsian;

/// Bytes for each token a chunk may have that are handed to the splitter at a time: about eight
/// chunks. More costs time where the text is all line breaks, less makes more chunks twice.
const WINDOW_BYTES_PER_TOKEN: usize = 32;

/// One chunk's place in its document's content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chunk {
    /// First character, in code points from 0.
    pub char_start: i32,
    /// One past the last character, in code points.
    pub char_end: i32,
    /// Tokens by the sizer that cut the chunk; an estimate where no tokenizer was given.
    pub token_count: i32,
}

/// How large chunks may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The most tokens a chunk may have.
    pub tokens: usize,
    /// About how many tokens of a chunk are said again at the beginning of the next; less than half
    /// of `tokens` is used.
    pub overlap: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { tokens: 300, overlap: 40 }
    }
}

impl Limits {
    fn window_bytes(self) -> usize {
        self.tokens.max(1).saturating_mul(WINDOW_BYTES_PER_TOKEN)
    }
}

/// Estimates tokens where the embedding model's tokenizer is unknown.
///
/// A token for each Hangul, Han or Kana character and a token for every four UTF-8 bytes of other
/// text: close to what WordPiece and BPE vocabularies make of English prose, low for code and tables.
#[derive(Debug, Clone, Copy, Default)]
pub struct EstimatedTokens;

impl ChunkSizer for EstimatedTokens {
    fn size(&self, chunk: &str) -> usize {
        let quarters: usize = chunk
            .chars()
            .map(|character| match EastAsian::of(character) {
                Some(_) => 4,
                None => character.len_utf8(),
            })
            .sum();
        quarters.div_ceil(4)
    }
}

/// Cuts content into chunks of about 300 estimated tokens, 40 of which overlap.
///
/// Chunks come in order, both ends strictly increasing, and together hold every character that is
/// not whitespace. Content that fits is one chunk without its outer whitespace; content of
/// whitespace alone has none.
pub fn chunk(content: &str) -> Vec<Chunk> {
    chunk_with(content, &EstimatedTokens, Limits::default())
}

/// [`chunk`] with another token counter (an embedding model's tokenizer) and other limits.
///
/// The work is linear in the content for a sizer that is linear in its argument.
pub fn chunk_with<S: ChunkSizer>(content: &str, sizer: &S, limits: Limits) -> Vec<Chunk> {
    let trimmed = content.trim();
    // Tokenizers are slow: do not size all of a document that cannot fit.
    let may_fit = trimmed.len() <= limits.window_bytes();
    let spans = if trimmed.is_empty() {
        Vec::new()
    } else if may_fit && sizer.size(trimmed) <= limits.tokens {
        let start = content.len() - content.trim_start().len();
        std::iter::once(start..start + trimmed.len()).collect()
    } else {
        windows(content, sizer, limits)
    };
    in_characters(content, &spans, sizer)
}

/// The byte ranges of all chunks.
fn windows<S: ChunkSizer>(content: &str, sizer: &S, limits: Limits) -> Vec<Range<usize>> {
    let window_bytes = limits.window_bytes();
    let markdown = looks_like_markdown(content);
    let mut spans = Vec::new();
    let mut start = 0;
    while start < content.len() {
        let end = char_boundary_at_or_after(content, start.saturating_add(window_bytes));
        let mut window = split(&content[start..end], markdown, sizer, limits);
        let mut next = end;
        // Going back further than half a window could make the work more than linear.
        if end < content.len()
            && window.len() > 1
            && window.last().is_some_and(|last| last.start >= window_bytes / 2)
            && let Some(last) = window.pop()
        {
            next = start + last.start;
        }
        for span in window {
            push(&mut spans, start + span.start..start + span.end);
        }
        start = next;
    }
    spans
}

/// Runs the splitter over one window.
fn split<S: ChunkSizer>(window: &str, markdown: bool, sizer: &S, limits: Limits) -> Vec<Range<usize>> {
    let tokens = limits.tokens.max(1);
    let overlap = limits.overlap.min((tokens - 1) / 2);
    // The overlap is below the capacity, so that the first arm is the one taken.
    let config = match ChunkConfig::new(tokens).with_overlap(overlap) {
        Ok(config) => config,
        Err(_) => ChunkConfig::new(tokens),
    }
    .with_sizer(sizer);
    let range = |(start, text): (usize, &str)| start..start + text.len();
    if markdown {
        MarkdownSplitter::new(config).chunk_indices(window).map(range).collect()
    } else {
        TextSplitter::new(config).chunk_indices(window).map(range).collect()
    }
}

/// Adds a span unless the last one says it all; replaces the last one if it is within the new one.
fn push(spans: &mut Vec<Range<usize>>, span: Range<usize>) {
    if spans.last().is_some_and(|last| last.end >= span.end) {
        return;
    }
    while spans.last().is_some_and(|last| last.start >= span.start) {
        spans.pop();
    }
    spans.push(span);
}

/// Whether the content has structure that only Markdown has: a heading, a fenced block, a table or
/// a link. Lists and indented lines do not count, for plain text has them too.
///
/// To take plain text for Markdown does little harm: paragraphs, lines and sentences remain
/// boundaries.
fn looks_like_markdown(content: &str) -> bool {
    content.lines().any(|line| {
        let text = line.trim_start();
        let heading = text.trim_start_matches('#');
        let depth = text.len() - heading.len();
        let is_heading = (1..=6).contains(&depth) && heading.starts_with(' ');
        let is_fence = text.starts_with("```") || text.starts_with("~~~");
        let is_table = text.starts_with('|') && text.contains("---");
        is_heading || is_fence || is_table || text.contains("](")
    })
}

fn char_boundary_at_or_after(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at += 1;
    }
    at
}

/// Byte ranges, whose starts increase, to chunks in characters, in one pass over the content.
fn in_characters<S: ChunkSizer>(content: &str, spans: &[Range<usize>], sizer: &S) -> Vec<Chunk> {
    let (mut bytes, mut characters) = (0, 0);
    spans
        .iter()
        .map(|span| {
            characters += content[bytes..span.start].chars().count();
            bytes = span.start;
            let text = &content[span.clone()];
            Chunk {
                char_start: to_i32(characters),
                char_end: to_i32(characters + text.chars().count()),
                token_count: to_i32(sizer.size(text)),
            }
        })
        .collect()
}

/// Far beyond what PostgreSQL stores in a value (1 GB), so that the clamp is never seen.
fn to_i32(number: usize) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests;
