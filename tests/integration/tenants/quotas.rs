//! Quotas hold whoever comes at once; and the test would see it if they did not.

use futures_util::future::join_all;
use serde_json::json;

use crate::harness::{Session, TestDatabase, error_text};

const ROOM: usize = 10;

/// `BAILIWICK_QUOTA_ROUNDS=200` for a long run.
fn rounds() -> usize {
    std::env::var("BAILIWICK_QUOTA_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(4)
}

/// 64 documents at once by two servers; how many were let in.
async fn rush(servers: &[Session; 2], kibibytes: usize) -> usize {
    let insert = async |number: usize| loop {
        // With its title a whole number of KiB.
        let content = &"a word ".repeat(kibibytes * 1_024)[..kibibytes * 1_024 - 4];
        let document = json!({ "title": format!("t{number}"), "content": format!("{content}.") });
        let result = servers[number % 2].call("insert_document", document).await;
        if result.is_error != Some(true) {
            return true;
        }
        let text = error_text(&result);
        if text.starts_with("quota_exceeded") {
            return false;
        }
        // Nothing was done: it comes again.
        assert!(text.starts_with("overloaded") || text.starts_with("unavailable"), "{text}");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    };
    join_all((10..74).map(insert)).await.into_iter().filter(|is_in| *is_in).count()
}

async fn servers(database: &TestDatabase) -> [Session; 2] {
    let demo = database.tenant("demo").await;
    [Session::open(database, &demo).await, Session::open(database, &demo).await]
}

#[tokio::test]
async fn as_many_documents_and_bytes_get_in_as_there_is_room_for_and_deletion_gives_back() {
    let database = TestDatabase::create().await;
    let servers = servers(&database).await;
    let demo = database.tenant("demo").await.id;
    for round in 0..rounds() {
        // By turns the number and the bytes are what is short: 1 MiB is 16 documents of 64 KiB.
        let (limits, room, kibibytes) = match round % 2 {
            0 => (format!("max_documents = {ROOM}, max_storage_mb = NULL"), ROOM, 1),
            _ => ("max_documents = NULL, max_storage_mb = 1".to_owned(), 16, 64),
        };
        database.execute(&format!("UPDATE tenants SET {limits} WHERE slug = 'demo'")).await;
        assert_eq!(rush(&servers, kibibytes).await, room, "round {round}");
        let status = servers[0].ok("tenant_status", json!({})).await;
        assert_eq!(status["quota"]["documents_used"], room);
        assert_eq!(status["quota"]["storage_used_bytes"], room * kibibytes * 1_024);
        database
            .execute(&format!("SET app.current_tenant_id = '{demo}'; DELETE FROM documents WHERE tenant_id = '{demo}'"))
            .await;
        let status = servers[1].ok("tenant_status", json!({})).await;
        assert_eq!(
            (&status["quota"]["documents_used"], &status["quota"]["storage_used_bytes"]),
            (&json!(0), &json!(0))
        );
    }
}

/// One who counts first and adds then lets in more than there is room for.
#[tokio::test]
async fn a_look_before_the_leap_stores_too_much() {
    let database = TestDatabase::create().await;
    let servers = servers(&database).await;
    database
        .execute(&format!(
            "UPDATE tenants SET max_documents = {ROOM} WHERE slug = 'demo';
             DROP TRIGGER documents_10_count_new ON documents;
             CREATE FUNCTION look_first() RETURNS trigger
             LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
             AS $$
             BEGIN
                 IF (SELECT count(*) FROM documents d WHERE d.tenant_id = current_tenant_id()) >= {ROOM} THEN
                     RAISE EXCEPTION 'full' USING ERRCODE = 'BW001', HINT = 'Delete documents.';
                 END IF;
                 RETURN NULL;
             END
             $$;
             CREATE TRIGGER look_first BEFORE INSERT ON documents FOR EACH STATEMENT EXECUTE FUNCTION look_first()"
        ))
        .await;
    let accepted = rush(&servers, 1).await;
    assert!(accepted > ROOM, "{accepted} were let in where there was room for {ROOM}");
}
