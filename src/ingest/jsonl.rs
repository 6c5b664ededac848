use std::io::{BufRead, BufReader, Read};

use serde::Deserialize;
use serde_json::{Map, Value};

use super::draft::{Draft, Given};

/// A longer line cannot be a document: a million characters, escaped, and its metadata.
const LONGEST_LINE_BYTES: u64 = 16 << 20;

/// A line's document. Fields of its own are none of ours: they are its metadata.
#[derive(Debug, Deserialize)]
struct Line {
    title: Option<String>,
    #[serde(alias = "text", alias = "body")]
    content: String,
    #[serde(alias = "url")]
    source: Option<String>,
    metadata: Option<Map<String, Value>>,
    language: Option<String>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

/// A line, or why it is none.
pub(super) enum LineRead {
    Document(Box<Draft>),
    Failed(String, String),
}

/// Of UTF-8, as some programs put it in front.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Reads a stream line by line, never more than one at a time; `each` gets each line and its bytes, and says whether to go on.
pub(super) fn lines(
    stream: impl Read,
    (origin, is_stream): (&str, bool),
    given: &Given,
    mut each: impl FnMut(Option<LineRead>, u64) -> bool,
) -> std::io::Result<()> {
    let mut reader = BufReader::with_capacity(1 << 16, stream);
    let mut line = Vec::new();
    for number in 1_u64.. {
        line.clear();
        let bytes = reader.by_ref().take(LONGEST_LINE_BYTES + 1).read_until(b'\n', &mut line)? as u64;
        if number == 1 && line.starts_with(BYTE_ORDER_MARK) {
            line.drain(..BYTE_ORDER_MARK.len());
        }
        if bytes == 0 {
            return Ok(());
        }
        let place = format!("{origin}:{number}");
        let read = if bytes > LONGEST_LINE_BYTES {
            let skipped = reader.skip_until(b'\n')? as u64;
            let most = LONGEST_LINE_BYTES >> 20;
            line.shrink_to(1 << 16);
            let failed = LineRead::Failed(place, format!("has {} bytes; a line may have {most} MiB", bytes + skipped));
            if !each(Some(failed), bytes + skipped) {
                return Ok(());
            }
            continue;
        } else if line.trim_ascii().is_empty() {
            None
        } else {
            Some(document(&line, number, place, (origin, is_stream), given))
        };
        if !each(read, bytes) {
            return Ok(());
        }
    }
    Ok(())
}

fn document(bytes: &[u8], number: u64, place: String, (origin, is_stream): (&str, bool), given: &Given) -> LineRead {
    let line: Line = match serde_json::from_slice(bytes) {
        Ok(line) => line,
        Err(error) => return LineRead::Failed(place, format!("is no document in JSON: {error}")),
    };
    let mut metadata = given.metadata.clone();
    metadata.extend(line.rest);
    metadata.extend(line.metadata.unwrap_or_default());
    // A line without a source is known by its place. The next stream has other lines at the same places, so that of a stream
    // is known by what it says.
    let own_source = || match &given.source {
        Some(stream) => format!("{stream}#{number}"),
        None if is_stream => given.source_of_stream(bytes.trim_ascii()),
        None => format!("{}{origin}#{number}", given.source_prefix),
    };
    let has_place = line.source.is_none() && (given.source.is_some() || !is_stream);
    let title = line
        .title
        .unwrap_or_else(|| line.content.trim_start().lines().next().unwrap_or_default().chars().take(80).collect());
    LineRead::Document(Box::new(Draft {
        title,
        content: line.content,
        // Many lines may say the same source, so only a line's place is replaced by itself.
        replace: given.replace.unwrap_or(has_place),
        source: Some(line.source.unwrap_or_else(own_source)),
        metadata,
        language: line.language.or_else(|| given.language.clone()),
        origin: place,
        is_line: true,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_documents_and_bad_ones_are_named() {
        let long = format!("{{\"content\":\"{}\"}}\n", "x".repeat(17 << 20));
        let text = format!(
            "\u{feff}{{\"title\":\"A\",\"content\":\"a\",\"team\":\"hr\"}}\n\nnonsense\n{long}{{\"text\":\"First line\\nmore\",\"url\":\"u\"}}"
        );
        let (mut found, mut bytes) = (Vec::new(), 0);
        let each = |read: Option<LineRead>, size: u64| {
            bytes += size;
            found.extend(read.map(|read| match read {
                LineRead::Document(draft) => format!(
                    "{} {} {:?} {} {}",
                    draft.origin,
                    draft.title,
                    draft.source,
                    draft.replace,
                    Value::Object(draft.metadata)
                ),
                LineRead::Failed(place, why) => format!("{place} {}", &why[..30]),
            }));
            true
        };
        lines(text.as_bytes(), ("f.jsonl", false), &Given::default(), each).unwrap();
        assert_eq!(bytes, text.len() as u64);
        assert_eq!(
            found,
            [
                "f.jsonl:1 A Some(\"f.jsonl#1\") true {\"team\":\"hr\"}",
                "f.jsonl:3 is no document in JSON: expect",
                "f.jsonl:4 has 17825807 bytes; a line may",
                "f.jsonl:5 First line Some(\"u\") false {}"
            ]
        );
    }
}
