use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use serde_json::{Map, Value, json};
use tokio_util::sync::CancellationToken;

use super::{CommandError, Style};
use crate::call::Client;
use crate::configuration::{DatabaseArguments, DatabaseSettings, IdentityArguments, IdentitySettings};
use crate::startup::{Deployment, Service};

/// What to look for.
#[derive(Debug, Args)]
pub(super) struct SearchArguments {
    /// A question or keywords; "in quotes" must occur as it stands, -word must not (put -- before a query that begins so)
    #[arg(value_name = "QUERY", required = true)]
    query: Vec<String>,
    /// Most documents to show, 1 to 50
    #[arg(long, short = 'n', value_name = "N", default_value_t = 10)]
    limit: i64,
    /// Weight of the word side, 0 to 1
    #[arg(long, value_name = "WEIGHT", default_value_t = 0.5)]
    bm25_weight: f64,
    /// Weight of the vector side, 0 to 1
    #[arg(long, value_name = "WEIGHT", default_value_t = 0.5)]
    vector_weight: f64,
    /// Only documents of exactly this source
    #[arg(long, value_name = "SOURCE")]
    source: Option<String>,
    /// Only documents whose metadata has this text; may be given several times
    #[arg(long, value_name = "KEY=VALUE")]
    filter_metadata: Vec<String>,
    /// Only documents in this language
    #[arg(long, value_name = "CODE")]
    language: Option<String>,
    /// Only documents that were stored at or after this time: RFC 3339 or a UTC date
    #[arg(long, value_name = "TIME")]
    created_after: Option<String>,
    /// Only documents that were stored before this time
    #[arg(long, value_name = "TIME")]
    created_before: Option<String>,
    /// Also say how each result came to its place
    #[arg(long)]
    explain: bool,
    /// As JSON, in the shape of the tool hybrid_search
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    identity: IdentityArguments,
}

/// Searches through the tool, as a client would. Exit code 1 if the search failed; finding nothing is no failure.
#[expect(clippy::print_stdout, reason = "the command's output")]
pub(super) async fn run(database: &DatabaseArguments, arguments: SearchArguments) -> Result<ExitCode, CommandError> {
    let (settings, identity) = (DatabaseSettings::resolve(database)?, IdentitySettings::resolve(&arguments.identity)?);
    let (as_json, style) = (arguments.json, Style::of_stdout());
    let asked = asked(arguments)?;
    let deployment = Deployment::open(&settings).await?;
    let service = Service::start(&deployment, &settings).await?;
    let caller = service.caller(&deployment, &identity).await?;
    let client = Client {
        user_agent: Some(concat!("bailiwick-cli/", env!("CARGO_PKG_VERSION")).to_owned()),
        ..Client::default()
    };
    let never = CancellationToken::new();
    let called = service.toolbox().call("hybrid_search", service.calls(), &caller, client, asked, &never).await;
    service.drain(Duration::from_secs(5)).await;
    let result = called.ok_or("there is no hybrid_search")?;
    if result.is_error == Some(true) {
        let texts = result.content.iter().filter_map(|block| block.as_text());
        return Err(texts.map(|text| text.text.as_str()).collect::<String>().into());
    }
    let answer = result.structured_content.unwrap_or_default();
    if as_json {
        println!("{}", serde_json::to_string_pretty(&answer)?);
    } else {
        println!("{}", shown(&answer, style));
    }
    Ok(ExitCode::SUCCESS)
}

fn asked(arguments: SearchArguments) -> Result<Map<String, Value>, CommandError> {
    let mut metadata = Map::new();
    for pair in &arguments.filter_metadata {
        let (key, value) = pair
            .split_once('=')
            .ok_or_else(|| format!("--filter-metadata is {pair:?}; give KEY=VALUE, for example department=hr"))?;
        metadata.insert(key.to_owned(), value.into());
    }
    let mut filter = Map::new();
    let mut add = |name: &str, value: Option<Value>| filter.extend(value.map(|value| (name.to_owned(), value)));
    add("source", arguments.source.map(Value::from));
    add("language", arguments.language.map(Value::from));
    add("created_after", arguments.created_after.map(Value::from));
    add("created_before", arguments.created_before.map(Value::from));
    add("metadata", (!metadata.is_empty()).then_some(Value::Object(metadata)));
    let asked = json!({
        "query": arguments.query.join(" "), "limit": arguments.limit, "bm25_weight": arguments.bm25_weight,
        "vector_weight": arguments.vector_weight, "filter": filter, "explain": arguments.explain,
    });
    if let Value::Object(asked) = asked { Ok(asked) } else { Err("the query is no object".into()) }
}

