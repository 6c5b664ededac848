//! A server whose clock is wrong spends, refuses and reports in the database's month.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::process::Command;

use super::{assert_settled, of_usd};
use crate::harness::{Lacking, Process, TestDatabase, clock_of, libfaketime, skip};

async fn call(server: &mut Process, tool: &str, arguments: Value) -> Value {
    let params = json!({ "name": tool, "arguments": arguments });
    server.send(json!({ "jsonrpc": "2.0", "id": tool, "method": "tools/call", "params": params })).await;
    server.receive().await.unwrap()["result"].clone()
}

/// The real program with a clock that stands in a file, and is right as yet.
async fn serve(database: &TestDatabase, library: &Path, clock: &Path) -> Process {
    std::fs::write(clock, "+0s\n").unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_bailiwick"));
    command
        .env("BAILIWICK_DATABASE_URL", database.url("bailiwick_app").await)
        .env("BAILIWICK_TENANT", "demo")
        .envs(clock_of(library, clock));
    Process::spawn(command)
}

/// Waits for the next day if the database's (UTC) is about to end: all of a round is to be of one day, and of one month.
async fn beside_midnight(database: &TestDatabase) {
    let left = "SELECT extract(epoch FROM date_trunc('day', now(), 'UTC') + interval '1 day' - now())::float8";
    let left_s: f64 = database.value(left).await;
    if left_s < 90.0 {
        tokio::time::sleep(Duration::from_secs_f64(left_s + 1.0)).await;
    }
}

/// A server does not start with such a clock; while it runs its clock may go wrong: by an hour, and by so much that it is another
/// month wherever in the month this runs.
#[tokio::test]
async fn money_is_spent_in_the_databases_month_whatever_the_servers_clock_says() {
    let Some(library) = libfaketime() else {
        return skip(Lacking::Faketime, "there is no libfaketime on this machine");
    };
    let (database, folder) = (TestDatabase::create().await, tempfile::tempdir().unwrap());
    let clock = folder.path().join("clock");
    database.execute("UPDATE tenants SET monthly_budget_usd = 3 WHERE slug = 'demo'").await;
    for (offset, least_s) in [("-1h", 3_500.0), ("+1h", 3_500.0), ("-40d", 39.0 * 86_400.0), ("+40d", 39.0 * 86_400.0)]
    {
        database.execute("DELETE FROM cost_tracking; DELETE FROM budget_ledger; DELETE FROM audit_logs").await;
        beside_midnight(&database).await;
        let mut server = serve(&database, &library, &clock).await;
        server.initialize().await;
        std::fs::write(&clock, format!("{offset}\n")).unwrap();
        for _ in 0..3 {
            let recorded = call(&mut server, "record_usage", of_usd(1.0)).await;
            assert!(recorded["structuredContent"]["id"].is_i64(), "{offset}: {recorded}");
        }
        let refused = call(&mut server, "record_usage", of_usd(1.0)).await["content"][0]["text"].clone();
        let next = "SELECT to_char(date_trunc('month', now(), 'UTC') + interval '1 month', 'YYYY-MM-DD')";
        let (next, refused): (String, _) = (database.value(next).await, refused.as_str().unwrap());
        assert!(refused.starts_with("budget_exceeded") && refused.contains(&next), "{offset}: {refused}");
        let report =
            call(&mut server, "cost_report", json!({ "group_by": ["day"] })).await["structuredContent"].clone();
        let today: String = database.value("SELECT to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD')").await;
        let days = report["rows"].as_array().unwrap_or_else(|| panic!("{offset}: {report}"));
        assert_eq!((days.len(), days[0]["group"]["day"].as_str()), (1, Some(today.as_str())), "{offset}: {report}");
        assert_eq!(server.finish().await.0, Some(0), "{offset}");
        assert_settled(&database).await;
        // The trail has when a call began by the server's clock, which was indeed another one.
        let skew = "SELECT extract(epoch FROM max(\"timestamp\") - now())::float8 FROM audit_logs WHERE resource = 'tools/cost_report'";
        let skew: f64 = database.value(skew).await;
        assert!(skew.abs() > least_s, "{offset}: {skew}");
        let months = "SELECT string_agg(DISTINCT starts::text, ' ') = date_trunc('month', now(), 'UTC')::date::text
                      FROM budget_ledger WHERE period = 'month'";
        assert!(database.value::<bool>(months).await, "{offset}: another month has been charged");
    }
}
