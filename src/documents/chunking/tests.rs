use std::time::Instant;

use proptest::prelude::*;

use super::*;

fn text_of(content: &str, chunk: &Chunk) -> String {
    let length = usize::try_from(chunk.char_end - chunk.char_start).unwrap();
    let start = usize::try_from(chunk.char_start).unwrap();
    content.chars().skip(start).take(length).collect()
}

/// Counts words, as a tokenizer to which whitespace is free.
struct Words;

impl ChunkSizer for Words {
    fn size(&self, chunk: &str) -> usize {
        chunk.split_whitespace().count()
    }
}

fn check(content: &str, limits: Limits) -> Vec<Chunk> {
    check_with(content, &EstimatedTokens, limits)
}

/// Everything that [`chunk_with`] promises of any content, under any limits.
fn check_with<S: ChunkSizer>(content: &str, sizer: &S, limits: Limits) -> Vec<Chunk> {
    let chunks = chunk_with(content, sizer, limits);
    let characters: Vec<char> = content.chars().collect();
    let mut covered = 0_usize;
    for pair in chunks.windows(2) {
        assert!(pair[0].char_start < pair[1].char_start, "starts increase: {pair:?}");
        assert!(pair[0].char_end < pair[1].char_end, "ends increase: {pair:?}");
    }
    for chunk in &chunks {
        let start = usize::try_from(chunk.char_start).unwrap();
        let end = usize::try_from(chunk.char_end).unwrap();
        assert!(end <= characters.len());
        let text: String = characters[start..end].iter().collect();
        assert!(!text.trim().is_empty(), "no chunk is empty");
        let tokens = sizer.size(&text);
        assert_eq!(tokens, usize::try_from(chunk.token_count).unwrap());
        assert!(tokens <= limits.tokens.max(1), "{tokens} tokens");
        for (position, character) in characters.iter().enumerate().take(start).skip(covered) {
            assert!(character.is_whitespace(), "{character:?} at {position} is lost");
        }
        covered = covered.max(end);
    }
    assert!(characters[covered..].iter().all(|character| character.is_whitespace()));
    chunks
}

#[test]
fn a_short_document_is_one_trimmed_chunk() {
    let chunks = chunk("  \n안녕 world\n\n");
    assert_eq!(chunks, [Chunk { char_start: 3, char_end: 11, token_count: 4 }]);
}

#[test]
fn whitespace_alone_has_no_chunk() {
    assert_eq!(chunk(""), []);
    assert_eq!(chunk(&" \n\t\u{3000}".repeat(20_000)), []);
}

#[test]
fn chunks_end_at_sentences_and_overlap_across_windows() {
    let content: String = (0..3000).map(|n| format!("Sentence {n} ends here. ")).collect();
    let chunks = check(&content, Limits::default());
    for pair in chunks.windows(2) {
        assert!(text_of(&content, &pair[0]).ends_with("here."));
        let overlap = pair[0].char_end - pair[1].char_start;
        assert!((80..=160).contains(&overlap), "overlap of {overlap} characters");
    }
}

#[test]
fn markdown_is_cut_before_its_headings() {
    let body = "Some words that fill the section up to a fair length. ".repeat(15);
    let content: String = (0..40).map(|n| format!("## Part {n}\n\n{body}\n\n")).collect();
    let chunks = check(&content, Limits { overlap: 0, ..Limits::default() });
    assert_eq!(chunks.len(), 40);
    assert!(chunks.iter().all(|chunk| text_of(&content, chunk).starts_with("## Part")));
}

#[test]
fn plain_text_is_not_taken_for_markdown() {
    assert!(!looks_like_markdown("- a list\n    indented\n#hashtag\n1. one\na | b"));
    for text in ["# A", "text\n```rust", "|a|\n|---|", "see [this](https://x)"] {
        assert!(looks_like_markdown(text), "{text}");
    }
}

#[test]
fn degenerate_and_long_input_is_cut_in_good_time() {
    let started = Instant::now();
    let size = 1 << 17;
    let inputs = [
        "x".repeat(1 << 20),
        "가".repeat(size / 3),
        "\n".repeat(size) + "x",
        "a\n".repeat(size / 2),
        "a\n\n\nb\r\n".repeat(size / 7),
        "# ".repeat(size / 2),
        "# a\n".repeat(size / 4),
        "[".repeat(size),
        "](".repeat(size / 2),
        "> ".repeat(size / 2) + "\n# a",
        "a\n".repeat(size / 3) + &"\n".repeat(size / 3) + &"b\r\n\r\n".repeat(size / 15),
        "*_`".repeat(size / 3) + "\n# a",
        "|---".repeat(size / 4),
        "e\u{301}\u{200D}".repeat(size / 6),
        "- a\n  ".repeat(size / 6) + "\n# a",
    ];
    for input in &inputs {
        check(input, Limits::default());
    }
    let prose = "The quick brown fox jumps over the lazy dog. 다람쥐 헌 쳇바퀴에 타고파.\n";
    let long = prose.repeat((5 << 20) / prose.len());
    assert!(chunk(&long).len() > 4000);
    // Generous, for a debug build on a busy machine: about 10 s here, and 0.3 to 0.9 s for the
    // same inputs at 1 MB each, 0.3 s for the prose, in an optimised build.
    assert!(started.elapsed().as_secs() < 120);
}

fn pieces() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("\n\n".to_owned()),
        Just("\r\n".to_owned()),
        Just("# Head\n".to_owned()),
        Just("```\n".to_owned()),
        Just("- item\n  ".to_owned()),
        Just("| a | b |\n|---|---|\n".to_owned()),
        Just("[link](x) **bold** `code`".to_owned()),
        Just("   \u{3000}\u{b}\u{85}".to_owned()),
        Just("word ".repeat(90)),
        Just("x".repeat(500)),
        Just("가나다라 漢字かな. ".repeat(12)),
        "\\PC{0,40}",
        any::<String>(),
    ];
    proptest::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn no_character_is_lost(content in pieces()) {
        check(&content, Limits::default());
        check(&content, Limits { tokens: 12, overlap: 4 });
        check(&content, Limits { tokens: 0, overlap: 9 });
        check_with(&content, &Words, Limits { tokens: 20, overlap: 5 });
    }
}
