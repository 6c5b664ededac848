//! What dashboards and alerts ask Prometheus for is what the server tells.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use promql_parser::label::Matchers;
use promql_parser::parser::{self, Expr, VectorSelector};
use promql_parser::util::{ExprVisitor, walk_expr};
use serde_json::{Value, json};

use crate::harness::{Lacking, TestDatabase, skip};
use crate::http::served::Served;
use crate::http::{ALL_SCOPES, key, tool_call};

/// Labels that Prometheus adds to every series.
const ADDED: [&str; 2] = ["instance", "job"];

fn file(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn text(path: &str) -> String {
    std::fs::read_to_string(file(path)).unwrap()
}

/// All of the program's sources.
fn sources() -> Vec<String> {
    fn visit(folder: &Path, texts: &mut Vec<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                visit(&path, texts);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                texts.push(std::fs::read_to_string(&path).unwrap());
            }
        }
    }
    let mut texts = Vec::new();
    visit(&file("src"), &mut texts);
    texts
}

/// What stands between quotes before each `after` in the text.
fn quoted_before(text: &str, after: &str) -> impl Iterator<Item = String> {
    let parts: Vec<_> = text.split(after).map(str::to_owned).collect();
    let last = parts.len() - 1;
    parts
        .into_iter()
        .take(last)
        .filter_map(|part| Some(part.trim_end().strip_suffix('"')?.rsplit('"').next()?.to_owned()))
}

/// Each figure of the sources with its labels.
fn figures() -> BTreeMap<String, BTreeSet<String>> {
    let mut figures = BTreeMap::<String, BTreeSet<String>>::new();
    for text in sources() {
        for kind in ["counter!(", "gauge!(", "histogram!("] {
            for (at, _) in text.match_indices(kind) {
                let statement = text[at + kind.len()..].split(';').next().unwrap();
                // A name that is handed on stands where it is described.
                let Some(name) = statement.trim_start().strip_prefix('"').and_then(|rest| rest.split('"').next())
                else {
                    continue;
                };
                if !name.starts_with("bailiwick_") {
                    continue;
                }
                let labels = figures.entry(name.to_owned()).or_default();
                if text[..at].ends_with("describe_") {
                    continue;
                }
                labels.extend(quoted_before(statement, "=>"));
                if statement.contains(", labels)") {
                    let function = text[..at].rsplit("fn ").next().unwrap();
                    labels.extend(
                        function.split("Label::new(\"").skip(1).map(|rest| rest.split('"').next().unwrap().to_owned()),
                    );
                }
            }
        }
    }
    // Only where the operator asks for it.
    figures.get_mut("bailiwick_calls_total").unwrap().remove("tenant");
    figures
}

/// What an expression asks for.
#[derive(Debug, Default)]
struct Asked {
    /// Names with the labels they are picked by.
    selectors: Vec<(String, Vec<(String, String)>)>,
    /// Labels that are grouped by, with the names below.
    groups: Vec<(String, Vec<String>)>,
}

impl Asked {
    fn of(expression: &str) -> Result<Self, String> {
        // Grafana's variables.
        let plain = expression.replace("$__rate_interval", "5m").replace("$instance", ".*");
        let mut asked = Self::default();
        walk_expr(&mut asked, &parser::parse(&plain).map_err(|error| format!("{plain}: {error}"))?)
            .map_err(|()| plain)?;
        Ok(asked)
    }

    fn select(&mut self, selector: &VectorSelector) {
        let Matchers { matchers, or_matchers } = &selector.matchers;
        let all = matchers.iter().chain(or_matchers.iter().flatten());
        let labels = all.map(|matcher| (matcher.name.clone(), matcher.value.clone())).collect();
        self.selectors.push((selector.name.clone().unwrap(), labels));
    }
}

impl ExprVisitor for Asked {
    type Error = ();

