//! Holds the journal against the trail and the data.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde_json::Value;
use uuid::Uuid;

use crate::Result;
use crate::journal::{Entry, Reply};
use crate::links::Links;
use crate::plan::{Kind, title};
use crate::session::Fate;
use crate::settling::spooled_files;
use crate::storm::Storm;

#[derive(Debug, Default)]
pub struct Check {
    pub violations: Vec<String>,
    /// Rows by tool and outcome.
    pub rows: BTreeMap<(String, String), u64>,
    /// Rows that no number of the journal could be found for: their calls ended before their tool saw them.
    pub unlinked: u64,
    /// Delivered refusals whose row says `interrupted`: the reaper came first.
    pub reaped_first: u64,
    /// Calls that left no row: nothing came back from them, and their servers were killed or left.
    pub without_row: u64,
}

struct Row {
    call_id: Uuid,
    number: Option<u64>,
    outcome: String,
    error: Option<String>,
    resource: String,
    resource_id: Option<Uuid>,
    session: Option<u64>,
}

pub async fn check(storm: &Storm, journal: &[Entry]) -> Result<Check> {
    let mut check = Check::default();
    let client = storm.world.admin().await?;
    let links = Links::read(&storm.world.folder("links"))?;
    let rows = rows(&links, &client).await?;
    let documents = effects(&client, "SELECT title, id::text FROM documents").await?;
    let sql = "SELECT metadata->>'journal', coalesce(call_id::text, '') FROM cost_tracking";
    let costs = effects(&client, sql).await?;

    let mut seen = HashMap::<Uuid, u64>::new();
    let mut linked = HashMap::<u64, Vec<&Row>>::new();
    let mut unlinked = HashMap::<u64, Vec<&Row>>::new();
    for row in &rows {
        *check.rows.entry((row.resource.clone(), row.outcome.clone())).or_default() += 1;
        *seen.entry(row.call_id).or_default() += 1;
        match (row.number, row.session) {
            (Some(number), _) => linked.entry(number).or_default().push(row),
            (None, Some(session)) => unlinked.entry(session).or_default().push(row),
            (None, None) => check.violations.push(format!("a row of no session of ours: call {}", row.call_id)),
        }
    }
    check.unlinked = unlinked.values().map(|rows| rows.len() as u64).sum();
    for (call_id, count) in seen.iter().filter(|(_, count)| **count > 1) {
        let outcomes: Vec<_> =
            rows.iter().filter(|row| row.call_id == *call_id).map(|row| row.outcome.as_str()).collect();
        let number = rows.iter().filter(|row| row.call_id == *call_id).find_map(|row| row.number);
        check.violations.push(format!("call {call_id} (journal {number:?}) has {count} rows: {}", outcomes.join(", ")));
    }

    let mut loose = HashMap::<u64, Vec<&Entry>>::new();
    for entry in journal {
        let effect = match entry.kind {
            Kind::Insert => documents.get(&title(entry.number)),
            Kind::Usage => costs.get(&entry.number.to_string()),
            Kind::Search | Kind::Report => None,
        };
        let rows = linked.get(&entry.number).map(Vec::as_slice).unwrap_or_default();
        check.entry(entry, rows, effect.map(Vec::as_slice).unwrap_or_default());
        if rows.is_empty() {
            loose.entry(entry.session).or_default().push(entry);
        }
    }
    let deeds = storm.deeds.lock().await.clone();
    for (session, fate) in &deeds.sessions {
        let (entries, rows) = (loose.remove(session).unwrap_or_default(), unlinked.remove(session).unwrap_or_default());
        check.session(*session, *fate, &entries, &rows, &links);
    }
    check.leftovers(storm, &client).await?;
    let ends = deeds.own_ends.iter().map(|session| format!("the server of session {session} ended by itself"));
    let bad = deeds.bad_ends.iter().map(|session| format!("the server of session {session} did not end in order"));
    check.violations.extend(ends.chain(bad));
    Ok(check)
}

