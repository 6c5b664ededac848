use bailiwick::db::admin;
use serde_json::{Value, json};

use super::oracle::{contents, differences, guards};
use super::{backup, both, refused, remains, told, world};
use crate::harness::{Process, TestDatabase, server};

async fn drop_it(database: &TestDatabase) {
    let postgres = admin::connect(&server().await.config("postgres", "postgres")).await.unwrap();
    admin::drop_database(&postgres, database.name()).await.unwrap();
}

/// Settings and privileges of a database are in no dump.
async fn beside(database: &TestDatabase) -> Vec<String> {
    let sql = "SELECT format('%s %s %s', coalesce(nullif(a.grantee, 0)::regrole::text, 'everybody'), a.privilege_type, a.is_grantable) AS line
               FROM pg_database d, aclexplode(d.datacl) a WHERE d.datname = current_database()
               UNION ALL
               SELECT format('%s %s', s.setrole, setting) FROM pg_db_role_setting s, unnest(s.setconfig) AS setting
               WHERE s.setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database())
               ORDER BY 1";
    database.connect_admin().await.query(sql, &[]).await.unwrap().iter().map(|row| row.get("line")).collect()
}

#[tokio::test]
async fn what_was_dropped_comes_back_the_same_rows_behind_the_same_guards() {
    let database = TestDatabase::create().await;
    world::fill(&database).await;
    let name = database.name();
    database
        .execute(&format!(
            "ALTER DATABASE {name} SET work_mem = '7MB'; ALTER DATABASE {name} SET search_path = public, \"$user\";
             ALTER ROLE bailiwick_app IN DATABASE {name} SET hnsw.ef_search = '77';
             ALTER ROLE bailiwick_backup IN DATABASE {name} SET default_transaction_read_only = on;
             ALTER ROLE bailiwick_maintenance IN DATABASE {name} SET work_mem = '8MB';
             ALTER DATABASE {name} CONNECTION LIMIT 77"
        ))
        .await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("it's a backup").display().to_string();
    // Before the snapshot: a search leaves a row in the trail, too.
    let answers = world::answers(&database).await;
    world::open_call(&database).await;
    let made = told(&database, &["backup", "--json", &file]).await;
    let empty: Vec<_> =
        made["backup"]["table_rows"].as_object().unwrap().iter().filter(|(_, rows)| **rows == json!(0)).collect();
    assert_eq!(empty, [], "a table without rows proves nothing");
    let before = database.connect_admin().await;
    let (rows, guarded, outside) = (contents(&before).await, guards(&before).await, beside(&database).await);
    assert!(outside.len() > 6, "{outside:?}");
    drop(before);
    drop_it(&database).await;

    let restored = told(&database, &["restore", "--json", "--jobs", "2", &file]).await;
    assert_eq!(
        (&restored["restore"]["in_place"], &restored["restore"]["replaced"], &restored["equal"], &restored["sound"]),
        (&json!(true), &json!(false), &json!(true), &json!(true)),
        "{restored}"
    );
    let notes: Vec<_> = restored["notes"].as_array().unwrap().iter().map(|note| note.as_str().unwrap()).collect();
    // There was nothing to compare with.
    assert!(
        notes.len() == 2 && notes[0].contains("keys that were revoked") && notes[1].contains("heads of seals"),
        "{notes:?}"
    );
    let limit: i32 = database.value(&format!("SELECT datconnlimit FROM pg_database WHERE datname = '{name}'")).await;
    assert_eq!(limit, 77, "the form of a database that is gone is known from the backup");
    let after = database.connect_admin().await;
    assert_eq!(differences(&rows, &contents(&after).await), [""; 0]);
    assert_eq!(differences(&guarded, &guards(&after).await), [""; 0]);
    assert_eq!(differences(&outside, &beside(&database).await), [""; 0]);
    assert_eq!(told(&database, &["doctor", "--json"]).await["sound"], true);
    // It fails where a seal and its rows do not agree.
    told(&database, &["audit", "verify", "--json"]).await;
    assert_eq!(answers, world::answers(&database).await);
    // As the server's role nobody sees anything without a context.
    let seen: i64 = database.connect_app().await.query_one("SELECT count(*) FROM documents", &[]).await.unwrap().get(0);
    assert_eq!(seen, 0);
    assert_eq!(remains(&database).await, [""; 0]);
}

