use std::time::Duration;

use bailiwick::call::Calls;
use bailiwick::identity::Scopes;
use serde_json::json;

use super::answers::{on_replica, stock};
use super::pair::{Pair, read_from};
use crate::harness::Session;

#[tokio::test]
async fn a_tenant_reads_what_it_wrote_while_others_go_on_reading_the_replica() {
    let pair = Pair::start(stock).await;
    pair.replayed().await;
    // The replica may be as old as it likes: only the tenant's own change is a reason to pass it over.
    let calls = Calls::open(pair.database.app(), &pair.options(Duration::from_secs(3_600))).unwrap();
    let (demo, enterprise) = (pair.database.tenant("demo").await, pair.database.tenant("enterprise").await);
    let writer = Session::over(calls.clone(), &demo, Scopes::all()).await;
    let other = Session::over(calls.clone(), &enterprise, Scopes::all()).await;
    let query = json!({ "query": "zeppelin" });
    assert_eq!(on_replica(&writer, &query).await.0["results"], json!([]));
    on_replica(&other, &query).await;

    pair.pause(true).await;
    let mut written = Vec::new();
    for n in 0..3 {
        let title = format!("Zeppelin {n}");
        let document = writer.ok("insert_document", json!({ "title": title, "content": "A zeppelin flies." })).await;
        written.push(document["document_id"].as_str().unwrap().to_owned());
        let answer = writer.ok("hybrid_search", query.clone()).await;
        assert_eq!(read_from(&answer), "primary", "{answer}");
        assert_eq!(answer["results"].as_array().unwrap().len(), n + 1, "{answer}");
    }
    // Also what it took away is gone.
    writer.ok("delete_document", json!({ "document_id": written[0] })).await;
    // Long enough for several looks at both servers.
    let mut others = 0;
    for _ in 0..12 {
        let answer = writer.ok("hybrid_search", query.clone()).await;
        assert_eq!((read_from(&answer), answer["results"].as_array().unwrap().len()), ("primary", 2), "{answer}");
        others += usize::from(read_from(&other.ok("hybrid_search", query.clone()).await) == "replica");
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    // A busy machine may have no connection in time now and then.
    assert!(others >= 6, "{others} of 12");
    pair.pause(false).await;
    let (answer, _) = on_replica(&writer, &query).await;
    assert_eq!(answer["results"].as_array().unwrap().len(), 2, "{answer}");

    // A search of its own leaves a row, which is no reason to pass the replica over.
    let mut there = 0;
    for _ in 0..20 {
        there += usize::from(read_from(&writer.ok("hybrid_search", query.clone()).await) == "replica");
    }
    assert!(there >= 10, "{there} of 20");
}
