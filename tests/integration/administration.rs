//! `bailiwick migrate` and `bailiwick tenant`, as an administrator runs them.

use std::process::Output;

use bailiwick::db::admin;
use serde_json::Value;
use tokio::process::Command;

use crate::harness::TestDatabase;

async fn bailiwick(database: &TestDatabase, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bailiwick"));
    command
        .args(arguments)
        .env("BAILIWICK_ADMIN_DATABASE_URL", database.url("postgres").await)
        .env_remove("DATABASE_URL");
    command.output().await.unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[tokio::test]
async fn a_tenant_is_made_once_and_listed_with_its_limits() {
    let database = TestDatabase::create().await;
    let create = [
        "tenant",
        "create",
        "acme",
        "--name",
        "Acme Ltd",
        "--monthly-budget-usd",
        "12.50",
        "--max-documents",
        "3",
        "--json",
    ];
    let made = bailiwick(&database, &create).await;
    assert!(made.status.success(), "{}", text(&made.stderr));
    let made: Value = serde_json::from_slice(&made.stdout).unwrap();
    let again = bailiwick(&database, &create).await;
    assert_eq!(
        (again.status.code(), text(&again.stderr)),
        (Some(1), "error: there is a tenant \"acme\" already\n".to_owned())
    );

    let listed = bailiwick(&database, &["tenant", "list", "--json"]).await;
    let listed: Value = serde_json::from_slice(&listed.stdout).unwrap();
    let tenants = listed["tenants"].as_array().unwrap();
    let slugs: Vec<_> = tenants.iter().map(|tenant| tenant["slug"].as_str().unwrap()).collect();
    assert_eq!(slugs, ["acme", "demo", "enterprise"]);
    assert_eq!(tenants[0]["id"], made["tenant"]["id"]);
    assert_eq!((&tenants[0]["monthly_budget_usd"], &tenants[0]["max_documents"]), (&"12.5".into(), &3.into()));
    assert_eq!(tenants[0]["max_storage_mb"], 10_240);
}

#[tokio::test]
async fn a_tenant_is_made_with_limits_settings_and_a_row_in_its_trail() {
    let database = TestDatabase::create().await;
    let made = bailiwick(&database, &["tenant", "create", "acme"]).await;
    assert!(made.status.success(), "{}", text(&made.stderr));
    let told = text(&made.stdout);
    assert!(told.contains("\nlimits: 50 USD a month, 100000 documents, 10240 MiB; "), "{told}");
    let settings = r#"{"budget": {"daily_usd": 2, "mode": null}, "limits": null}"#;
    let free = [
        "tenant",
        "create",
        "free",
        "--monthly-budget-usd",
        "unlimited",
        "--max-documents",
        "unlimited",
        "--settings",
        settings,
        "--json",
    ];
    let made = bailiwick(&database, &free).await;
    assert!(made.status.success(), "{}", text(&made.stderr));
    let made: Value = serde_json::from_slice(&made.stdout).unwrap();
    let tenant = &made["tenant"];
    assert_eq!((&tenant["monthly_budget_usd"], &tenant["max_documents"]), (&Value::Null, &Value::Null));
    assert_eq!(tenant["max_storage_mb"], 10_240);
    let rows = "SELECT string_agg(concat_ws(' ', slug, monthly_budget_usd::float8, max_documents, max_storage_mb, settings), '; ' ORDER BY slug) FROM tenants WHERE slug IN ('acme', 'free')";
    assert_eq!(
        database.value::<String>(rows).await,
        r#"acme 50 100000 10240 {}; free 10240 {"budget": {"daily_usd": 2}}"#
    );
    // Nothing of it where there is one already.
    assert!(!bailiwick(&database, &["tenant", "create", "acme"]).await.status.success());
    let trail = "SELECT string_agg(concat_ws(' ', t.slug, a.user_id, a.action, a.resource, a.outcome, a.details->>'status', a.details->>'slug'), '; ' ORDER BY t.slug) FROM audit_logs a JOIN tenants t ON t.id = a.tenant_id";
    assert_eq!(
        database.value::<String>(trail).await,
        "acme administrator insert administration/tenant ok made acme; free administrator insert administration/tenant ok made free"
    );
    let refused = bailiwick(&database, &["tenant", "create", "x", "--settings", r#"{"budget": {"daily": 1}}"#]).await;
    assert!(text(&refused.stderr).contains("unknown field `daily`"), "{}", text(&refused.stderr));
}

#[tokio::test]
async fn a_tenant_that_cannot_be_is_refused_with_the_rule() {
    let database = TestDatabase::create().await;
    for arguments in [&["tenant", "create", "Not A Slug"][..], &["tenant", "create", "acme", "--name", " "]] {
        let refused = bailiwick(&database, arguments).await;
        assert_eq!(refused.status.code(), Some(1));
        assert!(text(&refused.stderr).contains("small letters, digits and hyphens"), "{}", text(&refused.stderr));
    }
    assert_eq!(database.value::<i64>("SELECT count(*) FROM tenants").await, 2);
}

#[tokio::test]
async fn a_tenant_is_changed_shown_suspended_and_activated_with_a_row_for_each() {
    let database = TestDatabase::create().await;
    let run = async |arguments: &[&str]| {
        let output = bailiwick(&database, arguments).await;
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    let settings = r#"{"budget": {"mode": "soft", "daily_usd": 5}, "limits": {"calls_per_minute": 60}}"#;
    let set =
        ["tenant", "set", "demo", "--monthly-budget-usd", "unlimited", "--max-documents", "7", "--settings", settings];
    assert_eq!(run(&set).await.0, Some(0));
    // What is absent stays, what is null goes, and what is given is merged.
    let more = r#"{"budget": {"mode": null, "user_daily_usd": 1}, "limits": null}"#;
    assert_eq!(run(&["tenant", "set", "demo", "--name", "Demo Ltd", "--settings", more]).await.0, Some(0));
    let shown: Value = serde_json::from_str(&run(&["tenant", "show", "demo", "--json"]).await.1).unwrap();
    let tenant = &shown["tenant"];
    assert_eq!(
        (&tenant["name"], &tenant["monthly_budget_usd"], &tenant["max_documents"]),
        (&"Demo Ltd".into(), &Value::Null, &7.into())
    );
    assert_eq!(tenant["settings"]["budget"], serde_json::json!({ "daily_usd": 5, "user_daily_usd": 1 }));
    assert_eq!((tenant["settings"].get("limits"), &tenant["settings"]["tier"]), (None, &"free".into()));
    for (arguments, words) in [
        (&["tenant", "set", "nobody", "--name", "x"][..], "there is no tenant \"nobody\""),
        (&["tenant", "set", "demo", "--max-documents", "-1"], "unexpected argument"),
        (&["tenant", "set", "demo", "--max-documents=-1"], "give a number from 0 on, or unlimited"),
        (&["tenant", "set", "demo", "--settings", r#"{"budget": {"daily": 1}}"#], "unknown field `daily`"),
        (&["tenant", "set", "demo", "--name", " "], "a name is not blank"),
        (&["tenant", "suspend", "nobody"], "there is no tenant"),
        (&["tenant", "show", "nobody"], "there is no tenant"),
    ] {
        let (code, _, told) = run(arguments).await;
        assert!(code != Some(0) && told.contains(words), "{arguments:?}: {told}");
    }
    let status = "SELECT status FROM tenants WHERE slug = 'demo'";
    assert_eq!(run(&["tenant", "suspend", "demo"]).await.0, Some(0));
    assert_eq!(database.value::<String>(status).await, "suspended");
    assert_eq!(run(&["tenant", "activate", "demo"]).await.0, Some(0));
    assert_eq!(database.value::<String>(status).await, "active");
    let trail = "SELECT string_agg(coalesce(details->>'status', details->>'fields'), '; ' ORDER BY id) FROM audit_logs WHERE user_id = 'administrator'";
    assert_eq!(
        database.value::<String>(trail).await,
        r#"["monthly_budget_usd", "max_documents", "settings"]; ["name", "settings"]; suspended; active"#
    );
}

#[tokio::test]
async fn migrations_go_down_and_up_again_and_say_where_they_stand() {
    let database = TestDatabase::create().await;
    let states = async |database: &TestDatabase| {
        let output = bailiwick(database, &["migrate", "status", "--json"]).await;
        assert!(output.status.success(), "{}", text(&output.stderr));
        let status: Value = serde_json::from_slice(&output.stdout).unwrap();
        status["entries"].as_array().unwrap().iter().filter(|entry| entry.to_string().contains("pending")).count()
    };
    assert_eq!(states(&database).await, 0);
    let down = bailiwick(&database, &["migrate", "down", "2"]).await;
    assert!(down.status.success(), "{}", text(&down.stderr));
    assert_eq!(states(&database).await, 2);
    let up = bailiwick(&database, &["migrate", "up"]).await;
    assert!(up.status.success(), "{}", text(&up.stderr));
    assert_eq!(states(&database).await, 0);
}

#[tokio::test]
async fn an_administrator_who_is_no_superuser_can_make_the_schema() {
    let database = TestDatabase::empty().await;
    let role = format!("landlord_{}", std::process::id());
    // What a managed service gives: the database, CREATEROLE, and extensions that somebody else has made. Roles of this
    // cluster are there already, so membership stands for having made them.
    database
        .execute(&format!(
            "DROP ROLE IF EXISTS {role}; CREATE ROLE {role} LOGIN CREATEROLE; GRANT bailiwick_owner TO {role};
             ALTER DATABASE {name} OWNER TO {role}; CREATE EXTENSION vector; CREATE EXTENSION pg_trgm",
            name = database.name()
        ))
        .await;
    let run = async |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bailiwick"));
        command
            .args(arguments)
            .env("BAILIWICK_ADMIN_DATABASE_URL", database.url(&role).await)
            .env_remove("DATABASE_URL");
        command.output().await.unwrap()
    };
    for arguments in
        [&["migrate", "up"][..], &["tenant", "create", "acme"], &["migrate", "down", "9"], &["migrate", "up"]]
    {
        let output = run(arguments).await;
        assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
    }
    assert_eq!(crate::catalog::faults(&database.connect_admin().await).await, []);
    drop(database);
    let postgres = TestDatabase::empty().await;
    postgres.execute(&format!("DROP ROLE {role}")).await;
}

#[tokio::test]
async fn rows_that_came_while_their_month_was_missing_move_into_it() {
    let database = TestDatabase::create().await;
    let tenant = database.tenant("demo").await.id;
    database
        .execute(&format!(
            "SET app.current_tenant_id = '{tenant}';
             SELECT drop_month_partitions('audit_logs', '2126-01-01'), drop_month_partitions('cost_tracking', '2126-01-01');
             INSERT INTO audit_logs (tenant_id, user_id, call_id, action, outcome, success) VALUES ('{tenant}', 'u', gen_random_uuid(), 'search', 'ok', true);
             INSERT INTO cost_tracking (tenant_id, user_id, model_name, provider, input_tokens, output_tokens, input_cost, output_cost)
             VALUES ('{tenant}', 'u', 'm', 'p', 1, 2, 0.5, 0.25)"
        ))
        .await;
    let strays = "SELECT (SELECT count(*) FROM audit_logs_default) + (SELECT count(*) FROM cost_tracking_default)";
    assert_eq!(database.value::<i64>(strays).await, 2);
    let client = database.connect_admin().await;
    assert_eq!(admin::maintain_partitions(&client).await.unwrap(), 8);
    assert_eq!(database.value::<i64>(strays).await, 0);
    let kept =
        "SELECT (SELECT count(*) FROM audit_logs) + (SELECT count(*) FROM cost_tracking WHERE total_cost = 0.75)";
    assert_eq!(database.value::<i64>(kept).await, 2);
    // Moving is no spending.
    assert_eq!(
        database
            .value::<String>(
                "SELECT sum(spent_usd)::float::text FROM budget_ledger WHERE period = 'month' AND user_id = ''"
            )
            .await,
        "0.75"
    );
    let open = "SELECT count(*) FROM pg_class WHERE relname LIKE '%\\_default' AND relkind = 'r' AND NOT (relrowsecurity AND relforcerowsecurity)";
    assert_eq!(database.value::<i64>(open).await, 0);
}
