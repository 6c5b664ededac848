//! `bailiwick serve` and `bailiwick embed` as processes, killed and started again.

use std::process::{Output, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::process::Command;

use super::setup::{FakeService, Reply, plant};
use crate::harness::{Process, TestDatabase};

async fn command(database: &TestDatabase, service: &FakeService) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bailiwick"));
    command
        .env("BAILIWICK_DATABASE_URL", database.url("bailiwick_app").await)
        .env("BAILIWICK_ADMIN_DATABASE_URL", database.url("postgres").await)
        .env("BAILIWICK_TENANT", "demo")
        .env("BAILIWICK_EMBEDDINGS_URL", service.url())
        .env("BAILIWICK_EMBEDDINGS_MODEL", service.name())
        .env("BAILIWICK_EMBEDDINGS_API_KEY", "sk-very-secret")
        .env("BAILIWICK_EMBEDDINGS_DIMENSIONS", service.dimensions.to_string())
        .env("BAILIWICK_EMBEDDINGS_UNPRICED", "true")
        .env("BAILIWICK_EMBEDDINGS_BATCH", "8")
        .env("BAILIWICK_LOG", "debug");
    command
}

async fn embed(database: &TestDatabase, service: &FakeService, arguments: &[&str]) -> Output {
    let mut command = command(database, service).await;
    command.arg("embed").args(arguments).output().await.unwrap()
}

async fn count(database: &TestDatabase, what: &str) -> i64 {
    database.value(&format!("SELECT count(*) FROM {what}")).await
}

async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    for _ in 0..600 {
        if is_so().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("not in time: {what}");
}

#[tokio::test]
async fn a_server_that_is_killed_leaves_the_rest_to_the_next() {
    let database = TestDatabase::create().await;
    let demo = database.tenant("demo").await;
    let service = FakeService::start(vec![Reply::Good, Reply::Slow(Duration::from_secs(300))]).await;
    let text: String =
        (0..400).map(|n| format!("Sentence number {n} of the text says something about leave. ")).collect();
    let mut first = Process::spawn(command(&database, &service).await);
    until("the first server has adopted its model", async || {
        count(&database, "embedding_state WHERE current_model_id IS NOT NULL").await == 1
    })
    .await;
    plant(&database, &demo, "Leave", &text).await;
    let passages = count(&database, "document_chunks").await;
    until("the second batch is on its way", async || service.requests() == 2).await;
    first.child.kill().await.unwrap();
    assert_eq!(count(&database, "document_chunks WHERE embedding IS NOT NULL").await, 8);

    // No waiting for the claim to run out: its server's lock is free.
    let second = Process::spawn(command(&database, &service).await);
    until("the second server has embedded it", async || {
        count(&database, "documents WHERE embedding_status = 'embedded'").await == 1
    })
    .await;
    drop(second);
    let mut texts = service.texts();
    texts.sort();
    texts.dedup();
    assert_eq!((i64::try_from(texts.len()).unwrap(), service.texts().len()), (passages, texts.len()), "each once");
    let tokens = "SELECT sum(input_tokens) FROM cost_tracking";
    assert_eq!(database.value::<i64>(tokens).await, 10 * passages);
    // What the first server was at is known to have been begun, and is closed in time.
    assert!(
        count(&database, "call_intents").await + count(&database, "audit_logs WHERE outcome = 'interrupted'").await
            <= 1
    );
}

/// It says now, and means it: what failed a moment ago does not wait, and what waits still is told.
#[tokio::test]
async fn embed_tries_at_once_what_waits_and_fails_while_something_does() {
    let database = TestDatabase::create().await;
    let demo = database.tenant("demo").await;
    let service = FakeService::start(Vec::new()).await;
    for n in 0..5 {
        plant(&database, &demo, &format!("Document {n}"), "Annual leave is thirty days.").await;
    }
    *service.refused.lock().unwrap() = Some(("Document 3", 400));
    let output = embed(&database, &service, &["--json"]).await;
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&told["embedded_documents"], &told["pending_documents"]), (&json!(4), &json!(1)), "{told}");
    assert_eq!(output.status.code(), Some(1), "nobody is at the one that waits");
    *service.refused.lock().unwrap() = None;
    let output = embed(&database, &service, &["--json"]).await;
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&told["embedded_documents"], &told["pending_documents"]), (&json!(1), &json!(0)), "{told}");
    assert_eq!(output.status.code(), Some(0));
}

