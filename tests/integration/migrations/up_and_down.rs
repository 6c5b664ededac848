use bailiwick::migrations::{Checksum, Direction, EntryState, MigrationError, Progress, RunOptions, Runner, status};

use super::database::Database;
use super::samples::{catalog, down, migrations, quiet, up, value};

#[tokio::test]
async fn up_then_down_then_up_leaves_the_same_schema_at_each_version() {
    let database = Database::create().await;
    let (mut client, list) = (database.admin().await, migrations(&database));
    let runner = Runner::new(&list, RunOptions::default());
    // Creates the two tables, which stay.
    runner.up(&mut client, Some(0), quiet).await.unwrap();
    let mut seen = vec![catalog(&client).await];
    for _ in 0..3 {
        assert_eq!(runner.up(&mut client, Some(1), quiet).await.unwrap().len(), 1);
        let now = catalog(&client).await;
        assert!(!seen.contains(&now));
        seen.push(now);
    }
    for before in seen.iter().rev().skip(1) {
        assert_eq!(runner.down(&mut client, 1, quiet).await.unwrap().len(), 1);
        assert_eq!(&catalog(&client).await, before);
    }
    assert_eq!(up(&mut client, &list).await.unwrap().len(), 3);
    assert_eq!(catalog(&client).await, seen[3]);
    assert_eq!(down(&mut client, &list, 3).await.unwrap().len(), 3);
    assert_eq!(catalog(&client).await, seen[0]);
}

#[tokio::test]
async fn the_tables_say_what_golang_migrate_would_and_the_status_says_more() {
    let database = Database::create().await;
    let (mut client, list) = (database.admin().await, migrations(&database));
    let fresh = status(&client, &list).await.unwrap();
    assert_eq!((fresh.current, fresh.dirty, fresh.pending()), (None, false, 3));
    Runner::new(&list, RunOptions::default()).up(&mut client, Some(2), quiet).await.unwrap();

    let rows = "select string_agg(t::text, ' ' order by version) from schema_migrations t";
    assert_eq!(value(&client, rows).await.as_deref(), Some("(2,f)"));
    let two = status(&client, &list).await.unwrap();
    assert_eq!((two.current, two.dirty, two.pending()), (Some(2), false, 1));
    assert!(two.unknown.is_empty());
    let EntryState::Applied { applied_at, checksum } = &two.entries[1].state else {
        panic!("{:?}", two.entries[1]);
    };
    assert_eq!(*checksum, Checksum::Matches);
    assert!(applied_at.is_some());
    assert_eq!(two.entries[2].state, EntryState::Pending);

    down(&mut client, &list, 2).await.unwrap();
    for table in ["schema_migrations", "bailiwick_migrations"] {
        let count = format!("select count(*)::text from {table}");
        assert_eq!(value(&client, &count).await.as_deref(), Some("0"));
    }
}

#[tokio::test]
async fn up_on_an_up_to_date_database_does_nothing() {
    let database = Database::create().await;
    let (mut client, list) = (database.admin().await, migrations(&database));
    up(&mut client, &list).await.unwrap();
    assert_eq!(up(&mut client, &list).await.unwrap(), []);
    assert_eq!(down(&mut client, &list, 0).await.unwrap(), []);
}

#[tokio::test]
async fn progress_is_told_before_and_after_each_migration() {
    let database = Database::create().await;
    let (mut client, list) = (database.admin().await, migrations(&database));
    let mut told = Vec::new();
    let done = Runner::new(&list, RunOptions::default())
        .up(&mut client, Some(2), |progress| {
            told.push(match progress {
                Progress::WaitingForLock { .. } => "waiting".to_owned(),
                Progress::Started { file } => file.to_owned(),
                Progress::Yielding { file } => format!("{file} gives way"),
                Progress::Finished(applied) => format!("{} {}", applied.name, applied.direction),
            });
        })
        .await
        .unwrap();
    assert_eq!(told, ["000001_roles.up.sql", "roles up", "000002_notes.up.sql", "notes up"]);
    assert_eq!((done[1].version, done[1].direction), (2, Direction::Up));
}

#[tokio::test]
async fn the_dimensions_reach_the_migrations_and_nothing_stays_in_the_session() {
    let database = Database::create().await;
    let (mut client, list) = (database.admin().await, migrations(&database));
    let settings =
        "select concat_ws(' ', current_user, current_setting('search_path'), current_setting('lock_timeout'),
        current_setting('statement_timeout'), nullif(current_setting('bailiwick.embedding_dimensions', true), ''))";
    let before = value(&client, settings).await;
    let options = RunOptions { embedding_dimensions: Some(768), ..RunOptions::default() };
    Runner::new(&list, options).up(&mut client, None, quiet).await.unwrap();
    assert_eq!(value(&client, settings).await, before);
    let default = "select column_default from information_schema.columns where column_name = 'dimensions'";
    assert_eq!(value(&client, default).await.as_deref(), Some("768"));

    down(&mut client, &list, 3).await.unwrap();
    up(&mut client, &list).await.unwrap();
    assert_eq!(value(&client, default).await.as_deref(), Some("1536"));
}

#[tokio::test]
async fn going_down_more_than_is_applied_undoes_nothing() {
    let database = Database::create().await;
    let (mut client, list) = (database.admin().await, migrations(&database));
    let error = down(&mut client, &list, 1).await.unwrap_err();
    assert!(matches!(error, MigrationError::TooFewApplied { requested: 1, applied: 0 }));
    up(&mut client, &list).await.unwrap();
    let error = down(&mut client, &list, 4).await.unwrap_err();
    assert_eq!(error.to_string(), "cannot go down 4: 3 applied; ask for 3 at most");
    assert_eq!(status(&client, &list).await.unwrap().current, Some(3));
}
