use std::sync::atomic::{AtomicUsize, Ordering};

use rmcp::model::{CallToolRequestParams, ClientCapabilities, ClientConfig, Implementation};
use rmcp::service::RunningService;
use rmcp::transport::TokioChildProcess;
use rmcp::{RoleClient, ServiceExt};
use serde_json::Value;

use super::DemoError;
use crate::startup::Deployment;

/// An MCP client with a server process of its own, for one tenant, as a desktop client would start it.
pub(super) struct Agent {
    session: RunningService<RoleClient, ClientConfig>,
    calls: AtomicUsize,
}

/// A tool's answer: structured content, or the text of a refusal.
pub(super) type Answer = Result<Value, String>;

impl Agent {
    /// Starts the server and goes through the handshake.
    pub async fn start(
        deployment: &Deployment,
        model: Option<&str>,
        tenant: &str,
        user: &str,
    ) -> Result<Self, DemoError> {
        let mut command = tokio::process::Command::new(std::env::current_exe()?);
        command
            .arg("serve")
            // What the person's own configuration says is not meant for the demo's servers.
            .env_remove("DATABASE_URL")
            .env_remove("BAILIWICK_ADMIN_DATABASE_URL")
            .env_remove("BAILIWICK_DIRECT_DATABASE_URL")
            .env_remove("BAILIWICK_SCOPES")
            .env("BAILIWICK_DATABASE_URL", url(deployment.app()?)?)
            .env("BAILIWICK_TENANT", tenant)
            .env("BAILIWICK_USER", user)
            // Upkeep is nobody's here, which is not for whoever watches to mind.
            .env("BAILIWICK_LOG", "warn,bailiwick::cli::serve=error");
        let own = std::env::vars_os().map(|(name, _)| name);
        for name in own.filter(|name| name.to_string_lossy().starts_with("BAILIWICK_EMBEDDINGS_")) {
            command.env_remove(name);
        }
        match (model, deployment.data_dir()) {
            (Some(model), Some(data_dir)) => {
                command.env_remove("BAILIWICK_NO_EMBEDDINGS");
                command.env("BAILIWICK_EMBEDDINGS_MODEL", model).env("BAILIWICK_DATA_DIR", data_dir);
            }
            _ => {
                command.env("BAILIWICK_NO_EMBEDDINGS", "true");
            }
        }
        let me = ClientConfig::new(
            ClientCapabilities::default(),
            Implementation::new("bailiwick-demo", env!("CARGO_PKG_VERSION")),
        );
        let session = me.serve(TokioChildProcess::new(command)?).await?;
        Ok(Self { session, calls: AtomicUsize::new(0) })
    }

    /// Calls a tool.
    pub async fn call(&self, tool: &'static str, arguments: Value) -> Result<Answer, DemoError> {
        let Value::Object(arguments) = arguments else { return Err("arguments are an object".into()) };
        self.calls.fetch_add(1, Ordering::Relaxed);
        let result = self.session.call_tool(CallToolRequestParams::new(tool).with_arguments(arguments)).await?;
        if result.is_error == Some(true) {
            let texts = result.content.iter().filter_map(|block| block.as_text());
            return Ok(Err(texts.map(|text| text.text.as_str()).collect()));
        }
        Ok(Ok(result.structured_content.unwrap_or_default()))
    }

    /// Calls a tool that should succeed.
    pub async fn ask(&self, tool: &'static str, arguments: Value) -> Result<Value, DemoError> {
        self.call(tool, arguments).await?.map_err(|refusal| format!("{tool}: {refusal}").into())
    }

    /// Ends the server and returns how many calls were made.
    pub async fn stop(self) -> Result<usize, DemoError> {
        self.session.cancel().await?;
        Ok(self.calls.into_inner())
    }
}

/// The configuration as a URL for another process: host and names are percent-encoded.
fn url(config: &tokio_postgres::Config) -> Result<String, DemoError> {
    use tokio_postgres::config::Host;
    let host = match config.get_hosts().first() {
        Some(Host::Tcp(name)) => name.clone(),
        #[cfg(unix)]
        Some(Host::Unix(folder)) => encoded(&folder.display().to_string()),
        _ => return Err("the database has no host".into()),
    };
    let port = config.get_ports().first().copied().unwrap_or(5432);
    let (user, database) = (config.get_user().unwrap_or_default(), config.get_dbname().unwrap_or_default());
    Ok(format!("postgresql://{}@{host}:{port}/{}", encoded(user), encoded(database)))
}

/// Percent-encodes all but unreserved characters (RFC 3986, section 2.3).
fn encoded(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    };
    text.bytes().map(byte).collect()
}
