//! A server by the Python SDK with one tool of one SQL statement, installed for the bench into a folder of its own.

use std::path::Path;

use tokio::process::Command;

use crate::servers::Server;
use crate::world::database::{Database, socket_dir};
use crate::world::{Result, python};

const SDK: &str = "tests/clients/requirements.txt";
const DRIVER: &str = "benches/http/requirements.txt";

/// Starts it as a superuser of the database: without row-level security and context.
pub async fn serve(database: &Database) -> Result<Server> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let packages = tokio::task::spawn_blocking(|| python::installed(&[SDK, DRIVER])).await??;
    let mut command = Command::new("python3");
    command.arg(root.join("benches/http/server.py")).env("PYTHONPATH", packages).env("PYTHONDONTWRITEBYTECODE", "1");
    let (config, dir) = (&database.admin, socket_dir(&database.admin)?);
    command.env("PGHOST", dir).env("PGUSER", config.get_user().unwrap_or_default());
    command.env("PGPORT", config.get_ports().first().copied().unwrap_or(5_432).to_string());
    command.env("PGDATABASE", config.get_dbname().unwrap_or_default());
    crate::servers::json_only(command).await
}
