//! How long a passage may be: no longer than what the embedding model reads of it behind its title.
//!
//! What is cut depends on the content and the model alone, and on nothing that may change without it: a title has a fixed
//! share of what the model reads, and of a longer one the beginning is embedded.

use std::sync::Arc;

use text_splitter::ChunkSizer;

use super::chunking::{self, Chunk, EstimatedTokens, Limits};
use super::language::Language;

/// The share of a model's window that is a title's: one of so many.
const TITLE_SHARE: usize = 8;
/// The marks at a text's ends, the full stop behind the title, and one word that was cut in two.
const MARKS: usize = 4;
/// No passage is made shorter, however little a model reads.
const FEWEST_TOKENS: usize = 16;

/// Finds the tokens of a text as a model does.
pub trait Tokens: Send + Sync {
    /// The byte at which each of the text's tokens begins, in order; `None` if it cannot be told.
    fn starts(&self, text: &str) -> Option<Vec<usize>>;
}

/// By what texts are cut into passages. The default is for models that read more than a passage ever has.
#[derive(Clone, Default)]
pub struct Cutting {
    window: Option<Window>,
}

#[derive(Clone)]
struct Window {
    /// Tokens of a text that the model reads, less those of its prompt.
    tokens: usize,
    /// The model's own; an estimate while it is absent.
    counter: Option<Arc<dyn Tokens>>,
    /// Languages that the model knows; all if `None`. In others its vectors are of no use, and words count alone.
    languages: Option<Vec<Language>>,
}

impl Cutting {
    /// For a model that reads so many tokens of a text, `prompt` among them.
    #[must_use]
    pub fn within(
        tokens: usize,
        prompt: &str,
        counter: Option<Arc<dyn Tokens>>,
        languages: Option<Vec<Language>>,
    ) -> Self {
        let tokens = tokens.saturating_sub(EstimatedTokens.size(prompt));
        Self { window: Some(Window { tokens, counter, languages }) }
    }

    /// Tokens of the longest passage that it makes; `None` if no model bounds it.
    pub(crate) fn longest_passage(&self) -> Option<i32> {
        let window = self.window.as_ref()?;
        let tokens = if window.counter.is_some() { window.tokens } else { window.estimated() };
        i32::try_from(window.limits(tokens).tokens).ok()
    }

    /// The passages of a content, which is in this language as far as it shows.
    pub(super) fn chunks(&self, content: &str, language: Option<Language>) -> Vec<Chunk> {
        let Some(window) = self.window.as_ref().filter(|window| window.knows(language)) else {
            return chunking::chunk(content);
        };
        match window.counter.as_ref().and_then(|counter| counter.starts(content)) {
            Some(starts) => chunking::chunk_with(content, &Counted { content, starts }, window.limits(window.tokens)),
            None => chunking::chunk_with(content, &EstimatedTokens, window.limits(window.estimated())),
        }
    }

    /// A passage as it is embedded: its document's title says what it is about, where the passage itself may not.
    #[must_use]
    pub fn passage_text(&self, title: &str, passage: &str) -> String {
        format!("{}. {passage}", self.title(title))
    }

    fn title<'a>(&self, title: &'a str) -> &'a str {
        let Some(window) = &self.window else { return title };
        let starts = window.counter.as_ref().and_then(|counter| counter.starts(title));
        let first = match starts {
            Some(starts) => first(title, &Counted { content: title, starts }, window.tokens / TITLE_SHARE),
            None => first(title, &EstimatedTokens, window.estimated() / TITLE_SHARE),
        };
        first.unwrap_or(title)
    }
}

/// As much of a title as its share has room for.
fn first<'a, S: ChunkSizer>(title: &'a str, sizer: &S, tokens: usize) -> Option<&'a str> {
    if sizer.size(title) <= tokens {
        return None;
    }
    let chunk = chunking::chunk_with(title, sizer, Limits { tokens, overlap: 0 }).into_iter().next()?;
    let at = |chars: i32| title.char_indices().nth(usize::try_from(chars).unwrap_or_default());
    Some(&title[at(chunk.char_start)?.0..at(chunk.char_end).map_or(title.len(), |(at, _)| at)])
}

impl Window {
    fn knows(&self, language: Option<Language>) -> bool {
        match (language, &self.languages) {
            (Some(language), Some(known)) => known.contains(&language),
            _ => true,
        }
    }

    /// The window for estimated tokens, which may be more than estimated.
    fn estimated(&self) -> usize {
        self.tokens / 4 * 3
    }

    fn limits(&self, window: usize) -> Limits {
        let usual = Limits::default();
        let room = window.saturating_sub(window / TITLE_SHARE + MARKS);
        let tokens = room.clamp(FEWEST_TOKENS, usual.tokens);
        Limits { tokens, overlap: usual.overlap.min(tokens / 6) }
    }
}

