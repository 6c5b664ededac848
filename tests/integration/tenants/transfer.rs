//! A tenant's data in a file, and what is made of it elsewhere.

use bailiwick::maintenance::{self, PROMOTE_AT_VECTORS, Scope};
use bailiwick::tenants::transfer::{self, ImportOptions};
use serde_json::{Value, json};

use super::{refused, told};
use crate::harness::{Session, Tenant, TestDatabase};

const SETTINGS: &str = r#"{"budget": {"daily_usd": 5}, "bm25": {"k1": 1.5}}"#;

/// What must be the same in both databases: all of a tenant but its ids and the numbers of its chunks.
const DATA: [&str; 3] = [
    "SELECT md5(string_agg(md5(row(d.id, d.title, d.content, d.source, d.metadata, d.language, d.content_sha256, d.embedding::text, d.embedding_model,
                                   d.embedding_status, d.created_at, d.updated_at)::text), '' ORDER BY d.id))
     FROM documents d JOIN tenants t ON t.id = d.tenant_id WHERE t.slug = $1",
    "SELECT md5(string_agg(md5(row(c.document_id, c.ordinal, c.char_start, c.char_end, c.token_count, c.embedding::text, m.name)::text), ''
                           ORDER BY c.document_id, c.ordinal))
     FROM document_chunks c JOIN tenants t ON t.id = c.tenant_id LEFT JOIN embedding_models m ON m.id = c.embedding_model_id WHERE t.slug = $1",
    "SELECT md5(row(t.name, t.settings, t.max_documents, t.max_storage_mb, t.monthly_budget_usd, t.status, u.document_count, u.storage_bytes,
                    u.chunk_count, u.total_length, (SELECT string_agg(l.language, ' ' ORDER BY l.language) FROM tenant_languages l WHERE l.tenant_id = t.id))::text)
     FROM tenants t JOIN tenant_usage u ON u.tenant_id = t.id WHERE t.slug = $1",
];

pub async fn data(database: &TestDatabase, slug: &str) -> Vec<String> {
    let client = database.connect_admin().await;
    let mut sums = Vec::new();
    for sql in DATA {
        sums.push(client.query_one(sql, &[&slug]).await.unwrap().get(0));
    }
    sums
}

/// A tenant with documents in two languages, some long, some with vectors of their own, and an index of its vectors.
pub async fn filled(documents: i64) -> (TestDatabase, Tenant, Session) {
    let database = TestDatabase::create().await;
    let demo = database.tenant("demo").await;
    let session = Session::open(&database, &demo).await;
    for (title, content, language, embedding) in [
        (
            "Stapler",
            "# Office\n\nThe red stapler is on the third floor. ".repeat(90),
            "en",
            json!([0.1, 0.2, 0.3, -0.7]),
        ),
        ("휴가 규정", "연차 휴가는 15일이며 \"이월\"할 수 없다.\\ ".repeat(40), "ko", json!([1, 0, 0, 0.333_333_34])),
        ("Parking", "Cars park in the basement. 🙂 e\u{301}".to_owned(), "en", Value::Null),
    ] {
        let mut document = json!({ "title": title, "content": content, "language": language, "source": format!("{title}.md"),
                                   "metadata": { "floor": 3, "tags": ["a", "ä"], "rate": 1.50 } });
        if !embedding.is_null() {
            document["embedding"] = embedding;
        }
        session.ok("insert_document", document).await;
    }
    let load = format!(
        "SET app.current_tenant_id = '{}';
         INSERT INTO documents (tenant_id, title, content, embedding, embedding_status, embedding_model)
         SELECT current_tenant_id(), 'n' || n, 'word number ' || n || ' of ' || n % 7, format('[%s,%s,%s,%s]', sin(n), cos(n * 1.7), sin(n * 2.3), cos(n * 3.1))::vector,
                'embedded', 'test-model'
         FROM generate_series(1, {documents}) AS n",
        demo.id
    );
    database.execute(&load).await;
    (database, demo, session)
}

async fn answers(session: &Session) -> Vec<Value> {
    let mut answers = Vec::new();
    for arguments in [
        json!({ "query": "red stapler floor", "limit": 20 }),
        json!({ "query": "휴가 이월", "limit": 20 }),
        json!({ "query": "number 5", "limit": 50 }),
        json!({ "query": "\"third floor\" -parking", "filter": { "metadata": { "floor": 3 } } }),
        json!({ "query": "x", "query_embedding": [0.3, -0.2, 0.9, 0.1], "bm25_weight": 0, "limit": 20 }),
        json!({ "query": "word of", "query_embedding": [0.1, 0.2, 0.3, -0.7], "limit": 30, "filter": { "language": "en" } }),
    ] {
        let mut answer = session.ok("hybrid_search", arguments).await;
        answer.as_object_mut().unwrap().remove("duration_ms");
        answers.push(answer);
    }
    answers
}

