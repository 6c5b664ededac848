use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use tokio_postgres::Row;

use super::EmbeddingSpace;
use super::filter::{FilterInput, checked};
use crate::call::{Action, Ahead, Answer, Call, Failure, Hints, Last, Problems, ReadFrom, Tool};
use crate::db::DbError;
use crate::embedding::ForQuery;
use crate::identity::Scope;
use crate::search::fusion::{RANK_CONSTANT, Weights};
use crate::search::{self, Found, MATCHING_WORDS, Marks, Query, QueryEmbedding, Search};

const LONGEST_QUERY: usize = 2_000;
/// Metadata larger than this is left out of results, which must stay small.
const SHOWN_METADATA_BYTES: usize = 2_000;
/// Characters of all passages of one answer together: about 8,000 tokens.
const PASSAGES_CHARS: usize = 32_000;

/// `hybrid_search`.
pub struct HybridSearch {
    /// The database's embeddings.
    pub space: EmbeddingSpace,
}

/// Arguments of `hybrid_search`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// What to look for, in any language: a question or keywords. A document matches if it holds any of the words; more and rarer words rank higher. "in quotes" must occur as it stands, -word must not occur.
    #[schemars(length(min = 1, max = 2000))]
    query: String,
    /// Vector of the query, for similarity of meaning. Give it only if you embed with the very model of the stored documents; usually the server embeds the query itself.
    query_embedding: Option<Vec<f32>>,
    /// Most documents to return, 1 to 50; 10 if absent.
    #[schemars(range(min = 1, max = 50))]
    limit: Option<i64>,
    /// Weight of the word side (BM25) in the fusion, 0 to 1; 0.5 if absent. 0 switches it off.
    #[schemars(range(min = 0.0, max = 1.0))]
    bm25_weight: Option<f64>,
    /// Weight of the vector side in the fusion, 0 to 1; 0.5 if absent. 0 switches it off.
    #[schemars(range(min = 0.0, max = 1.0))]
    vector_weight: Option<f64>,
    /// Only documents that satisfy all of these conditions.
    filter: Option<FilterInput>,
    /// Also say how each result came to its place; false if absent.
    explain: Option<bool>,
}

/// Answer of `hybrid_search`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Output {
    /// Documents, best first.
    results: Vec<ResultRow>,
    /// Which sides took part: hybrid, bm25_only or vector_only.
    mode: String,
    /// Why a side did not take part.
    #[serde(skip_serializing_if = "Option::is_none")]
    mode_reason: Option<String>,
    /// Words of the query that no document holds, and the words of your documents that they were read as.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    corrections: Vec<CorrectionRow>,
    /// What else to know of how the search was done.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    notes: Vec<String>,
    /// Distinct documents among the best 200 by words and the 100 nearest.
    total_candidates: usize,
    /// Time the search took, in milliseconds.
    duration_ms: f64,
    /// Where it was read, if the database has a replica: replica or primary.
    #[serde(skip_serializing_if = "Option::is_none")]
    read_from: Option<String>,
    /// If it was read on the replica: changes of the last so many milliseconds before the reading ended may be missing, but none that
    /// you made here.
    #[serde(skip_serializing_if = "Option::is_none")]
    stale_ms_at_most: Option<u64>,
}

/// A word that was read as others.
#[derive(Debug, Serialize, JsonSchema)]
pub struct CorrectionRow {
    /// The word, as it would be indexed.
    term: String,
    /// What it was read as, likeliest first.
    read_as: Vec<String>,
}

/// One document that was found.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ResultRow {
    /// Cite the document by this id.
    document_id: uuid::Uuid,
    /// Its title.
    title: String,
    /// The part of its text that matches best.
    passage: String,
    /// Fragments of the passage with the matched words between ** and **.
    highlights: Vec<String>,
    /// Where it came from.
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<String>,
    /// Its metadata, unless larger than 2,000 bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<Map<String, Value>>,
    /// Reciprocal Rank Fusion score; comparable within one answer only.
    combined_score: f64,
    /// BM25 score of its best passage, if it is among the 200 best by words.
    #[serde(skip_serializing_if = "Option::is_none")]
    bm25_score: Option<f64>,
    /// Its rank by words, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    bm25_rank: Option<u32>,
    /// Cosine similarity of its best passage, if it is among the 100 nearest.
    #[serde(skip_serializing_if = "Option::is_none")]
    vector_score: Option<f64>,
    /// Its rank by similarity, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    vector_rank: Option<u32>,
    /// How it came to its place, if asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    explanation: Option<Explanation>,
}