#[tokio::test]
async fn a_backup_is_of_one_moment_whatever_is_written_meanwhile() {
    let database = TestDatabase::create().await;
    world::fill(&database).await;
    let folder = tempfile::tempdir().unwrap();
    let writing = async {
        let client = database.connect_admin().await;
        loop {
            client
                .batch_execute(
                    "INSERT INTO tenants (slug, name) SELECT 't' || nextval('audit_logs_id_seq'), 'T';
                     UPDATE tenants SET settings = jsonb_build_object('n', nextval('audit_logs_id_seq')) WHERE slug = 'demo'",
                )
                .await
                .unwrap();
        }
    };
    let file = tokio::select! {
        file = backup(&database, folder.path()) => file,
        () = writing => unreachable!(),
    };
    let other = TestDatabase::bare().await;
    let restored = told(&other, &["restore", "--json", "--into", other.name(), &file]).await;
    assert_eq!(restored["equal"], true, "{restored}");
}

#[tokio::test]
async fn a_database_is_replaced_only_if_that_was_asked_for_and_its_servers_go_on() {
    let database = TestDatabase::create().await;
    world::fill(&database).await;
    let folder = tempfile::tempdir().unwrap();
    let file = backup(&database, folder.path()).await;
    let answers = world::answers(&database).await;
    let mut serving = Process::serve(&database, "demo").await;
    serving.initialize().await;
    database.execute("SET session_replication_role = replica; DELETE FROM documents").await;
    // What was decided and sealed since is named, for it is undone.
    let prefix: String = database
        .value("SELECT key_prefix FROM api_keys k JOIN tenants t ON t.id = k.tenant_id WHERE slug = 'demo'")
        .await;
    database
        .execute(
            "UPDATE api_keys SET revoked_at = now() WHERE tenant_id = (SELECT id FROM tenants WHERE slug = 'demo');
             UPDATE tenants SET status = 'suspended' WHERE slug = 'enterprise'",
        )
        .await;
    told(&database, &["maintain", "--json"]).await;
    database.execute("UPDATE tenants SET status = 'deleted' WHERE slug = 'paused'").await;

    let told_so = refused(&database, &["restore", &file]).await;
    assert!(told_so.contains("holds data") && told_so.contains("--replace"), "{told_so}");
    assert_eq!(database.value::<i64>("SELECT count(*) FROM documents").await, 0);

    let restored = told(&database, &["restore", "--json", "--replace", &file]).await;
    assert_eq!((&restored["restore"]["replaced"], &restored["sound"]), (&json!(true), &json!(true)), "{restored}");
    let notes: Vec<_> = restored["notes"].as_array().unwrap().iter().map(|note| note.as_str().unwrap()).collect();
    let key = format!("let in again: {prefix} (demo, ada@example.org): ");
    let wanted = [
        key.as_str(),
        "open again: enterprise (active, was suspended): ",
        "there again, suspended: paused (suspended, was deleted): ",
        "heads of seals",
    ];
    for wanted in wanted {
        assert!(notes.len() == 4 && notes.iter().any(|note| note.contains(wanted)), "{wanted}: {notes:?}");
    }
    // Again, now that nothing differs.
    assert_eq!(told(&database, &["restore", "--json", "--replace", &file]).await["notes"], json!([]));
    assert_eq!(answers, world::answers(&database).await);
    assert_eq!(remains(&database).await, [""; 0]);
    // The server was thrown out and comes back by itself.
    let params = json!({ "name": "hybrid_search", "arguments": { "query": "coffee machine" } });
    let mut answer = Value::Null;
    for id in 1..20 {
        serving.send(json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params })).await;
        answer = serving.receive().await.unwrap();
        if answer["result"]["isError"] != true {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
    assert_eq!(answer["result"]["structuredContent"]["results"].as_array().map(Vec::len), Some(5), "{answer}");
}

