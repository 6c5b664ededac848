//! The migrations of this program.

use std::collections::BTreeSet;
use std::path::Path;

use bailiwick::migrations::{Checksum, Direction, EntryState, Migrations, RunOptions, Runner, init_sql, status};

use super::database::Database;
use super::samples::{catalog, quiet};

#[tokio::test]
async fn up_down_up_leaves_the_same_schema_at_each_version() {
    let database = Database::create().await;
    let (mut client, list) = (database.admin().await, Migrations::embedded().unwrap());
    let runner = Runner::new(&list, RunOptions::default());
    runner.up(&mut client, Some(0), quiet).await.unwrap();
    let count = list.iter().count();
    // The first step's roles and extensions stay, and with them what it finds when it comes again.
    runner.up(&mut client, Some(1), quiet).await.unwrap();
    runner.down(&mut client, 1, quiet).await.unwrap();
    let mut seen = vec![catalog(&client).await];
    for _ in 0..count {
        runner.up(&mut client, Some(1), quiet).await.unwrap();
        seen.push(catalog(&client).await);
    }
    for before in seen.iter().rev().skip(1) {
        runner.down(&mut client, 1, quiet).await.unwrap();
        assert_eq!(difference(before, &catalog(&client).await), [""; 0]);
    }
    runner.up(&mut client, None, quiet).await.unwrap();
    assert_eq!(difference(&seen[count], &catalog(&client).await), [""; 0]);
}

/// Lines that are in one catalog alone.
pub fn difference<'a>(before: &'a str, after: &'a str) -> Vec<&'a str> {
    let (before, after): (BTreeSet<_>, BTreeSet<_>) = (before.lines().collect(), after.lines().collect());
    before.symmetric_difference(&after).copied().collect()
}

#[tokio::test]
async fn init_sql_is_the_schema_of_the_migrations() {
    let list = Migrations::embedded().unwrap();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("sql/init.sql");
    if std::env::var_os("BAILIWICK_BLESS").is_some() {
        std::fs::write(&path, init_sql(&list)).unwrap();
    }
    let file = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(file == init_sql(&list), "sql/init.sql is out of date: run `BAILIWICK_BLESS=1 cargo test init_sql`");

    let (by_psql, by_runner) = (Database::create().await, Database::create().await);
    let output = by_psql.psql_file(&file, "");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut client = by_runner.admin().await;
    Runner::new(&list, RunOptions::default()).up(&mut client, None, quiet).await.unwrap();
    let made = by_psql.admin().await;
    assert_eq!(difference(&catalog(&made).await, &catalog(&client).await), [""; 0]);
    let applied = |state: &EntryState| matches!(state, EntryState::Applied { checksum: Checksum::Matches, .. });
    assert!(status(&made, &list).await.unwrap().entries.iter().all(|entry| applied(&entry.state)));
}

#[tokio::test]
async fn dimensions_are_settled_by_the_first_migration_and_bounded() {
    let list = Migrations::embedded().unwrap();
    for (dimensions, expected) in [(None, 1536), (Some(384), 384), (Some(4000), 4000)] {
        let database = Database::create().await;
        let mut client = database.admin().await;
        let options = RunOptions { embedding_dimensions: dimensions, ..RunOptions::default() };
        Runner::new(&list, options).up(&mut client, None, quiet).await.unwrap();
        let found =
            "SELECT atttypmod FROM pg_attribute WHERE attrelid = 'document_chunks'::regclass AND attname = 'embedding'";
        assert_eq!(client.query_one(found, &[]).await.unwrap().get::<_, i32>(0), expected);
        // The largest vector fits its page beside the rest of its row.
        let insert = format!(
            "SET app.current_tenant_id TO '{{id}}'; INSERT INTO documents (tenant_id, title, content, embedding)
             SELECT '{{id}}', 't', 'c', array_fill(0.5::real, ARRAY[{expected}])::vector"
        );
        let id: String =
            client.query_one("SELECT id::text FROM tenants WHERE slug = 'demo'", &[]).await.unwrap().get(0);
        client.batch_execute(&insert.replace("{id}", &id)).await.unwrap();
    }
    let database = Database::create().await;
    let options = RunOptions { embedding_dimensions: Some(4001), ..RunOptions::default() };
    let error = Runner::new(&list, options).up(&mut database.admin().await, None, quiet).await.unwrap_err();
    assert!(error.to_string().contains("embedding dimensions must be from 1 to 4000, got 4001"), "{error}");
}

#[tokio::test]
async fn two_databases_of_a_cluster_may_be_migrated_at_once() {
    let databases = [Database::create().await, Database::create().await, Database::create().await];
    let list = Migrations::embedded().unwrap();
    let runs = databases.iter().map(async |database| {
        let mut client = database.admin().await;
        Runner::new(&list, RunOptions::default()).up(&mut client, None, quiet).await.map(|applied| applied.len())
    });
    for applied in futures_util::future::join_all(runs).await {
        assert_eq!(applied.unwrap(), list.iter().count());
    }
}

/// golang-migrate takes a file for a migration if its name matches `^([0-9]+)_(.*)\.(down|up)\.(.*)$`, passes over any other in
/// silence, and refuses two of the same version and direction.
#[test]
fn the_files_are_named_as_golang_migrate_wants_them() {
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("sql/migrations")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let (version, rest) = name.split_once('_').unwrap_or_else(|| panic!("{name} would be passed over"));
        assert!(!version.is_empty() && version.bytes().all(|byte| byte.is_ascii_digit()), "{name}");
        let direction = ["up", "down"].into_iter().find(|one| rest.ends_with(&format!(".{one}.sql")));
        let direction = direction.unwrap_or_else(|| panic!("{name} would be passed over"));
        assert!(found.insert((version.parse::<u64>().unwrap(), direction)), "{name} is of a version that is there");
    }
    assert_eq!(found.len(), 2 * Migrations::embedded().unwrap().iter().count());
}

/// It sends each file whole, in no transaction of its own: PostgreSQL makes one of its statements.
#[tokio::test]
async fn the_files_run_as_golang_migrate_sends_them() {
    let (by_psql, by_runner) = (Database::create().await, Database::create().await);
    let list = Migrations::embedded().unwrap();
    let mut client = by_runner.admin().await;
    let runner = Runner::new(&list, RunOptions::default());
    runner.up(&mut client, None, quiet).await.unwrap();
    let sent = by_psql.admin().await;
    // Its own table, and ours, which the first step grants to the roles if they are there.
    sent.batch_execute(include_str!("../../../sql/migrate/create_state.sql")).await.unwrap();
    let send = |sql: &str, file: String| {
        let output = by_psql.psql_command(sql);
        assert!(output.status.success(), "{file}: {}", String::from_utf8_lossy(&output.stderr));
    };
    for migration in list.iter() {
        send(migration.sql(Direction::Up), migration.file(Direction::Up));
    }
    assert_eq!(difference(&catalog(&client).await, &catalog(&sent).await), [""; 0]);
    for migration in list.iter().rev() {
        send(migration.sql(Direction::Down), migration.file(Direction::Down));
    }
    runner.down(&mut client, list.iter().count(), quiet).await.unwrap();
    assert_eq!(difference(&catalog(&client).await, &catalog(&sent).await), [""; 0]);
}