/// How a result came to its place.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Explanation {
    /// Terms of the query, as indexed, that the shown passage (or its title) holds.
    matched_terms: Vec<MatchedTerm>,
    /// What the word side added to combined_score: bm25_weight / (60 + bm25_rank).
    bm25_contribution: f64,
    /// What the vector side added: vector_weight / (60 + vector_rank).
    vector_contribution: f64,
}

/// A term that matched.
#[derive(Debug, Serialize, JsonSchema)]
pub struct MatchedTerm {
    /// The stem, or a pair of Hangul, Han or Kana characters.
    term: String,
    /// How often the passage holds it, title counted three times.
    frequency: u32,
}

/// A checked search.
pub struct Request {
    search: Search,
    /// The query as it was given.
    text: String,
}

impl Tool for HybridSearch {
    type Input = Input;
    type Request = Request;
    type Output = Output;

    const NAME: &'static str = "hybrid_search";
    const TITLE: &'static str = "Search documents";
    const DESCRIPTION: &'static str = "Search your organisation's documents by words (BM25) and by meaning (vectors); both rankings are fused. Returns the best passage of each document with its title, source and document_id for citing. \
Start with a plain query; narrow with filter if there is too much, and reword if there is nothing. \
The field mode says which sides took part. Only your own organisation's documents can be found.";
    const SCOPE: Scope = Scope::DocumentsRead;
    const ACTION: Action = Action::Search;
    const HINTS: Hints = Hints { read_only: true, idempotent: true, destructive: false };
    const READS_REPLICA: bool = true;

    fn check(&self, input: Input) -> Result<Request, Problems> {
        let mut problems = Problems::default();
        problems.text("query", &input.query, LONGEST_QUERY);
        let limit = input.limit.unwrap_or(10);
        problems.range("limit", limit, 1, 50);
        let weights = Weights { bm25: input.bm25_weight.unwrap_or(0.5), vector: input.vector_weight.unwrap_or(0.5) };
        problems.range("bm25_weight", weights.bm25, 0.0, 1.0);
        problems.range("vector_weight", weights.vector, 0.0, 1.0);
        if weights.bm25 == 0.0 && weights.vector == 0.0 {
            problems.add("bm25_weight", "and vector_weight are both 0; at least one side must count");
        }
        if let Some(vector) = &input.query_embedding {
            problems.embedding("query_embedding", vector, self.space.expected().dimensions);
        } else if weights.bm25 == 0.0 && weights.vector > 0.0 && self.space.embeddings.absence().is_some() {
            problems.add("query_embedding", "is missing, and bm25_weight is 0: there is nothing to search by. Give a query_embedding or a bm25_weight above 0");
        }
        let filter = input.filter.map(|filter| checked(filter, &mut problems)).unwrap_or_default();
        let embedding = input
            .query_embedding
            .map(|vector| QueryEmbedding { vector: unit(&vector), model_id: self.space.expected().model_id });
        problems.or(Request {
            text: input.query.clone(),
            search: Search {
                no_embedding: None,
                query: Query::parse(&input.query),
                embedding,
                limit: usize::try_from(limit).unwrap_or_default(),
                weights,
                filter,
                parameters: None,
                explain: input.explain.unwrap_or(false),
            },
        })
    }

    fn describe(&self, request: &Request) -> Map<String, Value> {
        let Search { query, embedding, limit, weights, filter, .. } = &request.search;
        Map::from_iter([
            ("query_chars".to_owned(), query.words.chars().count().into()),
            ("limit".to_owned(), (*limit).into()),
            ("has_embedding".to_owned(), embedding.is_some().into()),
            ("has_filter".to_owned(), (!filter.is_empty()).into()),
            ("bm25_weight".to_owned(), weights.bm25.into()),
            ("vector_weight".to_owned(), weights.vector.into()),
        ])
    }

