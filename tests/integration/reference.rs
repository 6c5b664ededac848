//! What the reference design names is there, and where it was wrong it is right here.

use bailiwick::documents::language::Language;
use serde_json::json;

use crate::harness::{Session, TestDatabase};

#[tokio::test]
async fn its_tables_columns_and_functions_keep_their_names() {
    let database = TestDatabase::create().await;
    let client = database.connect_admin().await;
    for (table, columns) in [
        (
            "tenants",
            "id name slug settings max_documents max_storage_mb monthly_budget_usd status created_at updated_at",
        ),
        ("documents", "id tenant_id title content source embedding metadata created_at updated_at"),
        (
            "audit_logs",
            "id timestamp tenant_id user_id action resource resource_id details success error_message ip_address user_agent duration_ms",
        ),
        (
            "cost_tracking",
            "id timestamp tenant_id user_id model_name provider input_tokens output_tokens total_tokens input_cost output_cost total_cost operation metadata",
        ),
        (
            "tenant_statistics",
            "tenant_id tenant_name document_count total_size_mb embedded_documents last_document_created monthly_cost",
        ),
    ] {
        for column in columns.split(' ') {
            let found = client
                .query(
                    "SELECT FROM pg_attribute WHERE attrelid = $1::text::regclass AND attname = $2::text",
                    &[&table, &column],
                )
                .await;
            assert_eq!(found.unwrap().len(), 1, "{table}.{column}");
        }
    }
    for function in [
        "cosine_similarity(vector, vector)",
        "euclidean_distance(vector, vector)",
        "hybrid_search(uuid, text, vector, integer, double precision, double precision)",
        "update_updated_at_column()",
        "refresh_tenant_statistics()",
    ] {
        client.query_one("SELECT $1::text::regprocedure", &[&function]).await.unwrap();
    }
    let row = client
        .query_one("SELECT cosine_similarity('[1,0]', '[1,1]'), euclidean_distance('[0,0]', '[3,4]')", &[])
        .await
        .unwrap();
    assert!((row.get::<_, f64>(0) - 0.5_f64.sqrt()).abs() < 1e-9 && (row.get::<_, f64>(1) - 5.0).abs() < 1e-9);
    let budgets = "SELECT string_agg(slug || ' ' || (monthly_budget_usd::numeric(10, 2))::text || ' ' || (settings->>'tier'), ', ' ORDER BY slug) FROM tenants";
    assert_eq!(database.value::<String>(budgets).await, "demo 50.00 free, enterprise 500.00 enterprise");
}

#[tokio::test]
async fn a_session_whose_context_has_ended_sees_nothing_and_raises_nothing() {
    let database = TestDatabase::create().await;
    let demo = database.tenant("demo").await;
    Session::open(&database, &demo).await.ok("insert_document", json!({ "title": "t", "content": "c" })).await;
    let app = database.connect_app().await;
    app.batch_execute(&format!(
        "BEGIN; SET LOCAL app.current_tenant_id = '{}'; SELECT * FROM documents; COMMIT",
        demo.id
    ))
    .await
    .unwrap();
    let setting: Option<String> =
        app.query_one("SELECT current_setting('app.current_tenant_id', true)", &[]).await.unwrap().get(0);
    assert_eq!(setting.as_deref(), Some(""), "this is what the reference's policy stumbles over");
    for reset in ["", "RESET ALL"] {
        app.batch_execute(reset).await.unwrap();
        assert!(app.query("SELECT FROM documents", &[]).await.unwrap().is_empty());
        let write =
            app.execute("INSERT INTO documents (tenant_id, title, content) VALUES ($1, 't', 'c')", &[&demo.id]).await;
        assert_eq!(write.unwrap_err().code().unwrap().code(), "42501");
    }
}

