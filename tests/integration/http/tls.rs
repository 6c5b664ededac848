//! Encrypted connections: certificates that change, handshakes that never end, and what a public address demands.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bailiwick::http::{HttpOptions, Listener, Tls, TlsFiles};
use bailiwick::mcp::Toolbox;
use reqwest::{Certificate, Client, StatusCode};
use serde_json::json;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::served::Served;
use super::{ALL_SCOPES, HttpServer, key, model, tool_call};
use crate::harness::{PATIENCE, TestDatabase};

/// A certificate for localhost and its key, as PEM.
struct Pair {
    certificate: String,
    key: String,
}

impl Pair {
    fn new() -> Self {
        let pair = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        Self { certificate: pair.cert.pem(), key: pair.signing_key.serialize_pem() }
    }

    fn write(&self, folder: &Path) -> TlsFiles {
        let files = TlsFiles { certificate: folder.join("cert.pem"), key: folder.join("key.pem") };
        std::fs::write(&files.certificate, &self.certificate).unwrap();
        std::fs::write(&files.key, &self.key).unwrap();
        files
    }

    /// A client that trusts this certificate alone, on a connection of its own.
    fn client(&self) -> Client {
        let certificate = Certificate::from_pem(self.certificate.as_bytes()).unwrap();
        Client::builder().tls_certs_only([certificate]).pool_max_idle_per_host(0).build().unwrap()
    }

    fn connector(&self, protocols: &[&str]) -> TlsConnector {
        let mut roots = RootCertStore::empty();
        let certificate = PemObject::from_pem_slice(self.certificate.as_bytes()).unwrap();
        roots.add(certificate).unwrap();
        let provider = Arc::new(tokio_rustls::rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let mut config = config.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        TlsConnector::from(Arc::new(config))
    }
}

struct Rig {
    database: TestDatabase,
    server: HttpServer,
    folder: TempDir,
    pair: Pair,
    ada: String,
}

impl Rig {
    async fn start(options: HttpOptions) -> Self {
        let (database, folder, pair) = (TestDatabase::create().await, TempDir::new().unwrap(), Pair::new());
        let tls = Tls::open(pair.write(folder.path())).unwrap().looking_every(Duration::from_millis(50));
        let listener = Listener::bind("127.0.0.1:0".parse().unwrap()).await.unwrap().with_tls(tls);
        let server = HttpServer::start_at(listener, &database, options, Toolbox::new(&model()), None).await;
        let ada = key(&database, "demo", "ada", ALL_SCOPES).await;
        Self { database, server, folder, pair, ada }
    }

    /// Whether a client gets its call through; an error is one of TLS.
    async fn call(&self, client: &Client) -> reqwest::Result<StatusCode> {
        let post = client.post(format!("https://localhost:{}/mcp", self.server.address.port())).bearer_auth(&self.ada);
        let post = post.header("accept", "application/json, text/event-stream");
        Ok(post.json(&tool_call(1, "tenant_status", &json!({}))).send().await?.status())
    }
}

#[tokio::test]
async fn a_new_certificate_is_shown_without_a_restart_and_a_broken_one_is_not() {
    let rig = Rig::start(HttpOptions::default()).await;
    // A client of its own each time: one that was here before resumes its session and looks at no certificate.
    let old = || rig.pair.client();
    assert_eq!(rig.call(&old()).await.unwrap(), StatusCode::OK);
    let kept = Client::builder()
        .tls_certs_only([Certificate::from_pem(rig.pair.certificate.as_bytes()).unwrap()])
        .build()
        .unwrap();
    assert_eq!(rig.call(&kept).await.unwrap(), StatusCode::OK);

    // A certificate without its key, halves of files, and no file at all: the old one is shown on.
    let new = Pair::new();
    let files = TlsFiles { certificate: rig.folder.path().join("cert.pem"), key: rig.folder.path().join("key.pem") };
    let half = &new.certificate[..new.certificate.len() / 2];
    for broken in [new.certificate.as_str(), half, "", "rubbish"] {
        std::fs::write(&files.certificate, broken).unwrap();
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert_eq!(rig.call(&old()).await.unwrap(), StatusCode::OK, "{broken}");
    }
    std::fs::remove_file(&files.certificate).unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(rig.call(&old()).await.unwrap(), StatusCode::OK);

    new.write(rig.folder.path());
    let begun = Instant::now();
    while rig.call(&new.client()).await.is_err() {
        assert!(begun.elapsed() < PATIENCE, "the new certificate is never shown");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(rig.call(&old()).await.is_err(), "nor is the old one any more");
    assert_eq!(rig.call(&kept).await.unwrap(), StatusCode::OK, "a connection goes on as it began");
    let rows = "SELECT count(*) FROM audit_logs WHERE outcome = 'ok' AND host(ip_address) = '127.0.0.1'";
    assert_eq!(rig.database.value::<i64>(rows).await, 9);
}

#[tokio::test]
async fn handshakes_that_do_not_end_are_cut_and_hold_nobody_up() {
    let options =
        HttpOptions { header_limit: Duration::from_secs(3), most_connections_of_address: 60, ..HttpOptions::default() };
    let rig = Rig::start(options).await;
    let mut idle = Vec::new();
    for n in 0..50_u8 {
        let mut stream = TcpStream::connect(rig.server.address).await.unwrap();
        // Some begin: a handshake record whose rest never comes.
        if n % 2 == 0 {
            stream.write_all(&[22, 3, 1, 2, 0, 1, 0]).await.unwrap();
        }
        idle.push(stream);
    }
    assert_eq!(rig.call(&rig.pair.client()).await.unwrap(), StatusCode::OK);
    let begun = Instant::now();
    for mut stream in idle {
        let mut rest = Vec::new();
        let read = tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut rest)).await;
        assert!(read.is_ok(), "a connection stays open");
    }
    // Together, and not one after the other.
    assert!(begun.elapsed() < Duration::from_secs(20));
    // Their places are free again: more than the bound would allow otherwise.
    for _ in 0..3 {
        for _ in 0..40 {
            drop(TcpStream::connect(rig.server.address).await.unwrap());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(rig.call(&rig.pair.client()).await.unwrap(), StatusCode::OK);
    }
}

#[tokio::test]
async fn heads_over_tls_are_bounded_too_and_only_http_1_is_spoken() {
    let rig = Rig::start(HttpOptions { header_limit: Duration::from_secs(3), ..HttpOptions::default() }).await;
    let connect = async |protocols: &[&str]| {
        let stream = TcpStream::connect(rig.server.address).await.unwrap();
        rig.pair.connector(protocols).connect(ServerName::try_from("localhost").unwrap(), stream).await
    };
    assert!(connect(&["h2"]).await.is_err(), "what is not spoken is refused in the handshake");
    let mut stream = connect(&["h2", "http/1.1"]).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
    assert!(connect(&[]).await.is_ok(), "old clients name none");
    stream.write_all(b"POST /mcp HTTP/1.1\r\nHost: local").await.unwrap();
    let mut rest = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut rest)).await;
    assert!(read.is_ok(), "a head that dribbles is not waited for");
    // Plain HTTP finds nobody who answers it.
    let mut plain = TcpStream::connect(rig.server.address).await.unwrap();
    plain.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(Duration::from_secs(10), plain.read_to_end(&mut answer)).await.unwrap();
    assert!(!answer.starts_with(b"HTTP/"), "{}", String::from_utf8_lossy(&answer));
}