impl Check {
    /// One call with the rows and the effects that bear its number.
    fn entry(&mut self, entry: &Entry, rows: &[&Row], effects: &[String]) {
        let Entry { number, kind, session, reply, .. } = entry;
        let mut violation = |text: String| {
            let call = rows.first().map(|row| row.call_id.to_string()).unwrap_or_default();
            let told = format!("{reply:?}");
            self.violations.push(format!("{} {number} {call} (session {session}, told {told}): {text}", kind.tool()));
        };
        if rows.len() > 1 {
            let outcomes: Vec<_> = rows.iter().map(|row| row.outcome.as_str()).collect();
            violation(format!("has {} rows: {}", rows.len(), outcomes.join(", ")));
        }
        if effects.len() > 1 {
            violation(format!("was done {} times", effects.len()));
        }
        let row = rows.first();
        let is_ok = row.is_some_and(|row| row.outcome == "ok");
        if kind.changes() && is_ok && effects.is_empty() {
            violation("its row says ok, but nothing was kept".to_owned());
        }
        if !effects.is_empty() && !is_ok {
            let outcome = row.map_or("is absent", |row| row.outcome.as_str());
            violation(format!("its work was kept, but its row: {outcome}"));
        }
        match (reply, row) {
            (Reply::Silence, _) => violation("no reply, and no end of the connection".to_owned()),
            (Reply::NotLetIn, Some(row)) => violation(format!("it was not let in, but has a row: {}", row.outcome)),
            (Reply::Protocol(error), _) => violation(format!("a protocol error: {error}")),
            (Reply::Ok(_), None) => violation("told ok, without a row".to_owned()),
            (Reply::Ok(id), Some(row)) => {
                if !is_ok {
                    violation(format!("told ok, but its row says {}", row.outcome));
                } else if *kind == Kind::Insert
                    && (row.resource_id != *id || effects.first() != id.map(|id| id.to_string()).as_ref())
                {
                    violation(format!("told {id:?}, row {:?}, document {effects:?}", row.resource_id));
                }
            }
            (Reply::Failed(code), Some(row)) if code != "outcome_unknown" => match row.outcome.as_str() {
                "interrupted" => self.reaped_first += 1,
                outcome if agrees(code, outcome, row.error.as_deref()) => {}
                outcome => violation(format!("its row says {outcome} {:?}", row.error)),
            },
            _ => {}
        }
    }

    /// The calls of one server that no row names, with its rows that name no call.
    fn session(&mut self, session: u64, fate: Fate, entries: &[&Entry], rows: &[&Row], links: &HashMap<Uuid, u64>) {
        if rows.len() > entries.len() {
            self.violations.push(format!("session {session}: {} rows for {} calls", rows.len(), entries.len()));
        }
        let missing = entries.len().saturating_sub(rows.len());
        let begun: HashSet<_> = links.values().collect();
        // A server that was killed owes nothing to those that it did not answer. One that ended in order owes rows to all that
        // it took up; what it never read from its client is known to be a call that its tool never saw.
        let owed = |entry: &&&Entry| match fate {
            _ if entry.reply == Reply::NotLetIn => false,
            _ if entry.reply == Reply::Dropped => fate != Fate::Killed && begun.contains(&entry.number),
            Fate::Killed => entry.reply.is_delivered(),
            Fate::Ended => entry.reply != Reply::Lost || begun.contains(&entry.number),
            Fate::Own => true,
        };
        let owed: Vec<_> = entries.iter().filter(owed).collect();
        self.without_row += missing as u64;
        if owed.len() > rows.len() {
            let missing = owed.len() - rows.len();
            let calls: Vec<_> = owed.iter().map(|e| format!("{} {} {:?}", e.kind.tool(), e.number, e.reply)).collect();
            self.violations.push(format!("session {session}: {missing} rows missing among {}", calls.join(", ")));
        }
        let mut told = BTreeMap::<&str, usize>::new();
        for entry in entries.iter().filter(|entry| entry.reply.is_delivered()) {
            *told.entry(entry.reply.name()).or_default() += 1;
        }
        for (code, count) in told.into_iter().filter(|(code, _)| !["ok", "outcome_unknown"].contains(code)) {
            let fitting = rows
                .iter()
                .filter(|row| row.outcome == "interrupted" || agrees(code, &row.outcome, row.error.as_deref()));
            let fitting = fitting.count();
            if fitting < count {
                self.violations
                    .push(format!("session {session}: {count} calls were told {code}, {fitting} rows say so"));
            }
        }
    }

