//! A dump by the role for backups, restored as `docs/operations.md` says: all of it is there, and guarded as before.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};
use tokio_postgres::Client;

use crate::harness::{Session, TestDatabase, server};

/// One of PostgreSQL's own programs, of the tests' server.
async fn tool(name: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new(server().await.bin_dir().join(name));
    command.args(arguments).output().unwrap()
}

async fn dump(database: &TestDatabase, file: &Path) {
    let url = database.url("bailiwick_backup").await;
    let output = tool("pg_dump", &["--format=custom", &format!("--file={}", file.display()), &url]).await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Every row of every table of the schema, as a checksum a table. The view is filled anew, so without when that was.
async fn contents(client: &Client) -> Vec<String> {
    let tables =
        "SELECT oid::regclass::text, CASE relkind WHEN 'm' THEN '(to_jsonb(t) - ''as_of'')::text' ELSE 't::text' END
                  FROM pg_class
                  WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'm') ORDER BY 1";
    let mut contents = Vec::new();
    for row in client.query(tables, &[]).await.unwrap() {
        let (table, text): (String, String) = (row.get(0), row.get(1));
        let sum = format!(
            "SELECT format('%s rows %s', count(*), md5(string_agg({text}, E'\\n' ORDER BY {text}))) FROM {table} AS t"
        );
        let row = client.query_one(&sum, &[]).await.unwrap();
        contents.push(format!("{table}: {}", row.get::<_, String>(0)));
    }
    assert!(contents.len() > 20, "{contents:?}");
    contents
}

/// What is in one and not in the other.
fn differences(one: &[String], other: &[String]) -> Vec<String> {
    let missing = |a: &[String], b: &[String]| a.iter().filter(|line| !b.contains(line)).cloned().collect::<Vec<_>>();
    [missing(one, other), missing(other, one)].concat()
}

