use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;
use text_splitter::ChunkSizer;

use crate::documents::chunking::EstimatedTokens;
use crate::embedding::{Embedded, EmbeddingError};

/// What an answer must hold.
pub(super) struct Expected<'a> {
    pub texts: &'a [String],
    pub dimensions: usize,
}

impl Expected<'_> {
    /// What is usual for the texts.
    fn estimated_tokens(&self) -> i32 {
        i32::try_from(self.texts.iter().map(|text| EstimatedTokens.size(text)).sum::<usize>()).unwrap_or(i32::MAX)
    }

    /// No answer needs more bytes: 32 for each component, and room for the rest.
    pub fn longest_bytes(&self) -> usize {
        (self.texts.len() * self.dimensions).saturating_mul(32).saturating_add(1 << 20)
    }
}

#[derive(Deserialize)]
struct Answer {
    data: Vec<Row>,
    #[serde(default)]
    usage: Option<Usage>,
}

#[derive(Deserialize)]
struct Row {
    /// Of the text in the request; in order where it is absent.
    index: Option<usize>,
    embedding: Vector,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Vector {
    Numbers(Vec<f32>),
    /// The components' little-endian bytes.
    Base64(String),
}

#[derive(Deserialize)]
struct Usage {
    prompt_tokens: Option<i32>,
    total_tokens: Option<i32>,
}

impl Usage {
    fn said(&self) -> Option<i32> {
        self.prompt_tokens.or(self.total_tokens).filter(|tokens| *tokens >= 0)
    }
}

/// What of an answer says what is to be paid, whatever else is in it.
#[derive(Deserialize)]
struct Bill {
    #[serde(default)]
    usage: Option<Usage>,
}

/// Some services write NaN and Infinity, as Python does, which are no JSON: zeros in their place, so that the rest can be read.
fn with_numbers(bytes: &[u8]) -> Vec<u8> {
    let (mut read, mut rest, mut is_text) = (Vec::with_capacity(bytes.len()), bytes, false);
    while let Some((&byte, behind)) = rest.split_first() {
        let word = [&b"NaN"[..], b"Infinity"].into_iter().find(|word| !is_text && rest.starts_with(word));
        if let Some(word) = word {
            read.push(b'0');
            rest = &rest[word.len()..];
            continue;
        }
        read.push(byte);
        rest = behind;
        match byte {
            b'"' => is_text = !is_text,
            // What is escaped ends no text.
            b'\\' if is_text => {
                read.extend(rest.first());
                rest = rest.get(1..).unwrap_or_default();
            }
            _ => {}
        }
    }
    read
}

/// Of what dimensions its first vector is, if it has one.
pub(super) fn dimensions(bytes: &[u8]) -> Option<usize> {
    let answer = serde_json::from_slice::<Answer>(bytes).ok()?;
    Some(answer.data.into_iter().next()?.embedding.components().ok()?.len())
}

/// Reads an answer; each text's vector at its place, of length one.
///
/// # Errors
/// [`EmbeddingError::Unusable`], with what has to be paid for it.
pub(super) fn read(bytes: &[u8], expected: &Expected<'_>) -> Result<Embedded, EmbeddingError> {
    let Ok(answer) = serde_json::from_slice::<Answer>(bytes) else {
        let said = serde_json::from_slice::<Bill>(&with_numbers(bytes)).ok().and_then(|bill| bill.usage?.said());
        let why = "it is not of the shape of an embeddings answer";
        return Err(EmbeddingError::Unusable { why, is_of_text: said.is_some(), tokens: said.unwrap_or_default() });
    };
    let said = answer.usage.and_then(|usage| usage.said());
    match vectors(answer.data, expected) {
        // Tokens are billed; a service that says nothing is taken to have read what is usual.
        Ok(vectors) => Ok(Embedded { vectors, tokens: said.unwrap_or_else(|| expected.estimated_tokens()) }),
        Err(Wrong { why, is_of_text }) => {
            Err(EmbeddingError::Unusable { why, is_of_text, tokens: said.unwrap_or_default() })
        }
    }
}

/// What is wrong with an answer.
struct Wrong {
    why: &'static str,
    is_of_text: bool,
}

fn vectors(rows: Vec<Row>, expected: &Expected<'_>) -> Result<Vec<Vec<f32>>, Wrong> {
    let of_service = |why| Wrong { why, is_of_text: false };
    if rows.len() != expected.texts.len() {
        return Err(of_service("it holds another number of vectors than texts were sent"));
    }
    let mut vectors = vec![Vec::new(); expected.texts.len()];
    for (place, row) in rows.into_iter().enumerate() {
        let place = vectors.get_mut(row.index.unwrap_or(place));
        let place = place.ok_or_else(|| of_service("a vector is of a text that was not sent"))?;
        if !place.is_empty() {
            return Err(of_service("two vectors are of the same text"));
        }
        let components = row.embedding.components().map_err(of_service)?;
        if components.len() != expected.dimensions {
            return Err(of_service("a vector has other dimensions than the model is said to have"));
        }
        *place = unit(components).map_err(|why| Wrong { why, is_of_text: true })?;
    }
    Ok(vectors)
}

impl Vector {
    fn components(self) -> Result<Vec<f32>, &'static str> {
        match self {
            Self::Numbers(numbers) => Ok(numbers),
            Self::Base64(text) => {
                let bytes = BASE64_STANDARD.decode(text).map_err(|_| "a vector is no base64")?;
                if !bytes.len().is_multiple_of(4) {
                    return Err("a vector in base64 is no sequence of 32-bit floats");
                }
                Ok(bytes.chunks_exact(4).map(|four| f32::from_le_bytes([four[0], four[1], four[2], four[3]])).collect())
            }
        }
    }
}

