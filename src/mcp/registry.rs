use serde_json::{Value, json};

/// Whose schema the file follows.
const SCHEMA: &str = "https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json";

/// A bundle that was published.
#[derive(Debug)]
pub struct Bundle {
    /// Where it is downloaded.
    pub url: String,
    /// SHA-256 of the file, in hexadecimal.
    pub sha256: String,
}

/// server.json: the entry of this program in an MCP registry (schema of 2025-12-11), in the publisher's namespace.
///
/// What it always names is a server over HTTP at an address that its user fills in; a bundle only where one was published.
#[must_use]
pub fn server_json(namespace: &str, bundle: Option<&Bundle>) -> String {
    let mut server = json!({
        "$schema": SCHEMA,
        "name": format!("{namespace}/bailiwick"),
        "title": "Bailiwick",
        // 100 characters at most.
        "description": "Hybrid search over your organisation's documents: strict tenants, budgets and an audit trail",
        "version": env!("CARGO_PKG_VERSION"),
        "remotes": [{
            "type": "streamable-http",
            "url": "https://{host}/mcp",
            "variables": {
                "host": {
                    "description": "Host of your organisation's server, with its port where that is not 443",
                    "placeholder": "mcp.example.com",
                    "isRequired": true
                }
            },
            "headers": [{
                "name": "Authorization",
                "description": "An API key of the server; leave it out to sign in where the server has an issuer",
                "value": "Bearer {api_key}",
                "isSecret": true,
                "variables": {
                    "api_key": { "description": "Made by `bailiwick key create`", "isRequired": true, "isSecret": true }
                }
            }]
        }]
    });
    if let Some(bundle) = bundle {
        server["packages"] = json!([{
            "registryType": "mcpb",
            "identifier": bundle.url,
            "version": env!("CARGO_PKG_VERSION"),
            "fileSha256": bundle.sha256,
            "transport": { "type": "stdio" },
            "environmentVariables": variables()
        }]);
    }
    // JSON values written by hand always print.
    format!("{}\n", serde_json::to_string_pretty(&server).unwrap_or_default())
}

/// What the program reads on a desktop.
fn variables() -> Value {
    json!([
        {
            "name": "BAILIWICK_DATABASE_URL",
            "description": "PostgreSQL 16 or newer with pgvector, as the role bailiwick_app; without it one of its own",
            "isSecret": true
        },
        { "name": "BAILIWICK_TENANT", "description": "Slug or id of the tenant whose documents to serve", "default": "demo" },
        { "name": "BAILIWICK_USER", "description": "Your name in the audit trail; your login by default" },
        { "name": "BAILIWICK_SCOPES", "description": "What the assistant may do, parted by spaces", "default": "all" }
    ])
}
