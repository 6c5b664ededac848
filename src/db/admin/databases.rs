//! Whole databases: made beside another, given its properties, put in its place.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Error, Row};

use super::quoted;
use crate::db::DbError;

const DATABASE: &str = include_str!("../../../sql/queries/backup/database.sql");
const HAVE_TIME: &str = include_str!("../../../sql/queries/backup/have_time.sql");
const END_SESSIONS: &str = include_str!("../../../sql/queries/backup/end_sessions.sql");

/// For whoever is in a database to leave it: PostgreSQL itself waits five seconds.
const PATIENCE: Duration = Duration::from_secs(120);
/// Between two tries to get everybody out of a database.
const BETWEEN_TRIES: Duration = Duration::from_secs(2);

/// What a database is made with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatabaseForm {
    #[serde(skip)]
    owner: String,
    encoding: String,
    lc_collate: String,
    lc_ctype: String,
    provider: String,
    locale: Option<String>,
    connection_limit: i32,
}

/// The form of a database of that name, if there is one.
///
/// # Errors
/// Any [`DbError`].
pub async fn database_form(client: &Client, name: &str) -> Result<Option<DatabaseForm>, DbError> {
    client.query(DATABASE, &[&name]).await?.first().map(DatabaseForm::read).transpose()
}

/// Lets a session last, and its statements take, as long as a restore does.
///
/// # Errors
/// Any [`DbError`].
pub async fn have_time(client: &Client) -> Result<(), DbError> {
    Ok(client.query(HAVE_TIME, &[]).await.map(drop)?)
}

/// Makes an empty database like another, or as the server makes them.
///
/// # Errors
/// Any [`DbError`].
#[expect(clippy::disallowed_methods, reason = "CREATE DATABASE runs in no transaction and takes no parameters")]
pub async fn create_database_like(client: &Client, name: &str, form: Option<&DatabaseForm>) -> Result<(), DbError> {
    let mut sql = format!("CREATE DATABASE {} TEMPLATE template0", quoted(name));
    match form {
        None => sql.push_str(" ENCODING 'UTF8'"),
        Some(form) => {
            for (option, value) in
                [("ENCODING", &form.encoding), ("LC_COLLATE", &form.lc_collate), ("LC_CTYPE", &form.lc_ctype)]
            {
                sql.push_str(&format!(" {option} {}", literal(value)));
            }
            sql.push_str(&format!(" LOCALE_PROVIDER {}", form.provider));
            if let (Some(locale), provider) = (&form.locale, form.provider.as_str()) {
                let option = if provider == "icu" { "ICU_LOCALE" } else { "BUILTIN_LOCALE" };
                sql.push_str(&format!(" {option} {}", literal(locale)));
            }
            sql.push_str(&format!(" CONNECTION LIMIT {}", form.connection_limit));
        }
    }
    Ok(client.batch_execute(&sql).await?)
}

/// Gives a database to that role. Whoever may not keeps it.
///
/// # Errors
/// Any [`DbError`].
#[expect(clippy::disallowed_methods, reason = "a database's owner is no tenant's row")]
pub async fn give_database(client: &Client, name: &str, owner: &str) -> Result<(), DbError> {
    Ok(client.batch_execute(&format!("ALTER DATABASE {} OWNER TO {}", quoted(name), quoted(owner))).await?)
}

impl DatabaseForm {
    /// From a row of `backup/database`.
    ///
    /// # Errors
    /// Any [`DbError`].
    pub fn read(row: &Row) -> Result<Self, DbError> {
        Ok(Self {
            owner: row.try_get("owner")?,
            encoding: row.try_get("encoding")?,
            lc_collate: row.try_get("lc_collate")?,
            lc_ctype: row.try_get("lc_ctype")?,
            provider: row.try_get("provider")?,
            locale: row.try_get("locale")?,
            connection_limit: row.try_get("connection_limit")?,
        })
    }

    /// Whose it is.
    #[must_use]
    pub fn owner(&self) -> &str {
        &self.owner
    }

    /// By what texts are read and put in order, in words.
    #[must_use]
    pub fn locale(&self) -> String {
        let Self { encoding, lc_collate, lc_ctype, provider, .. } = self;
        match &self.locale {
            Some(locale) => format!("{encoding}, {provider} {locale} (LC_COLLATE {lc_collate}, LC_CTYPE {lc_ctype})"),
            None => format!("{encoding}, {provider} (LC_COLLATE {lc_collate}, LC_CTYPE {lc_ctype})"),
        }
    }
}

/// Takes from everybody what a new database lets them do.
///
/// # Errors
/// Any [`DbError`].
#[expect(clippy::disallowed_methods, reason = "privileges of a database take no parameters")]
pub async fn close_database(client: &Client, name: &str) -> Result<(), DbError> {
    Ok(client.batch_execute(&format!("REVOKE ALL ON DATABASE {} FROM PUBLIC", quoted(name))).await?)
}

/// Grants a privilege on a database; to everybody without a grantee. The privilege is the catalog's own word.
///
/// # Errors
/// Any [`DbError`].
#[expect(clippy::disallowed_methods, reason = "privileges of a database take no parameters")]
pub async fn grant_on_database(
    client: &Client,
    name: &str,
    privilege: &str,
    grantee: Option<&str>,
    is_grantable: bool,
) -> Result<(), DbError> {
    let known = ["CONNECT", "CREATE", "TEMPORARY"];
    let privilege = known.into_iter().find(|known| *known == privilege);
    let privilege = privilege.ok_or_else(|| DbError::RefusedValue("no privilege of a database".to_owned()))?;
    let grantee = grantee.map_or_else(|| "PUBLIC".to_owned(), quoted);
    let option = if is_grantable { " WITH GRANT OPTION" } else { "" };
    Ok(client.batch_execute(&format!("GRANT {privilege} ON DATABASE {} TO {grantee}{option}", quoted(name))).await?)
}

