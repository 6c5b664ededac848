//! The model in this process, against reference vectors.

use std::path::Path;

use bailiwick::embedding::local::{Local, Source};
use bailiwick::embedding::{Embedder, Purpose};
use serde_json::Value;

use super::setup::minilm;
use crate::harness::{Lacking, skip};

fn floats(path: &Path) -> Vec<f32> {
    let bytes = std::fs::read(path).unwrap();
    bytes.chunks_exact(4).map(|four| f32::from_le_bytes(four.try_into().unwrap())).collect()
}

fn cosine(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// An embedder of the folder.
pub fn embedder(folder: &Path) -> Embedder {
    let source = Source::Folder { path: folder.to_owned(), name: Some("all-MiniLM-L6-v2".to_owned()), languages: None };
    Embedder::local(Local::start(source).unwrap())
}

#[tokio::test]
async fn vectors_are_those_of_the_reference_implementation() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/cranfield");
    let Some(folder) = minilm().await else { return };
    if !data.is_dir() {
        return skip(Lacking::Data, "../shared/data/cranfield is not there");
    }
    let texts: Vec<String> = std::fs::read_to_string(data.join("docs.jsonl"))
        .unwrap()
        .lines()
        .take(50)
        .map(|line| {
            let document: Value = serde_json::from_str(line).unwrap();
            format!("{}. {}", document["title"].as_str().unwrap(), document["text"].as_str().unwrap())
        })
        .collect();
    let reference = floats(&data.join("minilm-docs.f32"));
    let embedded = embedder(&folder).embed(Purpose::Passage, &texts).await.unwrap();
    assert_eq!(embedded.vectors.len(), 50);
    for (number, (vector, reference)) in embedded.vectors.iter().zip(reference.chunks(384)).enumerate() {
        assert!((cosine(vector, vector) - 1.0).abs() < 1e-4, "document {number} is a unit vector");
        // The reference was computed with 8-bit weights, these with 32-bit ones.
        let likeness = cosine(vector, reference);
        assert!(likeness >= 0.999, "document {number}: {likeness}");
    }
}

#[tokio::test]
async fn a_text_has_the_same_vector_whatever_it_is_embedded_with() {
    let Some(folder) = minilm().await else { return };
    let embedder = embedder(&folder);
    let texts: Vec<String> =
        ["short", "a somewhat longer text about annual leave and its rules", &"word ".repeat(400), "", "짧은 글"]
            .map(str::to_owned)
            .to_vec();
    let together = embedder.embed(Purpose::Passage, &texts).await.unwrap();
    for (text, vector) in texts.iter().zip(&together.vectors) {
        let alone = embedder.embed(Purpose::Query, std::slice::from_ref(text)).await.unwrap();
        assert!(cosine(vector, &alone.vectors[0]) > 0.999_99, "padding must not be seen: {text:.20}");
    }
    // Two marks for the empty text, 256 tokens at most for the long one.
    assert!((260..400).contains(&together.tokens), "{}", together.tokens);
    assert_eq!(embedder.count_tokens("annual leave"), Some(2));
    assert_eq!(embedder.count_tokens(&"word ".repeat(400)), Some(400));
}

#[tokio::test]
async fn meaning_is_found_where_no_word_is_shared() {
    let Some(folder) = minilm().await else { return };
    let texts = [
        "How many days off do employees get?",
        "Annual leave is thirty working days.",
        "The boiler is serviced in May.",
    ]
    .map(str::to_owned);
    let vectors = embedder(&folder).embed(Purpose::Passage, &texts).await.unwrap().vectors;
    assert!(cosine(&vectors[0], &vectors[1]) > cosine(&vectors[0], &vectors[2]) + 0.2);
}

#[tokio::test]
async fn a_folder_that_is_no_model_is_refused_with_its_reason() {
    let source = Source::Folder { path: "/nowhere/at/all".into(), name: None, languages: None };
    let error = Local::start(source).err().unwrap().to_string();
    assert!(error.contains("/nowhere/at/all") && error.contains("config.json"), "{error}");
}
