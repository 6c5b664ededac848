use std::path::PathBuf;

use bailiwick::embedded::{EmbeddedServer, Options, Progress};
use tokio::sync::OnceCell;

/// The folder of the tests' PostgreSQL, kept between runs so that it is downloaded once.
///
/// Root runs PostgreSQL as an unprivileged user, who may not reach a clone in root's home.
pub fn data_dir() -> PathBuf {
    match std::env::var_os("BAILIWICK_TEST_DATA_DIR") {
        Some(dir) => dir.into(),
        None if rustix::process::geteuid().is_root() => "/var/tmp/bailiwick-tests".into(),
        None => PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("postgres"),
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
            EmbeddedServer::start(options)
                .await
                .unwrap_or_else(|error| panic!("{}", bailiwick::embedded::explain(&error)))
        })
        .await
}