    fn query<'a>(&self, request: &'a Request) -> Option<&'a str> {
        Some(&request.text)
    }

    async fn prepare(&self, ahead: &Ahead<'_>, request: &mut Request) -> Result<(), Failure> {
        let search = &mut request.search;
        if search.embedding.is_some() || search.weights.vector <= 0.0 || search.query.words.is_empty() {
            return Ok(());
        }
        match self.space.embeddings.query(ahead, &search.query.words).await? {
            ForQuery::Vector(vector, model_id) => {
                search.embedding = Some(QueryEmbedding { vector: vector.to_vec(), model_id });
            }
            // Without words there is nothing to fall back on.
            ForQuery::Absent(_) if search.weights.bm25 == 0.0 => {
                return Err(Failure::Unavailable {
                    reason: "the query could not be embedded, and bm25_weight is 0.",
                    retry_after_s: 5,
                });
            }
            ForQuery::Absent(reason) => search.no_embedding = Some(reason),
        }
        Ok(())
    }

    async fn run(&self, call: &Call<'_>, request: &Request) -> Result<Answer<Output>, Failure> {
        let outcome = search::run(call.reader, call.caller.tenant_id, &request.search)
            .await
            .map_err(|error| call.failed(&error))?;
        let passage_chars = PASSAGES_CHARS / outcome.found.len().max(1);
        let weights = request.search.explain.then_some(request.search.weights);
        let details = Map::from_iter([
            ("results".to_owned(), outcome.found.len().into()),
            ("total_candidates".to_owned(), outcome.total_candidates.into()),
            ("mode".to_owned(), outcome.mode.ran.name().into()),
            ("document_ids".to_owned(), json!(outcome.found.iter().map(|f| f.passage.document_id).collect::<Vec<_>>())),
        ]);
        let mut output = Output {
            results: outcome.found.into_iter().map(|found| row(found, passage_chars, weights)).collect(),
            mode: outcome.mode.ran.name().to_owned(),
            mode_reason: outcome.mode.reason,
            corrections: outcome
                .corrections
                .into_iter()
                .map(|correction| CorrectionRow { term: correction.term, read_as: correction.readings })
                .collect(),
            notes: outcome.notes,
            total_candidates: outcome.total_candidates,
            duration_ms: call.elapsed_ms(),
            read_from: None,
            stale_ms_at_most: None,
        };
        let last = show(outcome.marks, &mut output);
        Ok(Answer::new(output).telling(details).then(last))
    }

    fn note_reading(output: &mut Output, from: ReadFrom) {
        output.read_from = Some(from.name().to_owned());
        output.stale_ms_at_most = from.stale_ms_at_most();
    }
}

/// The vector scaled to length one, so that no component is lost or overflows as a half-precision float.
fn unit(vector: &[f32]) -> Vec<f32> {
    let norm = vector.iter().map(|x| f64::from(*x) * f64::from(*x)).sum::<f64>().sqrt();
    #[expect(clippy::cast_possible_truncation, reason = "a unit vector's components are at most 1")]
    vector.iter().map(|x| (f64::from(*x) / norm) as f32).collect()
}

/// Has the rows show which words match: at once if it is known, else with the last statement.
fn show(marks: Marks, output: &mut Output) -> Option<Last<Output>> {
    let parameters = marks.parameters();
    let put = move |output: &mut Output, rows: &[Row]| {
        for (row, highlights) in output.results.iter_mut().zip(marks.highlights(rows)?) {
            row.highlights = highlights;
        }
        Ok::<(), DbError>(())
    };
    match parameters {
        Some(parameters) => Some(Last { sql: MATCHING_WORDS, parameters, apply: Box::new(put) }),
        None => put(output, &[]).err().and(None),
    }
}

fn row(found: Found, passage_chars: usize, explain: Option<Weights>) -> ResultRow {
    let Found { place, passage, terms } = found;
    let contribution =
        |weight: f64, rank: Option<u32>| rank.map_or(0.0, |rank| weight / (RANK_CONSTANT + f64::from(rank)));
    let (bm25_rank, vector_rank) = (place.bm25.map(|p| p.rank), place.vector.map(|p| p.rank));
    let metadata = match passage.metadata {
        Value::Object(object)
            if serde_json::to_string(&object).is_ok_and(|json| json.len() <= SHOWN_METADATA_BYTES) =>
        {
            Some(object)
        }
        _ => None,
    };
    ResultRow {
        document_id: passage.document_id.as_uuid(),
        title: passage.title,
        passage: shorten(passage.text, passage_chars),
        highlights: Vec::new(),
        source: passage.source,
        metadata,
        combined_score: place.combined_score,
        bm25_score: place.bm25.map(|p| p.score),
        bm25_rank,
        vector_score: place.vector.map(|p| p.score),
        vector_rank,
        explanation: explain.map(|weights| Explanation {
            matched_terms: terms.into_iter().map(|(term, frequency)| MatchedTerm { term, frequency }).collect(),
            bm25_contribution: contribution(weights.bm25, bm25_rank),
            vector_contribution: contribution(weights.vector, vector_rank),
        }),
    }
}

fn shorten(text: String, longest: usize) -> String {
    match text.char_indices().nth(longest) {
        Some((end, _)) => format!("{}…", text[..end].trim_end()),
        None => text,
    }
}