/// Makes sessions begin with a setting: all of a database, or a role's there or anywhere. This session stays without it.
///
/// # Errors
/// Any [`DbError`].
pub async fn set_for_sessions(
    client: &Client,
    database: Option<&str>,
    role: Option<&str>,
    name: &str,
    value: &str,
) -> Result<(), DbError> {
    let of = match (role, database) {
        (Some(role), Some(database)) => format!("ROLE {} IN DATABASE {}", quoted(role), quoted(database)),
        (Some(role), None) => format!("ROLE {}", quoted(role)),
        (None, Some(database)) => format!("DATABASE {}", quoted(database)),
        (None, None) => return Ok(()),
    };
    let quoted_name = name.split('.').map(quoted).collect::<Vec<_>>().join(".");
    run(client, "BEGIN READ WRITE").await?;
    let set = async {
        // Set here first, for this transaction: it then need not be quoted as each kind of setting wants it.
        client.query("SELECT set_config($1, $2, true)", &[&name, &value]).await?;
        run(client, &format!("ALTER {of} SET {quoted_name} FROM CURRENT")).await
    };
    let set = set.await;
    run(client, if set.is_ok() { "COMMIT" } else { "ROLLBACK" }).await?;
    Ok(set?)
}

/// Gives a role its password, which leaves this program only as the verifier that the server keeps (RFC 5803).
///
/// # Errors
/// Any [`DbError`].
#[expect(clippy::disallowed_methods, reason = "a role's password takes no parameter")]
pub async fn set_password(client: &Client, role: &str, password: &[u8]) -> Result<(), DbError> {
    let verifier = postgres_protocol::password::scram_sha_256(password);
    Ok(client.batch_execute(&format!("ALTER ROLE {} PASSWORD {}", quoted(role), literal(&verifier))).await?)
}

/// Makes statistics of all tables for the planner.
///
/// # Errors
/// Any [`DbError`].
#[expect(clippy::disallowed_methods, reason = "takes no parameters")]
pub async fn analyse(client: &Client) -> Result<(), DbError> {
    Ok(client.batch_execute("SET statement_timeout = 0; ANALYZE").await?)
}

/// Gives a database another name.
///
/// # Errors
/// Any [`DbError`].
pub async fn rename_database(client: &Client, name: &str, to: &str) -> Result<(), DbError> {
    Ok(run(client, &format!("ALTER DATABASE {} RENAME TO {}", quoted(name), quoted(to))).await?)
}

/// Gives a database another's name, and that one, if it is there, the name `aside`, in one transaction. Sessions of both are ended by
/// `observer`. From the first statement on no new one comes in: whoever tries waits, is told that there is no such database, and finds
/// the new one at the next try. What does not leave at once is waited for.
///
/// # Errors
/// Any [`DbError`]; then nothing was renamed, unless it was the answer to COMMIT that was lost.
pub async fn put_in_place(
    client: &Client,
    observer: &Client,
    new: &str,
    place: &str,
    aside: Option<&str>,
) -> Result<(), DbError> {
    let mut statements = vec!["BEGIN".to_owned(), "SET LOCAL lock_timeout = '30s'".to_owned()];
    if let Some(aside) = aside {
        statements.push(format!("ALTER DATABASE {} RENAME TO {}", quoted(place), quoted(aside)));
    }
    statements.push(format!("ALTER DATABASE {} RENAME TO {}", quoted(new), quoted(place)));
    let until = Instant::now() + PATIENCE;
    while let Err(error) = renamed(client, observer, &statements, &[new, place]).await {
        let _ = run(client, "ROLLBACK").await;
        let is_in_use =
            [SqlState::OBJECT_IN_USE, SqlState::LOCK_NOT_AVAILABLE].iter().any(|state| error.code() == Some(state));
        if !is_in_use || Instant::now() >= until {
            return Err(error.into());
        }
        tracing::warn!(
            database = place,
            "somebody is still in the database; waiting for that session or prepared transaction to end"
        );
        // Whoever is to end it needs a moment to come in and do so.
        tokio::time::sleep(BETWEEN_TRIES).await;
    }
    Ok(run(client, "COMMIT").await?)
}

async fn renamed(client: &Client, observer: &Client, statements: &[String], databases: &[&str]) -> Result<(), Error> {
    for statement in statements {
        alone(client, observer, statement, databases).await?;
    }
    Ok(())
}

/// Runs a statement that waits for a database's sessions to end, and ends them meanwhile.
async fn alone(client: &Client, observer: &Client, statement: &str, databases: &[&str]) -> Result<(), Error> {
    let mut done = std::pin::pin!(run(client, statement));
    loop {
        tokio::select! {
            done = &mut done => return done,
            () = tokio::time::sleep(Duration::from_millis(100)) => {
                observer.query(END_SESSIONS, &[&databases]).await?;
            }
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "names of databases are no parameters")]
async fn run(client: &Client, sql: &str) -> Result<(), Error> {
    client.batch_execute(sql).await
}

/// Quoted as an SQL string, whatever standard_conforming_strings says.
fn literal(text: &str) -> String {
    format!("E'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::literal;

    #[test]
    fn a_text_stays_within_its_quotes() {
        assert_eq!(literal(r"it's a \'"), r"E'it''s a \\'''");
    }
}
