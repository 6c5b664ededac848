//! golang-migrate is played by psql: the same statements, each file sent as one simple query.

use bailiwick::migrations::{Checksum, Direction, EntryState, MigrationError, Migrations, Pending, pending, status};

use super::database::Database;
use super::samples::{catalog, down, migrations, up, value, with_more};

fn run(database: &Database, sql: &str) -> bool {
    let output = database.psql_command(sql);
    output.status.success()
}

fn set_version(database: &Database, version: i64, dirty: bool) {
    let keep = version >= 0 || dirty;
    assert!(run(
        database,
        &format!(
            "BEGIN; TRUNCATE public.schema_migrations;
         INSERT INTO public.schema_migrations (version, dirty) SELECT {version}, {dirty} WHERE {keep}; COMMIT;"
        )
    ));
}

fn prepare(database: &Database) {
    assert!(run(
        database,
        "CREATE TABLE IF NOT EXISTS public.schema_migrations (version bigint not null primary key, dirty boolean not null)"
    ));
}

fn go_up(database: &Database, list: &Migrations, version: i64) -> bool {
    set_version(database, version, true);
    let ok = run(database, list.get(version).unwrap().sql(Direction::Up));
    if ok {
        set_version(database, version, false);
    }
    ok
}

fn go_down(database: &Database, list: &Migrations, version: i64) {
    let to = if version == 1 { -1 } else { version - 1 };
    set_version(database, to, true);
    assert!(run(database, list.get(version).unwrap().sql(Direction::Down)));
    set_version(database, to, false);
}

#[tokio::test]
async fn what_it_applied_counts_with_an_unknown_checksum_and_either_tool_continues() {
    let database = Database::create().await;
    let (mut client, list) = (database.admin().await, migrations(&database));
    prepare(&database);
    assert!(go_up(&database, &list, 1));
    assert!(go_up(&database, &list, 2));

    let shown = status(&client, &list).await.unwrap();
    let unknown = EntryState::Applied { applied_at: None, checksum: Checksum::Unknown };
    assert_eq!((shown.current, &shown.entries[1].state), (Some(2), &unknown));
    let missing = vec!["000003_search.up.sql".to_owned()];
    assert_eq!(pending(&client, &list).await.unwrap(), Pending::Behind { current: Some(2), missing });

    assert_eq!(up(&mut client, &list).await.unwrap().len(), 1);
    let shown = status(&client, &list).await.unwrap();
    assert_eq!(shown.entries[0].state, unknown);
    assert!(matches!(shown.entries[2].state, EntryState::Applied { checksum: Checksum::Matches, .. }));
    assert_eq!(down(&mut client, &list, 2).await.unwrap().len(), 2);
    assert!(go_up(&database, &list, 2));
    assert_eq!(down(&mut client, &list, 2).await.unwrap().len(), 2);
}

#[tokio::test]
async fn it_goes_down_what_we_applied_and_our_history_follows() {
    let database = Database::create().await;
    let (mut client, list) = (database.admin().await, migrations(&database));
    up(&mut client, &list).await.unwrap();
    let full = catalog(&client).await;
    for version in [3, 2, 1] {
        go_down(&database, &list, version);
    }
    let shown = status(&client, &list).await.unwrap();
    assert_eq!((shown.current, shown.pending(), shown.unknown.len()), (None, 3, 0));
    assert_eq!(up(&mut client, &list).await.unwrap().len(), 3);
    assert_eq!(catalog(&client).await, full);
    let count = "select count(*)::text from bailiwick_migrations";
    assert_eq!(value(&client, count).await.as_deref(), Some("3"));
}

#[tokio::test]
async fn its_failure_leaves_the_dirty_flag_that_we_refuse_until_forced() {
    let database = Database::create().await;
    let mut client = database.admin().await;
    let list = with_more(&database, "create table public.more (); select 1/0;");
    up(&mut client, &migrations(&database)).await.unwrap();
    assert!(!go_up(&database, &list, 4));
    let error = up(&mut client, &list).await.unwrap_err();
    assert!(matches!(error, MigrationError::Dirty { version: 4 }));
    // `migrate force 3`
    set_version(&database, 3, false);
    let repaired = with_more(&database, "create table public.more ();");
    assert_eq!(up(&mut client, &repaired).await.unwrap().len(), 1);
}

#[tokio::test]
async fn its_failure_on_the_way_down_from_the_first_is_dirty_too() {
    let database = Database::create().await;
    let (mut client, list) = (database.admin().await, migrations(&database));
    prepare(&database);
    set_version(&database, -1, true);
    let error = up(&mut client, &list).await.unwrap_err();
    assert!(matches!(error, MigrationError::Dirty { version: -1 }));
}