/// Ranked passages for a person: matched words stand out, by colour on a terminal, else between ** and **.
fn shown(answer: &Value, style: Style) -> String {
    let text = |value: &Value| plain(value.as_str().unwrap_or_default());
    let empty = Vec::new();
    let results = answer["results"].as_array().unwrap_or(&empty);
    let mut lines = Vec::new();
    for (row, rank) in results.iter().zip(1..) {
        let source =
            row["source"].as_str().map(|source| format!("  {}", style.dim(&plain(source)))).unwrap_or_default();
        lines.push(format!("{rank}. {}{source}", style.heading(&text(&row["title"]))));
        let highlights = row["highlights"].as_array().filter(|highlights| !highlights.is_empty());
        let passage = match highlights {
            Some(highlights) => highlights.iter().map(text).collect::<Vec<_>>().join(" … "),
            None => text(&row["passage"]).chars().take(300).collect(),
        };
        lines.push(format!("   {}", marked(&passage, style)));
        let side = |name: &str, score: &Value, rank: &Value| {
            Some(format!("{name} {:.3} (rank {})", score.as_f64()?, rank.as_u64()?))
        };
        let score = row["combined_score"].as_f64().unwrap_or_default();
        let sides = [
            side("words", &row["bm25_score"], &row["bm25_rank"]),
            side("meaning", &row["vector_score"], &row["vector_rank"]),
        ];
        let sides = sides.into_iter().flatten().collect::<Vec<_>>().join(", ");
        lines.push(format!("   {}", style.dim(&format!("{}  score {score:.5}  {sides}", text(&row["document_id"])))));
        let terms = row["explanation"]["matched_terms"].as_array();
        if let Some(terms) = terms.filter(|terms| !terms.is_empty()) {
            let terms: Vec<String> =
                terms.iter().map(|term| format!("{} × {}", text(&term["term"]), term["frequency"])).collect();
            lines.push(format!("   {}", style.dim(&format!("terms: {}", terms.join(", ")))));
        }
        lines.push(String::new());
    }
    if results.is_empty() {
        lines.push("nothing was found".to_owned());
    }
    for correction in answer["corrections"].as_array().unwrap_or(&empty) {
        let readings: Vec<String> = correction["read_as"].as_array().unwrap_or(&empty).iter().map(text).collect();
        lines.push(style.dim(&format!("{:?} was read as {}", text(&correction["term"]), readings.join(", "))));
    }
    for note in answer["notes"].as_array().unwrap_or(&empty) {
        lines.push(style.dim(&text(note)));
    }
    let reason = answer["mode_reason"].as_str().map(|reason| format!(": {}", plain(reason))).unwrap_or_default();
    let (mode, ms) = (text(&answer["mode"]), answer["duration_ms"].as_f64().unwrap_or_default());
    lines.push(style.dim(&format!("{mode}{reason}; {} candidates, {ms:.1} ms", answer["total_candidates"])));
    lines.join("\n")
}

/// In one line, and without what a terminal would obey.
fn plain(text: &str) -> String {
    let spaced: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    spaced.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Words between ** and ** in colour, where there is colour.
fn marked(text: &str, style: Style) -> String {
    if !style.has_colour() {
        return text.to_owned();
    }
    let parts: Vec<&str> = text.split("**").collect();
    // A text's own asterisks may leave the marks uneven: then it stays as it is.
    if parts.len().is_multiple_of(2) {
        return text.to_owned();
    }
    parts.iter().enumerate().map(|(at, part)| if at % 2 == 1 { style.good(part) } else { (*part).to_owned() }).collect()
}
