//! The real server, as a process of its own.

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::{Arguments, Result};

pub struct Served {
    child: Child,
    /// HOST:PORT.
    pub address: String,
    /// HOST:PORT of its figures.
    figures: String,
    /// The honest clients'.
    pub key: String,
    /// Another tenant's.
    pub attackers_key: String,
}

impl Served {
    /// Starts it with the caller's variables: on its own PostgreSQL, unless they name another.
    pub async fn start(arguments: &Arguments) -> Result<Self> {
        let examples = std::env::current_exe()?;
        let program =
            examples.parent().and_then(|folder| folder.parent()).ok_or("no folder of programs")?.join("bailiwick");
        let mut server = Command::new(&program);
        server.args([
            "serve",
            "--http",
            "127.0.0.1:0",
            "--metrics-listen",
            "127.0.0.1:0",
            "--no-embeddings",
            "--requests-per-minute",
            "0",
            "--log",
            "info,bailiwick::http=error",
        ]);
        server.args([
            "--most-connections",
            &arguments.cap.to_string(),
            "--most-connections-of-address",
            &arguments.cap_of_address.to_string(),
        ]);
        let mut child = server.stdin(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true).spawn()?;
        let mut lines = BufReader::new(child.stderr.take().ok_or("no stderr")?).lines();
        let (mut addresses, mut said) = (Vec::new(), String::new());
        while addresses.len() < 2 {
            let Some(line) = lines.next_line().await? else {
                return Err(format!("the server does not start: {said}").into());
            };
            if let Some((_, rest)) = line.split_once("http://") {
                addresses.push(rest.split('/').next().unwrap_or_default().to_owned());
            }
            said = line;
        }
        let address = addresses.remove(1);
        let figures = addresses.remove(0);
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        let honest = create_key(&program, "demo", "hostile-example").await?;
        let attackers_key = create_key(&program, "enterprise", "attacker").await?;
        Ok(Self { child, address, figures, key: honest, attackers_key })
    }

    /// What of its memory is resident.
    pub fn memory_bytes(&self) -> Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id().ok_or("the server is gone")?))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
        Ok(line.trim().trim_end_matches(" kB").trim().parse::<u64>()? << 10)
    }

    /// The most of it during that time.
    pub async fn peak_bytes(&self, time: Duration) -> Result<u64> {
        let (begun, mut peak) = (Instant::now(), 0);
        while begun.elapsed() < time {
            peak = peak.max(self.memory_bytes()?);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(peak)
    }

    /// A figure of its own, 0 where it has not been counted yet.
    pub async fn figure(&self, name: &str) -> Result<u64> {
        let figures = reqwest::get(format!("http://{}/metrics", self.figures)).await?.text().await?;
        let line = figures.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        Ok(line.map_or(Ok(0), str::parse)?)
    }
}

async fn create_key(program: &Path, tenant: &str, user: &str) -> Result<String> {
    let mut create = Command::new(program);
    create.args(["key", "create", "--tenant", tenant, "--user", user, "--json", "--log", "error", "--no-embeddings"]);
    let created: Value = serde_json::from_slice(&create.output().await?.stdout)?;
    Ok(created["key"].as_str().ok_or("no key")?.to_owned())
}
