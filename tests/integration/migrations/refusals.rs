use bailiwick::migrations::{Checksum, EntryState, MigrationError, Pending, pending, status};

use super::database::Database;
use super::samples::{catalog, down, files, list, migrations, up};

#[tokio::test]
async fn a_dirty_version_is_refused_in_every_direction() {
    let database = Database::create().await;
    let (mut client, list) = (database.admin().await, migrations(&database));
    up(&mut client, &list).await.unwrap();
    client.batch_execute("update schema_migrations set dirty = true").await.unwrap();
    for error in [
        up(&mut client, &list).await.unwrap_err(),
        down(&mut client, &list, 1).await.unwrap_err(),
        pending(&client, &list).await.unwrap_err(),
    ] {
        assert!(matches!(error, MigrationError::Dirty { version: 3 }), "{error}");
        assert!(error.to_string().contains("migrate force"));
    }
    let status = status(&client, &list).await.unwrap();
    assert!(status.dirty);
    assert_eq!((status.current, status.pending()), (Some(3), 1));
}

#[tokio::test]
async fn a_database_of_a_newer_binary_is_refused_and_shown() {
    let database = Database::create().await;
    let (mut client, newer) = (database.admin().await, migrations(&database));
    up(&mut client, &newer).await.unwrap();
    let older = list(files(&database).into_iter().take(4).collect());
    for error in [
        up(&mut client, &older).await.unwrap_err(),
        down(&mut client, &older, 1).await.unwrap_err(),
        pending(&client, &older).await.unwrap_err(),
    ] {
        assert!(matches!(error, MigrationError::NewerDatabase { version: 3, newest: 2 }));
        assert!(error.to_string().starts_with("this database was migrated by a newer bailiwick"));
    }
    let status = status(&client, &older).await.unwrap();
    assert_eq!(status.unknown.len(), 1);
    assert_eq!(status.unknown[0].name.as_deref(), Some("search"));
}

#[tokio::test]
async fn an_edited_migration_is_refused_until_it_is_accepted() {
    let database = Database::create().await;
    let (mut client, original) = (database.admin().await, migrations(&database));
    up(&mut client, &original).await.unwrap();
    let mut edited = files(&database);
    edited[2].1.push_str("-- A second thought.\n");
    let edited = list(edited);
    for error in [
        up(&mut client, &edited).await.unwrap_err(),
        down(&mut client, &edited, 1).await.unwrap_err(),
        pending(&client, &edited).await.unwrap_err(),
    ] {
        assert!(error.to_string().starts_with("000002_notes.up.sql was edited after it was applied"), "{error}");
    }
    let differs = |checksum| matches!(checksum, EntryState::Applied { checksum: Checksum::Differs, .. });
    let shown = status(&client, &edited).await.unwrap();
    assert!(differs(shown.entries[1].state.clone()));

    // The error's own advice.
    client.batch_execute("delete from public.bailiwick_migrations where version = 2").await.unwrap();
    assert_eq!(pending(&client, &edited).await.unwrap(), Pending::UpToDate { version: 3 });
    assert_eq!(up(&mut client, &edited).await.unwrap(), []);
}

#[tokio::test]
async fn an_edited_down_file_is_no_matter() {
    let database = Database::create().await;
    let (mut client, original) = (database.admin().await, migrations(&database));
    up(&mut client, &original).await.unwrap();
    let mut edited = files(&database);
    edited[5].1.push_str("-- Repaired.\n");
    assert_eq!(down(&mut client, &list(edited), 1).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_version_table_that_is_not_golang_migrates_is_refused_untouched() {
    for create in [
        // Ruby on Rails.
        "create table schema_migrations (version varchar primary key)",
        "create table schema_migrations (version varchar, dirty boolean); insert into schema_migrations values ('1', false)",
        "create table schema_migrations (version bigint, dirty boolean); insert into schema_migrations values (1, false), (2, false)",
        "create table schema_migrations (version bigint, dirty boolean); insert into schema_migrations values (0, false)",
        "create table schema_migrations (version bigint, dirty boolean); insert into schema_migrations values (null, false)",
    ] {
        let database = Database::create().await;
        let (mut client, list) = (database.admin().await, migrations(&database));
        client.batch_execute(create).await.unwrap();
        let error = up(&mut client, &list).await.unwrap_err();
        assert!(matches!(error, MigrationError::ForeignTable { .. }), "{create}: {error}");
        assert!(!catalog(&client).await.contains("schema notes"));
    }
}

#[tokio::test]
async fn a_role_that_may_not_read_the_version_is_told_so() {
    let database = Database::create().await;
    let (mut client, list) = (database.admin().await, migrations(&database));
    up(&mut client, &list).await.unwrap();
    client.batch_execute(&format!("revoke select on schema_migrations from {}_app", database.name)).await.unwrap();
    let app = database.role("app").await;
    let error = status(&app, &list).await.unwrap_err();
    assert!(matches!(error, MigrationError::Unreadable));
}
