use bailiwick::maintenance::{self, PROMOTE_AT_VECTORS, Scope};
use serde_json::json;

use crate::harness::{Session, Tenant, TestDatabase};

/// Loads documents with vectors that lie all around, as somebody with psql would.
async fn load(database: &TestDatabase, tenant: &Tenant, from: i64, to: i64) {
    let load = format!(
        "INSERT INTO documents (tenant_id, title, content, source, embedding, embedding_status, embedding_model)
         SELECT current_tenant_id(), 'n' || n, 'word number ' || n, CASE WHEN n % 700 = 3 THEN 'rare' ELSE 'common' END,
                format('[%s,%s,%s,%s]', sin(n), cos(n * 1.7), sin(n * 2.3), cos(n * 3.1))::vector, 'embedded', 'test-model'
         FROM generate_series({from}, {to} - 1) AS n"
    );
    database.execute(&format!("SET app.current_tenant_id = '{}'; {load}", tenant.id)).await;
}

async fn index(database: &TestDatabase) -> String {
    let sql = "SELECT coalesce(string_agg(c.relname || ' ' || i.indisvalid, ', ' ORDER BY c.relname), '')
               FROM pg_class c JOIN pg_index i ON i.indexrelid = c.oid WHERE c.relname LIKE 'hnsw\\_%'";
    database.value(sql).await
}

#[tokio::test]
async fn a_tenant_that_grows_gets_an_index_and_one_that_shrinks_loses_it() {
    let database = TestDatabase::create().await;
    let (demo, other) = (database.tenant("demo").await, database.tenant("enterprise").await);
    load(&database, &demo, 0, PROMOTE_AT_VECTORS).await;
    load(&database, &other, 0, 50).await;
    let (admin, second) = (database.connect_admin().await, database.connect_admin().await);
    // Two servers at once: one makes it, and neither fails.
    let (one, two) = tokio::join!(
        maintenance::run(&admin, None, Scope::Everything, None),
        maintenance::run(&second, None, Scope::Everything, None),
    );
    let made = [one.unwrap(), two.unwrap()];
    let makers = made.iter().flat_map(|report| &report.tenants).filter(|tenant| tenant.vector_index == Some("made"));
    assert_eq!(makers.map(|tenant| tenant.slug.as_str()).collect::<Vec<_>>(), ["demo"]);
    let name = format!("hnsw_{}", demo.id.as_uuid().simple());
    assert_eq!(index(&database).await, format!("{name} true"));
    assert_eq!(
        Session::open(&database, &demo).await.ok("tenant_status", json!({})).await["index"]["vectors"],
        "indexed"
    );
    assert_eq!(
        Session::open(&database, &other).await.ok("tenant_status", json!({})).await["index"]["vectors"],
        "exact"
    );

    // A build that broke off leaves an index that is not valid; the next pass makes it anew.
    database.execute(&format!("UPDATE pg_index SET indisvalid = false WHERE indexrelid = '{name}'::regclass")).await;
    maintenance::run(&admin, None, Scope::Everything, None).await.unwrap();
    assert_eq!(index(&database).await, format!("{name} true"));

    database.execute(&format!("SET app.current_tenant_id = '{}'; DELETE FROM documents WHERE title < 'n8' AND tenant_id = current_tenant_id()", demo.id)).await;
    maintenance::run(&admin, None, Scope::Everything, None).await.unwrap();
    assert_eq!(index(&database).await, "");
}

#[tokio::test]
async fn the_plan_is_the_tenants_own() {
    let database = TestDatabase::create().await;
    let (demo, other) = (database.tenant("demo").await, database.tenant("enterprise").await);
    load(&database, &demo, 0, PROMOTE_AT_VECTORS + 500).await;
    load(&database, &other, 0, 50).await;
    maintenance::run(&database.connect_admin().await, None, Scope::Everything, None).await.unwrap();
    let app = database.connect_app().await;
    let nearest = include_str!("../../../sql/queries/search/nearest.sql")
        .replace("$2", "'{1,2,3,4}'")
        .replace("$3", "(SELECT max(id) FROM embedding_models)")
        .replace("$5", "100")
        .replace("$4", "NULL")
        .replace("$6", "NULL")
        .replace("$7", "NULL");
    let mut plans = Vec::new();
    for tenant in [&demo, &other] {
        let id = tenant.id;
        app.batch_execute(&format!("SET app.current_tenant_id = '{id}'; SET hnsw.ef_search = 100")).await.unwrap();
        let sql = format!("EXPLAIN (COSTS OFF) {}", nearest.replace("$1", &format!("'{id}'")));
        let rows = app.query(&sql, &[]).await.unwrap();
        plans.push(rows.iter().map(|row| row.get::<_, String>(0)).collect::<Vec<_>>().join("\n"));
    }
    let name = format!("hnsw_{}", demo.id.as_uuid().simple());
    // Row-level security is proved once, and one partition is left.
    let partitions = |plan: &str| {
        let names = plan.match_indices("document_chunks_p").map(|(at, name)| plan[at..at + name.len() + 2].to_owned());
        names.collect::<std::collections::BTreeSet<_>>().len()
    };
    assert!(plans.iter().all(|plan| plan.contains("One-Time Filter") && partitions(plan) == 1), "{plans:#?}");
    assert!(plans[0].contains(&format!("Index Scan using {name}")), "{}", plans[0]);
    assert!(!plans[1].contains("hnsw"), "{}", plans[1]);
}

#[tokio::test]
async fn an_index_hides_nobody() {
    let database = TestDatabase::create().await;
    let demo = database.tenant("demo").await;
    load(&database, &demo, 0, PROMOTE_AT_VECTORS + 500).await;
    let session = Session::open(&database, &demo).await;
    let ask = async |filter: serde_json::Value, limit: i64| {
        let arguments = json!({ "query": "x", "query_embedding": [1, -2, 3, 4], "bm25_weight": 0, "filter": filter, "limit": limit });
        session.titles(arguments).await
    };
    let exact = (ask(json!({}), 50).await, ask(json!({ "source": "rare" }), 50).await);
    maintenance::run(&database.connect_admin().await, None, Scope::Everything, None).await.unwrap();
    let indexed = (ask(json!({}), 50).await, ask(json!({ "source": "rare" }), 50).await);
    // A selective filter: as many as there are, in the same order.
    assert_eq!((exact.1.len(), &indexed.1), (4, &exact.1));
    assert_eq!(indexed.0.len(), 50);
    let shared = indexed.0.iter().filter(|title| exact.0.contains(title)).count();
    assert!(shared >= 49, "{shared} of 50");
}
