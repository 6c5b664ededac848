//! Connections for administration: migrations, tenants, background maintenance. Never used to serve a call.

use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, NoTls};

use super::DbError;

const MAINTAIN_PARTITIONS: &str = include_str!("../../sql/queries/system/maintain_partitions.sql");

/// Opens one connection as an administrator.
///
/// # Errors
/// [`DbError::Unavailable`] if the server cannot be reached or refuses the role.
#[expect(clippy::disallowed_methods, reason = "administration has a connection of its own, apart from the pool")]
pub async fn connect(config: &tokio_postgres::Config) -> Result<Client, DbError> {
    let mut config = config.clone();
    config.application_name("bailiwick-admin");
    config.connect_timeout(std::time::Duration::from_secs(5));
    let (client, connection) = config.connect(NoTls).await?;
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "administration connection ended");
        }
    });
    Ok(client)
}

/// Makes a database unless it is there. Whoever loses a race for it finds it made.
///
/// # Errors
/// Any [`DbError`].
#[expect(clippy::disallowed_methods, reason = "CREATE DATABASE runs in no transaction and takes no parameters")]
pub async fn create_database(client: &Client, name: &str) -> Result<(), DbError> {
    let known = client.query("SELECT FROM pg_database WHERE datname = $1", &[&name]).await?;
    if !known.is_empty() {
        return Ok(());
    }
    let made =
        client.batch_execute(&format!("CREATE DATABASE {} TEMPLATE template0 ENCODING 'UTF8'", quoted(name))).await;
    match made {
        Err(error) if error.code() == Some(&SqlState::DUPLICATE_DATABASE) => Ok(()),
        Err(error) if error.code() == Some(&SqlState::UNIQUE_VIOLATION) => Ok(()),
        other => Ok(other?),
    }
}

/// Drops a database with whoever is still connected to it.
///
/// # Errors
/// Any [`DbError`].
#[expect(clippy::disallowed_methods, reason = "DROP DATABASE runs in no transaction and takes no parameters")]
pub async fn drop_database(client: &Client, name: &str) -> Result<(), DbError> {
    Ok(client.batch_execute(&format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", quoted(name))).await?)
}

/// Makes the partitions of this month and the next three; returns how many were new.
///
/// # Errors
/// Any [`DbError`].
#[expect(
    clippy::disallowed_methods,
    reason = "partitions belong to the owner, whose role is taken for this transaction alone"
)]
pub async fn maintain_partitions(client: &Client) -> Result<i32, DbError> {
    client.batch_execute("BEGIN; SET LOCAL ROLE bailiwick_owner").await?;
    let made = client.query_one(MAINTAIN_PARTITIONS, &[]).await;
    let end = if made.is_ok() { "COMMIT" } else { "ROLLBACK" };
    client.batch_execute(end).await?;
    Ok(made?.try_get("created")?)
}

/// Quoted as an SQL identifier.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
