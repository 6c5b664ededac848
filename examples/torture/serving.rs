//! A server with faulty tools: in this process, or as a process of its own that is this program again.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bailiwick::call::{CallOptions, Calls};
use bailiwick::db::{Deadlines, Pool, PoolOptions, System};
use bailiwick::http::{self, Face, HttpOptions, Listener};
use bailiwick::identity::{Caller, KeyRing, Scopes, TenantId, UserId};
use bailiwick::mcp::{Server, Toolbox};
use bailiwick::tools::{CostReport, EmbeddingSpace, HybridSearch, InsertDocument, RecordUsage};
use clap::Args;
use rmcp::ServiceExt;
use tokio_postgres::Config;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::Result;
use crate::faulty::Faulty;
use crate::links::Links;

/// How long calls may take; shorter than usual, so that a storm of time-outs passes.
pub const DEADLINE: Duration = Duration::from_millis(1_500);
const CONNECTIONS: usize = 6;

/// All that a server must be told: it starts while the database is away, too.
#[derive(Debug, Clone, Args)]
pub struct ServerArguments {
    /// Folder of the socket to connect to
    #[arg(long)]
    pub socket: PathBuf,
    #[arg(long)]
    pub database: String,
    #[arg(long)]
    pub tenant: Uuid,
    /// Folder of the audit spool, shared by all servers
    #[arg(long)]
    pub spool: PathBuf,
    /// Folder for what tools note of their calls
    #[arg(long)]
    pub links: PathBuf,
    #[arg(long)]
    pub seed: u64,
    #[arg(long)]
    pub dimensions: usize,
    #[arg(long)]
    pub model: i16,
    /// Over HTTP, at the address that the first line of stdout tells, until stdin ends
    #[arg(long)]
    pub http: bool,
}

impl ServerArguments {
    /// The same as a command line.
    pub fn to_command_line(&self) -> Vec<String> {
        let Self { socket, database, tenant, spool, links, seed, dimensions, model, http } = self;
        let mut line = vec![
            format!("--socket={}", socket.display()),
            format!("--database={database}"),
            format!("--tenant={tenant}"),
            format!("--spool={}", spool.display()),
            format!("--links={}", links.display()),
            format!("--seed={seed}"),
            format!("--dimensions={dimensions}"),
            format!("--model={model}"),
        ];
        line.extend(http.then(|| "--http".to_owned()));
        line
    }

    fn config(&self) -> Config {
        let mut config = Config::new();
        config.host_path(&self.socket).user("bailiwick_app").dbname(&self.database);
        config
    }

    /// Opens calls and a server on them.
    pub fn open(&self) -> Result<(Server, Calls)> {
        let (toolbox, calls) = self.parts()?;
        let caller = Caller {
            tenant_id: TenantId::from(self.tenant),
            user_id: UserId::parse("torture")?,
            scopes: Scopes::all(),
        };
        Ok((Server::new(Arc::new(toolbox), calls.clone(), caller), calls))
    }

    fn parts(&self) -> Result<(Toolbox, Calls)> {
        let config = self.config();
        let options = CallOptions {
            deadline: DEADLINE,
            database: Deadlines {
                statement: Duration::from_millis(1_200),
                lock: Duration::from_millis(800),
                idle: Duration::from_secs(15),
            },
            pool: PoolOptions { size: CONNECTIONS, ..PoolOptions::default() },
            ..CallOptions::new(self.spool.clone())
        };
        let calls = Calls::open(&config, &options)?;
        let space = EmbeddingSpace {
            dimensions: self.dimensions,
            model_id: self.model,
            model_name: "torture".to_owned(),
            ..EmbeddingSpace::default()
        };
        let (seed, links) = (self.seed, Arc::new(Links::create(&self.links)?));
        let toolbox = Toolbox::empty()
            .with(Faulty { tool: HybridSearch { space: space.clone() }, seed, links: Arc::clone(&links) })
            .with(Faulty { tool: InsertDocument { space }, seed, links: Arc::clone(&links) })
            .with(Faulty { tool: CostReport, seed, links: Arc::clone(&links) })
            .with(Faulty { tool: RecordUsage, seed, links });
        Ok((toolbox, calls))
    }
}

/// The body of a server process: serves until its stdin ends, then lets its calls end.
pub async fn serve(arguments: &ServerArguments) -> Result<()> {
    if arguments.http {
        return serve_http(arguments).await;
    }
    let (server, calls) = arguments.open()?;
    let running = server.serve(rmcp::transport::stdio_pipes()).await?;
    let _ = running.waiting().await;
    calls.drain(Duration::from_secs(15)).await;
    Ok(())
}

async fn serve_http(arguments: &ServerArguments) -> Result<()> {
    let (toolbox, calls) = arguments.parts()?;
    let toolbox = Arc::new(toolbox);
    let pool = Pool::new(arguments.config(), &PoolOptions { size: 2, ..PoolOptions::default() })?;
    let options = HttpOptions { requests_per_minute: 0, ..HttpOptions::default() };
    let keys = KeyRing::new(System::new(pool));
    let face = Face {
        calls: calls.clone(),
        keys,
        issuer: None,
        toolbox: Arc::clone(&toolbox),
        exposition: None,
        options: options.clone(),
    };
    let router = http::router(face, Server::for_requests(toolbox, calls.clone()));
    let listener = Listener::bind("127.0.0.1:0".parse()?).await?;
    println!("http://{}/mcp", listener.address()?);
    let stop = CancellationToken::new();
    let serving = tokio::spawn({
        let stop = stop.clone();
        async move { http::serve(listener, router, &options, stop).await }
    });
    tokio::io::copy(&mut tokio::io::stdin(), &mut tokio::io::sink()).await?;
    calls.drain(Duration::from_secs(15)).await;
    stop.cancel();
    Ok(serving.await?)
}