    fn pre_visit(&mut self, expression: &Expr) -> Result<bool, ()> {
        match expression {
            Expr::VectorSelector(selector) => self.select(selector),
            Expr::MatrixSelector(matrix) => self.select(&matrix.vs),
            Expr::Aggregate(aggregate) => {
                let mut below = Self::default();
                walk_expr(&mut below, &aggregate.expr)?;
                let names: Vec<_> = below.selectors.into_iter().map(|(name, _)| name).collect();
                let labels = aggregate.modifier.iter().flat_map(|modifier| modifier.labels().labels.clone());
                self.groups.extend(labels.map(|label| (label, names.clone())));
            }
            _ => {}
        }
        Ok(true)
    }
}

/// What is wrong with an expression, given the figures there are.
fn faults(expression: &str, figures: &BTreeMap<String, BTreeSet<String>>, literals: &str) -> Vec<String> {
    let asked = match Asked::of(expression) {
        Ok(asked) => asked,
        Err(fault) => return vec![fault],
    };
    let labels_of = |name: &str| -> Option<BTreeSet<String>> {
        if name == "up" || name.starts_with("process_") {
            return Some(BTreeSet::new());
        }
        if let Some(labels) = figures.get(name) {
            return Some(labels.clone());
        }
        let (histogram, part) = name.rsplit_once('_')?;
        let mut labels = figures.get(histogram)?.clone();
        match part {
            "bucket" => labels.insert("le".to_owned()),
            "count" | "sum" => false,
            _ => return None,
        };
        Some(labels)
    };
    let has = |name: &str, label: &str| {
        ADDED.contains(&label) || labels_of(name).is_some_and(|labels| labels.contains(label))
    };
    let mut faults = Vec::new();
    for (name, labels) in &asked.selectors {
        if labels_of(name).is_none() {
            faults.push(format!("there is no figure {name}"));
            continue;
        }
        for (label, value) in labels {
            if !has(name, label) {
                faults.push(format!("{name} has no label {label}"));
            }
            // A value that the program never says picks nothing.
            let said = value.split('|').filter(|_| !ADDED.contains(&label.as_str()));
            faults.extend(
                said.filter(|one| !literals.contains(&format!("\"{one}\"")))
                    .map(|one| format!("{label} is never {one}")),
            );
        }
    }
    for (label, names) in &asked.groups {
        faults.extend(names.iter().filter(|name| !has(name, label)).map(|name| format!("{name} has no label {label}")));
    }
    faults
}

fn dashboard() -> Value {
    serde_json::from_str(&text("packaging/grafana/bailiwick.json")).unwrap()
}

fn alerts() -> Vec<Value> {
    let alerts: Value = serde_saphyr::from_str(&text("packaging/prometheus/alerts.yml")).unwrap();
    let groups = alerts["groups"].as_array().unwrap();
    groups.iter().flat_map(|group| group["rules"].as_array().unwrap().clone()).collect()
}

/// Every expression with where it stands.
fn expressions() -> Vec<(String, String)> {
    let mut expressions = Vec::new();
    for panel in dashboard()["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().into_iter().flatten() {
            expressions.push((panel["title"].to_string(), target["expr"].as_str().unwrap().to_owned()));
        }
    }
    for rule in alerts() {
        expressions.push((rule["alert"].to_string(), rule["expr"].as_str().unwrap().to_owned()));
    }
    assert!(expressions.len() > 70, "{}", expressions.len());
    expressions
}

