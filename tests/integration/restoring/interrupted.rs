//! Signals and kills in the middle.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::Child;

use bailiwick::db::admin;

use super::{backup, bailiwick, both, command, remains, told, world};
use crate::harness::{Fault, Proxy, TestDatabase, server, until, url};

/// The real program that, half through its work, says so by a file and goes on when another file is there.
pub(super) async fn stopping(folder: &Path, program: &str, before: &str) -> (PathBuf, PathBuf) {
    stopping_before(folder, program, before, "exec \"$real\" \"$@\"").await
}

/// The same with something else behind it than its work.
async fn stopping_before(folder: &Path, program: &str, before: &str, after: &str) -> (PathBuf, PathBuf) {
    let programs = folder.join("programs");
    std::fs::create_dir_all(&programs).unwrap();
    let (reached, go_on) = (folder.join(format!("{program}-reached")), folder.join(format!("{program}-go-on")));
    let real = server().await.bin_dir().join(program);
    let script = format!(
        "#!/bin/sh\nreal={real}\ncase \"$*\" in --version|--list*) exec \"$real\" \"$@\";; esac\n{before}\ntouch {reached}\nwhile [ ! -e {go_on} ]; do sleep 0.05; done\n{after}\n",
        real = real.display(),
        reached = reached.display(),
        go_on = go_on.display()
    );
    std::fs::write(programs.join(program), script).unwrap();
    std::fs::set_permissions(programs.join(program), std::fs::Permissions::from_mode(0o755)).unwrap();
    (programs, reached)
}

/// Starts a command and waits until its program is in the middle of its work.
pub(super) async fn begun(database: &TestDatabase, programs: &Path, reached: &Path, arguments: &[&str]) -> Child {
    let mut command = command(database, arguments).await;
    command.env("BAILIWICK_PG_BIN", programs);
    command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let child = command.spawn().unwrap();
    for _ in 0..600 {
        if reached.exists() {
            std::fs::remove_file(reached).unwrap();
            return child;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{arguments:?}: {}", both(&child.wait_with_output().await.unwrap()));
}

fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_raw(i32::try_from(child.id().unwrap()).unwrap()).unwrap(), signal).unwrap();
}

