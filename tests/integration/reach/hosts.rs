//! Several hosts: the primary is found, found again after a failover, and a server that only reads is not kept.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bailiwick::backup;
use bailiwick::call::CallOptions;
use bailiwick::db::{Lease, Pool, PoolOptions, System};
use bailiwick::identity::{Caller, TenantId};
use bailiwick::migrations::{Migrations, RunOptions, Runner};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream, UnixListener};
use uuid::Uuid;

use super::caller::{Tools, caller, is_ok};
use super::cluster::Cluster;
use crate::harness::server;

pub(super) const DATABASE: &str = "bw";
/// Long enough for a loaded machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A primary with the schema, and a standby that follows it.
pub(super) struct Rig {
    pub first: Cluster,
    pub second: Cluster,
    pub demo: Caller,
    _spool: tempfile::TempDir,
    pub options: CallOptions,
}

impl Rig {
    pub async fn start() -> Self {
        let first = Cluster::create(server().await.bin_dir(), "").await;
        first.allow("local replication all trust\nhost all all 127.0.0.1/32 trust\n");
        first.start();
        first.connect("postgres").await.batch_execute(&format!("CREATE DATABASE {DATABASE}")).await.unwrap();
        let options = RunOptions { embedding_dimensions: Some(4), ..RunOptions::default() };
        let mut client = first.connect(DATABASE).await;
        Runner::new(&Migrations::embedded().unwrap(), options).up(&mut client, None, |_| ()).await.unwrap();
        let id = client.query_one("SELECT id FROM tenants WHERE slug = 'demo'", &[]).await.unwrap().get::<_, Uuid>(0);
        let second = Cluster::standby_of(&first).await;
        second.start();
        let spool = tempfile::tempdir().unwrap();
        let pool = PoolOptions { size: 6, ..PoolOptions::default() };
        let options = CallOptions { pool, ..CallOptions::new(spool.path().join("spool")) };
        Self { first, second, demo: caller(TenantId::from(id), "ada"), _spool: spool, options }
    }

    /// Both, the standby first.
    fn url(&self) -> String {
        format!("postgresql://bailiwick_app@{},{}/{DATABASE}", self.second.host(), self.first.host())
    }

    /// Waits until the standby has all that is committed by now.
    pub async fn followed(&self) {
        let place = "SELECT pg_current_wal_insert_lsn()::text";
        let place: String = self.first.connect(DATABASE).await.query_one(place, &[]).await.unwrap().get(0);
        let standby = self.second.connect(DATABASE).await;
        let sql = format!("SELECT pg_last_wal_replay_lsn() >= '{place}'::pg_lsn");
        eventually("the standby follows", async || standby.query_one(&sql, &[]).await.unwrap().get::<_, bool>(0)).await;
    }
}

