use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::Command;

use super::folder;
use super::words::usd;
use crate::harness::{Lacking, TestDatabase, skip};
use crate::http::served::Served;
use crate::http::{ALL_SCOPES, key, reply, tool_call};

/// A name that would do something if it were read as HTML.
const HOSTILE: &str = "<img src=https://example.com/x onerror=alert(1)>";

fn chromium() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|folder| folder.join("chromium")).find(|program| program.is_file());
    if found.is_none() {
        skip(Lacking::Chromium, "there is no chromium on this machine, so the view was not looked at in a browser");
    }
    found
}

/// Thirty days of costs by four models and three users, one of them with a hostile name.
async fn stock(database: &TestDatabase) {
    let id = database.tenant("demo").await.id;
    database
        .execute(&format!(
            "SELECT setseed(0.25);
             SELECT create_month_partition('cost_tracking', (date_trunc('month', now()) - make_interval(months => back))::date) FROM generate_series(0, 2) AS back;
             SET app.current_tenant_id = '{id}';
             INSERT INTO cost_tracking (timestamp, tenant_id, user_id, model_name, provider, input_tokens, output_tokens, input_cost, output_cost, operation)
             SELECT date_trunc('day', now(), 'UTC') - make_interval(days => day) + interval '1 second' * at, '{id}',
                    (ARRAY['ada', 'ben', '{HOSTILE}'])[1 + at % 3], (ARRAY['gpt-4o', 'gpt-4o-mini', 'text-embedding-3-small', 'tiny'])[1 + at % 4],
                    'openai', 1000 + (random() * 9000)::int, (random() * 3000)::int,
                    (random() / (ARRAY[3, 12, 40, 1000000])[1 + at % 4])::numeric(24, 12), (random() / (ARRAY[3, 12, 40, 1000000])[1 + at % 4])::numeric(24, 12),
                    CASE WHEN at % 2 = 0 THEN 'chat' END
             FROM generate_series(0, 29) AS day, generate_series(1, 12) AS at WHERE day % 7 <> 3;
             UPDATE tenants SET settings = settings || '{{\"budget\": {{\"daily_usd\": 1000, \"user_monthly_usd\": 5}}}}' WHERE slug = 'demo'"
        ))
        .await;
}

struct Stage {
    database: TestDatabase,
    served: Served,
    key: String,
    /// The period that is shown, as the tool's arguments.
    args: Value,
}

impl Stage {
    /// A server with costs, for pages of this origin.
    async fn set(origin: &str) -> Self {
        let database = TestDatabase::create().await;
        stock(&database).await;
        let served = Served::start_with(&database, |command| {
            command.env("BAILIWICK_ALLOWED_ORIGINS", origin);
        })
        .await;
        let key = key(&database, "demo", "ada", ALL_SCOPES).await;
        let period = "SELECT to_char(now() AT TIME ZONE 'UTC' + make_interval(days => days), 'YYYY-MM-DD') FROM (VALUES (-29), (1)) AS v (days) ORDER BY days";
        let days: Vec<String> = database.value(&format!("SELECT array_agg(day) FROM ({period}) AS v (day)")).await;
        Self { database, served, key, args: json!({ "from": days[0], "to": days[1] }) }
    }

    /// The tool's own answer for the period.
    async fn report(&self, group_by: Value) -> Value {
        let mut args = self.args.clone();
        args["group_by"] = group_by;
        let post = self.served.post(&reqwest::Client::new(), &self.key).json(&tool_call(1, "cost_report", &args));
        reply(post.send().await.unwrap()).await["result"]["structuredContent"].take()
    }
}

