use serde::Deserialize;
use serde_json::{Map, Value};

use super::DemoError;

/// The sample documents of the two demo tenants, and questions about them.
pub(super) struct Corpus {
    /// Each tenant's slug with its documents.
    pub tenants: [(&'static str, Vec<Document>); 2],
    /// Questions.
    pub questions: Vec<Question>,
}

/// A sample document: the arguments of `insert_document`.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Document {
    pub title: String,
    pub content: String,
    pub source: String,
    pub language: String,
    pub metadata: Map<String, Value>,
}

/// A question with the title of the best answer in each tenant.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Question {
    pub query: String,
    pub language: String,
    demo: Option<String>,
    enterprise: Option<String>,
}

impl Corpus {
    /// Reads the corpus, which is part of the program.
    pub fn load() -> Result<Self, DemoError> {
        Ok(Self {
            tenants: [
                ("demo", lines(include_str!("../../examples/corpus/demo.jsonl"))?),
                ("enterprise", lines(include_str!("../../examples/corpus/enterprise.jsonl"))?),
            ],
            questions: lines(include_str!("../../examples/corpus/questions.jsonl"))?,
        })
    }
}

impl Question {
    /// The title of the best answer in a tenant, if it has one.
    pub fn answer(&self, tenant: &str) -> Option<&str> {
        if tenant == "demo" { self.demo.as_deref() } else { self.enterprise.as_deref() }
    }

    /// Whether both tenants have an answer.
    pub fn is_shared(&self) -> bool {
        self.demo.is_some() && self.enterprise.is_some()
    }
}

fn lines<T: for<'a> Deserialize<'a>>(text: &str) -> Result<Vec<T>, DemoError> {
    let parsed = text.lines().filter(|line| !line.trim().is_empty()).map(serde_json::from_str);
    Ok(parsed.collect::<Result<_, _>>()?)
}