#[tokio::test]
async fn a_backup_that_is_broken_off_leaves_no_file() {
    let database = TestDatabase::create().await;
    let folder = tempfile::tempdir().unwrap();
    let (programs, reached) = stopping(folder.path(), "pg_dump", "echo PGDMPhalf").await;
    let file = folder.path().join("backup");
    let name = file.display().to_string();
    let child = begun(&database, &programs, &reached, &["backup", &name]).await;
    let second = bailiwick(&database, &["backup", &name]).await;
    assert!(both(&second).contains("is under way") && !second.status.success(), "{}", both(&second));
    signal(&child, Signal::TERM);
    let output = child.wait_with_output().await.unwrap();
    assert_eq!(output.status.code(), Some(128 + 15), "{}", both(&output));
    assert!(both(&output).contains("there is no backup"), "{}", both(&output));
    let part = folder.path().join("backup.part");
    assert_eq!((file.exists(), part.exists()), (false, false));

    // Killed, it cannot clear up: what is left does not bear the name, and is in nobody's way once pg_dump has ended, too.
    let child = begun(&database, &programs, &reached, &["backup", &name]).await;
    signal(&child, Signal::KILL);
    child.wait_with_output().await.unwrap();
    assert_eq!((file.exists(), part.exists()), (false, true));
    std::fs::write(folder.path().join("pg_dump-go-on"), "").unwrap();
    for _ in 0..200 {
        let output = bailiwick(&database, &["backup", &name]).await;
        if output.status.success() {
            break;
        }
        assert!(both(&output).contains("is under way"), "{}", both(&output));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!((file.exists(), part.exists()), (true, false));
    told(&database, &["restore", "--check", "--json", &name]).await;
}

#[tokio::test]
async fn a_restore_that_is_broken_off_leaves_the_old_database_and_nothing_else() {
    let database = TestDatabase::create().await;
    world::fill(&database).await;
    let folder = tempfile::tempdir().unwrap();
    let file = backup(&database, folder.path()).await;
    database.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements; INSERT INTO tenants (slug, name) VALUES ('newer', 'Newer')").await;
    let is_there = async || database.value::<i64>("SELECT count(*) FROM tenants WHERE slug = 'newer'").await;
    // With half of it in the database.
    let half =
        format!("{} --section=pre-data \"$@\" 2>/dev/null", server().await.bin_dir().join("pg_restore").display());
    let (programs, reached) = stopping(folder.path(), "pg_restore", &half).await;
    let arguments = ["restore", "--replace", "--json", file.as_str()];

    let child = begun(&database, &programs, &reached, &arguments).await;
    assert_eq!(remains(&database).await.len(), 1);
    let second = bailiwick(&database, &arguments).await;
    assert!(both(&second).contains("another restore of the same database is under way"), "{}", both(&second));
    signal(&child, Signal::INT);
    let output = child.wait_with_output().await.unwrap();
    assert_eq!(output.status.code(), Some(128 + 2), "{}", both(&output));
    assert!(both(&output).contains("everything is as it was"), "{}", both(&output));
    assert_eq!((is_there().await, remains(&database).await), (1, Vec::new()));

    // Killed, it leaves a database that doctor tells and that the next restore clears away.
    let child = begun(&database, &programs, &reached, &arguments).await;
    let at_work = remains(&database).await;
    assert!(!both(&bailiwick(&database, &["doctor", "--quick"]).await).contains(&at_work[0]), "it is at work");
    signal(&child, Signal::KILL);
    child.wait_with_output().await.unwrap();
    let left = remains(&database).await;
    assert_eq!((is_there().await, left.len()), (1, 1));
    let mut told_so = String::new();
    for _ in 0..100 {
        // The server sees that a killed session is gone a moment later.
        told_so = both(&bailiwick(&database, &["doctor", "--quick"]).await);
        if told_so.contains(&left[0]) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(told_so.contains(&left[0]) && told_so.contains("restore_remains"), "{told_so}");
    assert_eq!(told(&database, &arguments).await["sound"], true);
    assert_eq!((is_there().await, remains(&database).await), (0, Vec::new()));

    // One that was for another name is told, too.
    let other = TestDatabase::bare().await;
    let into = ["restore", "--json", "--into", other.name(), file.as_str()];
    let child = begun(&database, &programs, &reached, &into).await;
    signal(&child, Signal::KILL);
    child.wait_with_output().await.unwrap();
    let left = remains(&other).await;
    until("doctor tells it", async || both(&bailiwick(&database, &["doctor", "--quick"]).await).contains(&left[0]))
        .await;
    assert_eq!(told(&database, &into).await["sound"], true);
    assert_eq!(remains(&other).await, [""; 0]);
    // What was orphaned ends.
    std::fs::write(folder.path().join("pg_restore-go-on"), "").unwrap();
    tokio::time::sleep(Duration::from_millis(500)).await;
}

#[tokio::test]
async fn a_restore_that_is_killed_while_it_compares_leaves_the_old_database() {
    let database = TestDatabase::create().await;
    world::fill(&database).await;
    // Whoever prints it waits for whoever changes it; nothing else looks at it.
    database.execute("CREATE VIEW operators_view WITH (security_invoker = true) AS SELECT slug FROM tenants").await;
    let folder = tempfile::tempdir().unwrap();
    let file = backup(&database, folder.path()).await;
    database.execute("INSERT INTO tenants (slug, name) VALUES ('newer', 'Newer')").await;
    let is_there = async || database.value::<i64>("SELECT count(*) FROM tenants WHERE slug = 'newer'").await;
    let (programs, reached) = stopping_before(folder.path(), "pg_restore", "\"$real\" \"$@\" || exit", "exit 0").await;
    let arguments = ["restore", "--replace", "--json", file.as_str()];
    let child = begun(&database, &programs, &reached, &arguments).await;
    let at_work = remains(&database).await;
    let blocker = admin::connect(&server().await.config("postgres", &at_work[0])).await.unwrap();
    blocker.batch_execute("BEGIN; ALTER VIEW operators_view RENAME TO renamed").await.unwrap();
    std::fs::write(folder.path().join("pg_restore-go-on"), "").unwrap();
    let comparing = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = '{}' AND wait_event_type = 'Lock' AND query LIKE '%backup/objects%'",
        at_work[0]
    );
    until("it compares", async || database.value::<i64>(&comparing).await == 1).await;
    signal(&child, Signal::KILL);
    child.wait_with_output().await.unwrap();
    assert_eq!((is_there().await, remains(&database).await), (1, at_work.clone()));
    drop(blocker);
    let told_so = async || both(&bailiwick(&database, &["doctor", "--quick"]).await);
    until("doctor tells it", async || told_so().await.contains(&at_work[0])).await;
    assert_eq!(told(&database, &arguments).await["sound"], true);
    assert_eq!((is_there().await, remains(&database).await), (0, Vec::new()));
}

#[tokio::test]
async fn a_restore_that_is_killed_once_the_new_database_has_its_place_leaves_the_old_one_to_be_dropped() {
    let database = TestDatabase::create().await;
    world::fill(&database).await;
    let folder = tempfile::tempdir().unwrap();
    let file = backup(&database, folder.path()).await;
    database.execute("INSERT INTO tenants (slug, name) VALUES ('newer', 'Newer')").await;
    let answers = world::answers(&database).await;
    let is_there = async || database.value::<i64>("SELECT count(*) FROM tenants WHERE slug = 'newer'").await;
    let proxy = Proxy::start().await;
    proxy.arm_behind(Fault::Swallow, "RENAME TO");
    let arguments = ["restore", "--replace", "--json", file.as_str()];
    let mut command = command(&database, &arguments).await;
    command.env("BAILIWICK_ADMIN_DATABASE_URL", url(&proxy.config(&database), "postgres"));
    let child = command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn().unwrap();
    let is_aside = async || remains(&database).await.iter().any(|name| name.starts_with("bailiwick_replaced_"));
    until("it has its place", async || proxy.struck() == 1 && is_aside().await).await;
    signal(&child, Signal::KILL);
    child.wait_with_output().await.unwrap();
    let left = remains(&database).await;
    assert_eq!((is_there().await, left.len()), (0, 1), "{left:?}");
    assert_eq!(answers, world::answers(&database).await, "the restored one serves");
    let told_so = async || both(&bailiwick(&database, &["doctor", "--quick"]).await);
    until("doctor tells it", async || told_so().await.contains(&left[0])).await;
    assert_eq!(told(&database, &arguments).await["sound"], true);
    assert_eq!(remains(&database).await, [""; 0]);
}

#[tokio::test]
async fn what_a_tenants_restore_leaves_that_is_killed_is_told_and_cleared_away_by_any_restore() {
    let (database, other) = (TestDatabase::create().await, TestDatabase::bare().await);
    let folder = tempfile::tempdir().unwrap();
    let file = backup(&database, folder.path()).await;
    let data = folder.path().join("data");
    let (programs, reached) = stopping(folder.path(), "pg_restore", "").await;
    let with_data = async |arguments: &[&str]| {
        let mut command = command(&database, arguments).await;
        command.env("BAILIWICK_DATA_DIR", &data);
        command
    };
    let passages = || -> Vec<_> {
        let entries = std::fs::read_dir(&data).unwrap().map(|entry| entry.unwrap().path());
        entries.filter(|path| path.display().to_string().contains("restoring-")).collect()
    };
    let told_so = async || both(&with_data(&["doctor", "--quick"]).await.output().await.unwrap());

    let mut restore = with_data(&["restore", "--tenant", "demo", "--as", "again", &file]).await;
    restore.env("BAILIWICK_PG_BIN", &programs).stdout(std::process::Stdio::null());
    let child = restore.stderr(std::process::Stdio::null()).spawn().unwrap();
    until("it is at work", async || reached.exists()).await;
    let left = passages();
    assert_eq!(left.len(), 1, "{left:?}");
    let shown = left[0].display().to_string();
    assert!(!told_so().await.contains(&shown), "it is at work");
    signal(&child, Signal::KILL);
    child.wait_with_output().await.unwrap();
    let found = told_so().await;
    assert!(found.contains(&shown) && found.contains("in plain"), "{found}");

    // Whatever it is of.
    let output = with_data(&["restore", "--into", other.name(), &file]).await.output().await.unwrap();
    assert!(output.status.success() && passages().is_empty(), "{}", both(&output));
    std::fs::write(folder.path().join("pg_restore-go-on"), "").unwrap();
    assert!(!told_so().await.contains(&shown));
    // What is left of the other database's, the next of it clears away.
    told(&database, &["restore", "--json", "--tenant", "demo", "--as", "again", &file]).await;
    assert_eq!(remains(&database).await, [""; 0]);
}

#[tokio::test]
async fn a_restore_that_finds_no_room_leaves_the_old_database() {
    let database = TestDatabase::create().await;
    world::fill(&database).await;
    let folder = tempfile::tempdir().unwrap();
    let file = backup(&database, folder.path()).await;
    database.execute("INSERT INTO tenants (slug, name) VALUES ('newer', 'Newer')").await;
    // As when the server runs out of disk in the middle: pg_restore fails behind half of its work.
    let programs = folder.path().join("programs");
    std::fs::create_dir(&programs).unwrap();
    let real = server().await.bin_dir().join("pg_restore");
    let script = format!(
        "#!/bin/sh\ncase \"$*\" in --version|--list*) exec {real} \"$@\";; esac\n{real} --section=pre-data \"$@\" || exit\n\
         echo 'pg_restore: error: could not execute query: ERROR:  could not extend file: No space left on device' >&2\nexit 1\n",
        real = real.display()
    );
    std::fs::write(programs.join("pg_restore"), script).unwrap();
    std::fs::set_permissions(programs.join("pg_restore"), std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = command(&database, &["restore", "--replace", &file]).await;
    let output = command.env("BAILIWICK_PG_BIN", &programs).output().await.unwrap();
    let said = both(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("No space left on device") && said.contains("Make room"), "{said}");
    assert_eq!(database.value::<i64>("SELECT count(*) FROM tenants WHERE slug = 'newer'").await, 1);
    assert_eq!(remains(&database).await, [""; 0]);
}

#[tokio::test]
async fn what_somebody_puts_into_an_empty_database_meanwhile_is_kept() {
    let (database, other) = (TestDatabase::create().await, TestDatabase::bare().await);
    let folder = tempfile::tempdir().unwrap();
    let file = backup(&database, folder.path()).await;
    let (programs, reached) = stopping(folder.path(), "pg_restore", "").await;
    let into = ["restore", "--json", "--into", other.name(), file.as_str()];
    let child = begun(&database, &programs, &reached, &into).await;
    other.execute("CREATE TABLE orders AS SELECT 7 AS id").await;
    std::fs::write(folder.path().join("pg_restore-go-on"), "").unwrap();
    let output = child.wait_with_output().await.unwrap();
    assert!(output.status.success(), "{}", both(&output));
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let notes = told["notes"].to_string();
    let kept = notes.split("is kept as ").nth(1).unwrap_or_else(|| panic!("{notes}"));
    let kept: String = kept.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
    let look = admin::connect(&server().await.config("postgres", &kept)).await.unwrap();
    assert_eq!(look.query_one("SELECT id FROM orders", &[]).await.unwrap().get::<_, i32>(0), 7);
    assert_eq!(other.value::<i64>("SELECT count(*) FROM tenants").await, 2, "the restored one has its name");
    assert_eq!(remains(&other).await, [""; 0]);
    drop(look);
    let postgres = admin::connect(&server().await.config("postgres", "postgres")).await.unwrap();
    admin::drop_database(&postgres, &kept).await.unwrap();
}

/// As one leaves it that was killed between the two.
#[tokio::test]
async fn what_somebody_had_put_into_a_database_that_a_killed_restore_replaced_is_kept() {
    let (database, other) = (TestDatabase::create().await, TestDatabase::bare().await);
    let folder = tempfile::tempdir().unwrap();
    let file = backup(&database, folder.path()).await;
    other.execute("CREATE TABLE orders AS SELECT 8 AS id").await;
    let aside = "SELECT 'bailiwick_replaced_' || encode(substr(sha256(convert_to(current_database()::text, 'UTF8')), 1, 4), 'hex')";
    let aside: String = other.value(aside).await;
    let postgres = admin::connect(&server().await.config("postgres", "postgres")).await.unwrap();
    postgres.batch_execute(&format!("ALTER DATABASE {} RENAME TO {aside}", other.name())).await.unwrap();
    let output = bailiwick(&database, &["restore", "--into", other.name(), &file]).await;
    assert!(output.status.success() && remains(&other).await.is_empty(), "{}", both(&output));
    let said = both(&output);
    let kept = said.split("bailiwick_kept_").nth(1).unwrap_or_else(|| panic!("{said}"));
    let kept: String = kept.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
    let kept = format!("bailiwick_kept_{kept}");
    let look = admin::connect(&server().await.config("postgres", &kept)).await.unwrap();
    assert_eq!(look.query_one("SELECT id FROM orders", &[]).await.unwrap().get::<_, i32>(0), 8);
    drop(look);
    admin::drop_database(&postgres, &kept).await.unwrap();
}

#[tokio::test]
async fn an_import_of_anothers_is_not_taken_back_with_ours() {
    let database = TestDatabase::create().await;
    let folder = tempfile::tempdir().unwrap();
    let file = backup(&database, folder.path()).await;
    let (programs, reached) = stopping(folder.path(), "pg_restore", "").await;
    let child = begun(&database, &programs, &reached, &["restore", "--tenant", "demo", "--as", "again", &file]).await;
    let import = "INSERT INTO tenants (slug, name, status, import_sha256) VALUES ('again', 'Again', 'deleted', sha256('another'))";
    database.execute(import).await;
    std::fs::write(folder.path().join("pg_restore-go-on"), "").unwrap();
    let output = child.wait_with_output().await.unwrap();
    assert!(!output.status.success() && both(&output).contains("an import of another file"), "{}", both(&output));
    let there: i64 =
        database.value("SELECT count(*) FROM tenants WHERE slug = 'again' AND import_sha256 = sha256('another')").await;
    assert_eq!((there, remains(&database).await), (1, Vec::new()));
}
