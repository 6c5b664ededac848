//! The database beside the one that a restore is for.

use std::sync::OnceLock;
use std::time::Duration;

use jiff::Timestamp;
use sha2::{Digest, Sha256};
use tokio_postgres::Client;

use super::restore::holdings;
use super::{BackupError, Connection};
use crate::audit::Hash;
use crate::db::admin::DatabaseForm;
use crate::db::{DbError, admin};

const REMAINS: &str = include_str!("../../sql/queries/backup/remains.sql");
const TAKE_TURN: &str = include_str!("../../sql/queries/backup/take_turn.sql");
const END_SESSION: &str = include_str!("../../sql/queries/backup/end_session.sql");

/// For what was restored so far to be dropped: its files are removed one by one.
const LONGEST_CLEARING: Duration = Duration::from_secs(300);

/// A session that has a database for itself.
#[derive(Debug, Clone)]
struct Turn {
    pid: i32,
    began: Timestamp,
    /// The server's own number, which no other has.
    cluster: String,
}

/// Its name says whose it is, so that one that a kill left behind is known, by `doctor` and by the next restore.
#[derive(Debug, Clone)]
pub(super) struct Scratch {
    connection: Connection,
    target: String,
    name: String,
    /// Whose turn it is.
    turn: OnceLock<Turn>,
}

impl Scratch {
    /// For a database of that name; it is not made yet.
    pub fn new(connection: &Connection, target: &str) -> Self {
        let mut digits = Hash::of(Sha256::new_with_prefix(target)).to_string();
        digits.truncate(8);
        let name = format!("bailiwick_restoring_{digits}_{}", std::process::id());
        Self { connection: connection.with_database(&name), target: digits, name, turn: OnceLock::new() }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the database that was replaced is called until it is dropped.
    pub fn aside(&self) -> String {
        format!("bailiwick_replaced_{}", self.target)
    }

    /// What it is called if it is not to be dropped, by no restore.
    pub fn kept(&self) -> String {
        format!("bailiwick_kept_{}_{}", self.target, Timestamp::now().as_second())
    }

    /// What is this restore's alone among those of several servers, once it is its turn.
    pub fn own_name(&self) -> String {
        format!("{}-{}", self.turn.get().map_or("", |turn| &turn.cluster), self.target)
    }

    /// How its programs connect.
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// A session in it.
    pub async fn client(&self) -> Result<Client, DbError> {
        self.connection.client().await
    }

    /// Makes sure that nobody else restores the same database, as long as the client lives, and clears away what killed ones left.
    pub async fn take_turn(&self, client: &Client) -> Result<(), BackupError> {
        let row = client.query_one(TAKE_TURN, &[&self.target]).await.map_err(DbError::from)?;
        if !row.try_get::<_, bool>("is_ours").map_err(DbError::from)? {
            return Err(BackupError::refused("another restore of the same database is under way"));
        }
        let turn = || -> Result<Turn, tokio_postgres::Error> {
            Ok(Turn { pid: row.try_get("pid")?, began: row.try_get("began")?, cluster: row.try_get("cluster")? })
        };
        let _ = self.turn.set(turn().map_err(DbError::from)?);
        for row in client.query(REMAINS, &[&self.target]).await.map_err(DbError::from)? {
            let name: String = row.try_get("name").map_err(DbError::from)?;
            if name == self.aside() && self.holds_others_things(&name).await {
                let kept = self.kept();
                tracing::warn!(database = %kept, "keeping what somebody had put into the database that a restore replaced that was broken off");
                admin::rename_database(client, &name, &kept).await?;
                continue;
            }
            tracing::warn!(database = %name, "clearing away what a restore left that was broken off");
            admin::drop_database(client, &name).await?;
        }
        Ok(())
    }

    /// Whether a database holds what is none of ours: it was empty when the restore began that replaced it.
    async fn holds_others_things(&self, database: &str) -> bool {
        let found = holdings(&self.connection.with_database(database)).await;
        found.is_ok_and(|found| found.holds_any && !found.is_ours)
    }

    /// Makes it, empty.
    pub async fn create(&self, client: &Client, form: Option<&DatabaseForm>) -> Result<(), DbError> {
        admin::create_database_like(client, &self.name, form).await
    }

    /// Drops it, whoever is in it.
    pub async fn drop(&self, client: &Client) -> Result<(), DbError> {
        admin::drop_database(client, &self.name).await
    }

    /// Ends the session whose turn it is, whatever it is in the middle of; whether it is gone, and what it did decided.
    pub async fn end_turn(&self, client: &Client) -> Result<bool, DbError> {
        let Some(turn) = self.turn.get() else { return Ok(true) };
        for row in client.query(END_SESSION, &[&turn.pid, &turn.began]).await? {
            if !row.try_get::<_, bool>("has_ended")? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Drops it behind something that went wrong, which is what is told. By a session of its own: the other may be in the middle of
    /// making it, so it is ended before.
    pub async fn clear_away(&self, server: &Connection) {
        let dropped = async {
            let client = server.maintenance().await?;
            self.end_turn(&client).await?;
            self.drop(&client).await
        };
        // One that does not end keeps it locked.
        let late = || Err(DbError::Unavailable("no answer in time".to_owned()));
        if let Err(error) = tokio::time::timeout(LONGEST_CLEARING, dropped).await.unwrap_or_else(|_| late()) {
            tracing::error!(database = %self.name, %error, "what was restored so far could not be dropped; the next restore does it");
        }
    }
}