/// Where screenshots are kept for people to look at.
fn screenshots() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("views");
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// Lets the browser look at all scenes, or at other pages in place of ours; what it saw.
async fn look(folder: &Path, chromium: &Path, pages: Value) -> (Stage, Value) {
    let mut driver = Command::new("node");
    driver.arg("views/drive.mjs").arg(chromium).arg(screenshots()).current_dir(folder);
    let mut driver =
        driver.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
    let mut stderr = driver.stderr.take().unwrap();
    let complaints = tokio::spawn(async move {
        let mut text = String::new();
        stderr.read_to_string(&mut text).await.unwrap();
        text
    });
    let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines();
    let mut told = async |what: &str| {
        let line = tokio::time::timeout(Duration::from_secs(300), lines.next_line()).await;
        let line = line.unwrap_or_else(|_| panic!("{what} does not come")).unwrap();
        line.map(|line| serde_json::from_str::<Value>(&line).unwrap_or_else(|error| panic!("{error}: {line}")))
    };
    let Some(first) = told("the host").await else { panic!("{}", complaints.await.unwrap()) };
    let stage = Stage::set(first["origin"].as_str().unwrap()).await;
    let empty = json!({ "from": "2020-01-01", "to": "2020-02-01" });
    let asked =
        json!({ "url": stage.served.url, "key": stage.key, "args": stage.args, "empty": empty, "pages": pages });
    driver.stdin.take().unwrap().write_all(format!("{asked}\n").as_bytes()).await.unwrap();
    match told("what was seen").await {
        Some(saw) => (stage, saw),
        None => panic!("{}", complaints.await.unwrap()),
    }
}

/// A cell of an amount.
fn cell(amount: &Value) -> Value {
    json!({ "text": usd(amount), "value": amount })
}

/// Rows of a report, the dearest first, each with its value of a key.
fn dearest<'a>(report: &'a Value, key: &str) -> Vec<(&'a str, &'a Value)> {
    let mut rows: Vec<_> =
        report["rows"].as_array().unwrap().iter().map(|row| (row["group"][key].as_str().unwrap(), row)).collect();
    let cost = |row: &Value| row["total_cost_usd"].as_str().unwrap().parse::<rust_decimal::Decimal>().unwrap();
    rows.sort_by_key(|row| std::cmp::Reverse(cost(row.1)));
    rows
}

fn assert_is_the_report(scene: &Value, report: &Value) {
    let totals = &report["totals"];
    let card = |name: &str| (scene["cards"][name]["text"].clone(), scene["cards"][name]["value"].clone());
    assert_eq!(card("Total"), (json!(usd(&totals["total_cost_usd"])), totals["total_cost_usd"].clone()));
    assert_eq!(card("Operations").1, totals["operations"].to_string());
    assert_eq!(card("Tokens").1, totals["total_tokens"].to_string());
    let rows = dearest(report, "model");
    for (seen, (model, row)) in scene["table"]["rows"].as_array().unwrap().iter().zip(&rows) {
        assert_eq!(seen[0]["text"], *model);
        for (at, name) in [(1, "operations"), (2, "input_tokens"), (3, "output_tokens")] {
            assert_eq!(seen[at]["value"], row[name].to_string(), "{name}");
        }
        for (at, name) in [(4, "input_cost_usd"), (5, "output_cost_usd"), (6, "total_cost_usd")] {
            assert_eq!(seen[at], cell(&row[name]), "{name}");
        }
    }
    assert_eq!(scene["table"]["foot"][6], cell(&totals["total_cost_usd"]));
    let bars: Vec<_> = rows
        .iter()
        .map(|(model, row)| json!({ "name": model, "text": usd(&row["total_cost_usd"]), "value": row["total_cost_usd"] }))
        .collect();
    assert_eq!(scene["groups"], json!(bars));
    assert_eq!(scene["table"]["rows"].as_array().unwrap().len(), rows.len());
    let painted: Vec<bool> = scene["painted"].as_array().unwrap().iter().map(|pixels| pixels != 0).collect();
    assert!(painted[..2].iter().all(|is| *is), "the dearest have their colours in the chart: {painted:?}");
    assert!(painted[rows.len()..].iter().all(|is| !is), "and nobody else: {painted:?}");
}

fn assert_are_the_days(scene: &Value, by_day: &Value) {
    let days = scene["days"]["rows"].as_array().unwrap();
    assert_eq!(days.len(), 30, "days without costs are there, too");
    let seen: Vec<_> =
        days.iter().map(|row| row.as_array().unwrap().last().unwrap()).filter(|cell| cell["text"] != "–").collect();
    let told: Vec<_> = by_day["rows"].as_array().unwrap().iter().map(|row| cell(&row["total_cost_usd"])).collect();
    assert_eq!(json!(seen), json!(told));
}

