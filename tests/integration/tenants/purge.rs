//! What goes with a tenant, and what does not.

use std::time::Duration;

use bailiwick::db::admin;
use bailiwick::identity::TenantId;
use bailiwick::maintenance::{self, Housekeeping, PROMOTE_AT_VECTORS};
use bailiwick::tenants::purge::{PurgeError, due, purge};
use tokio_postgres::Client;
use uuid::Uuid;

use super::rows::{Sums, faults, sums};
use crate::harness::TestDatabase;
use crate::matrix::seed::seed;

/// Two tenants with a row in each tenant table, of which one has a vector index, too, and is deleted.
async fn deleted() -> (TestDatabase, Client, TenantId) {
    let database = TestDatabase::create().await;
    let tenants = seed(&database).await;
    let victim = TenantId::from(tenants.victim.parse::<Uuid>().unwrap());
    let load = format!(
        "SET app.current_tenant_id = '{victim}';
         INSERT INTO documents (tenant_id, title, content, embedding, embedding_status, embedding_model)
         SELECT current_tenant_id(), 'n' || n, 'word number ' || n, format('[%s,%s,%s,%s]', sin(n), cos(n), sin(n * 2), 1)::vector, 'embedded', 'seed'
         FROM generate_series(1, {PROMOTE_AT_VECTORS}) AS n"
    );
    database.execute(&load).await;
    let client = database.connect_admin().await;
    maintenance::settle_vectors(&client, None).await.unwrap();
    assert_eq!(indexes(&database).await, 1);
    assert_eq!(admin::delete_tenant(&client, "demo").await.unwrap(), Some(victim));
    (database, client, victim)
}

async fn indexes(database: &TestDatabase) -> i64 {
    database.value("SELECT count(*) FROM pg_class WHERE relname LIKE 'hnsw\\_%'").await
}

/// The seed's call under way is of a server that is gone.
async fn reaped(database: &TestDatabase, victim: TenantId) -> Sums {
    assert_eq!(database.value::<i32>("SELECT reap_calls()").await, 2);
    let sums = sums(database).await;
    assert!(sums.keys().filter(|(_, tenant)| *tenant == victim.to_string()).count() >= 13, "{sums:?}");
    sums
}

#[tokio::test]
async fn all_rows_of_the_tenant_go_but_trail_and_costs_and_nobody_elses() {
    let (database, client, victim) = deleted().await;
    // Not while a call is under way.
    let in_use = purge(&client, victim, Duration::ZERO, |_, _| ()).await.unwrap_err();
    assert!(matches!(in_use, PurgeError::InUse(1)), "{in_use}");
    let before = reaped(&database, victim).await;
    let mut steps = Vec::new();
    let purged =
        purge(&client, victim, Duration::ZERO, |table, rows| steps.push((table.to_owned(), rows))).await.unwrap();
    assert_eq!(faults(&before, &sums(&database).await, &victim.to_string()), [""; 0]);
    assert_eq!(
        (purged.slug.as_str(), purged.rows["documents"], indexes(&database).await),
        ("demo", PROMOTE_AT_VECTORS + 1, 0)
    );
    assert!(steps.iter().all(|(_, rows)| *rows <= 2_000) && steps.len() > purged.rows.len(), "{steps:?}");
    let trail = format!(
        "SELECT string_agg(details->>'status', ' ' ORDER BY id) FROM audit_logs WHERE tenant_id = '{victim}' AND user_id = 'administrator'"
    );
    assert_eq!(database.value::<String>(&trail).await, "deleted purged");
    assert_eq!(
        database.value::<i64>("SELECT count(*) FROM tenant_statistics WHERE tenant_name = 'Demo Tenant'").await,
        0
    );
    // Its name is free again, and whoever has it next is another.
    let again = bailiwick::db::admin::NewTenant {
        slug: "demo".to_owned(),
        name: "Demo".to_owned(),
        monthly_budget_usd: None,
        max_documents: None,
        max_storage_mb: None,
        settings: None,
    };
    assert_ne!(admin::create_tenant(&client, &again).await.unwrap(), Some(victim));
    assert!(matches!(purge(&client, victim, Duration::ZERO, |_, _| ()).await, Err(PurgeError::NotDeleted)));
}

