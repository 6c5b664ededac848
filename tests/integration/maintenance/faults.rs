use bailiwick::maintenance::{self, Scope};
use serde_json::json;

use crate::harness::{Session, Tenant, TestDatabase};

/// Documents of which some are merged, some fresh, and one is deleted and not cleared away.
async fn stocked() -> (TestDatabase, Tenant) {
    let database = TestDatabase::create().await;
    let tenant = database.tenant("demo").await;
    let session = Session::open(&database, &tenant).await;
    for number in 0..30 {
        if number == 20 {
            maintenance::merge_step(&database.connect_admin().await, tenant.id, 20).await.unwrap();
        }
        let document = json!({ "title": format!("n{number}"), "content": format!("word number{number} common text"), "metadata": { "n": number } });
        session.ok("insert_document", document).await;
    }
    database
        .execute(&format!("SET app.current_tenant_id = '{}'; DELETE FROM documents WHERE title = 'n5'", tenant.id))
        .await;
    (database, tenant)
}

#[tokio::test]
async fn the_check_finds_each_planted_fault_and_a_rebuild_mends_it() {
    for fault in [
        "UPDATE posting_blocks SET postings = set_byte(postings, 30, get_byte(postings, 30) # 4)",
        "DELETE FROM posting_blocks",
        "UPDATE posting_blocks SET posting_count = posting_count + 1",
        "UPDATE posting_blocks SET first_chunk_no = first_chunk_no + 1",
        "DELETE FROM fresh_postings WHERE chunk_no = 25",
        "UPDATE fresh_postings SET terms = 'word:7' WHERE chunk_no = 26",
        "UPDATE fresh_postings SET length = length + 1 WHERE chunk_no = 27",
        "INSERT INTO fresh_postings SELECT tenant_id, 900, 0, 1, 'stray:1' FROM fresh_postings LIMIT 1",
        "DELETE FROM chunk_tombstones",
        "INSERT INTO chunk_tombstones SELECT tenant_id, 3 FROM chunk_tombstones",
        "UPDATE tenant_usage SET total_length = total_length + 1 WHERE chunk_count > 0",
        "UPDATE tenant_usage SET chunk_count = chunk_count - 1 WHERE chunk_count > 0",
    ] {
        let (database, tenant) = stocked().await;
        let admin = database.connect_admin().await;
        let sound = maintenance::check(&admin, tenant.id).await.unwrap();
        assert_eq!(
            (sound.fault_count, sound.chunks, sound.fresh_chunks, sound.dead_chunks),
            (0, 29, 10, 1),
            "{:?}",
            sound.faults
        );
        database.execute(fault).await;
        let found = maintenance::check(&admin, tenant.id).await.unwrap();
        assert!(found.fault_count > 0 && !found.faults.is_empty(), "not found: {fault}");
        maintenance::run(&admin, None, Scope::Rebuild, Some(tenant.id)).await.unwrap();
        let mended = maintenance::check(&admin, tenant.id).await.unwrap();
        assert_eq!(
            (mended.fault_count, mended.fresh_chunks, mended.dead_chunks),
            (0, 0, 0),
            "{fault}: {:?}",
            mended.faults
        );
    }
}

#[tokio::test]
async fn a_chunk_number_is_not_used_again() {
    let (database, tenant) = stocked().await;
    maintenance::run(&database.connect_admin().await, None, Scope::Everything, Some(tenant.id)).await.unwrap();
    let client = database.connect_admin().await;
    client.batch_execute(&format!("SET app.current_tenant_id = '{}'", tenant.id)).await.unwrap();
    let reuse =
        "INSERT INTO document_chunks (tenant_id, chunk_no, document_id, ordinal, char_start, char_end, token_count)
                 SELECT tenant_id, 6, id, 3, 0, 4, 1 FROM documents WHERE title = 'n9'";
    let error = client.execute(reuse, &[]).await.unwrap_err();
    assert!(error.as_db_error().unwrap().message().contains("given out before"), "{error:?}");
}
