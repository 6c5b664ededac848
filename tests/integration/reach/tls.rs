//! TLS to the database, against a real PostgreSQL that speaks it.

use std::path::{Path, PathBuf};
use std::process::Command;

use bailiwick::db::{Endpoint, admin};
use tempfile::TempDir;

use super::admin as configured;
use super::authority::{Authority, Pair};
use super::cluster::Cluster;
use crate::harness::{Lacking, skip};

/// The server's own name, which no name server knows: URLs give its address beside it.
const HOST: &str = "db.bailiwick.example";

/// How each role may come in.
const RULES: &str = "\
hostnossl all plain 127.0.0.1/32 trust
hostssl all any 127.0.0.1/32 trust
hostssl all scram 127.0.0.1/32 scram-sha-256
hostnossl all scram 127.0.0.1/32 scram-sha-256
hostssl all carded 127.0.0.1/32 cert
";

/// The programs of a PostgreSQL of this machine's that was built with TLS: the program's own is not.
fn with_tls() -> Option<PathBuf> {
    let mut folders: Vec<_> =
        std::fs::read_dir("/usr/lib/postgresql").ok()?.flatten().map(|entry| entry.path().join("bin")).collect();
    folders.sort();
    folders.into_iter().rev().find(|bin| {
        let told = Command::new(bin.join("pg_config")).arg("--configure").output();
        let is_built = told.is_ok_and(|told| String::from_utf8_lossy(&told.stdout).contains("ssl"));
        is_built && bin.join("postgres").is_file()
    })
}

