//! Collections with relevance judgements, read from a data folder; nothing of them is kept in the project.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use serde::Deserialize;

use super::files::{json_lines, read, vectors};
pub use super::korquad::korquad;

const TITLE_WORDS: usize = 8;
const HEADER: &str = "query-id\tcorpus-id\tscore";

/// Documents, and queries with their relevant documents.
#[derive(Debug, Clone)]
pub struct Collection {
    /// The collection's name.
    pub name: &'static str,
    /// Documents in file order.
    pub documents: Vec<Document>,
    /// Queries in file order.
    pub queries: Vec<Query>,
}

/// A document to be found; its title and text are never blank.
#[derive(Debug, Clone)]
pub struct Document {
    /// Unique in its collection.
    pub id: String,
    /// Its title, or the first words of its text, or "untitled".
    pub title: String,
    /// Its text, or its title where the collection has none.
    pub text: String,
    /// Its embedding, where the collection comes with one.
    pub vector: Option<Vec<f32>>,
}

/// A query and what should be found for it.
#[derive(Debug, Clone)]
pub struct Query {
    /// Unique in its collection.
    pub id: String,
    /// What is asked.
    pub text: String,
    /// Its embedding, where the collection comes with one.
    pub vector: Option<Vec<f32>>,
    /// Grade of each relevant document by id; every grade is above zero.
    pub judged: HashMap<String, f64>,
}

#[derive(Deserialize)]
struct Line {
    id: String,
    #[serde(default)]
    title: String,
    text: String,
}

/// Loads Cranfield with its MiniLM vectors from `data/cranfield`; grades are the file's 4 (best) to 1.
pub fn cranfield(data: &Path) -> Result<Collection, String> {
    let folder = data.join("cranfield");
    let lines: Vec<Line> = json_lines(&folder.join("docs.jsonl"))?;
    let embedded = vectors(&folder.join("minilm-docs.f32"), lines.len())?;
    let pairs = lines.into_iter().zip(embedded);
    let documents = pairs.map(|(line, vector)| document(line.id, &line.title, &line.text, Some(vector))).collect();
    let lines: Vec<Line> = json_lines(&folder.join("queries.jsonl"))?;
    let embedded = vectors(&folder.join("minilm-queries.f32"), lines.len())?;
    let pairs = lines.into_iter().zip(embedded);
    let asked = |(line, vector): (Line, _)| Query {
        id: line.id,
        text: line.text,
        vector: Some(vector),
        judged: HashMap::new(),
    };
    let mut collection = Collection { name: "Cranfield", documents, queries: pairs.map(asked).collect() };
    check_ids(&collection)?;
    judge(&mut collection, &folder.join("qrels.tsv"))?;
    Ok(collection)
}

pub(super) fn document(id: String, title: &str, text: &str, vector: Option<Vec<f32>>) -> Document {
    let first_words: Vec<&str> = text.split_whitespace().take(TITLE_WORDS).collect();
    let title = match (title.trim(), first_words.is_empty()) {
        ("", true) => "untitled".to_string(),
        ("", false) => first_words.join(" "),
        (title, _) => title.to_string(),
    };
    let text = if first_words.is_empty() { title.clone() } else { text.to_string() };
    Document { id, title, text, vector }
}

fn judge(collection: &mut Collection, path: &Path) -> Result<(), String> {
    let known: HashSet<&str> = collection.documents.iter().map(|document| document.id.as_str()).collect();
    let places = collection.queries.iter().enumerate().map(|(place, query)| (query.id.clone(), place));
    let places: HashMap<String, usize> = places.collect();
    let file = read(path)?;
    if file.lines().next().map(str::trim) != Some(HEADER) {
        return Err(format!("{} does not start with the line {HEADER:?}", path.display()));
    }
    for (row, line) in file.lines().enumerate().skip(1).filter(|(_, line)| !line.trim().is_empty()) {
        let bad = |what: &str| format!("{} line {}: {what}: {line:?}", path.display(), row + 1);
        let fields: Vec<&str> = line.split('\t').map(str::trim).collect();
        let [query, document, score] = fields[..] else {
            return Err(bad("not three fields"));
        };
        let grade = score.parse::<f64>().ok().filter(|grade| grade.is_finite()).ok_or_else(|| bad("not a score"))?;
        let place = *places.get(query).ok_or_else(|| bad("unknown query"))?;
        if !known.contains(document) {
            return Err(bad("unknown document"));
        }
        if grade > 0.0 && collection.queries[place].judged.insert(document.to_string(), grade).is_some() {
            return Err(bad("judged twice"));
        }
    }
    Ok(())
}

pub(super) fn check_ids(collection: &Collection) -> Result<(), String> {
    let (mut documents, mut queries) = (HashSet::new(), HashSet::new());
    if let Some(twice) = collection.documents.iter().find(|document| !documents.insert(&document.id)) {
        return Err(format!("{}: two documents have the id {:?}", collection.name, twice.id));
    }
    if let Some(twice) = collection.queries.iter().find(|query| !queries.insert(&query.id)) {
        return Err(format!("{}: two queries have the id {:?}", collection.name, twice.id));
    }
    Ok(())
}
