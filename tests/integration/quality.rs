//! Retrieval quality does not fall: the measures of `benches/quality`, on Cranfield, through the tool. Skipped, loudly, where the
//! collection is not at hand.
#![allow(
    dead_code,
    unused_imports,
    clippy::allow_attributes,
    reason = "the bench uses more of its modules than this test"
)]

#[path = "../../benches/quality/collections.rs"]
mod collections;
#[path = "../../benches/quality/files.rs"]
mod files;
#[path = "../../benches/quality/korquad.rs"]
mod korquad;
#[path = "../../benches/quality/metrics.rs"]
mod metrics;

use std::path::Path;

use bailiwick::maintenance::{self, Scope};
use serde_json::json;

use crate::harness::{Lacking, Session, TestDatabase, skip};

#[tokio::test]
async fn words_alone_find_what_they_found() {
    let data = Path::new("../shared/data");
    if !data.join("cranfield").is_dir() {
        return skip(Lacking::Data, &format!("no Cranfield collection in {}", data.display()));
    }
    let collection = collections::cranfield(data).unwrap();
    let korquad = korquad::korquad(data).unwrap();
    assert_eq!((collection.name, korquad.documents.len()), ("Cranfield", 961));
    let database = TestDatabase::create().await;
    let tenant = database.tenant("demo").await;
    let admin = database.connect_admin().await;
    admin.batch_execute(&format!("SET app.current_tenant_id = '{}'", tenant.id)).await.unwrap();
    let column = |of: fn(&collections::Document) -> String| collection.documents.iter().map(of).collect::<Vec<_>>();
    let load = "INSERT INTO documents (tenant_id, title, content, source)
                SELECT current_tenant_id(), title, content, id FROM unnest($1::text[], $2::text[], $3::text[]) AS d (title, content, id)";
    let (titles, texts, ids) = (column(|d| d.title.clone()), column(|d| d.text.clone()), column(|d| d.id.clone()));
    admin.execute(load, &[&titles, &texts, &ids]).await.unwrap();
    maintenance::run(&admin, None, Scope::Everything, Some(tenant.id)).await.unwrap();
    let session = Session::open(&database, &tenant).await;
    let mut runs = Vec::new();
    for query in &collection.queries {
        assert!(query.vector.is_some() && !query.id.is_empty());
        let answer = session.ok("hybrid_search", json!({ "query": query.text })).await;
        let found: Vec<String> = answer["results"]
            .as_array()
            .unwrap()
            .iter()
            .map(|row| row["source"].as_str().unwrap().to_owned())
            .collect();
        runs.push((found, &query.judged));
    }
    let quality = metrics::Quality::average(runs.iter().map(|(found, judged)| (found.as_slice(), *judged))).unwrap();
    // .371 when this was written.
    assert!(quality.ndcg_at_10 > 0.365 && quality.mrr_at_10 > 0.53 && quality.recall_at_100 > 0.4, "{quality:?}");
}
