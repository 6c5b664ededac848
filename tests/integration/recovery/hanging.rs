//! An archive that hangs neither fails nor ends. What of it a server cannot be brought to in a test is told by temporary tables of the views'
//! names, as in `diagnosis::planted`.

use bailiwick::diagnosis::{self, CHECKS};
use tokio_postgres::Client;

use crate::harness::TestDatabase;

const WAL_ARCHIVE: &str = include_str!("../../../sql/queries/system/wal_archive.sql");

/// Whether the figure and doctor say that archiving fails, where this was archived last and a file is due after so many seconds.
async fn fails(client: &Client, last_archived_wal: &str, archive_timeout_s: i64) -> (bool, bool) {
    let plant = format!(
        "BEGIN; CREATE TEMP TABLE pg_settings AS SELECT * FROM pg_catalog.pg_settings;
         UPDATE pg_temp.pg_settings SET setting = CASE name WHEN 'archive_mode' THEN 'on' WHEN 'archive_timeout' THEN '{archive_timeout_s}' ELSE '/archive-wal %p %f' END
         WHERE name IN ('archive_mode', 'archive_command', 'archive_timeout');
         CREATE TEMP TABLE pg_stat_archiver AS SELECT * FROM pg_catalog.pg_stat_archiver;
         UPDATE pg_temp.pg_stat_archiver SET last_archived_wal = {last_archived_wal}, last_failed_time = NULL,
             last_archived_time = CASE WHEN {last_archived_wal} IS NOT NULL THEN now() - interval '1 hour' END"
    );
    client.batch_execute(&plant).await.unwrap();
    let figure = client.query_one(WAL_ARCHIVE, &[]).await.unwrap().get("is_failing");
    let check = CHECKS.iter().find(|check| check.name == "archiving").unwrap();
    let found = diagnosis::ask(client, check).await.unwrap();
    client.batch_execute("ROLLBACK").await.unwrap();
    assert!(found.iter().all(|finding| finding.detail.starts_with("nothing was archived since")), "{found:?}");
    (figure, !found.is_empty())
}

#[tokio::test]
async fn an_archive_that_hangs_raises_an_alarm_and_one_that_has_nothing_to_do_does_not() {
    let database = TestDatabase::create().await;
    let client = database.connect_admin().await;
    // It would have been due long ago, or it is not yet: how old the tests' server is nobody knows.
    let (due, not_due) = (-1_000_000, 1_000_000_000);
    for (last_archived_wal, archive_timeout_s, is_told) in [
        ("NULL", due, true),
        ("NULL", not_due, false),
        ("'000000010000000000000000'", due, true),
        ("'000000010000000000000000'", not_due, false),
        // Of a timeline's history nothing follows.
        ("'00000002.history'", due, false),
        // The one before that which is written: nothing is full.
        ("pg_walfile_name(pg_current_wal_lsn() + 1::numeric - 16777216::numeric)", due, false),
    ] {
        // Others write, and the file that is written may become the next one in between.
        let mut file = written(&client).await;
        let told = loop {
            let told = fails(&client, last_archived_wal, archive_timeout_s).await;
            let now = written(&client).await;
            if std::mem::replace(&mut file, now.clone()) == now {
                break told;
            }
        };
        assert_eq!(told, (is_told, is_told), "{last_archived_wal} {archive_timeout_s}");
    }
}

/// The file of the log that is being written. A place at which one ends is called by that one's name.
async fn written(client: &Client) -> String {
    client.query_one("SELECT pg_walfile_name(pg_current_wal_lsn() + 1::numeric)", &[]).await.unwrap().get(0)
}