    /// What must be empty or add up once all is over.
    async fn leftovers(&mut self, storm: &Storm, client: &tokio_postgres::Client) -> Result<()> {
        let count = async |sql: &str| -> Result<i64> { Ok(client.query_one(sql, &[]).await?.get(0)) };
        let intents = count("SELECT count(*) FROM call_intents").await?;
        if intents > 0 {
            self.violations.push(format!("{intents} intents are left"));
        }
        let spooled = spooled_files(storm)?;
        if spooled > 0 {
            self.violations.push(format!("{spooled} files are left in the spool"));
        }
        let ledgers = "SELECT count(*) FROM budget_ledger AS l WHERE l.spent_usd <> (
                           SELECT coalesce(sum(c.total_cost), 0) FROM cost_tracking AS c
                           WHERE c.tenant_id = l.tenant_id AND l.user_id IN ('', c.user_id)
                             AND date_trunc(l.period, c.timestamp AT TIME ZONE 'UTC')::date = l.starts)";
        if count(ledgers).await? > 0 {
            self.violations.push("a budget's ledger is not the sum of its rows".to_owned());
        }
        let held = "SELECT count(*) FROM budget_ledger AS l WHERE reserved_budget(l.tenant_id, l.period, l.starts, l.user_id) <> 0";
        if count(held).await? > 0 {
            self.violations.push("money is held for calls that are over".to_owned());
        }
        // Three accounts of the same money, to the last decimal: what each tenant was told by its trail, its cost rows, its ledger.
        let accounts = "SELECT count(*) FROM tenants AS t
            CROSS JOIN LATERAL (SELECT coalesce(sum((a.details->>'cost_usd')::numeric), 0) AS usd FROM audit_logs AS a
                                WHERE a.tenant_id = t.id AND a.outcome = 'ok' AND a.action IN ('record', 'embed')) AS trail
            CROSS JOIN LATERAL (SELECT coalesce(sum(c.total_cost), 0) AS usd FROM cost_tracking AS c WHERE c.tenant_id = t.id) AS costs
            CROSS JOIN LATERAL (SELECT coalesce(sum(l.spent_usd), 0) AS usd FROM budget_ledger AS l
                                WHERE l.tenant_id = t.id AND l.period = 'month' AND l.user_id = '') AS ledger
            WHERE trail.usd <> costs.usd OR costs.usd <> ledger.usd";
        if count(accounts).await? > 0 {
            self.violations.push("trail, costs and ledger tell of different sums".to_owned());
        }
        let unbilled = "SELECT count(*) FROM cost_tracking AS c WHERE NOT EXISTS (
                            SELECT FROM audit_logs AS a WHERE a.tenant_id = c.tenant_id AND a.call_id = c.call_id AND a.outcome = 'ok'
                              AND (a.details->>'cost_usd')::numeric = c.total_cost)";
        if count(unbilled).await? > 0 {
            self.violations.push("a cost stands in no call's row".to_owned());
        }
        Ok(())
    }
}

/// Whether a row is what a call with that failure leaves.
fn agrees(code: &str, outcome: &str, error: Option<&str>) -> bool {
    let expected: &[&str] = match code {
        "forbidden" | "quota_exceeded" | "budget_exceeded" | "rate_limited" | "overloaded" => &["denied"],
        "timeout" => &["timeout"],
        "cancelled" => &["cancelled"],
        "internal" => &["error", "panic"],
        _ => &["error"],
    };
    expected.contains(&outcome) && error == Some(code)
}

async fn rows(links: &HashMap<Uuid, u64>, client: &tokio_postgres::Client) -> Result<Vec<Row>> {
    let sql = "SELECT call_id, details, outcome, error_message, coalesce(resource, ''), resource_id, user_agent
               FROM audit_logs
               -- Those of the tenants' making are of no call.
               WHERE resource IS DISTINCT FROM 'administration/tenant' ORDER BY id";
    let rows = client.query(sql, &[]).await?;
    let rows = rows.iter().map(|row| {
        let (call_id, details, agent): (Uuid, Value, Option<String>) = (row.get(0), row.get(1), row.get(6));
        Row {
            number: details["journal"].as_u64().or_else(|| links.get(&call_id).copied()),
            call_id,
            outcome: row.get(2),
            error: row.get(3),
            resource: row.get(4),
            resource_id: row.get(5),
            session: agent.and_then(|agent| agent.strip_prefix("torture/")?.parse().ok()),
        }
    });
    Ok(rows.collect())
}

/// What was kept, by the mark of its call.
async fn effects(client: &tokio_postgres::Client, sql: &str) -> Result<HashMap<String, Vec<String>>> {
    let mut effects = HashMap::<_, Vec<_>>::new();
    for row in client.query(sql, &[]).await? {
        effects.entry(row.get::<_, Option<String>>(0).unwrap_or_default()).or_default().push(row.get(1));
    }
    Ok(effects)
}
