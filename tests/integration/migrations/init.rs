use bailiwick::migrations::{Checksum, EntryState, Pending, init_sql, pending, status};

use super::database::Database;
use super::samples::{catalog, down, migrations, up, value, with_more};

fn stderr(output: &std::process::Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[tokio::test]
async fn init_sql_through_psql_equals_up() {
    let database = Database::create().await;
    let (mut client, list) = (database.admin().await, migrations(&database));
    let output = database.psql_file(&init_sql(&list), "");
    assert!(output.status.success(), "{}", stderr(&output));
    let by_psql = catalog(&client).await;

    let shown = status(&client, &list).await.unwrap();
    assert_eq!((shown.current, shown.dirty, shown.pending()), (Some(3), false, 0));
    for entry in &shown.entries {
        let EntryState::Applied { applied_at, checksum } = &entry.state else { panic!("{entry:?}") };
        assert!(applied_at.is_some() && *checksum == Checksum::Matches);
    }
    assert_eq!(pending(&client, &list).await.unwrap(), Pending::UpToDate { version: 3 });
    // Down and up by the runner ends at the very same schema.
    assert_eq!(up(&mut client, &list).await.unwrap(), []);
    down(&mut client, &list, 3).await.unwrap();
    up(&mut client, &list).await.unwrap();
    assert_eq!(catalog(&client).await, by_psql);
}

#[tokio::test]
async fn init_sql_takes_the_dimensions_from_the_session() {
    let database = Database::create().await;
    let client = database.admin().await;
    let sql = init_sql(&migrations(&database));
    let output = database.psql_file(&sql, "-c bailiwick.embedding_dimensions=384");
    assert!(output.status.success(), "{}", stderr(&output));
    let default = "select column_default from information_schema.columns where column_name = 'dimensions'";
    assert_eq!(value(&client, default).await.as_deref(), Some("384"));
}

#[tokio::test]
async fn init_sql_refuses_a_migrated_database_and_takes_one_that_was_emptied() {
    let database = Database::create().await;
    let (mut client, list) = (database.admin().await, migrations(&database));
    up(&mut client, &list).await.unwrap();
    let full = catalog(&client).await;
    let output = database.psql_file(&init_sql(&list), "");
    assert!(!output.status.success());
    assert!(stderr(&output).contains("this database already has a schema, at version 3"), "{}", stderr(&output));
    assert_eq!(catalog(&client).await, full);

    down(&mut client, &list, 3).await.unwrap();
    let output = database.psql_file(&init_sql(&list), "");
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(catalog(&client).await, full);
}

#[tokio::test]
async fn init_sql_is_all_or_nothing() {
    let database = Database::create().await;
    let client = database.admin().await;
    let before = catalog(&client).await;
    let broken = with_more(&database, "create table public.more ();\nselect 1/0;");
    assert!(!database.psql_file(&init_sql(&broken), "").status.success());
    assert_eq!(catalog(&client).await, before);
}