/// What guards the rows: policies, forced security, owners, grants, definer functions, constraints, triggers. Read back, an
/// expression has other parentheses.
async fn guards(client: &Client) -> Vec<String> {
    let sql = "SELECT to_jsonb(p)::text AS line FROM pg_policies p
               UNION ALL
               SELECT format('%s %s %s %s %s', oid::regclass, relowner::regrole, relrowsecurity, relforcerowsecurity,
                   (SELECT string_agg(acl::text, ',' ORDER BY acl::text) FROM unnest(coalesce(relacl, acldefault((CASE relkind WHEN 'S' THEN 's' ELSE 'r' END)::\"char\", relowner))) AS acl))
               FROM pg_class WHERE relnamespace = 'public'::regnamespace
               UNION ALL
               SELECT format('%s %s %s %s %s', oid::regprocedure, proowner::regrole, prosecdef, proconfig,
                   (SELECT string_agg(acl::text, ',' ORDER BY acl::text) FROM unnest(coalesce(proacl, acldefault('f', proowner))) AS acl))
               FROM pg_proc WHERE pronamespace = 'public'::regnamespace
               UNION ALL
               SELECT format('%s %s', conrelid::regclass, translate(pg_get_constraintdef(oid), '()', '')) FROM pg_constraint
               WHERE connamespace = 'public'::regnamespace
               UNION ALL
               SELECT translate(pg_get_triggerdef(oid), '()', '') FROM pg_trigger WHERE NOT tgisinternal
               UNION ALL
               SELECT translate(pg_get_indexdef(indexrelid), '()', '') FROM pg_index
               JOIN pg_class ON oid = indexrelid AND relnamespace = 'public'::regnamespace
               ORDER BY 1";
    client.query(sql, &[]).await.unwrap().iter().map(|row| row.get("line")).collect()
}

async fn bailiwick(database: &TestDatabase, arguments: &[&str]) -> Value {
    let output = tokio::process::Command::new(env!("CARGO_BIN_EXE_bailiwick"))
        .args(arguments)
        .env("BAILIWICK_DATABASE_URL", database.url("bailiwick_app").await)
        .env("BAILIWICK_ADMIN_DATABASE_URL", database.url("postgres").await)
        .env("BAILIWICK_TENANT", "demo")
        .env("BAILIWICK_NO_EMBEDDINGS", "true")
        .output()
        .await
        .unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{arguments:?}: {out}{err}");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[tokio::test]
async fn a_dump_restores_to_the_same_rows_behind_the_same_guards() {
    let database = TestDatabase::create().await;
    for slug in ["demo", "enterprise"] {
        let tenant = database.tenant(slug).await;
        let session = Session::open(&database, &tenant).await;
        for n in 0..5 {
            let content = format!("The coffee machine number {n} of {slug} is descaled on Fridays.");
            let document = json!({ "title": format!("Machine {n}"), "content": content, "embedding": [1, n, 0, 0] });
            session.ok("insert_document", document).await;
        }
        session
            .ok(
                "record_usage",
                json!({ "provider": "openai", "model_name": "gpt-4o", "input_tokens": 7, "output_tokens": 1 }),
            )
            .await;
    }
    bailiwick(&database, &["maintain", "--json"]).await;
    database.execute("SELECT refresh_tenant_statistics()").await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bailiwick.dump");
    dump(&database, &file).await;

    let restored = TestDatabase::bare().await;
    let (target, file) = (format!("--dbname={}", restored.url("postgres").await), file.display().to_string());
    // As it stands in the runbook.
    let runbook = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/operations.md")).unwrap();
    let options = ["--enable-row-security", "--exit-on-error"];
    assert!(runbook.contains(&options.join(" ")), "docs/operations.md restores in another way");
    let output = tool("pg_restore", &[options[0], options[1], &target, &file]).await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    // Privileges on the database itself are not in the dump, as the runbook says; doctor misses them.
    let name = restored.name();
    let (revoke, grant) = (
        format!("REVOKE CREATE, TEMPORARY ON DATABASE {name} FROM PUBLIC"),
        format!("GRANT TEMPORARY ON DATABASE {name} TO bailiwick_statistics"),
    );
    assert!([&revoke, &grant].iter().all(|sql| runbook.contains(&sql.replace(name, "restored"))), "{revoke}; {grant}");
    restored.execute(&format!("{revoke}; {grant}")).await;

    let (before, after) = (database.connect_admin().await, restored.connect_admin().await);
    assert_eq!(differences(&contents(&before).await, &contents(&after).await), [""; 0]);
    assert_eq!(differences(&guards(&before).await, &guards(&after).await), [""; 0]);
    let search = ["search", "--json", "coffee machine"];
    let answers = [bailiwick(&database, &search).await, bailiwick(&restored, &search).await];
    assert_eq!(answers[0]["results"].as_array().unwrap().len(), 5);
    assert_eq!(answers[0]["results"], answers[1]["results"]);
    assert_eq!(bailiwick(&restored, &["doctor", "--json"]).await["sound"], true);
    // It fails where a seal and its rows do not agree.
    bailiwick(&restored, &["audit", "verify", "--json"]).await;
    // As the server's role nobody sees anything without a context.
    let seen: i64 = restored.connect_app().await.query_one("SELECT count(*) FROM documents", &[]).await.unwrap().get(0);
    assert_eq!(seen, 0);
}

/// Why the runbook names that option, and why it names that role.
#[tokio::test]
async fn without_the_option_or_the_role_nothing_is_had_in_silence() {
    let database = TestDatabase::create().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bailiwick.dump");
    dump(&database, &file).await;
    let restored = TestDatabase::bare().await;
    let target = format!("--dbname={}", restored.url("postgres").await);
    let output = tool("pg_restore", &["--exit-on-error", &target, &file.display().to_string()]).await;
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && told.contains("row-level security"), "{told}");
    let (out, url) = (format!("--file={}", folder.path().join("part").display()), database.url("bailiwick_app").await);
    let output = tool("pg_dump", &["--format=custom", &out, &url]).await;
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "a dump by the server's role would be a part: {told}");
}
