use std::path::PathBuf;

use bailiwick::db::admin;
use bailiwick::embedded::{EmbeddedServer, Options, Progress};
use tokio::sync::OnceCell;

use super::builds;

/// The folder of the tests' PostgreSQL, kept between runs so that it is downloaded once.
///
/// Root runs PostgreSQL as an unprivileged user, who may not reach a clone in root's home. Each release has its own.
pub fn data_dir() -> PathBuf {
    let dir = match std::env::var_os("BAILIWICK_TEST_DATA_DIR") {
        Some(dir) => dir.into(),
        None if rustix::process::geteuid().is_root() => "/var/tmp/bailiwick-tests".into(),
        None => PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("postgres"),
    };
    match builds::release() {
        Some(release) => PathBuf::from(format!("{}-{release}", dir.display())),
        None => dir,
    }
}

/// The tests' PostgreSQL. Each test process is one participant; the keeper stops the server when the last has gone.
pub async fn server() -> &'static EmbeddedServer {
    static SERVER: OnceCell<EmbeddedServer> = OnceCell::const_new();
    SERVER
        .get_or_init(|| async {
            let mut options = Options::new(data_dir());
            options.keeper = Some(env!("CARGO_BIN_EXE_bailiwick").into());
            options.progress = Progress::stderr();
            // Several tests at once, each with a server or two and their pools.
            options.most_connections = 400;
            options.pg_bin = builds::release().map(|release| builds::pg_bin(&data_dir(), &release));
            let server = EmbeddedServer::start(options)
                .await
                .unwrap_or_else(|error| panic!("{}", bailiwick::embedded::explain(&error)));
            hurry(&server).await;
            server
        })
        .await
}

/// Makes hundreds of databases, each a copy: to compress their pages for the log takes longer than to write them. The rest is as it
/// ought to be, for some tests look at it.
async fn hurry(server: &EmbeddedServer) {
    let postgres = admin::connect(&server.config("postgres", "postgres")).await.unwrap();
    // ALTER SYSTEM runs in no transaction.
    for sql in ["ALTER SYSTEM SET wal_compression = off", "SELECT pg_reload_conf()"] {
        postgres.batch_execute(sql).await.unwrap();
    }
}
