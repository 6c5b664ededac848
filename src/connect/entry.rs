use serde_json::{Map, Value, json};

use super::Client;

/// What a client is to use.
#[derive(Clone)]
pub enum Server {
    /// A program that it starts.
    Program {
        /// The program's full path: clients do not have a shell's `PATH`.
        command: String,
        /// Its settings.
        environment: Vec<(String, String)>,
    },
    /// A server over HTTP.
    Remote {
        /// Where it is, with `/mcp`.
        url: String,
        /// Who calls.
        credential: Credential,
    },
}

/// Who calls over HTTP.
#[derive(Clone)]
pub enum Credential {
    /// An API key, which the client takes from the variable `BAILIWICK_KEY` or asks for. Claude Desktop can do neither,
    /// so there it stands in the file, if it is known.
    Key(Option<String>),
    /// Whoever signs in with the server's issuer.
    SignIn,
}

impl Server {
    /// As that client writes it.
    pub(super) fn entry(&self, client: Client, name: &str) -> Value {
        match self {
            Self::Program { command, environment } => {
                let environment: Map<_, _> =
                    environment.iter().map(|(name, value)| (name.clone(), Value::from(value.as_str()))).collect();
                let mut entry = match client {
                    Client::Vscode | Client::ClaudeCode => json!({ "type": "stdio" }),
                    Client::ClaudeDesktop | Client::Cursor => json!({}),
                };
                entry["command"] = json!(command);
                entry["args"] = json!(["serve"]);
                entry["env"] = Value::Object(environment);
                entry
            }
            Self::Remote { url, credential } if client == Client::ClaudeDesktop => through_a_program(url, credential),
            Self::Remote { url, credential } => {
                let mut entry = match client {
                    Client::Vscode | Client::ClaudeCode => json!({ "type": "http", "url": url }),
                    Client::ClaudeDesktop | Client::Cursor => json!({ "url": url }),
                };
                if let Credential::Key(_) = credential {
                    let key = match client {
                        Client::Vscode => format!("${{input:{}}}", input_id(name)),
                        Client::Cursor => "${env:BAILIWICK_KEY}".to_owned(),
                        Client::ClaudeCode | Client::ClaudeDesktop => "${BAILIWICK_KEY}".to_owned(),
                    };
                    entry["headers"] = json!({ "Authorization": format!("Bearer {key}") });
                }
                entry
            }
        }
    }

    /// What VS Code is to ask its user for, once, and keeps safe.
    pub(super) fn input(&self, client: Client, name: &str) -> Option<Value> {
        match self {
            Self::Remote { credential: Credential::Key(_), .. } if client == Client::Vscode => Some(
                json!({ "type": "promptString", "id": input_id(name), "description": "API key of Bailiwick", "password": true }),
            ),
            _ => None,
        }
    }
}

/// Under what the key that VS Code asks for is known in its file.
pub(super) fn input_id(name: &str) -> String {
    format!("{name}-key")
}

/// npm's program that speaks HTTP for a client that only starts programs. It holds the key, so it is one version and not whatever is new.
const MCP_REMOTE: &str = "mcp-remote@0.15.1";

fn through_a_program(url: &str, credential: &Credential) -> Value {
    let mut arguments = vec!["-y", MCP_REMOTE, url];
    // It asks for that word where another loopback address than 127.0.0.1 is named.
    if url.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("http:")) {
        arguments.push("--allow-http");
    }
    match credential {
        Credential::SignIn => json!({ "command": "npx", "args": arguments }),
        // The header goes through a variable, since the client's own splitting of arguments knows no spaces on Windows.
        Credential::Key(key) => {
            arguments.extend(["--header", "Authorization:${AUTHORIZATION}"]);
            json!({
                "command": "npx",
                "args": arguments,
                "env": { "AUTHORIZATION": format!("Bearer {}", key.as_deref().unwrap_or("bwk_…")) },
            })
        }
    }
}