fn assert_is_the_budget(scene: &Value, report: &Value) {
    let budget = &report["budget"];
    let limits = budget["limits"].as_array().unwrap();
    assert_eq!(scene["limits"].as_array().unwrap().len(), limits.len());
    for (seen, limit) in scene["limits"].as_array().unwrap().iter().zip(limits) {
        let whose = if limit["of"] == "user" { "Your own limit" } else { "Organisation" };
        let name = seen["name"].as_str().unwrap();
        assert!(name.starts_with(&format!("{whose}, UTC {}", limit["period"].as_str().unwrap())), "{name}");
        assert!(name.contains(if limit["hard"] == true { "hard" } else { "soft" }), "{name}");
        assert_eq!((&seen["values"][0], &seen["values"][1]), (&limit["spent_usd"], &limit["limit_usd"]));
        assert!(seen["told"].as_str().unwrap().contains(&format!("{} spent", usd(&limit["spent_usd"]))));
        let status = seen["badge"].as_str().unwrap().to_uppercase();
        assert_eq!(json!(status), limit["status"]);
    }
    // It rises with each moment that passes without costs, so it is compared with what the host was told.
    assert_eq!(scene["forecast"]["value"], scene["shown"]["forecast"]);
}

/// What holds of every scene, whatever it shows.
fn assert_is_in_order(name: &str, scene: &Value) {
    for (list, words) in [
        ("complaints", "errors"),
        ("requests", "requests to the network"),
        ("faults", "barriers to whoever reads otherwise"),
    ] {
        assert_eq!(scene[list], json!([]), "{name}: there are no {words}");
    }
    assert_eq!(scene["overflow"], 0, "{name}: nothing is wider than the page");
    for (color, contrast) in scene["contrasts"].as_object().unwrap() {
        let least = if color == "--warn" || color == "--bad" { 4.5 } else { 3.0 };
        assert!(contrast.as_f64().unwrap() >= least, "{name}: {color} {contrast}");
    }
    assert_eq!(scene["title"], "Costs");
}

#[tokio::test]
async fn a_host_shows_what_the_tool_tells_to_whoever_looks_reads_or_listens() {
    let Some(chromium) = chromium() else { return };
    let Some(folder) = folder("shown").await else { return };
    let (stage, saw) = look(&folder, &chromium, Value::Null).await;
    for (name, scene) in saw.as_object().unwrap() {
        assert_is_in_order(name, scene);
    }
    let (by_model, by_day) = (stage.report(json!(["model"])).await, stage.report(json!(["day"])).await);
    for name in ["light", "dark", "narrow", "narrowDark", "onlyText"] {
        assert_is_the_report(&saw[name], &by_model);
        assert_are_the_days(&saw[name], &by_day);
        assert_is_the_budget(&saw[name], &by_model);
        assert!(saw[name]["limits"].as_array().unwrap().len() >= 3, "{name}: {}", saw[name]["limits"]);
        assert_eq!(
            saw[name]["status"].as_str().unwrap().split(": ").nth(1),
            Some(format!("{} in total.", usd(&by_model["totals"]["total_cost_usd"])).as_str())
        );
    }
    assert_are_the_days(&saw["stateless"], &by_day);
    told_or_not(&saw, &by_model);
    assert_eq!(
        (&saw["stateless"]["shown"]["protocol"], &saw["light"]["shown"]["protocol"]),
        (&json!("2026-07-28"), &json!("2025-11-25"))
    );
    assert_eq!(saw["light"]["shown"]["able"]["availableDisplayModes"], json!(["inline", "fullscreen"]));
    themes(&saw);
    by_keyboard(&saw["keyboard"], &by_day).await;
    choices(&saw, &stage);
    faults(&saw);
    let planted = &saw["planted"];
    assert!(
        planted["table"]["rows"].as_array().unwrap().iter().any(|row| row[0]["text"] == HOSTILE),
        "{}",
        planted["table"]
    );
    assert!(planted["groups"].as_array().unwrap().iter().any(|group| group["name"] == HOSTILE));
    audited(&stage, &saw).await;
}

