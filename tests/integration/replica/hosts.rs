use std::time::Duration;

use bailiwick::call::CallOptions;
use bailiwick::configuration::{DatabaseArguments, DatabaseSettings};

use super::answers::stock;
use super::pair::Pair;
use super::probe::Prober;
use crate::harness::url;

/// What the program makes of a replica's URL.
async fn options(pair: &Pair, hosts: &[String], query: &str) -> CallOptions {
    let url = format!("postgresql://bailiwick_app@{}/{}{query}", hosts.join(","), pair.database.name());
    let arguments = DatabaseArguments {
        database_url: Some(pair.database.url("bailiwick_app").await),
        replica_database_url: Some(url),
        replica_max_lag_ms: Some("3600000".to_owned()),
        ..DatabaseArguments::default()
    };
    let replica = DatabaseSettings::resolve(&arguments).unwrap().replica;
    CallOptions { replica, ..pair.options(Duration::ZERO) }
}

#[tokio::test]
async fn of_several_hosts_a_standby_is_found_and_another_once_it_became_a_primary() {
    let pair = Pair::start(async |database| {
        stock(database).await;
        // What a role's settings say of snapshots is not asked.
        database.execute("ALTER ROLE bailiwick_app SET default_transaction_isolation = 'repeatable read'").await;
    })
    .await;
    let second = pair.another("second");
    second.run();
    pair.replayed().await;
    let primary = url(pair.database.app(), "x");
    let primary = primary.strip_prefix("postgresql://x@").and_then(|rest| rest.split('/').next()).unwrap().to_owned();
    for query in ["", "?target_session_attrs=standby"] {
        let prober = Prober::of(&pair, &options(&pair, &[primary.clone(), pair.standby.host()], query).await).await;
        prober.until("replica").await;
    }

    let both = options(&pair, &[second.host(), pair.standby.host()], "").await;
    let prober = Prober::of(&pair, &both).await;
    prober.until("replica").await;
    let at_second = second.connect(pair.database.name()).await;
    let ours = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'bailiwick_app'";
    assert!(at_second.query_one(ours, &[]).await.unwrap().get::<_, i64>(0) > 0, "the first that is fit is asked");
    second.promote();
    let demo = pair.database.tenant("demo").await.id;
    let planted = format!(
        "BEGIN; SET LOCAL app.current_tenant_id = '{demo}';
         INSERT INTO documents (tenant_id, title, content) VALUES ('{demo}', 'Fork', 'Fork.'); COMMIT"
    );
    at_second.batch_execute(&planted).await.unwrap();
    // Its connections are left, though they still answer: also the watch's own, which has looked several times by then.
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    prober.until("replica").await;
}