#[tokio::test]
async fn what_is_no_certificate_is_told_at_the_start() {
    let (folder, pair) = (TempDir::new().unwrap(), Pair::new());
    let files = pair.write(folder.path());
    let told = |files: &TlsFiles| Tls::open(files.clone()).map(drop).unwrap_err().to_string();
    std::fs::write(&files.key, Pair::new().key).unwrap();
    assert!(told(&files).contains("do not fit"));
    assert!(told(&TlsFiles { key: files.certificate.clone(), ..files.clone() }).contains("no private key"));
    std::fs::write(&files.certificate, "rubbish").unwrap();
    assert!(told(&files).contains("no certificate"));
    std::fs::remove_file(&files.key).unwrap();
    assert!(told(&files).contains("cannot be read"));
}

#[tokio::test]
async fn the_binary_serves_over_tls() {
    let (database, folder, pair) = (TestDatabase::create().await, TempDir::new().unwrap(), Pair::new());
    let files = pair.write(folder.path());
    let served = Served::start_with(&database, |command| {
        command.arg("--tls-cert").arg(&files.certificate).arg("--tls-key").arg(&files.key);
    })
    .await;
    assert!(served.url.starts_with("https://"), "{}", served.url);
    let ada = key(&database, "demo", "ada", ALL_SCOPES).await;
    let post = pair.client().post(served.url.replace("127.0.0.1", "localhost")).bearer_auth(&ada);
    let post = post.header("accept", "application/json, text/event-stream");
    let answer = post.json(&tool_call(1, "tenant_status", &json!({}))).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(served.finish().await.0, Some(0));
}

#[tokio::test]
async fn a_public_address_demands_a_credential_and_something_that_encrypts() {
    let database = TestDatabase::create().await;
    for (address, figures) in [("0.0.0.0:0", "127.0.0.1:0"), ("[::]:0", "127.0.0.1:0"), ("127.0.0.1:0", "0.0.0.0:0")] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bailiwick"));
        command.args(["serve", "--http", address, "--metrics-listen", figures, "--metrics-token", "figures"]);
        command.env("BAILIWICK_DATABASE_URL", database.url("bailiwick_app").await).kill_on_drop(true);
        let ended = tokio::time::timeout(Duration::from_secs(30), command.output()).await;
        let output = ended.expect("it does not serve").unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{told}");
        assert!(told.contains("BAILIWICK_TLS_CERT") && told.contains("BAILIWICK_PLAIN_HTTP"), "{told}");
    }
    let plain = Served::start_at(&database, "0.0.0.0:0", |command| {
        command.arg("--plain-http");
    })
    .await;
    let url = plain.url.replace("0.0.0.0", "127.0.0.1");
    let client = Client::new();
    for path in ["/mcp", "/mcp?access_token=x", "/sse", "/messages"] {
        let post = client.post(url.replace("/mcp", path)).json(&tool_call(1, "tenant_status", &json!({})));
        let status = post.header("accept", "application/json, text/event-stream").send().await.unwrap().status();
        assert!([StatusCode::UNAUTHORIZED, StatusCode::NOT_FOUND].contains(&status), "{path}: {status}");
    }
    let is_warned = |served: &Served| served.lines().iter().any(|line| line.contains("TRAVEL UNENCRYPTED"));
    assert!(is_warned(&plain));
    let behind = Served::start_at(&database, "0.0.0.0:0", |command| {
        command.args(["--trusted-proxies", "10.0.0.0/8"]);
    })
    .await;
    let private = Served::start(&database).await;
    assert!(!is_warned(&behind) && !is_warned(&private));
}