fn unit(vector: Vec<f32>) -> Result<Vec<f32>, &'static str> {
    let norm = vector.iter().map(|x| f64::from(*x) * f64::from(*x)).sum::<f64>().sqrt();
    if !norm.is_finite() {
        return Err("a vector has a component that is no number");
    }
    if norm < 1e-12 {
        return Err("a vector has only zeros");
    }
    #[expect(clippy::cast_possible_truncation, reason = "a unit vector's components are at most 1")]
    Ok(vector.into_iter().map(|x| (f64::from(x) / norm) as f32).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_for(texts: usize, json: &str) -> Result<Embedded, EmbeddingError> {
        let texts: Vec<String> = (0..texts).map(|n| format!("text number {n}")).collect();
        read(json.as_bytes(), &Expected { texts: &texts, dimensions: 2 })
    }

    #[test]
    fn numbers_and_base64_are_the_same() {
        let bytes: Vec<u8> = [3.0_f32, 4.0].iter().flat_map(|x| x.to_le_bytes()).collect();
        let base64 = BASE64_STANDARD.encode(bytes);
        let numbers = read_for(1, r#"{"data":[{"index":0,"embedding":[3,4]}],"usage":{"prompt_tokens":7}}"#).unwrap();
        let packed =
            read_for(1, &format!(r#"{{"data":[{{"index":0,"embedding":"{base64}"}}],"usage":{{"prompt_tokens":7}}}}"#));
        assert_eq!(numbers.vectors, [[0.6, 0.8]]);
        assert_eq!(packed.unwrap(), numbers);
    }

    #[test]
    fn vectors_go_to_the_texts_that_they_are_of() {
        let json = r#"{"data":[{"index":1,"embedding":[0,1]},{"index":0,"embedding":[1,0]}]}"#;
        let embedded = read_for(2, json).unwrap();
        assert_eq!(embedded.vectors, [[1.0, 0.0], [0.0, 1.0]]);
        assert!(embedded.tokens > 0, "tokens are estimated where the service does not count them");
        assert!(read_for(2, r#"{"data":[{"embedding":[1,0]},{"embedding":[0,1]}]}"#).is_ok());
    }

    #[test]
    fn what_is_not_what_was_asked_for_is_refused() {
        for json in [
            "",
            "{}",
            r#"{"data":[]}"#,
            r#"{"data":[{"embedding":[1,0]}]}"#,
            r#"{"data":[{"embedding":[1,0]},{"embedding":[1,0]},{"embedding":[1,0]}]}"#,
            r#"{"data":[{"index":0,"embedding":[1,0]},{"index":0,"embedding":[1,0]}]}"#,
            r#"{"data":[{"index":0,"embedding":[1,0]},{"index":2,"embedding":[1,0]}]}"#,
            r#"{"data":[{"embedding":[1,0]},{"embedding":[1]}]}"#,
            r#"{"data":[{"embedding":[1,0]},{"embedding":[0,0]}]}"#,
            r#"{"data":[{"embedding":[1,0]},{"embedding":[null,0]}]}"#,
            r#"{"data":[{"embedding":[1,0]},{"embedding":"AACAfwAAAAA="}]}"#,
            r#"{"data":[{"embedding":[1,0]},{"embedding":"AADAfwAAAAA="}]}"#,
            r#"{"data":[{"embedding":[1,0]},{"embedding":"AAA"}]}"#,
        ] {
            assert!(read_for(2, json).is_err(), "{json}");
        }
    }

    #[test]
    fn what_is_unusable_says_what_it_costs_and_whose_fault_it_is() {
        let usage = r#""usage":{"prompt_tokens":7}"#;
        for (data, is_of_text) in [
            (r#"[{"embedding":[1,0]}]"#, false),
            (r#"[{"embedding":[1,0]},{"embedding":[1]}]"#, false),
            (r#"[{"embedding":[1,0]},{"embedding":[0,0]}]"#, true),
            (r#"[{"embedding":[1,0]},{"embedding":"AADAfwAAAAA="}]"#, true),
        ] {
            let error = read_for(2, &format!(r#"{{"data":{data},{usage}}}"#)).unwrap_err();
            assert!(
                matches!(error, EmbeddingError::Unusable { is_of_text: found, tokens: 7, .. } if found == is_of_text),
                "{error:?}"
            );
        }
        // As Python writes it.
        let error = read_for(2, &format!(r#"{{"data":[{{"embedding":[NaN,0]}},{{"embedding":[1,0]}}],{usage}}}"#));
        assert_eq!(error.as_ref().unwrap_err().wasted_tokens(), 7, "{error:?}");
        let error = read_for(1, &format!(r#"{{"a \" NaN":1,"data":[{{"embedding":[-Infinity,null]}}],{usage}}}"#));
        assert_eq!(error.as_ref().unwrap_err().wasted_tokens(), 7, "{error:?}");
        let told = r#"{"error":"there is no \"usage\" here: NaN","data":null}"#;
        assert_eq!(read_for(1, told).unwrap_err().wasted_tokens(), 0, "a word is no bill");
        assert_eq!(read_for(2, "<html>").unwrap_err().wasted_tokens(), 0, "a page of a proxy is no bill");
        assert_eq!(read_for(2, r#"{"data":[]}"#).unwrap_err().wasted_tokens(), 0);
    }
}
