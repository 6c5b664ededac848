use std::path::PathBuf;

use clap::Args;
use sha2::{Digest, Sha256};

use super::CommandError;
use crate::mcp::{self, Bundle, Image, Published};

/// Which of them.
#[derive(Debug, Args)]
pub(super) struct ManifestArguments {
    /// The manifest of a bundle that holds this very program: for this platform alone
    #[arg(long, conflicts_with = "server_json")]
    this_platform: bool,
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
    /// An image of this program that is published, with its tag or digest: ghcr.io/example/bailiwick:0.1.0
    #[arg(long, value_name = "IMAGE", requires = "server_json", value_parser = image)]
    image: Option<String>,
}

/// Prints the manifest.
pub(super) fn run(arguments: &ManifestArguments) -> Result<(), CommandError> {
    let text = match (arguments.server_json, arguments.this_platform) {
        (true, _) => mcp::server_json(&arguments.namespace, &published(arguments)?),
        (false, true) => mcp::manifest_of_this_platform(),
        (false, false) => mcp::manifest(),
    };
    super::output::print_bytes(text.as_bytes())
}

fn published(arguments: &ManifestArguments) -> Result<Published, CommandError> {
    let bundle = match (&arguments.bundle, &arguments.bundle_url) {
        (Some(file), Some(url)) => {
            let bytes = std::fs::read(file).map_err(|error| format!("cannot read {}: {error}", file.display()))?;
            let sha256 = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
            Some(Bundle { url: url.clone(), sha256 })
        }
        _ => None,
    };
    Ok(Published { bundle, image: arguments.image.clone().map(|reference| Image { reference }) })
}

fn namespace(text: &str) -> Result<String, String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
    match text.contains('.') && text.chars().all(is_plain) {
        true => Ok(text.to_owned()),
        false => Err("it must be a domain read backwards, like com.example".to_owned()),
    }
}

/// A registry's host, a name, and which of that name: the newest is another tomorrow.
fn image(text: &str) -> Result<String, String> {
    let (host, rest) = text.split_once('/').unwrap_or_default();
    let (_, name) = rest.rsplit_once('/').unwrap_or(("", rest));
    let which = name.split_once('@').or(name.split_once(':')).map(|(_, which)| which).unwrap_or_default();
    let is_plain = text.chars().all(|c| c.is_ascii_alphanumeric() || "-._/:@".contains(c));
    match is_plain && host.contains(['.', ':']) && !which.is_empty() && which != "latest" {
        true => Ok(text.to_owned()),
        false => {
            Err("it must have a host, and a tag that is not latest or a digest: ghcr.io/example/bailiwick:0.1.0"
                .to_owned())
        }
    }
}
