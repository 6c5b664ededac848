use crate::harness::TestDatabase;

/// Ids, as text.
pub struct Tenants {
    /// Whose rows must not be reached.
    pub victim: String,
    /// Another tenant with rows of its own.
    pub attacker: String,
    /// A tenant that was deleted.
    pub deleted: String,
}

/// Two tenants with a row in each tenant table, and a deleted one without.
pub async fn seed(database: &TestDatabase) -> Tenants {
    database.execute("INSERT INTO tenants (slug, name, status) VALUES ('gone', 'Gone', 'deleted')").await;
    let id = async |slug: &str| {
        database.value::<String>(&format!("SELECT id::text FROM tenants WHERE slug = '{slug}'")).await
    };
    let tenants = Tenants { victim: id("demo").await, attacker: id("enterprise").await, deleted: id("gone").await };
    for id in [&tenants.victim, &tenants.attacker] {
        database
            .execute(&format!(
                "BEGIN;
                 SET LOCAL app.current_tenant_id = '{id}'; SET LOCAL app.current_user_id = 'seed';
                 INSERT INTO documents (tenant_id, title, content, source, embedding, embedding_status, embedding_model)
                 VALUES ('{id}', 'Secret of {id}', 'The secret is {id}.', 'secret.txt', '[1,2,3,4]', 'embedded', 'seed');
                 INSERT INTO embedding_attempts (tenant_id, document_id, due_at) SELECT tenant_id, id, now() FROM documents WHERE tenant_id = '{id}';
                 INSERT INTO idempotency_keys (tenant_id, key, request_sha256) VALUES ('{id}', 'key', '\\x00');
                 INSERT INTO call_intents (tenant_id, call_id, user_id, action, started_at, lease) VALUES ('{id}', gen_random_uuid(), 'seed', 'insert', now(), 1);
                 INSERT INTO api_keys (tenant_id, user_id, key_prefix, key_sha256, scopes) VALUES ('{id}', 'seed', 'bw_', sha256('{id}'), '{{}}');
                 INSERT INTO cost_tracking (tenant_id, user_id, model_name, provider, input_tokens, output_tokens, input_cost, output_cost)
                 VALUES ('{id}', 'seed', 'm', 'p', 1, 1, 0.5, 0.5);
                 INSERT INTO budget_alerts (tenant_id, period, starts, level, limit_usd, spent_usd) VALUES ('{id}', 'month', '2026-01-01', 'WARNING', 50, 45);
                 INSERT INTO posting_blocks VALUES ('{id}', 'secret', 1, 1, 1, '\\x00');
                 INSERT INTO chunk_segments VALUES ('{id}', 0, '{{1}}');
                 INSERT INTO index_state (tenant_id) VALUES ('{id}');
                 INSERT INTO chunk_tombstones (tenant_id, chunk_no) VALUES ('{id}', 99);
                 SELECT complete_call(gen_random_uuid(), now(), false, 'search', 'tools/x', NULL, '{{}}', NULL, NULL, 1);
                 COMMIT"
            ))
            .await;
    }
    tenants
}
