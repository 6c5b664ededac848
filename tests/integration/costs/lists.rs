//! `bailiwick prices`.

use std::process::Stdio;

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use super::{session, usage};
use crate::harness::TestDatabase;

/// The command as the administrator who is no superuser: exit code, stdout and stderr.
async fn prices(database: &TestDatabase, arguments: &[&str], stdin: &str) -> (Option<i32>, String, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_bailiwick"))
        .arg("prices")
        .args(arguments)
        .env("BAILIWICK_ADMIN_DATABASE_URL", database.url("bailiwick_maintenance").await)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    // A command that ends before it has read is no fault of the test.
    let _ = input.write_all(stdin.as_bytes()).await;
    drop(input);
    let output = child.wait_with_output().await.unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

async fn good(database: &TestDatabase, arguments: &[&str], stdin: &str) -> String {
    let (code, out, err) = prices(database, arguments, stdin).await;
    assert_eq!(code, Some(0), "{arguments:?}: {err}");
    out
}

async fn count(database: &TestDatabase) -> i64 {
    database.value("SELECT count(*) FROM model_prices").await
}

const LIST: &str = "provider,model_name,input_usd_per_million,cached_input_usd_per_million,output_usd_per_million,effective_from,source,noted_on
acme,large-1,2.5,0.25,10,2026-01-01,Acme: price list,2026-01-05
acme,embed-1,0.02,,0,,Acme: price list,
openai,gpt-4o,2.5,1.25,10,,OpenAI: API pricing page,2026-01-05
";

#[tokio::test]
async fn a_list_is_imported_once_and_every_tenant_is_told() {
    let (database, session) = session().await;
    let before = count(&database).await;
    session.refused("record_usage", usage("acme", "large-1", 1, 1)).await;
    let import = ["import", "--format", "csv", "-"];
    let dry = good(&database, &["import", "--dry-run", "--format", "csv", "-"], LIST).await;
    assert!(dry.contains("2 would be added, 1 are in force") && dry.contains("nothing was changed"), "{dry}");
    assert_eq!(count(&database).await, before);
    assert!(good(&database, &import, LIST).await.contains("2 added, 1 were in force"));
    assert_eq!(count(&database).await, before + 2);
    let mut cached = usage("acme", "large-1", 1_000_000, 0);
    cached["cached_input_tokens"] = json!(1_000_000);
    assert_eq!(session.ok("record_usage", cached).await["total_cost_usd"], "0.25");
    // A second time there is nothing to add, and nobody is told.
    assert!(good(&database, &import, LIST).await.contains("0 added, 3 were in force"));
    let told = "SELECT string_agg(t.slug || ' ' || a.user_id || ' ' || a.action || ' ' || (a.details ->> 'added') || ' ' || (a.details -> 'models')::text, ';' ORDER BY t.slug)
                FROM audit_logs a JOIN tenants t ON t.id = a.tenant_id WHERE a.resource = 'administration/prices'";
    let row = |slug: &str| format!("{slug} administrator update 2 [\"acme/large-1\", \"acme/embed-1\"]");
    assert_eq!(database.value::<String>(told).await, format!("{};{}", row("demo"), row("enterprise")));
    // What it prints can be taken in elsewhere.
    let other = TestDatabase::create().await;
    for format in ["json", "csv"] {
        let listed = good(&database, &["list", "--all", &format!("--{format}")], "").await;
        let answer: Value =
            serde_json::from_str(&good(&other, &["import", "--json", "--format", format, "-"], &listed).await).unwrap();
        assert_eq!(answer["added"], if format == "json" { 2 } else { 0 }, "{answer}");
    }
    assert_eq!(count(&other).await, before + 2);
}

#[tokio::test]
async fn what_cannot_be_a_price_is_refused_whole() {
    let (database, _session) = session().await;
    let before = count(&database).await;
    let head = LIST.lines().next().unwrap();
    for (line, words) in [
        (
            "acme,large-1,2500000,,10,,x,",
            "line 3: input_usd_per_million is 2500000; allowed are 0 to 10000 USD per million tokens",
        ),
        ("acme,large-1,0.0000025,,10,,x,", "at most 6 decimals"),
        ("acme,large-1,2.5,3,10,,x,", "dearer than what is not cached"),
        ("acme,large-1,2.5,,,,x,", "output_usd_per_million is missing"),
        ("acme,large-1,2.5,,10,next year,x,", "effective_from is \"next year\""),
        ("acme,large-1,2.5,,10,,,", "source"),
        ("openai,gpt-4o,2.6,,10,2024-10-01,x,", "A price is never edited: give a later moment"),
        ("openai,gpt-4o,300,,10,,x,", "and has been 2.5 since 2024-10-01T00:00:00Z: more than 100 times"),
    ] {
        let text = format!("{head}\nacme,fine,1,,1,,x,\n{line}\n");
        let (code, out, err) = prices(&database, &["import", "--format", "csv", "-"], &text).await;
        assert!(
            code == Some(1) && out.is_empty() && err.contains(words) && err.contains("nothing was added"),
            "{line}: {err}"
        );
    }
    assert_eq!(count(&database).await, before);
    let (code, _, err) = prices(&database, &["import", "prices.txt"], "").await;
    assert!(code == Some(1) && err.contains("--format csv or --format json"), "{err}");
    let (code, _, err) = prices(&database, &["import", "/nowhere/prices.csv"], "").await;
    assert!(code == Some(1) && err.contains("cannot be read"), "{err}");
}

#[tokio::test]
async fn one_price_is_set_and_listed() {
    let (database, session) = session().await;
    let set = ["set", "openai", "gpt-4o", "--output", "20", "--source", "a letter"];
    let with = |input: &'static str| set.iter().copied().chain(["--input", input]).collect::<Vec<_>>();
    let (code, _, err) = prices(&database, &with("2500000"), "").await;
    assert!(code == Some(1) && err.contains("allowed are 0 to 10000"), "{err}");
    let (code, _, err) = prices(&database, &with("260"), "").await;
    assert!(code == Some(1) && err.contains("--allow-large-changes"), "{err}");
    good(&database, &with("5"), "").await;
    assert_eq!(session.ok("record_usage", usage("openai", "gpt-4o", 1_000_000, 0)).await["total_cost_usd"], "5");
    let mut later = with("6");
    later.extend(["--effective-from", "2100-01-01"]);
    good(&database, &later, "").await;
    assert_eq!(session.ok("record_usage", usage("openai", "gpt-4o", 1_000_000, 0)).await["total_cost_usd"], "5");
    let states = async |flags: &[&str]| {
        let flags: Vec<_> =
            ["list", "--provider", "openai", "--model", "gpt-4o", "--json"].iter().chain(flags).copied().collect();
        let listed: Value = serde_json::from_str(&good(&database, &flags, "").await).unwrap();
        let rows = listed["prices"].as_array().unwrap().iter();
        rows.map(|row| format!("{} {}", row["input_usd_per_million"].as_str().unwrap(), row["state"].as_str().unwrap()))
            .collect::<Vec<_>>()
    };
    assert_eq!(states(&[]).await, ["5 in force", "6 to come"]);
    assert_eq!(states(&["--all"]).await, ["2.5 past", "5 in force", "6 to come"]);
    let table = good(&database, &["list", "--provider", "voyage"], "").await;
    assert!(table.contains("voyage-3.5-lite") && table.contains("0.02") && table.contains("noted on"), "{table}");
}
