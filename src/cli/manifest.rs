use std::path::PathBuf;

use clap::Args;
use sha2::{Digest, Sha256};

use super::CommandError;
use crate::mcp::{self, Bundle};

/// Which of them.
#[derive(Debug, Args)]
pub(super) struct ManifestArguments {
    /// Print server.json: the entry for an MCP registry
    #[arg(long)]
    server_json: bool,
    /// Whose it is in the registry, as a domain read backwards; a registry lets nobody publish under the default
    #[arg(long, value_name = "NAMESPACE", default_value = "local.bailiwick", requires = "server_json", value_parser = namespace)]
    namespace: String,
    /// A packed bundle of this program that is published, whose SHA-256 the entry is to hold
    #[arg(long, value_name = "FILE", requires_all = ["server_json", "bundle_url"])]
    bundle: Option<PathBuf>,
    /// Where it can be downloaded
    #[arg(long, value_name = "URL", requires = "bundle")]
    bundle_url: Option<String>,
}

/// Prints the manifest.
pub(super) fn run(arguments: &ManifestArguments) -> Result<(), CommandError> {
    if !arguments.server_json {
        return super::output::print_bytes(mcp::manifest().as_bytes());
    }
    let bundle = match (&arguments.bundle, &arguments.bundle_url) {
        (Some(file), Some(url)) => {
            let bytes = std::fs::read(file).map_err(|error| format!("cannot read {}: {error}", file.display()))?;
            let sha256 = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
            Some(Bundle { url: url.clone(), sha256 })
        }
        _ => None,
    };
    super::output::print_bytes(mcp::server_json(&arguments.namespace, bundle.as_ref()).as_bytes())
}

fn namespace(text: &str) -> Result<String, String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
    match text.contains('.') && text.chars().all(is_plain) {
        true => Ok(text.to_owned()),
        false => Err("it must be a domain read backwards, like com.example".to_owned()),
    }
}