#[tokio::test]
async fn what_is_none_of_ours_is_not_replaced() {
    let (database, foreign) = (TestDatabase::create().await, TestDatabase::bare().await);
    let folder = tempfile::tempdir().unwrap();
    let file = backup(&database, folder.path()).await;
    foreign.execute("CREATE TABLE orders (id int)").await;
    let told_so = refused(&database, &["restore", "--replace", "--into", foreign.name(), &file]).await;
    assert!(told_so.contains("none of Bailiwick's"), "{told_so}");
    assert_eq!(foreign.value::<i64>("SELECT count(*) FROM orders").await, 0);
    for (plant, table) in [
        // Other programs have tables of such names.
        ("DROP TABLE orders; CREATE TABLE schema_migrations (id int); CREATE TABLE audit_logs (id int)", "audit_logs"),
        (
            "DROP TABLE schema_migrations, audit_logs; CREATE FUNCTION theirs() RETURNS int LANGUAGE sql AS 'SELECT 1'",
            "theirs()",
        ),
    ] {
        foreign.execute(plant).await;
        let told_so = refused(&database, &["restore", "--replace", "--into", foreign.name(), &file]).await;
        assert!(told_so.contains("none of Bailiwick's"), "{table}: {told_so}");
    }
    let told_so = refused(&database, &["restore", "--replace", "--into", "postgres", &file]).await;
    assert!(told_so.contains("the server's own"), "{told_so}");
}

#[tokio::test]
async fn a_backup_is_a_dump_that_pg_restore_reads() {
    let database = TestDatabase::create().await;
    world::fill(&database).await;
    let folder = tempfile::tempdir().unwrap();
    let file = backup(&database, folder.path()).await;
    let restored = TestDatabase::bare().await;
    let target = format!("--dbname={}", restored.url("postgres").await);
    // As it stands in the runbook for a machine without this program.
    let runbook = std::fs::read_to_string(crate::documentation::file("docs/operations.md")).unwrap();
    let options = ["--enable-row-security", "--exit-on-error"];
    assert!(runbook.contains(&options.join(" ")), "docs/operations.md restores in another way");
    let pg_restore = server().await.bin_dir().join("pg_restore");
    let output = std::process::Command::new(pg_restore).args(options).args([&target, &file]).output().unwrap();
    assert!(output.status.success(), "{}", both(&output));
    let (before, after) = (database.connect_admin().await, restored.connect_admin().await);
    assert_eq!(differences(&contents(&before).await, &contents(&after).await), [""; 0]);
    // Privileges on the database itself are not in the dump, as the runbook says.
    let name = restored.name();
    let (revoke, grant) = (
        format!("REVOKE CREATE, TEMPORARY ON DATABASE {name} FROM PUBLIC"),
        format!("GRANT TEMPORARY ON DATABASE {name} TO bailiwick_statistics"),
    );
    assert!([&revoke, &grant].iter().all(|sql| runbook.contains(&sql.replace(name, "restored"))), "{revoke}; {grant}");
    restored.execute(&format!("{revoke}; {grant}")).await;
    assert_eq!(told(&restored, &["doctor", "--json"]).await["sound"], true);
    let compared = told(&restored, &["restore", "--json", "--compare", &file]).await;
    assert_eq!(compared["equal"], true, "{compared}");
}

/// Why a backup is made as the role that it is made as.
#[tokio::test]
async fn a_role_that_sees_a_part_makes_no_backup() {
    let database = TestDatabase::create().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("part").display().to_string();
    let url = database.url("bailiwick_app").await;
    let told_so = refused(&database, &["backup", "--backup-database-url", &url, &file]).await;
    assert!(told_so.contains("past row-level security"), "{told_so}");
    let url = database.url("bailiwick_backup").await;
    told(&database, &["backup", "--json", "--backup-database-url", &url, &file]).await;
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}
