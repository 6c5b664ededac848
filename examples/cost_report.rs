//! An orchestrator reports what its models used; the tenant reads the bill.
//!
//! `cargo run --example cost_report`: on the program's own PostgreSQL, in a database that is dropped at the end.

#![expect(clippy::print_stdout, reason = "an example talks to its reader")]

use bailiwick::configuration::{DatabaseArguments, DatabaseSettings, IdentityArguments, IdentitySettings};
use bailiwick::startup::{Deployment, Service};
use rmcp::ServiceExt;
use rmcp::model::{CallToolRequestParams, ClientConfig};
use serde_json::json;

type Error = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Error> {
    let arguments =
        DatabaseArguments { data_dir: std::env::var_os("BAILIWICK_DATA_DIR").map(Into::into), ..Default::default() };
    let settings = DatabaseSettings::resolve(&arguments)?;
    let deployment = Deployment::open_apart(&settings, "bailiwick_cost_report").await?;
    let service = Service::start(&deployment, &settings).await?;
    let caller = service.caller(&deployment, &IdentitySettings::resolve(&IdentityArguments::default())?).await?;
    let (ours, theirs) = tokio::io::duplex(64 * 1024);
    let server = service.server(caller);
    tokio::spawn(async move { server.serve(theirs).await?.waiting().await.map_err(Error::from) });
    let client = ClientConfig::default().serve(ours).await?;

    let usage = |operation: &str, input: u64, output: u64| json!({ "provider": "openai", "model_name": "gpt-4o-mini", "operation": operation, "input_tokens": input, "output_tokens": output });
    for (tool, arguments) in [
        ("record_usage", usage("chat", 120_000, 8_000)),
        ("record_usage", usage("summarise", 40_000, 2_500)),
        ("cost_report", json!({ "group_by": ["model", "operation"] })),
    ] {
        let arguments = arguments.as_object().cloned().unwrap_or_default();
        let answer = client.call_tool(CallToolRequestParams::new(tool).with_arguments(arguments)).await?;
        println!("{tool}: {}", serde_json::to_string_pretty(&answer.structured_content)?);
    }

    client.cancel().await?;
    service.drain(std::time::Duration::from_secs(5)).await;
    deployment.drop_database("bailiwick_cost_report").await?;
    Ok(())
}
