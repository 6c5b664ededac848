use std::time::{Duration, Instant};

use tokio::process::Command;

use crate::harness::TestDatabase;

/// Runs `bailiwick serve` on a database that it must not serve; what it says on stderr.
async fn refused(url: &str, tenant: &str) -> String {
    let started = Instant::now();
    let mut command = Command::new(env!("CARGO_BIN_EXE_bailiwick"));
    command
        .arg("serve")
        .env("BAILIWICK_DATABASE_URL", url)
        .env("BAILIWICK_TENANT", tenant)
        .env("BAILIWICK_LOG", "error");
    command.stdin(std::process::Stdio::null());
    let output = command.output().await.unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(output.stdout.is_empty() && !stderr.contains("panicked"), "{stderr}");
    assert!(started.elapsed() < Duration::from_secs(15), "a refusal does not hang");
    stderr
}

#[tokio::test]
async fn a_role_that_could_get_past_row_level_security_is_refused() {
    let database = TestDatabase::create().await;
    let role = format!("powerful_{}", std::process::id());
    for (plant, words) in [
        ("SUPERUSER", "is a superuser"),
        ("BYPASSRLS", "has BYPASSRLS"),
        ("IN ROLE bailiwick_owner", "bailiwick_owner"),
        ("IN ROLE bailiwick_statistics", "is a member of bailiwick_statistics"),
        ("IN ROLE bailiwick_maintenance", "bailiwick_maintenance"),
    ] {
        database.execute(&format!("DROP ROLE IF EXISTS {role}")).await;
        database.execute(&format!("CREATE ROLE {role} LOGIN {plant}")).await;
        let said = refused(&database.url(&role).await, "demo").await;
        assert!(
            said.contains("refusing to serve") && said.contains(words) && said.contains("bailiwick_app"),
            "{plant}: {said}"
        );
    }
    database
        .execute(&format!("ALTER ROLE {role} NOSUPERUSER NOBYPASSRLS; REVOKE bailiwick_maintenance FROM {role}"))
        .await;
    database.execute(&format!("CREATE TABLE owned (id int); ALTER TABLE owned OWNER TO {role}")).await;
    let said = refused(&database.url(&role).await, "demo").await;
    assert!(said.contains("owns owned"), "{said}");
    // No policy binds who empties a table.
    database
        .execute(&format!("DROP TABLE owned; GRANT bailiwick_app TO {role}; GRANT TRUNCATE ON documents TO {role}"))
        .await;
    let said = refused(&database.url(&role).await, "demo").await;
    database.execute(&format!("DROP OWNED BY {role}; DROP ROLE {role}")).await;
    assert!(said.contains("may empty documents (TRUNCATE)"), "{said}");
}

#[tokio::test]
async fn what_cannot_be_served_is_refused_with_what_to_do() {
    let database = TestDatabase::create().await;
    let url = database.url("bailiwick_app").await;
    for (tenant, words) in [("nobody", "there is no active tenant \"nobody\""), ("", "BAILIWICK_TENANT")] {
        let said = refused(&url, tenant).await;
        assert!(said.contains(words), "{said}");
    }
    database.execute("UPDATE tenants SET status = 'suspended' WHERE slug = 'demo'").await;
    assert!(refused(&url, "demo").await.contains("there is no active tenant \"demo\""));

    database
        .execute("DELETE FROM bailiwick_migrations WHERE version = 9; UPDATE schema_migrations SET version = 8")
        .await;
    let said = refused(&url, "enterprise").await;
    assert!(said.contains("bailiwick migrate up"), "{said}");
    database.execute("UPDATE schema_migrations SET version = 99").await;
    let said = refused(&url, "enterprise").await;
    assert!(said.contains("newer"), "{said}");

    let empty = TestDatabase::empty().await;
    let said = refused(&empty.url("bailiwick_app").await, "demo").await;
    assert!(said.contains("bailiwick migrate up"), "{said}");

    let said = refused("postgresql://bailiwick_app:hunter2@127.0.0.1:1/none", "demo").await;
    assert!(said.contains("no database connection") && !said.contains("hunter2"), "{said}");
    let said = refused("postgresql://bailiwick_app:hunter2@host:port/none", "demo").await;
    assert!(said.contains("BAILIWICK_DATABASE_URL is no PostgreSQL URL") && !said.contains("hunter2"), "{said}");
}