async fn eventually(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !is_so().await {
        assert!(begun.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

pub(super) fn document(n: usize) -> Value {
    json!({ "title": format!("Document {n}"), "content": format!("Annual leave, number {n}."), "source": format!("{n}.md") })
}

pub(super) async fn count(cluster: &Cluster, sql: &str) -> i64 {
    cluster.connect(DATABASE).await.query_one(sql, &[]).await.unwrap().get(0)
}

const ROWS: &str = "SELECT count(*) FROM audit_logs WHERE resource = 'tools/insert_document'";
const CALLS: &str = "SELECT count(DISTINCT call_id) FROM audit_logs WHERE resource = 'tools/insert_document'";
const STORED: &str = "SELECT count(*) FROM audit_logs WHERE resource = 'tools/insert_document' AND outcome = 'ok'";
pub(super) const LEASES: &str = "SELECT count(*) FROM pg_stat_activity a JOIN pg_locks l USING (pid)
                      WHERE a.application_name = 'bailiwick-lease' AND l.locktype = 'advisory'";

#[tokio::test]
async fn a_failover_is_followed_by_calls_lease_and_trail() {
    let rig = Rig::start().await;
    let endpoint = super::app(&rig.url(), None);
    let tools = Tools::open(&endpoint, &rig.options).await;
    for n in 0..3 {
        tools.ok(&rig.demo, "insert_document", document(n)).await;
    }
    assert_eq!((count(&rig.first, ROWS).await, count(&rig.first, LEASES).await), (3, 1));
    rig.followed().await;
    rig.first.kill();
    let mut told = 3;
    let refused = tools.call(&rig.demo, "insert_document", document(3)).await;
    told += 1;
    assert!(refused.to_string().contains("unavailable"), "there is none that takes writes: {refused}");
    rig.second.promote();
    eventually("calls go to the new primary", async || {
        told += 1;
        is_ok(&tools.call(&rig.demo, "insert_document", document(4)).await)
    })
    .await;
    let found = tools.ok(&rig.demo, "hybrid_search", json!({ "query": "annual leave" })).await;
    assert_eq!(found["results"].as_array().unwrap().len(), 4);
    tools.calls.drain(Duration::from_secs(10)).await;
    // What could not be written then waited on disk, or in memory.
    eventually("every call has its row", async || count(&rig.second, ROWS).await == told).await;
    assert_eq!((count(&rig.second, CALLS).await, count(&rig.second, STORED).await), (told, 4));
    assert_eq!(count(&rig.second, LEASES).await, 1);
}

#[tokio::test]
async fn a_server_that_only_reads_is_left_before_anything_has_begun() {
    let rig = Rig::start().await;
    let url = format!("postgresql://bailiwick_app@{},{}/{DATABASE}", rig.first.host(), rig.second.host());
    let tools = Arc::new(Tools::open(&super::app(&url, None), &rig.options).await);
    // Several connections, so that not only the one that notices must be given up.
    let busy = (0..12).map(|n| {
        let (tools, demo) = (Arc::clone(&tools), rig.demo.clone());
        tokio::spawn(async move { tools.ok(&demo, "insert_document", document(n)).await })
    });
    for done in futures_util::future::join_all(busy).await {
        done.unwrap();
    }
    rig.followed().await;
    rig.second.promote();
    // As a tool for failovers fences a primary that it cannot stop.
    let fence = rig.first.connect("postgres").await;
    fence.batch_execute("ALTER SYSTEM SET default_transaction_read_only = on").await.unwrap();
    fence.batch_execute("SELECT pg_reload_conf()").await.unwrap();
    let app = bailiwick::db::admin::connect(&rig.first.config("bailiwick_app", DATABASE)).await.unwrap();
    eventually("the old primary is fenced", async || {
        app.query_one("SELECT current_setting('transaction_read_only')::boolean", &[]).await.unwrap().get::<_, bool>(0)
    })
    .await;
    drop((fence, app));
    let before = count(&rig.first, ROWS).await;
    // No call fails for it: nothing had begun where it was noticed.
    tools.ok(&rig.demo, "hybrid_search", json!({ "query": "annual leave" })).await;
    for n in 20..23 {
        tools.ok(&rig.demo, "insert_document", document(n)).await;
    }
    assert_eq!(count(&rig.second, ROWS).await, before + 3);
    let fenced = rig.first.connect("postgres").await;
    let left =
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'bailiwick' AND usename = 'bailiwick_app'";
    eventually("no connection to it is kept", async || {
        fenced.query_one(left, &[]).await.unwrap().get::<_, i64>(0) == 0
    })
    .await;
}

#[tokio::test]
async fn a_host_that_takes_connections_and_says_nothing_is_passed_over() {
    let rig = Rig::start().await;
    let folder = tempfile::tempdir().unwrap();
    let _silent = UnixListener::bind(folder.path().join(".s.PGSQL.5432")).unwrap();
    let silent = folder.path().display().to_string().replace('/', "%2F");
    let url = format!("postgresql://bailiwick_app@{silent}:5432,{}/{DATABASE}", rig.first.host());
    let endpoint = super::app(&url, None);
    let tools = Tools::open(&endpoint, &rig.options).await;
    tools.ok(&rig.demo, "insert_document", document(0)).await;
    // From now on the one that answers is asked first.
    let begun = Instant::now();
    let lease = Lease::new(&endpoint);
    lease.key().await.unwrap();
    assert!(begun.elapsed() < Duration::from_millis(1_500), "{:?}", begun.elapsed());
}

/// Takes connections at once, and hands them on only after that time.
async fn slow(port: u16, wait: Duration) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let own = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            tokio::spawn(async move {
                tokio::time::sleep(wait).await;
                if let Ok(mut server) = TcpStream::connect(("127.0.0.1", port)).await {
                    let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
                }
            });
        }
    });
    own
}

#[tokio::test]
async fn a_name_leads_to_that_of_its_addresses_that_answers_and_in_the_time_that_was_given() {
    let rig = Rig::start().await;
    let name = "db.bailiwick.example";
    let addresses: [IpAddr; 2] = ["127.0.0.2", "127.0.0.1"].map(|address| address.parse().unwrap());
    let _silent = TcpListener::bind((addresses[0], rig.first.port())).await.unwrap();
    let url = format!("postgresql://bailiwick_app@{name}:{}/{DATABASE}?connect_timeout=3", rig.first.port());
    let through = |url: &str| super::app(url, None).resolved(name, &addresses);
    // First of all by what each call needs first, so that nobody has found the way for it before.
    Lease::new(through(&url)).key().await.unwrap();
    let tools = Tools::open(&through(&url), &rig.options).await;
    tools.ok(&rig.demo, "insert_document", document(0)).await;
    backup::Connection::find(&through(&url)).await.unwrap().client().await.unwrap();

    // A service that sleeps until it is asked for, and is slow to wake.
    let port = slow(rig.first.port(), Duration::from_secs(3)).await;
    let url = format!("postgresql://bailiwick_app@127.0.0.1:{port}/{DATABASE}");
    let patient = super::app(&format!("{url}?connect_timeout=20"), None);
    let (lease, hasty) = (Lease::new(&patient), Lease::new(super::app(&url, None)));
    let (taken, refused) = tokio::join!(lease.key(), hasty.key());
    taken.unwrap();
    assert!(refused.unwrap_err().to_string().contains("no answer"));
    let pool = Pool::new(patient, &PoolOptions::default()).unwrap();
    assert_eq!(System::new(pool).embedding_dimensions().await.unwrap(), 4);
}
