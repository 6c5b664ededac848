//! The body of `bailiwick embedded-participant DATA_DIR`: a client reduced to its lease, for tests.

#![expect(clippy::disallowed_methods, reason = "looks after the server itself, before there is any schema")]

use std::{io::Write, path::Path, time::Instant};

use serde_json::json;
use tokio::io::AsyncReadExt;
use tokio_postgres::NoTls;

use super::{
    EmbeddedServer, Options,
    error::{EmbeddedError, IoContext},
    pidfile,
};

const IDENTITY: &str = "select (select system_identifier from pg_control_system())::text, \
     extract(epoch from pg_postmaster_start_time())::text, current_setting('data_directory')";

/// Attaches, prints one line of JSON about the server to stdout, and stays until stdin ends.
pub async fn run_participant(options: Options) -> Result<(), EmbeddedError> {
    let begun = Instant::now();
    let server = EmbeddedServer::start(options).await?;
    let attach_ms = begun.elapsed().as_secs_f64() * 1000.0;
    let (system_identifier, start_time, cluster) = identity(&server).await?;
    let line = json!({
        "system_identifier": system_identifier,
        "postmaster_start_time": start_time,
        "postmaster_pid": pidfile::pid(Path::new(&cluster)),
        "started_here": server.started_here(),
        "socket_dir": server.socket_dir(),
        "bin_dir": server.bin_dir(),
        "attach_ms": attach_ms,
    });
    let stdout = Path::new("stdout");
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).doing("write", stdout)?;
    drop(out);
    let mut rest = Vec::new();
    tokio::io::stdin().read_to_end(&mut rest).await.doing("read", Path::new("stdin"))?;
    drop(server);
    Ok(())
}

async fn identity(server: &EmbeddedServer) -> Result<(String, String, String), EmbeddedError> {
    let refused = |source| EmbeddedError::Refused { data_dir: server.data_dir().into(), source };
    let config = server.config("postgres", "postgres");
    let (client, connection) = config.connect(NoTls).await.map_err(refused)?;
    tokio::spawn(connection);
    let row = client.query_one(IDENTITY, &[]).await.map_err(refused)?;
    Ok((row.get(0), row.get(1), row.get(2)))
}