#[tokio::test]
async fn embed_fills_in_moves_and_tells_no_secret() {
    let database = TestDatabase::create().await;
    let demo = database.tenant("demo").await;
    let old = FakeService::start(Vec::new()).await;
    for n in 0..5 {
        plant(&database, &demo, &format!("Document {n}"), "Annual leave is thirty days.").await;
    }
    let output = embed(&database, &old, &["--json"]).await;
    let (told, log) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{log}");
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!(
        (&told["moved"], &told["embedded_documents"], &told["pending_documents"]),
        (&false.into(), &5.into(), &0.into())
    );
    assert!(!log.contains("sk-very-secret"), "{log}");

    let new = FakeService::of_dimensions(6, Vec::new()).await;
    let mut moving = command(&database, &new).await;
    let output = moving.args(["embed", "--json"]).output().await.unwrap();
    let log = String::from_utf8_lossy(&output.stderr);
    let told: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{log}"));
    assert_eq!(
        (&told["moved"], &told["embedded_passages"], &told["model"]),
        (&true.into(), &5.into(), &"fake-model-6".into())
    );
    assert_eq!(
        count(&database, "documents WHERE embedding_model = 'fake-model-6' AND vector_dims(embedding) = 6").await,
        5
    );

    // And back again, so that a database can be moved any number of times.
    let output = embed(&database, &old, &[]).await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(
        count(&database, "documents WHERE embedding_model = 'fake-model' AND vector_dims(embedding) = 4").await,
        5
    );
    let output = embed(&database, &old, &[]).await;
    assert!(output.status.success());
    assert!(String::from_utf8_lossy(&output.stdout).contains("embedded 0 passages"));
}

