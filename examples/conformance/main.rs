//! The fixtures that MCP's conformance suite asks for, on the very HTTP face of the server: same accept loop, credentials, limits,
//! bodies and routes, with test tools, prompts and resources in the place of ours. `tests/conformance/run` starts it.

mod content;
mod fixtures;
mod rounds;

use bailiwick::configuration::{DatabaseArguments, DatabaseSettings};
use bailiwick::http::{HttpOptions, Listener, router, serve};
use bailiwick::startup::{Deployment, Service};
use tokio_util::sync::CancellationToken;

use fixtures::Fixtures;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let variable = |name: &str| std::env::var(name).ok();
    let arguments = DatabaseArguments {
        database_url: variable("BAILIWICK_DATABASE_URL"),
        admin_database_url: variable("BAILIWICK_ADMIN_DATABASE_URL"),
        data_dir: variable("BAILIWICK_DATA_DIR").map(Into::into),
        ..DatabaseArguments::default()
    };
    let settings = DatabaseSettings::resolve(&arguments)?;
    let deployment = Deployment::open(&settings).await?;
    let service = Service::start(&deployment, &settings).await?;
    let allowed_origins = variable("BAILIWICK_ALLOWED_ORIGINS").into_iter().collect();
    let options = HttpOptions { allowed_origins, requests_per_minute: 0, ..HttpOptions::default() };
    let face = service.face(&deployment, options.clone(), None, None)?;
    let listener = Listener::bind("127.0.0.1:0".parse()?).await?;
    eprintln!("Serving MCP at http://{}/mcp for the conformance suite.", listener.address()?);
    serve(listener, router(face, Fixtures), &options, CancellationToken::new()).await;
    Ok(())
}
