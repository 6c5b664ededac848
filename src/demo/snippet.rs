use std::path::Path;

use serde_json::json;

use super::DemoError;

/// What to paste into a client's configuration: this very binary, on the database that it serves by default.
pub(super) fn snippet(program: &Path) -> Result<String, DemoError> {
    let mut environment = json!({ "BAILIWICK_TENANT": "demo" });
    // A data folder that was chosen for this run must be the client's too.
    if let Some(folder) = std::env::var_os("BAILIWICK_DATA_DIR").filter(|folder| !folder.is_empty()) {
        environment["BAILIWICK_DATA_DIR"] = json!(std::path::absolute(folder)?);
    }
    let server = json!({ "command": program, "args": ["serve"], "env": environment });
    Ok(serde_json::to_string_pretty(&json!({ "mcpServers": { "bailiwick": server } }))?)
}