#[tokio::test]
async fn a_tenant_is_the_same_in_another_database() {
    let (database, _, session) = filled(300).await;
    told(
        &database,
        &[
            "tenant",
            "set",
            "demo",
            "--settings",
            SETTINGS,
            "--max-documents",
            "400",
            "--max-storage-mb",
            "9",
            "--monthly-budget-usd",
            "12.34",
        ],
    )
    .await;
    let client = database.connect_admin().await;
    maintenance::run(&client, None, Scope::Everything, None).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    for name in ["demo.jsonl", "demo.jsonl.gz"] {
        let file = folder.path().join(name).display().to_string();
        let exported: Value =
            serde_json::from_str(&told(&database, &["tenant", "export", "demo", &file, "--json"]).await).unwrap();
        assert_eq!(exported["exported"]["documents"], 303);
        assert!(refused(&database, &["tenant", "export", "demo", &file]).await.contains("is not overwritten"));

        let other = TestDatabase::create().await;
        let known = refused(&other, &["tenant", "import", &file]).await;
        assert!(known.contains("there is a tenant \"demo\" already"), "{known}");
        let imported: Value =
            serde_json::from_str(&told(&other, &["tenant", "import", &file, "--as", "moved", "--json"]).await).unwrap();
        assert_eq!((&imported["imported"]["documents"], &imported["imported"]["found"]), (&json!(303), &json!(0)));
        assert_eq!(data(&database, "demo").await, data(&other, "moved").await);
        let moved = other.tenant("moved").await;
        let there = Session::open(&other, &moved).await;
        assert_eq!(answers(&session).await, answers(&there).await);
        assert!(answers(&there).await[2]["results"].as_array().unwrap().len() > 10, "there was something to find");
        // The index is sound, and nothing waits to be merged.
        let report = maintenance::check(&other.connect_admin().await, moved.id).await.unwrap();
        assert_eq!((report.fault_count, report.fresh_chunks), (0, 0), "{:?}", report.faults);
        let trail =
            "SELECT string_agg(details->>'status', ' ') FROM audit_logs WHERE resource = 'administration/tenant'";
        assert_eq!(other.value::<String>(trail).await, "imported");
        // What was imported is written as it was read.
        let again = folder.path().join(format!("again-{name}")).display().to_string();
        told(&other, &["tenant", "export", "moved", &again]).await;
    }
    let documents = |name: &str| {
        let text = std::fs::read_to_string(folder.path().join(name)).unwrap();
        let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["document"].clone());
        lines.filter(|document| !document.is_null()).collect::<Vec<_>>()
    };
    assert_eq!(documents("demo.jsonl"), documents("again-demo.jsonl"));
    let trail = "SELECT count(*) FROM audit_logs WHERE action = 'read' AND details->>'status' = 'exported' AND (details->>'documents')::int = 303";
    assert_eq!(database.value::<i64>(trail).await, 2, "each export is in the trail, and no refused one");
}

#[tokio::test]
async fn many_vectors_get_their_index_and_vectors_of_another_kind_are_refused_or_left_out() {
    let (database, demo, _) = filled(PROMOTE_AT_VECTORS).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("demo.jsonl.gz");
    let exported = transfer::export(&database.connect_admin().await, demo.id, &file, |_, _| ()).await.unwrap();
    let other = TestDatabase::create().await;
    let client = other.connect_admin().await;
    let options = ImportOptions { slug: Some("moved".to_owned()), without_vectors: false };
    let imported = transfer::import(&client, &file, &options, |_| ()).await.unwrap();
    assert_eq!((imported.documents, imported.chunks), (exported.documents, exported.chunks));
    let index = format!("SELECT count(*) FROM pg_class WHERE relname = 'hnsw_{}'", imported.id.as_uuid().simple());
    assert_eq!(other.value::<i64>(&index).await, 1);

    // The model is known under other dimensions, and the database's are others.
    let narrow = TestDatabase::of_dimensions(3).await;
    let client = narrow.connect_admin().await;
    let error = transfer::import(&client, &file, &options, |_| ()).await.unwrap_err().to_string();
    assert!(
        error.contains("have 4 dimensions, and those of this database 3") && error.contains("--without-vectors"),
        "{error}"
    );
    assert_eq!(narrow.value::<i64>("SELECT count(*) FROM tenants").await, 2, "nothing was begun");
    let options = ImportOptions { without_vectors: true, ..options };
    let imported = transfer::import(&client, &file, &options, |_| ()).await.unwrap();
    let bare = "SELECT count(*) FROM documents WHERE embedding IS NULL AND embedding_status = 'pending'";
    assert_eq!(narrow.value::<i64>(bare).await, imported.documents);
    // Another model of the same dimensions is another space.
    let foreign = TestDatabase::create().await;
    foreign
        .execute("SELECT adopt_embedding_model(register_embedding_model('elsewhere', 4, 'local')); UPDATE embedding_models SET provider = 'local'")
        .await;
    let texts = std::fs::read(&file).unwrap();
    std::fs::write(&file, texts).unwrap();
    database.execute("UPDATE embedding_models SET provider = 'local' WHERE name = 'test-model'").await;
    let file = folder.path().join("local.jsonl");
    transfer::export(&database.connect_admin().await, demo.id, &file, |_, _| ()).await.unwrap();
    let options = ImportOptions { slug: Some("moved".to_owned()), without_vectors: false };
    let error =
        transfer::import(&foreign.connect_admin().await, &file, &options, |_| ()).await.unwrap_err().to_string();
    assert!(error.contains("\"test-model\", and this database embeds with \"elsewhere\""), "{error}");
}