/// What servers tell only at times.
fn told_or_not(saw: &Value, by_model: &Value) {
    let altered = &saw["altered"];
    assert!(altered["period"].as_str().unwrap().ends_with("Asia/Seoul"));
    assert_eq!(altered["comparison"], json!({ "text": "-$12.25", "value": "-12.25" }));
    let note = altered["cards"]["Total"]["note"].as_str().unwrap();
    assert!(note.contains("▼ -$12.25 (-30.2%) against $40.50, Dec 1"), "{note}");
    assert_eq!(altered["cards"]["Operations"]["note"], "$0.125 each");
    assert_eq!(altered["cards"]["Without a price"]["text"], "3");
    let limit = &altered["limits"][0];
    assert!(limit["told"].as_str().unwrap().contains("$3.50 held"), "{limit}");
    assert_eq!((&limit["badge"], &limit["values"][1]), (&json!("Warning"), &json!("3.5")));
    let cut = &saw["cut"];
    let bars: Vec<_> = dearest(by_model, "model").into_iter().map(|(model, _)| json!(model)).collect();
    let seen: Vec<_> = cut["groups"].as_array().unwrap().iter().map(|bar| bar["name"].clone()).collect();
    assert_eq!(seen, bars, "of a cut answer the groups are asked for");
    assert_eq!(cut["log"]["calls"].as_array().unwrap().len(), 2);
    assert!(cut["report"].as_str().unwrap().contains("groups are listed; the totals count all of them."));
}

fn themes(saw: &Value) {
    let (light, dark) = (&saw["dark"]["light"], &saw["dark"]);
    assert_eq!((&light["scheme"], &light["background"]), (&json!("light"), &json!("rgb(255, 255, 255)")));
    assert_eq!((&dark["scheme"], &dark["background"]), (&json!("dark"), &json!("rgb(16, 20, 24)")), "the host's own");
    assert_eq!(saw["narrowDark"]["background"], "rgb(23, 25, 28)", "the page's own");
    assert_eq!(saw["odd"]["background"], "rgb(255, 255, 255)", "half a set of colours is not taken");
    let german = saw["german"]["cards"]["Total"]["text"].as_str().unwrap();
    assert!(german.contains(',') && german.ends_with("\u{a0}$") || german.ends_with(" $"), "{german}");
}

async fn by_keyboard(scene: &Value, by_day: &Value) {
    let path: Vec<&str> = scene["path"].as_array().unwrap().iter().map(|stop| stop.as_str().unwrap()).collect();
    let at = |stop: &str| {
        path.iter().position(|found| found.starts_with(stop)).unwrap_or_else(|| panic!("{stop}: {path:?}"))
    };
    let stops = [
        "select range",
        "select group",
        "button Refresh",
        "div Costs by day",
        "summary The chart",
        "button Model",
        "button Total cost",
    ];
    let order: Vec<usize> = stops.into_iter().map(at).collect();
    assert!(order.is_sorted(), "{path:?}");
    let rows = by_day["rows"].as_array().unwrap();
    let last = rows.last().unwrap();
    assert!(scene["tip"].as_str().unwrap().contains(&usd(&last["total_cost_usd"])), "{}: {last}", scene["tip"]);
    assert!(
        scene["before"].as_str().unwrap().contains(&usd(&rows[rows.len() - 2]["total_cost_usd"])),
        "{}",
        scene["before"]
    );
    assert_eq!((&scene["isGone"], &scene["isOpen"], &scene["remains"]), (&json!(true), &json!(true), &json!(true)));
    assert_eq!(scene["sorted"]["sorts"][0], "ascending");
    let names: Vec<_> =
        scene["sorted"]["rows"].as_array().unwrap().iter().map(|row| row[0]["text"].as_str().unwrap()).collect();
    assert!(names.is_sorted() && names.len() == 4, "{names:?}");
    assert_eq!(scene["after"], "select group", "the focus stays where it was");
    assert_eq!(scene["table"]["heads"][0], "User");
    let context = scene["log"]["contexts"][0]["content"][0]["text"].as_str().unwrap();
    assert!(context.contains("by user"), "the model learns what the person chose: {context}");
}

