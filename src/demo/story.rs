use futures_util::{StreamExt, TryStreamExt, stream};
use serde::Serialize;
use serde_json::{Value, json};

use super::DemoError;
use super::client::Agent;
use super::corpus::{Corpus, Document};
use super::embedding::{self, EmbeddingTold};
use crate::startup::Deployment;

/// Inserts under way at once.
const CONCURRENT_INSERTS: usize = 4;

/// What the clients did and were told.
pub(super) struct Told {
    /// What became of the documents' vectors; `None` if they have none.
    pub embedding: Option<EmbeddingTold>,
    pub tenants: Vec<TenantTold>,
    pub searches: Vec<SearchTold>,
    pub refusals: Vec<RefusalTold>,
    pub tools_called: usize,
}

/// One tenant's side of the story.
#[derive(Debug, Serialize)]
pub(super) struct TenantTold {
    pub tenant: &'static str,
    pub inserted: usize,
    pub chunks: u64,
    /// The answer of `cost_report`.
    pub costs: Value,
}

/// One search and its best document.
#[derive(Debug, Serialize)]
pub(super) struct SearchTold {
    pub tenant: &'static str,
    pub query: String,
    pub language: String,
    pub filter: Option<Value>,
    pub mode: String,
    pub mode_reason: Option<String>,
    pub top_title: Option<String>,
    pub expected_title: Option<String>,
    pub highlight: Option<String>,
    pub duration_ms: f64,
    /// Every document in the answer.
    pub document_ids: Vec<String>,
}

/// Something that was tried and must not work.
#[derive(Debug, Serialize)]
pub(super) struct RefusalTold {
    pub tenant: &'static str,
    pub attempt: String,
    pub answer: String,
    pub refused: bool,
}

/// Plays the whole story, each tenant's agent on a server of its own.
pub(super) async fn tell(
    deployment: &Deployment,
    model: Option<&'static str>,
    run_id: &str,
    corpus: &Corpus,
) -> Result<Told, DemoError> {
    let user = user_of(run_id);
    let mut told =
        Told { embedding: None, tenants: Vec::new(), searches: Vec::new(), refusals: Vec::new(), tools_called: 0 };
    let mut agents = Vec::new();
    for (tenant, documents) in &corpus.tenants {
        let agent = Agent::start(deployment, model, tenant, &user).await?;
        let chunks = insert(&agent, tenant, documents).await?;
        agents.push((*tenant, agent, documents.len(), chunks));
    }
    if let Some(model) = model {
        told.embedding = embedding::wait(deployment, model).await?;
    }
    for question in questions(corpus) {
        for (tenant, agent, ..) in &agents {
            let mut search = search(agent, tenant, &question.query, None).await?;
            search.expected_title = question.answer(tenant).map(str::to_owned);
            search.language.clone_from(&question.language);
            told.searches.push(search);
        }
    }
    for (tenant, agent, ..) in &agents {
        let filter = json!({ "metadata": { "kind": "policy" }, "language": "en" });
        told.searches.push(search(agent, tenant, "How long is personal data kept?", Some(filter)).await?);
    }
    let ((demo, demo_agent, ..), (_, other_documents)) = (&agents[0], &corpus.tenants[1]);
    told.refusals.push(reach_over(demo_agent, demo, &other_documents[0]).await?);
    told.refusals.push(ask_wrongly(demo_agent, demo).await?);
    for (tenant, agent, inserted, chunks) in agents {
        let costs = spend(&agent, tenant).await?;
        told.tenants.push(TenantTold { tenant, inserted, chunks, costs });
        told.tools_called += agent.stop().await?;
    }
    Ok(told)
}

/// The user of the demo's calls: tells this run's audit rows from any others.
pub(super) fn user_of(run_id: &str) -> String {
    format!("demo-{run_id}")
}

/// Three questions in English and two in Korean that both tenants can answer, each in its own way.
fn questions(corpus: &Corpus) -> impl Iterator<Item = &super::corpus::Question> {
    let shared =
        |language: &'static str| corpus.questions.iter().filter(move |q| q.is_shared() && q.language == language);
    shared("en").take(3).chain(shared("ko").take(2))
}

