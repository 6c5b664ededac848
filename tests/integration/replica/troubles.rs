//! The real server, while its replica falls behind, dies, comes back and becomes a primary.

use std::time::{Duration, Instant};

use reqwest::Client;
use serde_json::{Value, json};

use super::answers::stock;
use super::pair::{Pair, read_from};
use crate::harness::url;
use crate::http::served::Served;
use crate::http::{ALL_SCOPES, key, tool_call};

const MAX_LAG_MS: u64 = 500;

struct Searcher {
    served: Served,
    client: Client,
    key: String,
    asked: i64,
}

impl Searcher {
    async fn search(&mut self) -> Value {
        let query = tool_call(1, "hybrid_search", &json!({ "query": "annual leave" }));
        let answer = self.served.post(&self.client, &self.key).json(&query).send().await.unwrap();
        let answer: Value = answer.json().await.unwrap();
        self.asked += 1;
        let found = answer["result"]["structuredContent"].clone();
        assert_eq!(
            found["results"].as_array().map(Vec::len),
            Some(10),
            "no trouble of the replica's is the caller's: {answer}"
        );
        // Whatever is told by the replica is as new as is promised.
        if let Some(stale) = found["stale_ms_at_most"].as_u64() {
            assert!(stale <= MAX_LAG_MS + 1, "{found}");
        }
        assert_eq!(found.get("stale_ms_at_most").is_some(), read_from(&found) == "replica", "{found}");
        found
    }

