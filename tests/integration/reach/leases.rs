//! A server's lease is where its calls are: elsewhere the lock would be nothing to those who close the calls of dead servers.

use bailiwick::db::{DbError, Endpoint, Lease};

use super::caller::Tools;
use super::cluster::Cluster;
use super::hosts::{DATABASE, LEASES, Rig, count, document};
use crate::harness::until;

/// The way through the first server, and that way around.
fn around(rig: &Rig, cluster: &Cluster, query: &str) -> Endpoint {
    let url = |cluster: &Cluster, query| format!("postgresql://bailiwick_app@{}/{DATABASE}{query}", cluster.host());
    super::app(&url(&rig.first, ""), Some(&url(cluster, query)))
}

async fn refused(endpoint: &Endpoint, words: &str) {
    match Lease::new(endpoint).key().await {
        Err(DbError::Unavailable(told)) => assert!(told.contains(words), "{words}: {told}"),
        other => panic!("{words}: {other:?}"),
    }
}

#[tokio::test]
async fn a_lease_is_taken_where_calls_write_and_nowhere_else() {
    let rig = Rig::start().await;
    rig.followed().await;
    // As after a failover of which only the pooler has heard.
    refused(&around(&rig, &rig.second, ""), "does not allow writes").await;
    let careless = around(&rig, &rig.second, "?target_session_attrs=any");
    refused(&careless, "only reads").await;
    let tools = Tools::open(&careless, &rig.options).await;
    let told = tools.call(&rig.demo, "insert_document", document(0)).await;
    assert!(told.to_string().contains("unavailable"), "{told}");
    let begun = "SELECT (SELECT count(*) FROM call_intents) + (SELECT count(*) FROM documents)";
    assert_eq!(count(&rig.first, begun).await, 0, "nothing begins without a lease");
    drop(tools);

    rig.second.promote();
    refused(&around(&rig, &rig.second, ""), "another database").await;
    until("the session that was not believed has ended", async || count(&rig.second, LEASES).await == 0).await;

    let right = around(&rig, &rig.first, "");
    let lease = Lease::new(&right);
    let key = lease.key().await.unwrap();
    assert_eq!(lease.key().await.unwrap(), key);
    assert_eq!(count(&rig.first, LEASES).await, 1);
}
