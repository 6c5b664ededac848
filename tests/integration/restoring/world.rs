//! A database with rows in every table.

use serde_json::{Value, json};

use super::told;
use crate::harness::{Session, TestDatabase};

/// Tenants whose rows are compared.
pub const SLUGS: [&str; 2] = ["demo", "enterprise"];

/// Fills it by the tools and commands that there are, and what they leave empty by hand.
pub async fn fill(database: &TestDatabase) {
    for slug in SLUGS {
        let tenant = database.tenant(slug).await;
        let session = Session::open(database, &tenant).await;
        for n in 0..6 {
            let content = format!(
                "The coffee machine number {n} of {slug} is descaled on Fridays. 커피 기계 {n}번은 금요일에 청소합니다."
            );
            let document = json!({ "title": format!("Machine {n}"), "content": content, "source": "kitchen.md", "embedding": [1, n, 0, 0],
                "metadata": { "floor": n }, "idempotency_key": format!("key-{n}") });
            session.ok("insert_document", document).await;
        }
        let usage = json!({ "provider": "openai", "model_name": "gpt-4o", "input_tokens": 7, "output_tokens": 1 });
        session.ok("record_usage", usage).await;
        told(database, &["key", "create", "--tenant", slug, "--user", "ada@example.org", "--json"]).await;
    }
    told(database, &["maintain", "--json"]).await;
    // Behind the merge: deleted documents leave tombstones, and new ones fresh postings. Behind the seals: rows that are under none.
    for slug in SLUGS {
        let tenant = database.tenant(slug).await;
        let session = Session::open(database, &tenant).await;
        let listed = session.ok("list_documents", json!({ "limit": 1 })).await;
        session.ok("delete_document", json!({ "document_id": listed["documents"][0]["document_id"] })).await;
        session.ok("insert_document", json!({ "title": "Late", "content": format!("Late news of {slug}.") })).await;
    }
    database
        .execute(
            "INSERT INTO tenants (slug, name, status) VALUES ('paused', 'Paused', 'suspended'), ('gone', 'Gone', 'deleted');
             INSERT INTO embedding_attempts (tenant_id, document_id, due_at) SELECT tenant_id, id, now() FROM documents WHERE title = 'Late';
             INSERT INTO budget_alerts (tenant_id, period, starts, level, limit_usd, spent_usd, delivered_at)
                 SELECT id, 'month', '2026-01-01', 'WARNING', 50, 45, now() FROM tenants WHERE slug = 'demo';
             INSERT INTO cost_retention (rows_from) VALUES ('2020-01-01');
             SELECT refresh_tenant_statistics()",
        )
        .await;
}

/// A call that is under way, until any server finds that nobody is at it.
pub async fn open_call(database: &TestDatabase) {
    database
        .execute(
            "INSERT INTO call_intents (tenant_id, call_id, user_id, action, started_at, lease)
             SELECT id, gen_random_uuid(), 'somebody', 'insert', now(), 1 FROM tenants WHERE slug = 'demo'",
        )
        .await;
}

/// Answers over MCP, of each tenant and kind of search, as bytes; what a call took is no part of the answer.
pub async fn answers(database: &TestDatabase) -> Vec<String> {
    let mut answers = Vec::new();
    for slug in SLUGS {
        let session = Session::open(database, &database.tenant(slug).await).await;
        let queries = [
            json!({ "query": "coffee machine", "explain": true }),
            json!({ "query": "커피 기계", "limit": 50 }),
            json!({ "query": "Fridays", "query_embedding": [1, 3, 0, 0] }),
            json!({ "query": "descaled", "query_embedding": [0, 1, 0, 0], "bm25_weight": 0, "vector_weight": 1 }),
            json!({ "query": "coffee", "filter": { "source": "kitchen.md", "metadata": { "floor": 3 } } }),
            json!({ "query": "late news" }),
        ];
        for query in queries {
            let mut answer: Value = session.ok("hybrid_search", query).await;
            assert_ne!(answer["results"], json!([]), "{answer}");
            answer.as_object_mut().unwrap().remove("duration_ms");
            answers.push(answer.to_string());
        }
        answers.push(session.ok("list_documents", json!({ "limit": 50 })).await.to_string());
    }
    answers
}
