//! Whole databases: made beside another, given its properties, put in its place.

use tokio_postgres::{Client, Row};

use super::quoted;
use crate::db::DbError;

const DATABASE: &str = include_str!("../../../sql/queries/backup/database.sql");
const END_SESSIONS: &str = include_str!("../../../sql/queries/backup/end_sessions.sql");

/// What a database is made with.
#[derive(Debug, Clone)]
pub struct DatabaseForm {
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
    let read = |row: &Row| {
        Ok(DatabaseForm {
            owner: row.try_get("owner")?,
            encoding: row.try_get("encoding")?,
            lc_collate: row.try_get("lc_collate")?,
            lc_ctype: row.try_get("lc_ctype")?,
            provider: row.try_get("provider")?,
            locale: row.try_get("locale")?,
            connection_limit: row.try_get("connection_limit")?,
        })
    };
    client.query(DATABASE, &[&name]).await?.first().map(read).transpose()
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
    /// Whose it is.
    #[must_use]
    pub fn owner(&self) -> &str {
        &self.owner
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

/// Makes sessions begin with a setting: all of a database, or a role's there or anywhere. Leaves this session with it.
///
/// # Errors
/// Any [`DbError`].
#[expect(clippy::disallowed_methods, reason = "settings of a database take no parameters")]
pub async fn set_for_sessions(
    client: &Client,
    database: Option<&str>,
    role: Option<&str>,
    name: &str,
    value: &str,
) -> Result<(), DbError> {
    // Set here first: it then need not be quoted as each kind of setting wants it.
    client.query("SELECT set_config($1, $2, false)", &[&name, &value]).await?;
    let of = match (role, database) {
        (Some(role), Some(database)) => format!("ROLE {} IN DATABASE {}", quoted(role), quoted(database)),
        (Some(role), None) => format!("ROLE {}", quoted(role)),
        (None, Some(database)) => format!("DATABASE {}", quoted(database)),
        (None, None) => return Ok(()),
    };
    let name = name.split('.').map(quoted).collect::<Vec<_>>().join(".");
    Ok(client.batch_execute(&format!("ALTER {of} SET {name} FROM CURRENT")).await?)
}

/// Sets what the whole server begins with, and has it read.
///
/// # Errors
/// Any [`DbError`].
#[expect(clippy::disallowed_methods, reason = "ALTER SYSTEM runs in no transaction and takes no parameters")]
pub async fn set_for_server(client: &Client, name: &str, value: &str) -> Result<(), DbError> {
    let name = name.split('.').map(quoted).collect::<Vec<_>>().join(".");
    client.batch_execute(&format!("ALTER SYSTEM SET {name} = {}", literal(value))).await?;
    Ok(client.batch_execute("SELECT pg_reload_conf()").await?)
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

/// Gives a database another's name, and that one, if it is there, the name `aside`, in one transaction. Sessions of both are ended by
/// `observer`: from the first statement on no new one comes in, and whoever tries waits and finds the new database.
///
/// # Errors
/// Any [`DbError`]; then nothing was renamed.
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
    for statement in statements {
        if let Err(error) = alone(client, observer, &statement, &[new, place]).await {
            let _ = run(client, "ROLLBACK").await;
            return Err(error);
        }
    }
    run(client, "COMMIT").await
}

/// Runs a statement that waits for a database's sessions to end, and ends them meanwhile.
async fn alone(client: &Client, observer: &Client, statement: &str, databases: &[&str]) -> Result<(), DbError> {
    let mut done = std::pin::pin!(run(client, statement));
    loop {
        tokio::select! {
            done = &mut done => return done,
            () = tokio::time::sleep(std::time::Duration::from_millis(100)) => {
                observer.query(END_SESSIONS, &[&databases]).await?;
            }
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "names of databases are no parameters")]
async fn run(client: &Client, sql: &str) -> Result<(), DbError> {
    Ok(client.batch_execute(sql).await?)
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
