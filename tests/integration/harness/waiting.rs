use std::time::{Duration, Instant};

use super::TestDatabase;

/// Long enough for a loaded machine; a test that waits this long has failed.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(20);

/// Waits until it holds.
pub async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !holds().await {
        assert!(begun.elapsed() < PATIENCE, "never in {PATIENCE:?}: {what}");
        tokio::time::sleep(PAUSE).await;
    }
}

/// Calls under way that do something beside their transaction.
pub async fn under_way(database: &TestDatabase) -> i64 {
    let sql = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND usename = 'bailiwick_app'
               AND state = 'idle in transaction'";
    database.value(sql).await
}

/// How many statements of the tests' own tool `ending` sleep.
pub const ASLEEP: &str = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state = 'active'
    AND query LIKE '%pg_sleep(60)%' AND pid <> pg_backend_pid()";

/// Statements of the tests' own tool `ending` that sleep.
pub async fn asleep(database: &TestDatabase) -> i64 {
    database.value(ASLEEP).await
}

/// Has inserts of documents wait, for as long as the database lets a statement run: a lock would have them wait two seconds.
pub struct Gate<'a>(&'a TestDatabase);

impl<'a> Gate<'a> {
    pub async fn shut(database: &'a TestDatabase) -> Self {
        database
            .execute(
                "CREATE TABLE gate (is_open boolean NOT NULL); INSERT INTO gate VALUES (false);
                 CREATE FUNCTION wait_at_gate() RETURNS trigger LANGUAGE plpgsql VOLATILE SECURITY DEFINER AS $$
                 BEGIN
                     WHILE NOT (SELECT is_open FROM public.gate) LOOP PERFORM pg_sleep(0.02); END LOOP;
                     RETURN NULL;
                 END $$;
                 GRANT EXECUTE ON FUNCTION wait_at_gate() TO PUBLIC;
                 CREATE TRIGGER documents_00_gate BEFORE INSERT ON documents FOR EACH STATEMENT EXECUTE FUNCTION wait_at_gate()",
            )
            .await;
        Self(database)
    }

    pub async fn open(&self) {
        self.0.execute("UPDATE gate SET is_open = true").await;
    }
}
