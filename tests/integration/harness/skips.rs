//! What is not tried because this machine lacks something: always through here, so that no test is skipped unseen.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

/// What a test may lack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lacking {
    /// npm, or a Node of 22 or newer.
    Node,
    /// Python 3 with pip, and with it what pip fetches.
    Python,
    /// Chromium.
    Chromium,
    /// PgBouncer, a pooler of connections.
    Pgbouncer,
    /// A PostgreSQL of this machine's that was built with TLS.
    Postgresql,
    /// What shows a program another time of day.
    Faketime,
    /// systemd's own tools.
    Systemd,
    /// Prometheus's own tools.
    Prometheus,
    /// OpenSSL's program.
    Openssl,
    /// A terminal, from util-linux's `script`.
    Terminal,
    /// Leave to mount file systems.
    Mounts,
    /// The collections beside the repository.
    Data,
}

/// Tells that a test, or a part of it, is not tried, and why.
///
/// Where `BAILIWICK_NO_SKIPS` is 1, or names what is lacking (`node,python`), it fails instead. The reasons are gathered in
/// the file `skips` below the folder of the tests, for `.ci/run` to tell, because what a passing test says is not shown.
pub fn skip(lacking: Lacking, why: &str) {
    let name = format!("{lacking:?}").to_lowercase();
    let demanded = std::env::var("BAILIWICK_NO_SKIPS").unwrap_or_default();
    assert!(
        !is_demanded(&demanded, &name),
        "{why}; BAILIWICK_NO_SKIPS={demanded} says that nothing of {name} is lacking"
    );
    let line = format!("SKIPPED for want of {name}, by {}: {why}\n", std::thread::current().name().unwrap_or("a test"));
    eprint!("{line}");
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("skips");
    let gathered = OpenOptions::new().create(true).append(true).open(path);
    gathered.and_then(|mut file| file.write_all(line.as_bytes())).unwrap();
}

fn is_demanded(demanded: &str, name: &str) -> bool {
    demanded == "1" || demanded.split(',').any(|one| one.trim() == name)
}

#[test]
fn a_skip_fails_where_nothing_may_be_lacking() {
    for (demanded, is_red) in [("1", true), ("node", true), ("python, node", true), ("", false), ("python", false)] {
        assert_eq!(is_demanded(demanded, "node"), is_red, "{demanded:?}");
    }
}
