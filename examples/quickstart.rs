//! The server in this very process: store a document, find it again.
//!
//! `cargo run --example quickstart`: on the program's own PostgreSQL, in a database that is dropped at the end.

#![expect(clippy::print_stdout, reason = "an example talks to its reader")]

use bailiwick::configuration::{DatabaseArguments, DatabaseSettings, IdentityArguments, IdentitySettings};
use bailiwick::startup::{Deployment, Service};
use rmcp::ServiceExt;
use rmcp::model::{CallToolRequestParams, ClientConfig};
use serde_json::json;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    // The data folder of BAILIWICK_DATA_DIR, or the default one.
    let arguments =
        DatabaseArguments { data_dir: std::env::var_os("BAILIWICK_DATA_DIR").map(Into::into), ..Default::default() };
    let settings = DatabaseSettings::resolve(&arguments)?;
    let deployment = Deployment::open_apart(&settings, "bailiwick_quickstart").await?;

    // A server for one user of the tenant `demo`, and a client, joined by a pipe.
    let service = Service::start(&deployment, &settings).await?;
    let caller = service.caller(&deployment, &IdentitySettings::resolve(&IdentityArguments::default())?).await?;
    let (ours, theirs) = tokio::io::duplex(64 * 1024);
    let server = service.server(caller);
    tokio::spawn(async move {
        server.serve(theirs).await?.waiting().await.map_err(Into::<Box<dyn std::error::Error + Send + Sync>>::into)
    });
    let client = ClientConfig::default().serve(ours).await?;

    for (tool, arguments) in [
        (
            "insert_document",
            json!({ "title": "Coffee machine", "content": "Descale the coffee machine on the first Monday of each month." }),
        ),
        ("hybrid_search", json!({ "query": "When is the coffee machine descaled?" })),
    ] {
        let arguments = arguments.as_object().cloned().unwrap_or_default();
        let answer = client.call_tool(CallToolRequestParams::new(tool).with_arguments(arguments)).await?;
        println!("{tool}: {}", serde_json::to_string_pretty(&answer.structured_content)?);
    }

    client.cancel().await?;
    service.drain(std::time::Duration::from_secs(5)).await;
    deployment.drop_database("bailiwick_quickstart").await?;
    Ok(())
}
