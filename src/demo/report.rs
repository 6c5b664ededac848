use serde::Serialize;

use super::embedding::EmbeddingTold;
use super::evidence::{Attempt, Evidence, TrailRow};
use super::story::{RefusalTold, SearchTold, TenantTold, Told};

/// All that the demo shows; `--json` prints it.
#[derive(Serialize)]
pub(super) struct Report {
    /// Calls that the clients made.
    pub tools_called: usize,
    /// Rows that these calls left in audit_logs.
    pub audit_rows: usize,
    /// Documents in answers that belong to another tenant.
    pub leaks: usize,
    /// How the documents were embedded, if they were.
    pub embedding: Option<EmbeddingTold>,
    pub tenants: Vec<TenantTold>,
    pub searches: Vec<SearchTold>,
    pub refusals: Vec<RefusalTold>,
    pub attempts: Vec<Attempt>,
    pub audit_trail: Vec<TrailRow>,
    /// Until the database was ready: download and all the first time.
    pub ready_ms: u128,
    pub duration_ms: u128,
}

impl Report {
    pub fn new(told: Told, evidence: Evidence, ready_ms: u128, duration_ms: u128) -> Self {
        let audit_rows = evidence.trail.iter().map(|row| usize::try_from(row.rows).unwrap_or_default()).sum();
        Self {
            tools_called: told.tools_called,
            audit_rows,
            leaks: evidence.leaks,
            embedding: told.embedding,
            tenants: told.tenants,
            searches: told.searches,
            refusals: told.refusals,
            attempts: evidence.attempts,
            audit_trail: evidence.trail,
            ready_ms,
            duration_ms,
        }
    }

    /// Whether every promise held; if not, which did not.
    pub fn verdict(&self) -> Result<(), String> {
        let mut broken = Vec::new();
        if self.audit_rows != self.tools_called {
            broken.push(format!("{} calls left {} audit rows", self.tools_called, self.audit_rows));
        }
        if self.leaks > 0 {
            broken.push(format!("{} documents were shown to another tenant", self.leaks));
        }
        let admitted = self.refusals.iter().filter(|refusal| !refusal.refused).map(|refusal| &refusal.attempt);
        let succeeded = self.attempts.iter().filter(|attempt| !attempt.refused).map(|attempt| &attempt.attempt);
        broken.extend(admitted.chain(succeeded).map(|attempt| format!("this was not refused: {attempt}")));
        let wrong = self
            .searches
            .iter()
            .filter(|search| search.expected_title.is_some() && search.top_title != search.expected_title);
        broken.extend(
            wrong.map(|search| format!("{}: {:?} found {:?} first", search.tenant, search.query, search.top_title)),
        );
        if broken.is_empty() { Ok(()) } else { Err(format!("a promise did not hold: {}", broken.join("; "))) }
    }
}
