use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use text_splitter::ChunkSizer;
use uuid::Uuid;

use crate::call::{Action, Answer, Call, Failure, Hints, Problems, Tool};
use crate::documents::chunking::EstimatedTokens;
use crate::documents::{self, Read, Stretch};
use crate::identity::{DocumentId, Scope};

/// Estimated tokens of text and metadata in one answer.
const MOST_TOKENS: usize = 8_000;
/// Characters that are read for them: a token is at most four bytes.
const MOST_CHARS: i32 = 32_000;

/// `get_document`.
pub struct GetDocument;

/// Arguments of `get_document`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// The document's id, as hybrid_search and list_documents give it.
    document_id: Uuid,
    /// Number of one of its passages, from 0, to read passage by passage. Not together with from_char or to_char.
    #[schemars(range(min = 0))]
    passage: Option<i64>,
    /// First character to return, counted from 0; 0 if absent.
    #[schemars(range(min = 0))]
    from_char: Option<i64>,
    /// One past the last character to return; to the end if absent. About 8,000 tokens are returned at most: the answer says how to go on.
    #[schemars(range(min = 1))]
    to_char: Option<i64>,
}

/// Answer of `get_document`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Output {
    /// The document's id.
    document_id: Uuid,
    /// Its title.
    title: String,
    /// Where it came from.
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<String>,
    /// Its metadata.
    metadata: Map<String, Value>,
    /// Language it is indexed in.
    language: String,
    /// The text, from from_char to to_char.
    content: String,
    /// First character of content, counted from 0.
    from_char: usize,
    /// One past its last character.
    to_char: usize,
    /// Characters of the whole text.
    content_chars: usize,
    /// Passages that it is cut into for searching; they overlap a little.
    passages: usize,
    /// Give it as from_char to read on; absent if nothing is left of what was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_from_char: Option<usize>,
    /// Give it as passage to read the next one; absent after the last, or if no passage was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_passage: Option<usize>,
    /// embedded: searchable by meaning too. pending: by words only, until an embedder has seen it. failed: no embedder could.
    embedding_status: String,
    /// When it was stored.
    created_at: Timestamp,
    /// When it last changed. Give it to update_document as expected_updated_at, so as to overwrite nobody's change.
    updated_at: Timestamp,
}

/// Checked arguments.
pub struct Request {
    document_id: DocumentId,
    stretch: Stretch,
}

impl Tool for GetDocument {
    type Input = Input;
    type Request = Request;
    type Output = Output;

    const NAME: &'static str = "get_document";
    const TITLE: &'static str = "Read a document";
    const DESCRIPTION: &'static str = "Read a document's text and fields by its id: whole, a range of characters, or passage by passage. \
A long text comes in parts: while the answer has next_from_char (or next_passage), call again with it. \
Use it when a passage from hybrid_search is not enough.";
    const SCOPE: Scope = Scope::DocumentsRead;
    const ACTION: Action = Action::Read;
    const HINTS: Hints = Hints { read_only: true, idempotent: true, destructive: false };

    fn check(&self, input: Input) -> Result<Request, Problems> {
        let mut problems = Problems::default();
        let longest = i64::from(i32::MAX);
        let mut number = |field: &str, value: Option<i64>, least: i64| {
            let value = value?;
            problems.range(field, value, least, longest);
            i32::try_from(value).ok()
        };
        let (passage, from, to) = (
            number("passage", input.passage, 0),
            number("from_char", input.from_char, 0),
            number("to_char", input.to_char, 1),
        );
        if input.passage.is_some() && (input.from_char.is_some() || input.to_char.is_some()) {
            problems.add("passage", "cannot be combined with from_char and to_char; give either");
        }
        if let Some(to) = to.filter(|to| *to <= from.unwrap_or(0)) {
            problems.add("to_char", format_args!("is {to}; it must be greater than from_char, {}", from.unwrap_or(0)));
        }
        let stretch = match passage {
            Some(passage) => Stretch::Passage(passage),
            None => Stretch::Characters { from: from.unwrap_or(0), to },
        };
        problems.or(Request { document_id: input.document_id.into(), stretch })
    }