async fn insert(agent: &Agent, tenant: &str, documents: &[Document]) -> Result<u64, DemoError> {
    let inserts = stream::iter(documents).map(|document| {
        agent.ask(
            "insert_document",
            json!({
                "title": document.title,
                "content": document.content,
                "source": document.source,
                "language": document.language,
                "metadata": document.metadata,
                // Run again with --keep, the demo finds its documents stored already.
                "idempotency_key": format!("demo/{tenant}/{}", document.source),
            }),
        )
    });
    let answers: Vec<Value> = inserts.buffer_unordered(CONCURRENT_INSERTS).try_collect().await?;
    Ok(answers.iter().filter_map(|answer| answer["chunk_count"].as_u64()).sum())
}

async fn search(
    agent: &Agent,
    tenant: &'static str,
    query: &str,
    filter: Option<Value>,
) -> Result<SearchTold, DemoError> {
    let mut arguments = json!({ "query": query, "limit": 5 });
    if let Some(filter) = &filter {
        arguments["filter"] = filter.clone();
    }
    let answer = agent.ask("hybrid_search", arguments).await?;
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let results = answer["results"].as_array().cloned().unwrap_or_default();
    let top = results.first();
    Ok(SearchTold {
        tenant,
        query: query.to_owned(),
        language: "en".to_owned(),
        filter,
        mode: text(&answer["mode"]).unwrap_or_default(),
        mode_reason: text(&answer["mode_reason"]),
        top_title: top.and_then(|row| text(&row["title"])),
        expected_title: None,
        highlight: top.and_then(|row| text(&row["highlights"][0])),
        duration_ms: answer["duration_ms"].as_f64().unwrap_or_default(),
        document_ids: results.iter().filter_map(|row| text(&row["document_id"])).collect(),
    })
}

/// Asks for another tenant's document by its exact source and title.
async fn reach_over(agent: &Agent, tenant: &'static str, foreign: &Document) -> Result<RefusalTold, DemoError> {
    let arguments =
        json!({ "query": foreign.title, "filter": { "source": foreign.source, "metadata": foreign.metadata } });
    let answer = agent.ask("hybrid_search", arguments).await?;
    let found = answer["results"].as_array().map_or(0, Vec::len);
    Ok(RefusalTold {
        tenant,
        attempt: format!("find enterprise's {:?} by its exact title, source and metadata", foreign.title),
        answer: format!("{found} documents found"),
        refused: found == 0,
    })
}

/// Makes a mistake, to show what a model is told.
async fn ask_wrongly(agent: &Agent, tenant: &'static str) -> Result<RefusalTold, DemoError> {
    let answer = agent.call("hybrid_search", json!({ "query": "leave", "limit": 99 })).await?;
    Ok(RefusalTold {
        tenant,
        attempt: "search with limit 99".to_owned(),
        refused: answer.is_err(),
        answer: answer.err().unwrap_or_else(|| "accepted".to_owned()),
    })
}

/// Reports some usage of models, as an orchestrator would, and reads the bill.
async fn spend(agent: &Agent, tenant: &str) -> Result<Value, DemoError> {
    // The free tenant comes close to its 50 USD: its budget warns.
    let usages: &[(&str, &str, u64, u64, &str)] = match tenant {
        "demo" => {
            &[("openai", "gpt-4", 1_100_000, 220_000, "chat"), ("openai", "text-embedding-3-small", 10, 0, "embed")]
        }
        _ => &[
            ("anthropic", "claude-sonnet-4", 4_000_000, 600_000, "chat"),
            ("openai", "gpt-4o-mini", 900_000, 120_000, "summarise"),
        ],
    };
    for (provider, model_name, input_tokens, output_tokens, operation) in usages {
        let usage = json!({
            "provider": provider,
            "model_name": model_name,
            "input_tokens": input_tokens,
            "output_tokens": output_tokens,
            "operation": operation,
        });
        agent.ask("record_usage", usage).await?;
    }
    agent.ask("cost_report", json!({ "group_by": ["model", "operation"] })).await
}
