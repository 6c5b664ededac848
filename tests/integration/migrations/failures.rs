use std::time::Duration;

use bailiwick::migrations::{FailedStatement, MigrationError, status};
use tokio::time::sleep;

use super::database::Database;
use super::samples::{catalog, files, list, migrations, up, value, with_more};

async fn fails(database: &Database, more: &str) -> FailedStatement {
    let mut client = database.admin().await;
    up(&mut client, &migrations(database)).await.unwrap();
    let before = catalog(&client).await;
    let list = with_more(database, more);
    let error = up(&mut client, &list).await.unwrap_err();
    assert_eq!(catalog(&client).await, before);
    let status = status(&client, &list).await.unwrap();
    assert_eq!((status.current, status.dirty, status.pending()), (Some(3), false, 1));
    match error {
        MigrationError::Statement(failure) => *failure,
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn a_statement_with_a_mistake_is_named_by_file_line_and_code() {
    let database = Database::create().await;
    let failure =
        fails(&database, "create table public.more (a int);\n-- é\nselect 'ü',\n  nothing\nfrom public.more;\n").await;
    assert_eq!(
        failure.to_string(),
        "000004_more.up.sql, line 4: column \"nothing\" does not exist (SQLSTATE 42703); \
         the migration was rolled back, the database is still at version 3"
    );
}

#[tokio::test]
async fn a_syntax_error_is_found_before_anything_runs() {
    let database = Database::create().await;
    let failure = fails(&database, "create table public.more ();\n\ncreat table x ();").await;
    assert_eq!((failure.line, failure.sqlstate.as_str()), (Some(3), "42601"));
}

#[tokio::test]
async fn a_failure_without_a_position_is_named_by_the_number_of_its_statement() {
    let database = Database::create().await;
    let more = "create table public.more ();\n\n-- comment;\nselect ';'; do $$ begin\nperform 1;\nend $$;\ninsert into public.more\nselect from generate_series(1, 2);\nselect 1 /\n  (select count(*) - 2 from public.more);\nselect 3;";
    let failure = fails(&database, more).await;
    assert_eq!((failure.line, failure.completed, failure.sqlstate.as_str()), (None, Some(4), "22012"));
    assert!(failure.to_string().starts_with("000004_more.up.sql, statement 5: division by zero"), "{failure}");
}

#[tokio::test]
async fn an_exception_in_a_block_keeps_the_servers_context() {
    let database = Database::create().await;
    let failure = fails(
        &database,
        "create table public.more ();\ndo $$ begin\nraise exception 'no' using hint = 'try', detail = 'why';\nend $$;",
    )
    .await;
    assert_eq!((failure.completed, failure.sqlstate.as_str()), (Some(1), "P0001"));
    let text = failure.to_string();
    assert!(text.contains("detail: why; hint: try; context: PL/pgSQL function inline_code_block line 2"), "{text}");
}

#[tokio::test]
async fn a_constraint_checked_at_the_commit_fails_the_migration_too() {
    let database = Database::create().await;
    let failure = fails(&database, "create table public.more (a int unique deferrable initially deferred);\ninsert into public.more values (1), (1);").await;
    assert_eq!((failure.completed, failure.sqlstate.as_str()), (None, "23505"));
    assert!(failure.to_string().contains("at its commit"), "{failure}");
}

#[tokio::test]
async fn the_migrations_before_a_failing_one_stay_and_the_repaired_one_follows() {
    let database = Database::create().await;
    let mut client = database.admin().await;
    let mut broken = files(&database);
    broken[2].1.push_str("select 1/0;\n");
    let error = up(&mut client, &list(broken)).await.unwrap_err();
    assert!(error.to_string().ends_with("the database is still at version 1"), "{error}");
    assert_eq!(up(&mut client, &migrations(&database)).await.unwrap().len(), 2);

    let none = Database::create().await;
    let mut client = none.admin().await;
    let mut broken = files(&none);
    broken[0].1.push_str("select 1/0;\n");
    let error = up(&mut client, &list(broken)).await.unwrap_err();
    assert!(error.to_string().ends_with("the database is still before the first version"), "{error}");
}

#[tokio::test]
async fn a_killed_connection_leaves_the_version_before_and_the_next_run_continues() {
    let database = Database::create().await;
    let more = "create table public.more ();
        select pg_sleep(coalesce(nullif(current_setting('test.sleep', true), ''), '0')::float);";
    let list = with_more(&database, more);
    let mut client = database.admin().await;
    client.batch_execute("set test.sleep = '60'; set application_name = 'victim'").await.unwrap();
    let doomed = list.clone();
    let run = tokio::spawn(async move { up(&mut client, &doomed).await });

    let mut other = database.admin().await;
    let kill = "select count(pg_terminate_backend(pid))::text from pg_stat_activity
        where datname = current_database() and application_name = 'victim' and wait_event = 'PgSleep'";
    while value(&other, kill).await.as_deref() == Some("0") {
        assert!(!run.is_finished());
        sleep(Duration::from_millis(20)).await;
    }
    let error = run.await.unwrap().unwrap_err();
    assert!(matches!(error, MigrationError::Interrupted { .. }), "{error:?}");
    assert!(error.to_string().starts_with("the connection was lost during 000004_more.up.sql"));
    assert_eq!(status(&other, &list).await.unwrap().current, Some(3));
    assert_eq!(up(&mut other, &list).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_migration_that_ends_its_transaction_past_the_files_check_is_not_recorded() {
    let database = Database::create().await;
    let mut client = database.admin().await;
    up(&mut client, &migrations(&database)).await.unwrap();
    // Where backslashes escape, the quote ends earlier than the check of the file believes.
    client.batch_execute("set standard_conforming_strings = off; set escape_string_warning = off").await.unwrap();
    let list = with_more(&database, "create table public.more ();\nselect 'a\\''; commit; --';\n");
    let error = up(&mut client, &list).await.unwrap_err();
    assert!(matches!(&error, MigrationError::EndedTransaction { file } if file == "000004_more.up.sql"), "{error}");
    assert_eq!(status(&client, &list).await.unwrap().current, Some(3));
}
