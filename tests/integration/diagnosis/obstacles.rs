//! What keeps doctor from looking, and what it says then; and what keeps the application from working.

use serde_json::{Value, json};

use super::command::{Told, doctor_with};
use crate::harness::TestDatabase;

/// Nothing could be looked at: a finding, a line for a person, and an exit code of its own.
fn assert_not_looked(told: &Told, check: &str, words: &str) {
    assert_eq!(told.code, Some(2), "{}{}", told.out, told.err);
    let report: Value = serde_json::from_str(&told.out).unwrap_or_else(|_| panic!("{}", told.out));
    assert_eq!((&report["sound"], told.findings.len()), (&json!(false), 1), "{report}");
    let finding = &told.findings[0];
    assert_eq!((&finding["check"], &finding["severity"]), (&json!(check), &json!("fault")), "{finding}");
    assert!(finding["detail"].as_str().unwrap().contains(words) && told.err.contains(words), "{finding}{}", told.err);
}

#[tokio::test]
async fn what_cannot_be_looked_at_is_told_as_such_in_json_too() {
    let database = TestDatabase::create().await;
    let away = "postgresql://postgres:hunter2@127.0.0.1:1/none";
    let told = doctor_with(&database, &["--json"], |command| {
        command.env("BAILIWICK_ADMIN_DATABASE_URL", away);
    });
    let told = told.await;
    assert_not_looked(&told, "database", "no database connection");
    assert!(!told.out.contains("hunter2"), "{}", told.out);

    let app = database.url("bailiwick_app").await;
    let told = doctor_with(&database, &["--json"], |command| {
        command.env_remove("BAILIWICK_ADMIN_DATABASE_URL").env("BAILIWICK_DATABASE_URL", app);
    });
    assert_not_looked(&told.await, "database", "BAILIWICK_ADMIN_DATABASE_URL");
    let told = doctor_with(&database, &["--json", "--tenant", "nobody"], |_| ()).await;
    assert_not_looked(&told, "tenant", "there is no tenant \"nobody\"");
    let told = doctor_with(&database, &["--json"], |command| {
        command.env("BAILIWICK_ADMIN_DATABASE_URL", "postgresql://host:port/none");
    });
    assert_not_looked(&told.await, "configuration", "BAILIWICK_ADMIN_DATABASE_URL");
    let told = doctor_with(&database, &[], |command| {
        command.env("BAILIWICK_ADMIN_DATABASE_URL", away);
    });
    let told = told.await;
    assert!(told.code == Some(2) && told.out.is_empty() && told.err.contains("no database connection"), "{}", told.err);
}

#[tokio::test]
async fn of_a_database_without_a_schema_one_thing_is_told() {
    let database = TestDatabase::empty().await;
    let app = database.url("bailiwick_app").await;
    let told = doctor_with(&database, &["--json"], |command| {
        command.env("BAILIWICK_DATABASE_URL", app);
    });
    let told = told.await;
    let of_server = ["server_version", "embedder"];
    let mut findings = told.findings.iter().filter(|one| !of_server.contains(&one["check"].as_str().unwrap()));
    let (finding, next) = (findings.next().unwrap(), findings.next());
    assert_eq!((&finding["check"], next), (&json!("migrations"), None), "{}", told.out);
    assert!(finding["remedy"].as_str().unwrap().contains("migrate up"), "{finding}");
    assert_eq!(told.code, Some(1));
}

/// What doctor says of the application, where it has that URL.
async fn of_application(database: &TestDatabase, url: &str) -> Vec<String> {
    let told = doctor_with(database, &["--json", "--quick"], |command| {
        command.env("BAILIWICK_DATABASE_URL", url);
    });
    let told = told.await;
    let of_application = told.findings.iter().filter(|finding| finding["check"] == "application");
    let details: Vec<_> = of_application.map(|finding| finding["detail"].as_str().unwrap().to_owned()).collect();
    assert_eq!(told.code, Some(i32::from(!details.is_empty())), "{}", told.out);
    details
}

#[tokio::test]
async fn the_application_gets_in_and_is_who_it_should_be() {
    let database = TestDatabase::create().await;
    let url = database.url("bailiwick_app").await;
    assert_eq!(of_application(&database, &url).await, [""; 0]);
    let away = of_application(&database, "postgresql://bailiwick_app:hunter2@127.0.0.1:1/none").await;
    assert!(away.len() == 1 && away[0].starts_with("does not get in") && !away[0].contains("hunter2"), "{away:?}");

    let role = format!("nearly_{}", std::process::id());
    database
        .execute(&format!(
            "CREATE ROLE {role} LOGIN IN ROLE bailiwick_app; GRANT TRUNCATE ON documents, document_chunks TO {role};
             ALTER ROLE {role} SET default_transaction_read_only = on; ALTER ROLE {role} SET search_path = elsewhere"
        ))
        .await;
    let told = of_application(&database, &database.url(&role).await).await;
    database.execute(&format!("DROP OWNED BY {role}; DROP ROLE {role}")).await;
    for (at, words) in
        ["may empty document_chunks, documents (TRUNCATE)", "may not write", "\"elsewhere\" and find none"]
            .into_iter()
            .enumerate()
    {
        assert!(told.len() == 3 && told[at].contains(words), "{words}: {told:?}");
    }

    let other = TestDatabase::create().await;
    let told = of_application(&database, &other.url("bailiwick_app").await).await;
    assert!(told.len() == 1 && told[0].starts_with("leads to another database"), "{told:?}");
}

/// On a database of one's own it is the folder that audit rows wait in.
#[tokio::test]
async fn a_disk_without_room_is_told_whoevers_the_database_is() {
    let database = TestDatabase::create().await;
    let told = doctor_with(&database, &["--json", "--quick"], |command| {
        // Nothing can be stored there.
        command.env("BAILIWICK_DATA_DIR", "/proc/bailiwick");
    });
    let told = told.await;
    let disk: Vec<_> = told.findings.iter().filter(|finding| finding["check"] == "disk").collect();
    assert_eq!((disk.len(), told.code), (1, Some(0)), "{}", told.out);
    assert_eq!((&disk[0]["severity"], &disk[0]["subject"]), (&json!("warning"), &json!("/proc/bailiwick")));
}