#[tokio::test]
async fn statistics_count_every_tenant_and_each_sees_its_own() {
    let database = TestDatabase::create().await;
    let (demo, enterprise) = (database.tenant("demo").await, database.tenant("enterprise").await);
    let session = Session::open(&database, &demo).await;
    for number in 0..3 {
        let mut document = json!({ "title": "t", "content": "c".repeat(1_048_576 / 2) });
        if number == 0 {
            document["embedding"] = json!([1, 0, 0, 0]);
        }
        session.ok("insert_document", document).await;
    }
    let usage = json!({ "provider": "openai", "model_name": "gpt-4", "input_tokens": 1_000_000, "output_tokens": 0 });
    // Costs of a tenant without documents count too, and documents do not multiply them.
    Session::open(&database, &enterprise).await.ok("record_usage", usage.clone()).await;
    session.ok("record_usage", usage).await;
    // Refreshed by the maintenance role, concurrently, with no context at all.
    let maintenance =
        bailiwick::db::admin::connect(&crate::harness::server().await.config("bailiwick_maintenance", database.name()))
            .await
            .unwrap();
    maintenance.batch_execute("SELECT refresh_tenant_statistics()").await.unwrap();
    let all = "SELECT string_agg(concat_ws(' ', tenant_name, document_count, total_size_mb::numeric(10, 2), embedded_documents, monthly_cost::numeric(10, 2)), ', ' ORDER BY tenant_name) FROM tenant_statistics";
    assert_eq!(database.value::<String>(all).await, "Demo Tenant 3 1.50 1 30.00, Enterprise Tenant 0 0.00 0 30.00");

    let app = database.connect_app().await;
    app.batch_execute(&format!("SET app.current_tenant_id = '{}'", enterprise.id)).await.unwrap();
    let own = app.query("SELECT tenant_name FROM current_tenant_statistics()", &[]).await.unwrap();
    assert_eq!(own.iter().map(|row| row.get::<_, String>(0)).collect::<Vec<_>>(), ["Enterprise Tenant"]);
    app.batch_execute("RESET app.current_tenant_id").await.unwrap();
    assert!(app.query("SELECT FROM current_tenant_statistics()", &[]).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_month_whose_rows_lie_in_the_default_partition_takes_them_when_it_is_added() {
    let database = TestDatabase::create().await;
    let demo = database.tenant("demo").await;
    let client = database.connect_admin().await;
    let row = format!(
        "SET app.current_tenant_id = '{id}'; INSERT INTO cost_tracking (timestamp, tenant_id, user_id, model_name, provider, input_tokens, output_tokens, input_cost, output_cost)
         VALUES ('1999-05-05', '{id}', 'u', 'm', 'p', 0, 0, 0, 0)",
        id = demo.id
    );
    client.batch_execute(&row).await.unwrap();
    assert_eq!(database.value::<i64>("SELECT count(*) FROM cost_tracking_default").await, 1);
    client.batch_execute("SELECT create_month_partition('cost_tracking', '1999-05-01')").await.unwrap();
    client.batch_execute(&row).await.unwrap();
    assert_eq!(database.value::<i64>("SELECT count(*) FROM cost_tracking_1999_05").await, 2);
    assert_eq!(database.value::<i64>("SELECT count(*) FROM cost_tracking_default").await, 0);
    let dropped: Vec<String> =
        client.query_one("SELECT drop_month_partitions('cost_tracking', '1999-06-01')", &[]).await.unwrap().get(0);
    assert_eq!(dropped, ["cost_tracking_1999_05"]);
}

#[tokio::test]
async fn an_embedding_that_arrives_later_does_not_move_updated_at() {
    let database = TestDatabase::create().await;
    let demo = database.tenant("demo").await;
    Session::open(&database, &demo).await.ok("insert_document", json!({ "title": "t", "content": "c" })).await;
    let moved = "SELECT updated_at <> created_at FROM documents";
    let set = |sql: &str| format!("SET app.current_tenant_id = '{}'; {sql}", demo.id);
    database
        .execute(&set(
            "UPDATE documents SET embedding = '[1,2,3,4]', embedding_status = 'embedded', embedding_model = 'm'",
        ))
        .await;
    assert!(!database.value::<bool>(moved).await);
    assert!(
        database.value::<bool>("SELECT embedding IS NOT NULL FROM document_chunks").await,
        "its only chunk has the vector too"
    );
    database.execute(&set("UPDATE documents SET metadata = '{\"a\": 1}'")).await;
    assert!(database.value::<bool>(moved).await);
}

#[tokio::test]
async fn every_language_of_the_program_is_the_databases() {
    let database = TestDatabase::create().await;
    let client = database.connect_admin().await;
    for language in Language::ALL {
        let row = client.query_one("SELECT text_search_configuration($1)::text", &[&language.code()]).await.unwrap();
        // One came with PostgreSQL 18.
        let (sql, name) =
            ("SELECT EXISTS (SELECT FROM pg_ts_config WHERE cfgname = $1)", language.text_search_configuration());
        let is_known: bool = client.query_one(sql, &[&name]).await.unwrap().get(0);
        assert!(is_known || language.code() == "et", "{language}");
        assert_eq!(row.get::<_, String>(0), if is_known { name } else { "simple" }, "{language}");
    }
}
