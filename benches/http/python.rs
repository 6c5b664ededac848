//! A server by the Python SDK with one tool of one SQL statement, installed for the bench into a folder of its own.

use std::path::{Path, PathBuf};
use std::process::Command as Blocking;

use sha2::{Digest, Sha256};
use tokio::process::Command;

use crate::servers::Server;
use crate::world::Result;
use crate::world::database::Database;

const SDK: &str = "tests/clients/requirements.txt";
const DRIVER: &str = "benches/http/requirements.txt";

/// Starts it as a superuser of the database: without row-level security and context.
pub async fn serve(database: &Database) -> Result<Server> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let packages = tokio::task::spawn_blocking(installed).await??;
    let mut command = Command::new("python3");
    command.arg(root.join("benches/http/server.py")).env("PYTHONPATH", packages).env("PYTHONDONTWRITEBYTECODE", "1");
    let (config, dir) = (&database.admin, crate::servers::socket_dir(&database.admin)?);
    command.env("PGHOST", dir).env("PGUSER", config.get_user().unwrap_or_default());
    command.env("PGPORT", config.get_ports().first().copied().unwrap_or(5_432).to_string());
    command.env("PGDATABASE", config.get_dbname().unwrap_or_default());
    crate::servers::json_only(command).await
}

fn installed() -> Result<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let pins = [SDK, DRIVER].map(|pins| root.join(pins));
    let mut digest = Sha256::new();
    for pins in &pins {
        digest.update(std::fs::read(pins)?);
    }
    let digest: String = digest.finalize().iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    let folder = root.join("target/bench").join(format!("python-{digest}"));
    if !folder.is_dir() {
        let unfinished = root.join("target/bench/python-unfinished");
        let _ = std::fs::remove_dir_all(&unfinished);
        let mut pip = Blocking::new("python3");
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--target"])
            .arg(&unfinished);
        for pins in &pins {
            pip.arg("-r").arg(pins);
        }
        let output = pip.output()?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
        }
        std::fs::rename(&unfinished, &folder)?;
    }
    Ok(folder)
}
