use bailiwick::migrations::{MigrationError, Pending, RunOptions, Runner, pending};

use super::database::Database;
use super::samples::{migrations, quiet, up, with_more};

#[tokio::test]
async fn a_fresh_database_is_not_initialised() {
    let database = Database::create().await;
    let (mut client, list) = (database.admin().await, migrations(&database));
    assert_eq!(pending(&client, &list).await.unwrap(), Pending::NotInitialised);
    // The tables alone, with nothing applied.
    Runner::new(&list, RunOptions::default()).up(&mut client, Some(0), quiet).await.unwrap();
    let Pending::Behind { current: None, missing } = pending(&client, &list).await.unwrap() else {
        panic!("tables exist");
    };
    assert_eq!(missing.len(), 3);
}

#[tokio::test]
async fn the_application_role_may_ask_with_select_on_the_two_tables() {
    let database = Database::create().await;
    let (mut client, list) = (database.admin().await, migrations(&database));
    up(&mut client, &list).await.unwrap();
    let app = database.role("app").await;
    assert_eq!(pending(&app, &list).await.unwrap(), Pending::UpToDate { version: 3 });
    let newer = with_more(&database, "create table public.more ();");
    let missing = vec!["000004_more.up.sql".to_owned()];
    assert_eq!(pending(&app, &newer).await.unwrap(), Pending::Behind { current: Some(3), missing });
    client.batch_execute("update schema_migrations set dirty = true").await.unwrap();
    let error = pending(&app, &list).await.unwrap_err();
    assert!(matches!(error, MigrationError::Dirty { version: 3 }));
}

#[tokio::test]
async fn tables_that_the_role_may_not_read_are_as_good_as_none() {
    let database = Database::create().await;
    let (mut client, list) = (database.admin().await, migrations(&database));
    up(&mut client, &list).await.unwrap();
    let role = format!("{}_app", database.name);
    let app = database.role("app").await;
    // Without the history checksums are not compared; the version is enough to serve.
    client.batch_execute(&format!("revoke select on bailiwick_migrations from {role}")).await.unwrap();
    assert_eq!(pending(&app, &list).await.unwrap(), Pending::UpToDate { version: 3 });
    client.batch_execute(&format!("revoke select on schema_migrations from {role}")).await.unwrap();
    assert_eq!(pending(&app, &list).await.unwrap(), Pending::NotInitialised);
    client
        .batch_execute("grant select on schema_migrations to public; revoke usage on schema public from public")
        .await
        .unwrap();
    assert_eq!(pending(&app, &list).await.unwrap(), Pending::NotInitialised);
}