/// Whether a connection is encrypted, or words of why there is none.
type Wanted<'a> = Result<bool, &'a [&'a str]>;

/// A cluster that encrypts, its authority, and a stranger's.
struct Rig {
    cluster: Cluster,
    authority: Authority,
    /// With what clients have: `own.crt` and `other.crt` of the authorities, and what a test puts there.
    folder: TempDir,
}

impl Rig {
    async fn start() -> Option<Self> {
        let Some(bin_dir) = with_tls() else {
            skip(Lacking::Postgresql, "there is no PostgreSQL with TLS on this machine");
            return None;
        };
        let (authority, other) = (Authority::new("Our authority"), Authority::new("Another authority"));
        let cluster = Cluster::create(&bin_dir, "ssl = on\nssl_ca_file = '../ca.crt'\nssl_cert_file = '../server.crt'\nssl_key_file = '../server.key'\npassword_encryption = 'scram-sha-256'\n").await;
        cluster.file("ca.crt", &authority.pem());
        show(&cluster, &authority.sign("server", &[HOST]));
        cluster.allow(RULES);
        cluster.start();
        let postgres = cluster.connect("postgres").await;
        postgres.batch_execute("CREATE ROLE plain LOGIN; CREATE ROLE \"any\" LOGIN; CREATE ROLE carded LOGIN; CREATE ROLE scram LOGIN PASSWORD 'a secret'").await.unwrap();
        let folder = TempDir::new().unwrap();
        std::fs::write(folder.path().join("own.crt"), authority.pem()).unwrap();
        std::fs::write(folder.path().join("other.crt"), other.pem()).unwrap();
        other.sign("carded", &[]).write(folder.path(), "foreign");
        authority.sign("carded", &[]).write(folder.path(), "card");
        Some(Self { cluster, authority, folder })
    }

    /// A URL as that role; `{own}` and `{other}` in the query are the authorities' files.
    fn url(&self, role: &str, host: &str, query: &str) -> String {
        let folder = self.folder.path().display().to_string();
        let query =
            query.replace("{own}", &format!("{folder}/own.crt")).replace("{other}", &format!("{folder}/other.crt"));
        let query = query.replace("{folder}", &folder);
        format!("postgresql://{role}@{host}:{}/postgres?hostaddr=127.0.0.1&{query}", self.cluster.port())
    }

    /// Whether a connection by that URL is encrypted, or why there is none.
    async fn try_out(&self, role: &str, host: &str, query: &str) -> Result<bool, String> {
        is_encrypted(&configured(&self.url(role, host, query))?).await
    }

    /// Has the server show another certificate.
    async fn change(&self, pair: &Pair) {
        show(&self.cluster, pair);
        self.reload("").await;
    }

    async fn reload(&self, setting: &str) {
        let postgres = self.cluster.connect("postgres").await;
        let before: String = postgres.query_one("SELECT pg_conf_load_time()::text", &[]).await.unwrap().get(0);
        // ALTER SYSTEM stands alone.
        if !setting.is_empty() {
            postgres.batch_execute(setting).await.unwrap();
        }
        postgres.batch_execute("SELECT pg_reload_conf()").await.unwrap();
        loop {
            let now: String = self
                .cluster
                .connect("postgres")
                .await
                .query_one("SELECT pg_conf_load_time()::text", &[])
                .await
                .unwrap()
                .get(0);
            if now != before {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }
}

fn show(cluster: &Cluster, pair: &Pair) {
    cluster.file("server.crt", &pair.certificate);
    cluster.file("server.key", &pair.key);
}

async fn is_encrypted(endpoint: &Endpoint) -> Result<bool, String> {
    let client = admin::connect(endpoint).await.map_err(|error| error.to_string())?;
    let sql = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
    Ok(client.query_one(sql, &[]).await.map_err(|error| error.to_string())?.get(0))
}

#[tokio::test]
async fn what_is_checked_is_what_the_mode_says() {
    let Some(rig) = Rig::start().await else { return };
    let elsewhere = "elsewhere.example";
    // The role, the name that is connected to, what is asked for; and whether that is encrypted, or words of why it is refused.
    let cases: &[(&str, &str, &str, Wanted)] = &[
        ("plain", HOST, "sslmode=disable", Ok(false)),
        ("any", HOST, "sslmode=disable", Err(&["no pg_hba.conf entry", "sslmode=verify-full"])),
        ("any", elsewhere, "", Ok(true)),
        ("any", elsewhere, "sslmode=require", Ok(true)),
        ("any", elsewhere, "sslmode=require&sslrootcert={own}", Ok(true)),
        ("any", HOST, "sslmode=require&sslrootcert={other}", Err(&["UnknownIssuer", "sslrootcert"])),
        ("any", elsewhere, "sslmode=verify-ca&sslrootcert={own}", Ok(true)),
        ("any", HOST, "sslmode=verify-ca&sslrootcert={other}", Err(&["UnknownIssuer", "no authority that is trusted"])),
        ("any", HOST, "sslmode=verify-full&sslrootcert={own}", Ok(true)),
        ("any", HOST, "sslmode=verify-full&sslrootcert={other}", Err(&["UnknownIssuer"])),
        ("any", HOST, "sslmode=verify-full&sslrootcert=system", Err(&["UnknownIssuer"])),
        ("any", elsewhere, "sslmode=verify-full&sslrootcert={own}", Err(&[elsewhere, HOST, "connect by the name"])),
        ("any", "127.0.0.1", "sslmode=verify-full&sslrootcert={own}", Err(&["127.0.0.1", "connect by the name"])),
        ("scram:a%20secret", HOST, "sslmode=verify-full&sslrootcert={own}&channel_binding=require", Ok(true)),
        ("scram:a%20secret", HOST, "sslmode=disable&channel_binding=require", Err(&["channel binding"])),
        ("scram:wrong", HOST, "sslmode=verify-full&sslrootcert={own}", Err(&["password authentication failed"])),
        ("carded", HOST, "sslmode=verify-full&sslrootcert={own}", Err(&["client certificate", "sslcert and sslkey"])),
        (
            "carded",
            HOST,
            "sslmode=verify-full&sslrootcert={own}&sslcert={folder}/foreign.crt&sslkey={folder}/foreign.key",
            Err(&["UnknownCA", "sslcert and sslkey"]),
        ),
        (
            "any",
            HOST,
            "sslmode=verify-full&sslrootcert={own}&sslcert={folder}/card.crt&sslkey={folder}/foreign.key",
            Err(&["do not fit"]),
        ),
        (
            "carded",
            HOST,
            "sslmode=verify-full&sslrootcert={own}&sslcert={folder}/card.crt&sslkey={folder}/card.key",
            Ok(true),
        ),
    ];
    for (role, host, query, wanted) in cases {
        check(&rig, role, host, query, wanted).await;
    }
    for (pair, mode, wanted) in [
        (rig.authority.sign_expired("server", &[HOST]), "verify-full", Err(&["has run out"][..])),
        (rig.authority.sign_expired("server", &[HOST]), "verify-ca", Err(&["has run out"][..])),
        (rig.authority.own(), "verify-full", Err(&["authority's certificate as its own"][..])),
        (rig.authority.sign("server", &["127.0.0.1", HOST]), "verify-full", Ok(true)),
    ] {
        rig.change(&pair).await;
        check(&rig, "any", HOST, &format!("sslmode={mode}&sslrootcert={{own}}"), &wanted).await;
    }
    check(&rig, "any", "127.0.0.1", "sslmode=verify-full&sslrootcert={own}", &Ok(true)).await;
    rig.reload("ALTER SYSTEM SET ssl = off").await;
    for mode in ["require", "verify-ca&sslrootcert={own}", "verify-full&sslrootcert={own}"] {
        check(&rig, "plain", HOST, &format!("sslmode={mode}"), &Err(&["does not support TLS", "ssl = on"])).await;
    }
    check(&rig, "plain", HOST, "sslmode=prefer", &Ok(false)).await;
}

async fn check(rig: &Rig, role: &str, host: &str, query: &str, wanted: &Wanted<'_>) {
    let found = rig.try_out(role, host, query).await;
    match (&found, wanted) {
        (Ok(found), Ok(wanted)) if found == wanted => {}
        (Err(told), Err(words)) => {
            for words in *words {
                assert!(told.contains(words), "{role} {host} {query}: {words:?} is not in: {told}");
            }
            assert!(!told.contains("a%20secret") && !told.contains("a secret"), "{told}");
        }
        _ => panic!("{role} {host} {query}: {found:?} instead of {wanted:?}"),
    }
}

#[tokio::test]
async fn renewed_files_are_used_and_broken_ones_are_not() {
    let Some(rig) = Rig::start().await else { return };
    let root = rig.folder.path().join("root.crt");
    let own = std::fs::read_to_string(rig.folder.path().join("own.crt")).unwrap();
    let other = std::fs::read_to_string(rig.folder.path().join("other.crt")).unwrap();
    put(&root, &own);
    let endpoint = configured(&rig.url("any", HOST, "sslmode=verify-full&sslrootcert={folder}/root.crt")).unwrap();
    assert_eq!(is_encrypted(&endpoint).await, Ok(true));
    put(&root, &other);
    assert!(is_encrypted(&endpoint).await.unwrap_err().contains("UnknownIssuer"));
    put(&root, "half a file");
    assert!(is_encrypted(&endpoint).await.unwrap_err().contains("UnknownIssuer"), "what was read last is used on");
    put(&root, &format!("{other}{own}"));
    assert_eq!(is_encrypted(&endpoint).await, Ok(true));
    std::fs::remove_file(&root).unwrap();
    assert_eq!(is_encrypted(&endpoint).await, Ok(true), "what was read last is used on");
}

fn put(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
}