    /// Searches until answers are read there.
    async fn until(&mut self, wanted: &str) {
        for _ in 0..400 {
            if read_from(&self.search().await) == wanted {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("no answer from the {wanted} in forty seconds: {:?}", self.served.lines());
    }

    /// All of the next answers are read on the primary.
    async fn stays_with_the_primary(&mut self) {
        for _ in 0..15 {
            assert_eq!(read_from(&self.search().await), "primary");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Waits for a line of the log.
    async fn told(&self, words: &str) {
        for _ in 0..100 {
            if self.served.lines().iter().any(|line| line.contains(words)) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("the log does not say {words:?}: {:?}", self.served.lines());
    }

    async fn figures(&self) -> String {
        self.client.get(&self.served.figures).send().await.unwrap().text().await.unwrap()
    }
}

#[tokio::test]
async fn searches_go_to_the_primary_while_the_replica_lags_is_gone_or_has_become_another_database() {
    let pair = Pair::start(stock).await;
    pair.replayed().await;
    let replica = url(&pair.replica("bailiwick_app"), "bailiwick_app");
    let served = Served::start_with(&pair.database, |command| {
        command.env("BAILIWICK_REPLICA_DATABASE_URL", &replica);
        command.env("BAILIWICK_REPLICA_MAX_LAG_MS", MAX_LAG_MS.to_string()).arg("--no-embeddings");
    })
    .await;
    let key = key(&pair.database, "demo", "ada", ALL_SCOPES).await;
    let mut searcher = Searcher { served, client: Client::new(), key, asked: 0 };
    assert_eq!(examined(&pair, &replica).await, None, "doctor has nothing to say of a good one");
    let primary = pair.database.url("bailiwick_app").await;
    assert!(examined(&pair, &primary).await.is_some_and(|found| found.contains("it is no replica")));
    searcher.until("replica").await;
    searcher.told("searches are read on the replica").await;

    // Replay stands still; the rows of the searches themselves are what it then lacks.
    pair.pause(true).await;
    searcher.until("primary").await;
    searcher.stays_with_the_primary().await;
    searcher.told("the replica lags behind").await;
    let figures = searcher.figures().await;
    assert!(figures.contains("bailiwick_replica_reads_total{from=\"primary\",reason=\"lagging\"}"), "{figures}");
    assert!(figures.contains("bailiwick_replica_reads_total{from=\"replica\",reason=\"fresh\"}"), "{figures}");
    assert!(figures.contains("bailiwick_replica_lag_seconds"), "{figures}");
    pair.pause(false).await;
    searcher.until("replica").await;

    // Killed under a storm of searches, of which each is answered.
    let storm = async {
        for _ in 0..60 {
            searcher.search().await;
        }
    };
    let killed = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        pair.kill().await;
    };
    tokio::join!(storm, killed);
    searcher.stays_with_the_primary().await;
    searcher.told("the replica cannot be used").await;
    assert!(examined(&pair, &replica).await.is_some_and(|found| found.contains("cannot be asked")));
    pair.revive();
    searcher.until("replica").await;

    // Promoted, it is another database, of which nothing is told and to which nothing is written.
    pair.promote();
    let fork = pair.connect_replica().await;
    let demo = pair.database.tenant("demo").await.id;
    let planted = format!(
        "BEGIN; SET LOCAL app.current_tenant_id = '{demo}';
         INSERT INTO documents (tenant_id, title, content) VALUES ('{demo}', 'Fork', 'Annual leave annual leave annual leave.'); COMMIT"
    );
    fork.batch_execute(&planted).await.unwrap();
    let count = "SELECT (SELECT count(*) FROM audit_logs) || ' ' || (SELECT count(*) FROM documents) || ' ' || (SELECT count(*) FROM call_intents)";
    let before: String = fork.query_one(count, &[]).await.unwrap().get(0);
    searcher.until("primary").await;
    let document = tool_call(2, "insert_document", &json!({ "title": "New", "content": "Annual leave." }));
    searcher.served.post(&searcher.client, &searcher.key).json(&document).send().await.unwrap();
    for _ in 0..15 {
        let found = searcher.search().await;
        assert!(read_from(&found) == "primary" && !found.to_string().contains("Fork"), "{found}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(fork.query_one(count, &[]).await.unwrap().get::<_, String>(0), before);

    let rows = "SELECT count(*) FROM audit_logs WHERE resource = 'tools/hybrid_search' AND outcome = 'ok'";
    assert_eq!(pair.database.value::<i64>(rows).await, searcher.asked, "one row each, on the primary");
    let (code, lines) = searcher.served.finish().await;
    assert_eq!(code, Some(0), "{lines:?}");
}

/// What doctor finds of a replica.
async fn examined(pair: &Pair, replica: &str) -> Option<String> {
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_bailiwick"));
    command.args(["doctor", "--quick", "--json"]).env("BAILIWICK_REPLICA_DATABASE_URL", replica);
    command.env("BAILIWICK_DATABASE_URL", pair.database.url("bailiwick_app").await);
    command.env("BAILIWICK_ADMIN_DATABASE_URL", pair.database.url("postgres").await);
    command.env("BAILIWICK_REPLICA_MAX_LAG_MS", "10000");
    let output = command.output().await.unwrap();
    let told: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
    let findings = told["findings"].as_array().unwrap();
    let found = findings.iter().find(|finding| finding["check"] == "replica")?;
    Some(found["detail"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn a_replica_that_is_away_keeps_nobody_from_serving_and_one_that_is_no_safe_place_does() {
    let database = crate::harness::TestDatabase::create().await;
    let served = Served::start_with(&database, |command| {
        command.env("BAILIWICK_REPLICA_DATABASE_URL", "postgresql://bailiwick_app@127.0.0.1:1/none");
    })
    .await;
    let key = key(&database, "demo", "ada", ALL_SCOPES).await;
    let query = tool_call(1, "hybrid_search", &json!({ "query": "annual leave" }));
    let answer = served.post(&Client::new(), &key).json(&query).send().await.unwrap();
    let answer: Value = answer.json().await.unwrap();
    assert_eq!(answer["result"]["structuredContent"]["read_from"], "primary", "{answer}");
    assert!(served.lines().iter().any(|line| line.contains("the replica cannot be reached")), "{:?}", served.lines());

    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_bailiwick"));
    command.arg("serve").stdin(std::process::Stdio::null()).env("BAILIWICK_TENANT", "demo");
    command.env("BAILIWICK_DATABASE_URL", database.url("bailiwick_app").await);
    command.env("BAILIWICK_REPLICA_DATABASE_URL", database.url("postgres").await);
    let output = command.output().await.unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("refusing to serve") && said.contains("on the replica"), "{said}");
}

/// Whatever its URL says of patience, who starts a server does not wait for it.
#[tokio::test]
async fn a_replica_that_takes_connections_and_never_answers_keeps_nobody_from_serving() {
    let database = crate::harness::TestDatabase::create().await;
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let begun = Instant::now();
    let served = Served::start_with(&database, |command| {
        let url = format!("postgresql://bailiwick_app@127.0.0.1:{port}/none?sslmode=disable&connect_timeout=600");
        command.env("BAILIWICK_REPLICA_DATABASE_URL", url);
    })
    .await;
    let key = key(&database, "demo", "ada", ALL_SCOPES).await;
    let query = tool_call(1, "hybrid_search", &json!({ "query": "annual leave" }));
    let answer = served.post(&Client::new(), &key).json(&query).send().await.unwrap();
    let answer: Value = answer.json().await.unwrap();
    assert_eq!(answer["result"]["structuredContent"]["read_from"], "primary", "{answer}");
    // Clients give a server half a minute or a whole one to start.
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}: {:?}", begun.elapsed(), served.lines());
    let lines = served.lines();
    assert!(lines.iter().any(|line| line.contains("accepts connections and does not answer")), "{lines:?}");
}