#[test]
fn dashboards_and_alerts_ask_for_what_there_is() {
    let (figures, literals) = (figures(), sources().concat());
    let mut found = Vec::new();
    for (place, expression) in expressions() {
        found.extend(faults(&expression, &figures, &literals).into_iter().map(|fault| format!("{place}: {fault}")));
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
    for (planted, fault) in [
        ("rate(bailiwick_call_total[5m])", "there is no figure bailiwick_call_total"),
        ("sum by (tools) (bailiwick_calls_total)", "bailiwick_calls_total has no label tools"),
        ("bailiwick_call_failures_total{kode=\"internal\"}", "has no label kode"),
        ("bailiwick_call_failures_total{code=~\"internal|interrnal\"}", "code is never interrnal"),
        ("histogram_quantile(0.9, sum by (le) (rate(bailiwick_calls_total[5m])))", "has no label le"),
        ("sum(bailiwick_calls_total", "sum(bailiwick_calls_total"),
    ] {
        let found = faults(planted, &figures, &literals);
        assert!(found.iter().any(|found| found.contains(fault)), "{planted}: {found:?}");
    }
}

/// What the sources say of labels is what the server shows.
#[tokio::test]
async fn figures_have_the_labels_that_the_sources_give_them() {
    let database = TestDatabase::create().await;
    let admin = database.url("postgres").await;
    let served = Served::start_with(&database, |command| {
        command.env("BAILIWICK_ADMIN_DATABASE_URL", admin);
    })
    .await;
    let (ada, client) = (key(&database, "demo", "ada", ALL_SCOPES).await, reqwest::Client::new());
    for (tool, arguments) in
        [("insert_document", json!({ "title": "t", "content": "words" })), ("hybrid_search", json!({ "query": "" }))]
    {
        served.post(&client, &ada).json(&tool_call(1, tool, &arguments)).send().await.unwrap();
    }
    served.post(&client, "nobody").json(&json!({})).send().await.unwrap();
    let told = client.get(&served.figures).send().await.unwrap().text().await.unwrap();
    let figures = figures();
    let mut compared = BTreeSet::new();
    for line in told.lines().filter(|line| line.starts_with("bailiwick_")) {
        let series = line.rsplit_once(' ').unwrap().0;
        let (name, labels) = series.split_once('{').unwrap_or((series, ""));
        let labels: BTreeSet<_> = quoted_names(labels).filter(|label| label != "le").collect();
        let plain =
            ["_bucket", "_count", "_sum"].iter().find_map(|part| figures.get_key_value(name.strip_suffix(part)?));
        let (name, expected) = figures.get_key_value(name).or(plain).unwrap_or_else(|| panic!("{line}"));
        assert_eq!(&labels, expected, "{line}");
        compared.insert(name.clone());
    }
    for needed in
        ["bailiwick_calls_total", "bailiwick_call_duration_seconds", "bailiwick_http_requests_total", "bailiwick_ready"]
    {
        assert!(compared.contains(needed), "{needed}: {compared:?}");
    }
    assert!(told.contains("\nbailiwick_ready 1\n"), "{told}");
    // And while it is not.
    database.execute("UPDATE schema_migrations SET version = version - 1").await;
    tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
    let told = client.get(&served.figures).send().await.unwrap().text().await.unwrap();
    assert!(told.contains("\nbailiwick_ready 0\n"), "{told}");
    for process in ["process_open_fds", "process_max_fds", "process_resident_memory_bytes", "process_cpu_seconds_total"]
    {
        assert!(told.contains(&format!("\n{process} ")), "{process}");
    }
}

/// The names in `tool="a",outcome="b"}`.
fn quoted_names(labels: &str) -> impl Iterator<Item = String> {
    labels.split("=\"").filter_map(|part| {
        let name = part.rsplit(['"', ',', '{']).next()?;
        (!name.is_empty() && name.chars().all(|c| c.is_ascii_lowercase() || c == '_')).then(|| name.to_owned())
    })
}

#[test]
fn the_dashboard_shows_every_figure_in_its_own_place() {
    let dashboard = dashboard();
    let all = dashboard.to_string();
    let missing: Vec<_> = figures().into_keys().filter(|name| !all.contains(name.as_str())).collect();
    // What a server has only for tokens of an issuer, once its keys are there.
    assert_eq!(missing.iter().filter(|name| !name.starts_with("bailiwick_token_")).count(), 0, "{missing:?}");
    let panels = dashboard["panels"].as_array().unwrap();
    let ids: BTreeSet<_> = panels.iter().map(|panel| panel["id"].as_i64().unwrap()).collect();
    assert_eq!(ids.len(), panels.len());
    let mut taken = BTreeMap::new();
    for panel in panels {
        let [x, y, w, h] = ["x", "y", "w", "h"].map(|side| panel["gridPos"][side].as_i64().unwrap());
        assert!(w > 0 && h > 0 && x + w <= 24, "{}", panel["title"]);
        for (x, y) in (x..x + w).flat_map(|x| (y..y + h).map(move |y| (x, y))) {
            assert!(taken.insert((x, y), &panel["title"]).is_none(), "{} lies on another", panel["title"]);
        }
        if panel["type"] != "row" {
            assert!(panel["fieldConfig"]["defaults"]["unit"].is_string(), "{} has a unit", panel["title"]);
            assert!(panel["targets"].as_array().is_some_and(|targets| !targets.is_empty()), "{}", panel["title"]);
        }
    }
}

#[test]
fn every_alert_says_how_urgent_it_is_and_what_it_means() {
    let mut names = BTreeSet::new();
    for rule in alerts() {
        let name = rule["alert"].as_str().unwrap();
        assert!(names.insert(name.to_owned()) && name.starts_with("Bailiwick"), "{name}");
        assert!(["page", "ticket"].contains(&rule["labels"]["severity"].as_str().unwrap()), "{name}");
        assert!(rule["annotations"]["summary"].as_str().is_some_and(|summary| summary.len() > 20), "{name}");
    }
    for needed in
        ["AuditLag", "AuditSpooled", "NotReady", "PoolExhausted", "BudgetRefusals", "Errors", "Slow", "MergeBacklog"]
    {
        assert!(names.contains(&format!("Bailiwick{needed}")), "{needed}");
    }
}

#[test]
fn every_alert_leads_to_a_runbook_that_there_is() {
    let page = text("docs/operations.md");
    let anchors: BTreeSet<_> = page
        .lines()
        .filter(|line| line.starts_with('#'))
        .map(|line| crate::documentation::Document::anchor(line.trim_start_matches('#').trim()))
        .collect();
    assert!(anchors.len() > 15, "{anchors:?}");
    for rule in alerts() {
        let (name, runbook) = (rule["alert"].as_str().unwrap(), rule["annotations"]["runbook"].as_str().unwrap());
        let anchor = runbook.strip_prefix("docs/operations.md#").unwrap_or_else(|| panic!("{name}: {runbook}"));
        assert!(anchors.contains(anchor), "{name}: {runbook}");
        // And the page knows the alert by its name.
        assert!(page.contains(&format!("`{name}`")), "{name} is not in docs/operations.md");
    }
}

/// Of a counter that appears with its first event Prometheus sees no increase.
#[tokio::test]
async fn counters_whose_increase_rings_are_there_before_they_count() {
    let database = TestDatabase::create().await;
    let served = Served::start(&database).await;
    let told = reqwest::get(&served.figures).await.unwrap().text().await.unwrap();
    let mut looked_at = BTreeSet::new();
    for rule in alerts() {
        let expression = rule["expr"].as_str().unwrap();
        if !expression.contains("increase(") {
            continue;
        }
        for (name, labels) in Asked::of(expression).unwrap().selectors {
            // A share's whole, which is there long before.
            if !name.ends_with("_total") || name == "bailiwick_calls_total" {
                continue;
            }
            let series: Vec<_> = told.lines().filter(|line| line.split(['{', ' ']).next() == Some(&name)).collect();
            assert!(!series.is_empty(), "{}: there is no {name} yet", rule["alert"]);
            for (label, value) in &labels {
                for one in value.split('|') {
                    let picked = format!("{label}=\"{one}\"");
                    assert!(
                        series.iter().any(|line| line.contains(&picked)),
                        "{}: no {name} with {picked}",
                        rule["alert"]
                    );
                }
            }
            looked_at.insert(name);
        }
    }
    assert!(looked_at.len() >= 6, "{looked_at:?}");
}

#[test]
fn prometheus_takes_the_rules_and_they_ring_when_they_should() {
    if Command::new("promtool").arg("--version").output().is_err() {
        skip(Lacking::Prometheus, "there is no promtool on this machine");
        return;
    }
    // The file of the token is on the machine that scrapes, so there the syntax alone can be looked at.
    for arguments in
        ["check rules alerts.yml", "check config --syntax-only prometheus.yml", "test rules alerts.test.yml"]
    {
        let mut command = Command::new("promtool");
        command.args(arguments.split(' ')).current_dir(file("packaging/prometheus"));
        let output = command.output().unwrap();
        let told = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(output.status.success(), "promtool {arguments}: {told}");
    }
}
