use serde_json::{Value, json};

use super::Toolbox;
use crate::identity::Scopes;
use crate::tools::EmbeddingSpace;

/// mcp-manifest.json: the MCPB 0.3 manifest of this program, with the tools as the server lists them.
#[must_use]
pub fn manifest() -> String {
    // Names and descriptions do not depend on the database's embeddings.
    let space = EmbeddingSpace { dimensions: 0, model_id: 0, model_name: String::new(), ..EmbeddingSpace::default() };
    let tools = Toolbox::new(&space).definitions(&Scopes::all());
    let tools: Vec<Value> =
        tools.iter().map(|tool| json!({ "name": tool.name, "description": tool.description })).collect();
    let manifest = json!({
        "manifest_version": "0.3",
        "name": "bailiwick",
        "display_name": "Bailiwick",
        "version": env!("CARGO_PKG_VERSION"),
        "description": "Search and store your organisation's documents: hybrid search, strict tenant isolation, costs and an audit trail, on PostgreSQL.",
        "author": { "name": "The Bailiwick developers" },
        "license": env!("CARGO_PKG_LICENSE"),
        "keywords": ["search", "documents", "postgresql", "pgvector", "audit"],
        "server": {
            "type": "binary",
            "entry_point": "server/bailiwick",
            "mcp_config": {
                "command": "${__dirname}/server/bailiwick",
                "args": ["serve"],
                "env": {
                    "BAILIWICK_DATABASE_URL": "${user_config.database_url}",
                    "BAILIWICK_TENANT": "${user_config.tenant}",
                    "BAILIWICK_USER": "${user_config.user}",
                    "BAILIWICK_SCOPES": "${user_config.scopes}"
                }
            }
        },
        "tools": tools,
        "user_config": {
            "database_url": {
                "type": "string",
                "title": "Database URL",
                "description": "PostgreSQL 16 or newer with pgvector, as the role bailiwick_app. Empty: a PostgreSQL of its own on this computer, which needs Python 3 with pip once.",
                "sensitive": true,
                "required": false,
                "default": ""
            },
            "tenant": {
                "type": "string",
                "title": "Tenant",
                "description": "Slug or id of the tenant whose documents to serve.",
                "required": false,
                "default": "demo"
            },
            "user": {
                "type": "string",
                "title": "User",
                "description": "Your name in the audit trail.",
                "required": true
            },
            "scopes": {
                "type": "string",
                "title": "Scopes",
                "description": "What the assistant may do, parted by spaces: documents:read documents:write costs:read costs:write audit:read, or all.",
                "required": false,
                "default": "all"
            }
        },
        "compatibility": { "platforms": ["darwin", "linux"] }
    });
    // The schema of JSON values written by hand always prints.
    let text = serde_json::to_string_pretty(&manifest).unwrap_or_default();
    format!("{text}\n")
}
