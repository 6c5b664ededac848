use serde_json::{Value, json};

use super::desktop::{Kind, SETTINGS, Setting};

/// Whose schema the file follows.
const SCHEMA: &str = "https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json";

/// What was published, beside servers that organisations run.
#[derive(Debug, Default)]
pub struct Published {
    /// A bundle.
    pub bundle: Option<Bundle>,
    /// An image.
    pub image: Option<Image>,
}

/// A bundle (MCPB).
#[derive(Debug)]
pub struct Bundle {
    /// Where it is downloaded.
    pub url: String,
    /// SHA-256 of the file, in hexadecimal.
    pub sha256: String,
}

/// An image for containers (OCI), made by the Dockerfile.
#[derive(Debug)]
pub struct Image {
    /// Registry, name and tag or digest.
    pub reference: String,
}

/// server.json: the entry of this program in an MCP registry (schema of 2025-12-11), in the publisher's namespace.
///
/// What it always names is a server over HTTP at an address that its user fills in; a bundle or an image only where one was published.
#[must_use]
pub fn server_json(namespace: &str, published: &Published) -> String {
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
    let bundle = published.bundle.iter().map(of_bundle);
    let packages: Vec<Value> = bundle.chain(published.image.iter().map(of_image)).collect();
    if !packages.is_empty() {
        server["packages"] = packages.into();
    }
    // JSON values written by hand always print.
    format!("{}\n", serde_json::to_string_pretty(&server).unwrap_or_default())
}

fn of_bundle(bundle: &Bundle) -> Value {
    json!({
        "registryType": "mcpb",
        "identifier": bundle.url,
        "version": env!("CARGO_PKG_VERSION"),
        "fileSha256": bundle.sha256,
        "transport": { "type": "stdio" },
        "environmentVariables": SETTINGS.iter().map(Setting::input).collect::<Vec<_>>(),
    })
}

/// The image as a client starts it, over stdio. It has no Python to fetch a PostgreSQL or a model with, and nothing that is kept, so that it
/// needs a database, and only a service can embed.
fn of_image(image: &Image) -> Value {
    let settings = SETTINGS.iter().filter(|setting| setting.kind != Kind::Folder);
    let variables = settings.map(|setting| match setting.variable {
        "BAILIWICK_DATABASE_URL" => {
            let description = "PostgreSQL 16 or newer with pgvector, as the role bailiwick_app: postgresql://bailiwick_app:PASSWORD@HOST/DATABASE";
            json!({ "name": setting.variable, "description": description, "isRequired": true, "isSecret": true })
        }
        "BAILIWICK_TENANT" => {
            json!({ "name": setting.variable, "description": setting.description, "isRequired": true })
        }
        "BAILIWICK_USER" => {
            json!({ "name": setting.variable, "description": "Your name in the audit trail.", "isRequired": true })
        }
        _ => setting.input(),
    });
    json!({
        "registryType": "oci",
        "identifier": image.reference,
        "runtimeHint": "docker",
        "transport": { "type": "stdio" },
        // Else it serves over HTTP.
        "packageArguments": [{ "type": "positional", "value": "serve" }],
        "environmentVariables": variables.collect::<Vec<_>>(),
    })
}
