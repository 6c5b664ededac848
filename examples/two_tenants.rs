//! Two tenants store a document on the same subject; each finds its own.
//!
//! `cargo run --example two_tenants`: on the program's own PostgreSQL, in a database that is dropped at the end.

#![expect(clippy::print_stdout, reason = "an example talks to its reader")]

use bailiwick::configuration::{DatabaseArguments, DatabaseSettings, IdentityArguments, IdentitySettings};
use bailiwick::startup::{Deployment, Service};
use rmcp::model::{CallToolRequestParams, ClientConfig};
use rmcp::service::RunningService;
use rmcp::{RoleClient, ServiceExt};
use serde_json::{Value, json};

type Error = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Error> {
    let arguments =
        DatabaseArguments { data_dir: std::env::var_os("BAILIWICK_DATA_DIR").map(Into::into), ..Default::default() };
    let settings = DatabaseSettings::resolve(&arguments)?;
    let deployment = Deployment::open_apart(&settings, "bailiwick_two_tenants").await?;
    let service = Service::start(&deployment, &settings).await?;

    let mut clients = Vec::new();
    for (tenant, days) in [("demo", 24), ("enterprise", 26)] {
        let client = connect(&service, &deployment, tenant).await?;
        let content = format!("Everybody has {days} days of paid leave a year.");
        call(&client, "insert_document", json!({ "title": "Annual leave", "content": content })).await?;
        clients.push((tenant, client));
    }
    for (tenant, client) in &clients {
        let answer = call(client, "hybrid_search", json!({ "query": "How many days of leave?" })).await?;
        println!(
            "{tenant}: {} found, {}",
            answer["results"].as_array().map_or(0, Vec::len),
            answer["results"][0]["passage"]
        );
    }

    for (_, client) in clients {
        client.cancel().await?;
    }
    service.drain(std::time::Duration::from_secs(5)).await;
    deployment.drop_database("bailiwick_two_tenants").await?;
    Ok(())
}

async fn connect(
    service: &Service,
    deployment: &Deployment,
    tenant: &str,
) -> Result<RunningService<RoleClient, ClientConfig>, Error> {
    let identity = IdentityArguments { tenant: Some(tenant.to_owned()), ..IdentityArguments::default() };
    let caller = service.caller(deployment, &IdentitySettings::resolve(&identity)?).await?;
    let (ours, theirs) = tokio::io::duplex(64 * 1024);
    let server = service.server(caller);
    tokio::spawn(async move { server.serve(theirs).await?.waiting().await.map_err(Error::from) });
    Ok(ClientConfig::default().serve(ours).await?)
}

async fn call(
    client: &RunningService<RoleClient, ClientConfig>,
    tool: &'static str,
    arguments: Value,
) -> Result<Value, Error> {
    let arguments = arguments.as_object().cloned().unwrap_or_default();
    let answer = client.call_tool(CallToolRequestParams::new(tool).with_arguments(arguments)).await?;
    answer.structured_content.ok_or_else(|| format!("{tool} failed: {:?}", answer.content).into())
}