/// Sizes of stretches of one content whose tokens are known. To count them anew for each would take a tokenizer ten times as long.
struct Counted<'a> {
    content: &'a str,
    starts: Vec<usize>,
}

impl ChunkSizer for Counted<'_> {
    fn size(&self, chunk: &str) -> usize {
        // What the splitter asks for is a stretch of the content; anything else is estimated.
        let Some(begin) = (chunk.as_ptr() as usize).checked_sub(self.content.as_ptr() as usize) else {
            return EstimatedTokens.size(chunk);
        };
        let end = begin + chunk.len();
        if end > self.content.len() {
            return EstimatedTokens.size(chunk);
        }
        let before = |at: usize| self.starts.partition_point(|start| *start < at);
        // A word that the model knows nothing of is one token, however long it is: no passage is to grow by that.
        (before(end) - before(begin)).max(EstimatedTokens.size(chunk) / 2)
    }
}

impl std::fmt::Debug for Cutting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cutting").field("window", &self.window.as_ref().map(|window| window.tokens)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A token for each word, and one for each character of a word in capitals.
    struct Words;

    impl Tokens for Words {
        fn starts(&self, text: &str) -> Option<Vec<usize>> {
            let mut starts = Vec::new();
            for word in text.split_whitespace() {
                let at = word.as_ptr() as usize - text.as_ptr() as usize;
                match word.chars().all(char::is_uppercase) {
                    true => starts.extend(word.char_indices().map(|(offset, _)| at + offset)),
                    false => starts.push(at),
                }
            }
            Some(starts)
        }
    }

    fn texts<'a>(content: &'a str, chunks: &[Chunk]) -> Vec<&'a str> {
        let at = |n: i32| content.char_indices().nth(n as usize).map_or(content.len(), |(at, _)| at);
        chunks.iter().map(|chunk| &content[at(chunk.char_start)..at(chunk.char_end)]).collect()
    }

    #[test]
    fn passages_fit_the_window_whatever_their_words_weigh() {
        let content: String = (0..400)
            .map(|n| if n % 3 == 0 { "ABCDEFGHIJ and more. ".to_owned() } else { format!("word {n} of the text. ") })
            .collect();
        for tokens in [32, 64, 256, 512] {
            let cutting = Cutting::within(tokens, "", Some(Arc::new(Words)), None);
            let chunks = cutting.chunks(&content, None);
            for text in texts(&content, &chunks) {
                let count = Words.starts(text).unwrap().len();
                assert!(count + tokens / TITLE_SHARE + MARKS <= tokens, "{count} of {tokens}: {text}");
            }
            assert_eq!(chunks, cutting.chunks(&content, None), "the same each time");
        }
    }

    #[test]
    fn a_word_that_the_model_knows_nothing_of_makes_no_endless_passage() {
        let content = "x".repeat(40_000);
        let cutting = Cutting::within(256, "", Some(Arc::new(Words)), None);
        let chunks = cutting.chunks(&content, None);
        assert!(chunks.iter().all(|chunk| chunk.char_end - chunk.char_start <= 2_400), "{chunks:?}");
    }

    #[test]
    fn without_the_models_tokenizer_and_in_foreign_languages_texts_are_cut_by_estimate() {
        let content = "This sentence is one of very many that say the same. ".repeat(200);
        let estimated = Cutting::within(256, "", None, None).chunks(&content, None);
        assert!(estimated.iter().all(|chunk| chunk.token_count <= 256 * 3 / 4), "{estimated:?}");
        let english = Cutting::within(256, "", Some(Arc::new(Words)), Some(vec![Language::ENGLISH]));
        assert_eq!(english.chunks(&content, Some(Language::KOREAN)), chunking::chunk(&content));
        assert_ne!(english.chunks(&content, Some(Language::ENGLISH)), chunking::chunk(&content));
        assert_eq!(Cutting::within(8_191, "", None, None).chunks(&content, None), chunking::chunk(&content));
        assert_eq!(Cutting::default().chunks(&content, None), chunking::chunk(&content));
    }

    #[test]
    fn a_title_takes_no_more_than_its_share() {
        let cutting = Cutting::within(64, "", Some(Arc::new(Words)), None);
        let title = "one two three four five six seven eight nine ten";
        assert_eq!(cutting.passage_text(title, "text"), "one two three four five six seven eight. text");
        assert_eq!(cutting.passage_text("one two", "text"), "one two. text");
        assert_eq!(Cutting::default().passage_text(title, "text"), format!("{title}. text"));
        let korean = "휴가 규정 ".repeat(40);
        let text = Cutting::within(64, "", None, None).passage_text(&korean, "text");
        assert!(text.chars().count() < 20, "{text}");
    }
}