    fn describe(&self, request: &Request) -> Map<String, Value> {
        let mut details = Map::from_iter([("document_id".to_owned(), request.document_id.to_string().into())]);
        match request.stretch {
            Stretch::Passage(passage) => details.extend([("passage".to_owned(), passage.into())]),
            Stretch::Characters { from, to } => {
                details.insert("from_char".to_owned(), from.into());
                details.extend(to.map(|to| ("to_char".to_owned(), to.into())));
            }
        }
        details
    }

    async fn run(&self, call: &Call<'_>, request: &Request) -> Result<Answer<Output>, Failure> {
        let Request { document_id, stretch } = *request;
        let found = documents::read(call.transaction, call.caller.tenant_id, document_id, stretch, MOST_CHARS).await;
        let found = found.map_err(|error| call.failed(&error))?.ok_or_else(|| not_found(document_id))?;
        match stretch {
            Stretch::Passage(passage) if found.passage.is_none() => {
                let last = found.passages.saturating_sub(1);
                let text = format_args!("is {passage}; the document has passages 0 to {last}").to_string();
                return Err(Failure::InvalidInput(Problems::one("passage", text)));
            }
            Stretch::Characters { from, .. } if usize::try_from(from).is_ok_and(|from| from >= found.content_chars) => {
                let text = format!("is {from}; the document has {} characters", found.content_chars);
                return Err(Failure::InvalidInput(Problems::one("from_char", text)));
            }
            _ => {}
        }
        let output = output(document_id, found);
        let details = Map::from_iter([("returned_chars".to_owned(), (output.to_char - output.from_char).into())]);
        Ok(Answer::new(output).about(document_id.as_uuid()).telling(details))
    }
}

/// The same words whether it never was, is gone or is another organisation's.
pub(super) fn not_found(document_id: DocumentId) -> Failure {
    Failure::NotFound(format!(
        "there is no document {document_id} in your organisation. Look for it with hybrid_search or list_documents."
    ))
}

fn output(document_id: DocumentId, found: Read) -> Output {
    let metadata_tokens = serde_json::to_string(&found.metadata).map_or(0, |json| EstimatedTokens.size(&json));
    let (content, chars) = cut(found.content, MOST_TOKENS.saturating_sub(metadata_tokens));
    let to_char = found.char_start + chars;
    Output {
        document_id: document_id.as_uuid(),
        title: found.title,
        source: found.source,
        metadata: found.metadata,
        language: found.language,
        content,
        from_char: found.char_start,
        to_char,
        content_chars: found.content_chars,
        passages: found.passages,
        next_from_char: (to_char < found.char_end).then_some(to_char),
        next_passage: found.passage.map(|passage| passage + 1).filter(|next| *next < found.passages),
        embedding_status: found.embedding_status,
        created_at: found.created_at,
        updated_at: found.updated_at,
    }
}

/// As much of a text as has so many tokens, up to a space near the end if there is one; and its characters.
fn cut(mut text: String, most_tokens: usize) -> (String, usize) {
    let (mut quarters, mut end, mut space) = (0, text.len(), None);
    for (at, character) in text.char_indices() {
        quarters += if EstimatedTokens.size(character.encode_utf8(&mut [0; 4])) == 1 && character.len_utf8() < 3 {
            character.len_utf8()
        } else {
            4
        };
        if quarters > most_tokens * 4 {
            end = space.filter(|space| at - space < 200).unwrap_or(at);
            break;
        }
        if character.is_whitespace() {
            space = Some(at + character.len_utf8());
        }
    }
    text.truncate(end);
    let chars = text.chars().count();
    (text, chars)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_at_a_space_within_its_tokens_and_loses_nothing() {
        for text in ["word ".repeat(4_000), "한국어".repeat(4_000), "x".repeat(20_000), "🙂 ok\n".repeat(3_000)] {
            let (mut rest, mut whole) = (text.as_str(), String::new());
            while !rest.is_empty() {
                let (part, chars) = cut(rest.to_owned(), 1_000);
                assert!(EstimatedTokens.size(&part) <= 1_000 && !part.is_empty());
                assert_eq!(part.chars().count(), chars);
                whole.push_str(&part);
                rest = &rest[part.len()..];
            }
            assert_eq!(whole, text);
        }
        assert_eq!(cut("short".to_owned(), 1_000), ("short".to_owned(), 5));
    }
}
