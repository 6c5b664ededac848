use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use bailiwick::call::{CallOptions, Calls};
use bailiwick::db::{ReplicaOptions, admin};
use bailiwick::embedded::{EmbeddedServer, Options};
use bailiwick::identity::Scopes;
use serde_json::Value;
use tokio_postgres::{Client, Config};

use super::standby::Standby;
use crate::harness::{Session, TestDatabase, server};

/// Of the standby's socket, in the folder of the primary's.
const STANDBY_PORT: u16 = 5433;
/// Of others'.
static NEXT_PORT: AtomicU16 = AtomicU16::new(STANDBY_PORT + 1);

/// A PostgreSQL of this test's own, and a streaming standby of it.
pub struct Pair {
    // In this order they go.
    pub standby: Standby,
    pub database: TestDatabase,
    primary: EmbeddedServer,
    _folder: tempfile::TempDir,
}

impl Pair {
    /// With the schema and the demo tenants; `arrange` puts in what is to be there from the beginning.
    pub async fn start(arrange: impl AsyncFnOnce(&TestDatabase)) -> Self {
        let folder = tempfile::Builder::new().prefix("bailiwick-pair-").tempdir().unwrap();
        let bin_dir = server().await.bin_dir().to_owned();
        let options = Options { pg_bin: Some(bin_dir.clone()), ..Options::new(folder.path()) };
        let primary = EmbeddedServer::start(options).await.unwrap_or_else(|error| panic!("{error:?}"));
        let database = TestDatabase::migrated_on(&primary).await;
        arrange(&database).await;
        let standby = Standby::of(&primary, "standby", STANDBY_PORT);
        standby.run();
        Self { standby, database, primary, _folder: folder }
    }

    /// Another copy of the primary, not running.
    pub fn another(&self, name: &str) -> Standby {
        Standby::of(&self.primary, name, NEXT_PORT.fetch_add(1, Ordering::Relaxed))
    }

    /// How that role connects to the standby.
    pub fn replica(&self, role: &str) -> Config {
        self.standby.config(role, self.database.name())
    }

    /// A superuser on the standby.
    pub async fn connect_replica(&self) -> Client {
        admin::connect(&self.replica("postgres")).await.unwrap()
    }

    /// Usual bounds, with the standby as a replica that may lag by that much.
    pub fn options(&self, max_lag: Duration) -> CallOptions {
        let replica = ReplicaOptions { endpoint: self.replica("bailiwick_app").into(), max_lag };
        CallOptions { replica: Some(replica), ..self.database.call_options() }
    }

    /// A tenant's client of a server with such options.
    pub async fn session(&self, slug: &'static str, options: &CallOptions) -> Session {
        let calls = Calls::open(self.database.app(), options).unwrap();
        Session::over(calls, &self.database.tenant(slug).await, Scopes::all()).await
    }

    /// Waits until the standby has all that is committed by now.
    pub async fn replayed(&self) {
        let place: String = self.database.value("SELECT pg_current_wal_insert_lsn()::text").await;
        let replica = self.connect_replica().await;
        let sql = format!("SELECT pg_last_wal_replay_lsn() >= '{place}'::pg_lsn");
        for _ in 0..600 {
            if replica.query_one(&sql, &[]).await.unwrap().get(0) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("the standby did not come up with the primary in half a minute");
    }

    /// Stops replaying, or goes on.
    pub async fn pause(&self, pause: bool) {
        let verb = if pause { "pause" } else { "resume" };
        let replica = self.connect_replica().await;
        replica.batch_execute(&format!("SELECT pg_wal_replay_{verb}()")).await.unwrap();
        if pause {
            let state = "SELECT pg_get_wal_replay_pause_state() = 'paused'";
            while !replica.query_one(state, &[]).await.unwrap().get::<_, bool>(0) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }

    /// kill -9 of the standby's postmaster, and its end.
    pub async fn kill(&self) {
        self.standby.kill();
        // Its children end when they notice; until then a new one cannot start.
        while self.standby.is_anybody_there() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Starts the standby again.
    pub fn revive(&self) {
        self.standby.run();
    }

    /// Makes a primary of the standby, with a history of its own.
    pub fn promote(&self) {
        self.standby.promote();
    }
}

/// Where an answer says that it was read.
pub fn read_from(answer: &Value) -> &str {
    answer["read_from"].as_str().expect("an answer tells where it was read")
}

/// The answer without what differs from call to call.
pub fn bare(answer: &Value) -> Value {
    let mut bare = answer.clone();
    for key in ["duration_ms", "read_from", "stale_ms_at_most"] {
        bare.as_object_mut().unwrap().remove(key);
    }
    bare
}