/// A purge that leaves something, one that takes what it should not, and one that takes others' rows, are found out.
#[tokio::test]
async fn the_check_bites() {
    for (what, from, to) in [
        ("leaves", "'call_intents'", "'call_intents', 'posting_blocks'"),
        ("takes what is kept", "'cost_tracking', ", ""),
        ("takes others' rows", "tenant_id = $1", "true"),
    ] {
        let (database, client, victim) = deleted().await;
        let before = reaped(&database, victim).await;
        let planted = format!(
            "DO $plant$ DECLARE v_table regclass; v_old text := pg_get_functiondef('purge_tenant_rows'::regproc);
             BEGIN
                 ASSERT v_old LIKE $like$%{from}%$like$;
                 EXECUTE replace(v_old, $from${from}$from$, $to${to}$to$);
             END $plant$"
        );
        database.execute(&planted).await;
        if what == "takes others' rows" {
            // The tenant's own context would keep it from that: two guards, and both must fail.
            let open = "DO $open$ DECLARE v_table regclass; BEGIN
                            FOR v_table IN SELECT c.oid FROM pg_class c WHERE c.relrowsecurity AND c.relnamespace = 'public'::regnamespace LOOP
                                EXECUTE format('ALTER TABLE %s DISABLE ROW LEVEL SECURITY', v_table);
                            END LOOP; END $open$";
            assert_eq!(
                (
                    purge(&client, victim, Duration::ZERO, |_, _| ()).await.is_ok(),
                    faults(&before, &sums(&database).await, &victim.to_string()).len()
                ),
                (true, 0),
                "one guard alone is enough"
            );
            let (second, client, victim) = deleted().await;
            let before = reaped(&second, victim).await;
            second.execute(&planted).await;
            second.execute(open).await;
            let _ = purge(&client, victim, Duration::ZERO, |_, _| ()).await;
            assert_ne!(faults(&before, &sums(&second).await, &victim.to_string()), [""; 0], "{what}");
            continue;
        }
        let _ = purge(&client, victim, Duration::ZERO, |_, _| ()).await;
        assert_ne!(faults(&before, &sums(&database).await, &victim.to_string()), [""; 0], "{what}");
    }
}

#[tokio::test]
async fn a_purge_comes_after_the_grace_and_goes_on_where_it_was_broken_off() {
    let (database, client, victim) = deleted().await;
    reaped(&database, victim).await;
    let mut house = Housekeeping::default();
    assert_eq!((house.retention.purge_after_days, due(&client, 30).await.unwrap().len()), (30, 0));
    // The clock of the database stands, so the deletion is put back: not quite thirty days are too few.
    database.execute("UPDATE tenants SET deleted_at = now() - interval '29 days 23 hours' WHERE slug = 'demo'").await;
    assert!(house.pass(&client).await.unwrap().purged.is_empty());
    assert!(database.value::<i64>("SELECT count(*) FROM documents").await > PROMOTE_AT_VECTORS);
    database.execute("UPDATE tenants SET deleted_at = now() - interval '30 days' WHERE slug IN ('demo')").await;
    // Broken off behind its first step: some rows are gone, and there is no way back.
    database.execute("UPDATE tenants SET purge_began_at = now() WHERE slug = 'demo'").await;
    database
        .execute(&format!(
            "SET ROLE bailiwick_owner; SET app.current_tenant_id = '{victim}'; SELECT purge_tenant_rows('{victim}', 10)"
        ))
        .await;
    assert_eq!(admin::restore_tenant(&client, "demo").await.unwrap(), None);
    house.retention.purge_after_days = 3_650;
    let kept = house.pass(&client).await.unwrap();
    assert_eq!((kept.failures.as_slice(), kept.purged.len(), kept.purged[0].slug.as_str()), (&[][..], 1, "demo"));
    assert_eq!(database.value::<i64>("SELECT count(*) FROM tenants WHERE slug = 'demo'").await, 0);
    assert_eq!(database.value::<i64>("SELECT count(*) FROM documents").await, 1);
}