/// A model that reads less gets passages that it can read, and documents that it can read as they are stay so.
#[tokio::test]
async fn a_move_to_a_model_that_reads_less_cuts_what_it_could_not_read() {
    let database = TestDatabase::create().await;
    let demo = database.tenant("demo").await;
    let old = FakeService::start(Vec::new()).await;
    let long: String = (0..40).map(|n| format!("Sentence number {n} of the text says something. ")).collect();
    plant(&database, &demo, "Long", &long).await;
    plant(&database, &demo, "Short", "Annual leave is thirty days.").await;
    assert!(embed(&database, &old, &[]).await.status.success());
    let before = count(&database, "document_chunks").await;
    let updated = "SELECT string_agg(title || updated_at, ',' ORDER BY id) FROM documents";
    let updated_at: String = database.value(updated).await;
    let new = FakeService::of_dimensions(6, Vec::new()).await;
    *new.longest.lock().unwrap() = Some(400);
    let mut moving = command(&database, &new).await;
    let moving = moving.args(["embed", "--json"]).env("BAILIWICK_EMBEDDINGS_LONGEST_TOKENS", "64");
    let output = moving.output().await.unwrap();
    let log = String::from_utf8_lossy(&output.stderr);
    let told: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{log}"));
    assert!(log.contains("1 documents had passages that are longer"), "{log}");
    assert_eq!((&told["moved"], &told["pending_documents"]), (&true.into(), &0.into()), "{log}");
    let chunks = count(&database, "document_chunks").await;
    assert!(chunks > before + 5, "{before} {chunks}");
    assert_eq!(count(&database, "document_chunks WHERE token_count > 64 OR embedding IS NULL").await, 0);
    // Together they say all that was said, and nothing else of the documents has changed.
    let cut = "SELECT bool_and(c.char_start <= c.last_end + 1) AND max(c.char_end) = max(length(rtrim(d.content))) FROM documents d
               JOIN (SELECT document_id, char_start, char_end, coalesce(max(char_end) OVER (PARTITION BY document_id ORDER BY ordinal
                     ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS last_end FROM document_chunks) c ON c.document_id = d.id
               WHERE d.title = 'Long'";
    assert!(database.value::<bool>(cut).await);
    assert_eq!(database.value::<String>(updated).await, updated_at);
    let rows = "audit_logs a JOIN documents d ON d.id = a.resource_id WHERE a.resource = 'worker/recut_document' AND d.title = 'Long'";
    assert_eq!(count(&database, rows).await, 1);
    assert_eq!(
        count(&database, "audit_logs WHERE resource = 'worker/recut_document'").await,
        1,
        "the short one is not looked at"
    );
    // What the service would refuse is not sent: it would be refused again whenever the move is begun again.
    assert_eq!(count(&database, "audit_logs WHERE action = 'embed' AND outcome <> 'ok'").await, 0);
    // What a server with the old measure stores later, or a killed move left, is cut anew by the next run.
    plant(&database, &demo, "Later", &long).await;
    let mut filling = command(&database, &new).await;
    let filling = filling.args(["embed", "--json"]).env("BAILIWICK_EMBEDDINGS_LONGEST_TOKENS", "64");
    assert!(filling.output().await.unwrap().status.success());
    assert_eq!(count(&database, "document_chunks WHERE token_count > 64 OR embedding IS NULL").await, 0);
}

#[tokio::test]
async fn a_service_without_a_price_is_refused_unless_that_is_wanted() {
    let database = TestDatabase::create().await;
    let service = FakeService::start(Vec::new()).await;
    let mut command = command(&database, &service).await;
    let output = command.env_remove("BAILIWICK_EMBEDDINGS_UNPRICED").output().await.unwrap();
    let log = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert!(log.contains("has no price") && log.contains("BAILIWICK_EMBEDDINGS_UNPRICED"), "{log}");
}

/// A search; asked again where a loaded machine was too late with its vector.
async fn search(server: &mut Process, query: &str) -> Value {
    for _ in 0..10 {
        let answer = call(server, "hybrid_search", json!({ "query": query })).await;
        if answer["mode_reason"].as_str().is_none_or(|why| !why.contains("did not come in time")) {
            return answer;
        }
    }
    panic!("no vector comes in time");
}

/// Asks a server of its own process; the answer's structured content.
async fn call(server: &mut Process, tool: &str, arguments: Value) -> Value {
    let params = json!({ "name": tool, "arguments": arguments });
    server.send(json!({ "jsonrpc": "2.0", "id": "search", "method": "tools/call", "params": params })).await;
    let answer = server.receive().await.unwrap();
    answer["result"]["structuredContent"].clone()
}

#[tokio::test]
async fn a_move_that_is_killed_goes_on_and_servers_of_either_model_know_when_it_is_over() {
    let database = TestDatabase::create().await;
    let demo = database.tenant("demo").await;
    let old = FakeService::start(Vec::new()).await;
    for n in 0..20 {
        plant(&database, &demo, &format!("Document {n}"), "Annual leave is thirty days.").await;
    }
    assert!(embed(&database, &old, &[]).await.status.success());
    // The first batch is stored; the second hangs when the command is killed.
    let new = FakeService::of_dimensions(6, vec![Reply::Good, Reply::Slow(Duration::from_secs(300))]).await;
    let mut of_old = Process::spawn(command(&database, &old).await);
    of_old.initialize().await;
    let mut of_new = Process::spawn(command(&database, &new).await);
    of_new.initialize().await;
    let modes = async |of_old: &mut Process, of_new: &mut Process| {
        let (one, other) = (search(of_old, "annual leave").await, search(of_new, "annual leave").await);
        for answer in [&one, &other] {
            // Words find it at every moment, and who has no say in it says so.
            assert_eq!(answer["results"].as_array().map(Vec::len), Some(10), "{answer}");
            assert!(answer["mode"] == "hybrid" || answer["mode_reason"].is_string(), "{answer}");
        }
        (one["mode"].as_str().unwrap().to_owned(), other["mode"].as_str().unwrap().to_owned())
    };
    let before = ("hybrid".to_owned(), "bm25_only".to_owned());
    assert_eq!(modes(&mut of_old, &mut of_new).await, before);

    let mut killed = command(&database, &new).await;
    let mut killed = killed.arg("embed").stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    until("the second batch is on its way", async || new.requests() >= 2).await;
    killed.kill().await.unwrap();
    let first: i64 = count(&database, "document_chunks WHERE next_embedding IS NOT NULL").await;
    assert_eq!(first, 8);
    assert_eq!(modes(&mut of_old, &mut of_new).await, before, "what is searched has not changed");

    let output = embed(&database, &new, &["--json"]).await;
    let told: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    assert_eq!((&told["moved"], &told["embedded_passages"]), (&true.into(), &12.into()), "the rest: {told}");
    let after = ("bm25_only".to_owned(), "hybrid".to_owned());
    until("both servers know", async || modes(&mut of_old, &mut of_new).await == after).await;
    // Each passage was embedded once and charged once, the killed batch aside, of which nobody knows an answer.
    let mut texts = new.texts();
    texts.retain(|text| text.starts_with("Document "));
    let all = texts.len();
    texts.sort();
    texts.dedup();
    assert_eq!((texts.len(), all), (20, 20));
    let tokens =
        "SELECT sum(input_tokens) FROM cost_tracking WHERE operation = 'embed' AND model_name = 'fake-model-6'";
    assert_eq!(database.value::<i64>(tokens).await, 200);
    // That it had been begun is known, and told in the end.
    until("the killed batch is closed", async || {
        count(&database, "audit_logs WHERE action = 'embed' AND outcome = 'interrupted'").await == 1
    })
    .await;
}

/// A server that was started before the move takes callers' vectors for those of the new model once documents have it, and says
/// until then why it searches by words.
#[tokio::test]
async fn callers_vectors_go_over_with_the_documents() {
    let database = TestDatabase::create().await;
    let demo = database.tenant("demo").await;
    let old = FakeService::start(Vec::new()).await;
    plant(&database, &demo, "Leave", "Annual leave is thirty days.").await;
    assert!(embed(&database, &old, &[]).await.status.success());
    let new = FakeService::of_dimensions(6, Vec::new()).await;
    let mut of_new = Process::spawn(command(&database, &new).await);
    of_new.initialize().await;
    let status = call(&mut of_new, "tenant_status", json!({})).await;
    assert!(status["words_only_because"].as_str().unwrap().contains("another model"), "{status}");
    assert!(embed(&database, &new, &[]).await.status.success());
    until("the server knows", async || {
        call(&mut of_new, "tenant_status", json!({})).await.get("words_only_because").is_none()
    })
    .await;
    let vector = [0.0, 0.0, 0.0, 0.0, 1.0, 0.0];
    let document = json!({ "title": "Mine", "content": "A text with a vector of its own.", "embedding": vector });
    let stored = call(&mut of_new, "insert_document", document).await;
    assert_eq!(stored["embedding_status"], "embedded", "{stored}");
    let own = "documents WHERE title = 'Mine' AND embedding_model = 'fake-model-6'";
    assert_eq!(count(&database, own).await, 1);
    let query = json!({ "query": "nothing of the sort", "query_embedding": vector, "bm25_weight": 0 });
    let found = call(&mut of_new, "hybrid_search", query).await;
    assert_eq!(
        (&found["results"][0]["title"], &found["results"][0]["vector_rank"]),
        (&json!("Mine"), &json!(1)),
        "{found}"
    );
}

#[tokio::test]
async fn who_waits_for_an_embedding_hears_how_far_it_is() {
    let database = TestDatabase::create().await;
    let _demo = database.tenant("demo").await;
    let slow = vec![Reply::Slow(Duration::from_millis(700)); 40];
    let service = FakeService::start(slow).await;
    let mut server = Process::spawn(command(&database, &service).await);
    server.initialize().await;
    let content: String = (0..400).map(|n| format!("Sentence number {n} of the text says something. ")).collect();
    let arguments = json!({ "title": "Leave", "content": content, "wait_for_embedding": true });
    let params = json!({ "name": "insert_document", "arguments": arguments, "_meta": { "progressToken": "mine" } });
    server.send(json!({ "jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": params })).await;
    let mut told = Vec::new();
    let answer = loop {
        let message = server.receive().await.unwrap();
        if message["id"] == 7 {
            break message;
        }
        assert_eq!(message["method"], "notifications/progress", "{message}");
        told.push(message["params"].clone());
    };
    let output = &answer["result"]["structuredContent"];
    assert_eq!(output["embedding_status"], "embedded", "{answer}");
    let passages = output["chunk_count"].as_f64().unwrap();
    assert!(told.len() >= 2, "{told:?}");
    for params in &told {
        assert_eq!((&params["progressToken"], params["total"].as_f64()), (&json!("mine"), Some(passages)), "{params}");
    }
    let done: Vec<f64> = told.iter().map(|params| params["progress"].as_f64().unwrap()).collect();
    assert!(done.is_sorted_by(|one, next| one < next) && done.iter().all(|done| *done <= passages), "{done:?}");
}
