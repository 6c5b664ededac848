#![expect(clippy::print_stdout, reason = "the demo's output")]

use std::path::Path;

use serde_json::Value;

use super::report::Report;
use crate::cli::Style;

/// Prints everything for a program.
pub(super) fn json(report: &Report) -> serde_json::Result<()> {
    println!("{}", serde_json::to_string_pretty(report)?);
    Ok(())
}

/// Prints the story for a person.
pub(super) fn for_a_person(report: &Report, style: Style) {
    for tenant in &report.tenants {
        println!("{} stored {} documents ({} passages)", style.heading(tenant.tenant), tenant.inserted, tenant.chunks);
    }
    if let Some(embedding) = &report.embedding {
        println!(
            "embedded in process by {} in {:.1} s ({} tokens, 0 USD)",
            embedding.model,
            seconds(embedding.duration_ms.into()),
            embedding.tokens
        );
    }
    searches(report, style);
    refusals(report, style);
    costs(report, style);
    trail(report, style);
    summary(report, style);
}

fn searches(report: &Report, style: Style) {
    println!("\n{}", style.heading("The same questions, each tenant's own answers"));
    let mut table = style.table(&["question", "tenant", "best document", "matched", "ms"]);
    let mut last = "";
    for search in &report.searches {
        let question = if search.query == last { String::new() } else { question(search) };
        last = &search.query;
        table.add_row([
            question,
            search.tenant.to_owned(),
            search.top_title.clone().unwrap_or_else(|| "nothing".to_owned()),
            search.highlight.as_deref().map(excerpt).unwrap_or_default(),
            format!("{:.1}", search.duration_ms),
        ]);
    }
    println!("{table}");
    let mut told = Vec::new();
    for search in &report.searches {
        let reason = search.mode_reason.as_deref().map(|reason| format!(" ({reason})")).unwrap_or_default();
        let mode = format!("mode of the searches in {}: {}{reason}", search.language, search.mode);
        if !told.contains(&mode) {
            println!("{}", style.dim(&mode));
            told.push(mode);
        }
    }
}

fn question(search: &super::story::SearchTold) -> String {
    match &search.filter {
        Some(filter) => format!("{}\nfilter {filter}", search.query),
        None => search.query.clone(),
    }
}

/// The first characters of a highlight: enough to see the answer in a table.
fn excerpt(highlight: &str) -> String {
    match highlight.char_indices().nth(90) {
        Some((end, _)) => format!("{}…", highlight[..end].trim_end_matches(['*', ' ', '…'])),
        None => highlight.to_owned(),
    }
}

fn refusals(report: &Report, style: Style) {
    println!("\n{}", style.heading("What must not work"));
    let mut table = style.table(&["attempt", "answer", "refused"]);
    let told = report.refusals.iter().map(|r| (&r.attempt, &r.answer, r.refused));
    for (attempt, answer, refused) in told.chain(report.attempts.iter().map(|a| (&a.attempt, &a.answer, a.refused))) {
        table.add_row([attempt.clone(), answer.clone(), if refused { "yes" } else { "NO" }.to_owned()]);
    }
    println!("{table}");
}

fn costs(report: &Report, style: Style) {
    println!("\n{}", style.heading("Costs of this month"));
    let mut table = style.table(&["tenant", "model", "operation", "tokens", "USD", "budget"]);
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    for tenant in &report.tenants {
        for row in tenant.costs["rows"].as_array().into_iter().flatten() {
            let (group, tokens, usd) = (&row["group"], &row["total_tokens"], &row["total_cost_usd"]);
            table.add_row([
                tenant.tenant.to_owned(),
                text(&group["model"]),
                text(&group["operation"]),
                text(tokens),
                text(usd),
                String::new(),
            ]);
        }
        let (total, budget) = (&tenant.costs["totals"]["total_cost_usd"], &tenant.costs["budget"]);
        let standing =
            format!("{} of {}: {}", text(&budget["spent_usd"]), text(&budget["limit_usd"]), text(&budget["status"]));
        table.add_row([
            tenant.tenant.to_owned(),
            "all".to_owned(),
            String::new(),
            String::new(),
            text(total),
            standing,
        ]);
    }
    println!("{table}");
}

fn trail(report: &Report, style: Style) {
    println!("\n{}", style.heading("The audit trail, as it stands in audit_logs"));
    let mut table = style.table(&["tenant", "action", "resource", "outcome", "error", "rows", "mean ms"]);
    for row in &report.audit_trail {
        table.add_row([
            row.tenant.clone(),
            row.action.clone(),
            row.resource.clone(),
            row.outcome.clone(),
            row.error.clone().unwrap_or_default(),
            row.rows.to_string(),
            format!("{:.1}", row.mean_ms),
        ]);
    }
    println!("{table}");
}

fn summary(report: &Report, style: Style) {
    let mark = |held: bool| if held { style.good("✓") } else { style.bad("✗") };
    println!();
    println!(
        "{} {} calls, {} audit rows",
        mark(report.tools_called == report.audit_rows),
        report.tools_called,
        report.audit_rows
    );
    println!("{} {} documents shown to another tenant", mark(report.leaks == 0), report.leaks);
    let ready = format!(
        "database ready after {:.1} s, everything after {:.1} s",
        seconds(report.ready_ms),
        seconds(report.duration_ms)
    );
    println!("{}", style.dim(&ready));
}

/// Prints what to do next.
pub(super) fn closing(program: &Path, snippet: &str, kept: bool, style: Style) {
    let program = program.display();
    println!("\n{}", style.heading("Connect a client"));
    println!("This puts the server into its configuration (claude-code, cursor and vscode are known, too):\n");
    println!("    {program} connect claude-desktop\n");
    println!("By hand, into claude_desktop_config.json, .cursor/mcp.json or the like:\n\n{snippet}\n");
    if kept {
        println!("The sample documents are there for the client to find.");
    } else {
        println!("The demo's database is gone again. This leaves the sample documents for the client to find:\n");
        println!("    {program} demo --keep");
    }
}

fn seconds(ms: u128) -> f64 {
    std::time::Duration::from_millis(u64::try_from(ms).unwrap_or(u64::MAX)).as_secs_f64()
}