fn choices(saw: &Value, stage: &Stage) {
    let light = &saw["light"];
    assert_eq!(light["choices"]["range"]["value"], "own");
    assert_eq!(light["choices"]["group"]["value"], "model");
    assert!(light["choices"]["group"]["options"].as_array().unwrap().contains(&json!("operation")));
    assert_eq!(light["log"]["calls"].as_array().unwrap().len(), 1, "days are asked for once");
    let asked = saw["range"]["log"]["calls"].as_array().unwrap();
    let own = asked.iter().rfind(|call| call["arguments"]["group_by"] == json!(["model"])).unwrap();
    assert_eq!(own["arguments"]["from"], stage.args["from"]);
    assert_eq!(saw["range"]["days"]["rows"].as_array().unwrap().len(), 4);
    assert_eq!(saw["whole"]["log"]["modes"], json!(["fullscreen"]));
    let without = &saw["withoutTools"];
    assert_eq!((&without["controls"], &without["log"]["calls"]), (&json!(false), &json!([])));
    assert!(without["report"].as_str().unwrap().contains("Ask for the report grouped by day."), "{without}");
    assert_eq!(without["cards"], light["cards"], "what was told is shown all the same");
}

fn faults(saw: &Value) {
    assert!(saw["empty"]["report"].as_str().unwrap().contains("There are no costs in this period."));
    assert_eq!(saw["empty"]["cards"]["Total"]["text"], "$0.00");
    let refused = saw["refused"]["notice"].as_str().unwrap();
    assert!(refused.starts_with("invalid_input: ") && refused.ends_with("Try again"), "{refused}");
    let cancelled = saw["cancelled"]["notice"].as_str().unwrap();
    assert!(cancelled.contains("The report was cancelled: the person stopped it."), "{cancelled}");
    let denied = &saw["denied"];
    assert!(
        denied["refused"]["notice"].as_str().unwrap().contains("The host did not run the report: the person declined"),
        "{denied}"
    );
    assert_eq!(denied["refused"]["table"]["heads"][0], "Model", "what was there stays");
    assert_eq!((&denied["notice"], &denied["table"]["heads"][0]), (&json!(""), &json!("Provider")));
}

/// Each look and each call has its row, and there are no others.
async fn audited(stage: &Stage, saw: &Value) {
    let scenes = saw.as_object().unwrap();
    let count = async |condition: &str| {
        stage.database.value::<i64>(&format!("SELECT count(*) FROM audit_logs WHERE {condition}")).await
    };
    assert_eq!(count("resource = 'resources/cost_view' AND outcome = 'ok'").await, scenes.len() as i64);
    let by_views: usize = scenes.values().map(|scene| scene["log"]["calls"].as_array().unwrap().len()).sum();
    // One of the page's calls was declined by the person; one scene had none of the host's; and two were this test's own.
    let expected = by_views - 1 + scenes.len() - 1 + 2;
    assert_eq!(count("resource = 'tools/cost_report'").await, expected as i64);
}

#[tokio::test]
async fn pages_with_faults_do_not_pass_for_ours() {
    let Some(chromium) = chromium() else { return };
    let Some(folder) = folder("planted").await else { return };
    let page = std::fs::read_to_string(folder.join("cost-report/page.html")).unwrap();
    let with = |more: &str| page.replace("</body>", &format!("{more}</body>"));
    let pages = json!({
        "none": page,
        "total": page.replace("total_cost_usd", "input_cost_usd"),
        "network": with("<img alt='' src='https://mcp.example/pixel.png'>"),
        "fetch": with("<script>fetch('https://mcp.example/').catch(() => 0)</script>"),
        "contrast": with("<style>.soft { color: light-dark(#bbb, #555) !important }</style>"),
        "series": with("<style>:root { --series-2: light-dark(#ffe0c0, #402000) !important }</style>"),
        "label": page.replace("\"aria-labelledby\"", "\"data-labelledby\"").replace("Arrow keys tell each.", ""),
        "wide": with("<style>main { min-width: 1200px }</style>"),
    });
    let (stage, saw) = look(&folder, &chromium, pages).await;
    let report = stage.report(json!(["model"])).await;
    for (name, scene) in saw.as_object().unwrap() {
        let passes = std::panic::catch_unwind(|| {
            assert_is_in_order(name, scene);
            assert_is_the_report(scene, &report);
        });
        assert_eq!(passes.is_ok(), name == "none", "{name}: {scene}");
    }
}
