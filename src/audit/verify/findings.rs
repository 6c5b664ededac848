use std::fmt;

use serde::Serialize;
use uuid::Uuid;

use crate::audit::{AuditRow, Entry, Moment};

/// Faults that are listed; more are counted only.
const MOST_LISTED: usize = 20;

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// A seal does not fit the one before it, or is not what its head says.
    Chain,
    /// A signature is missing, false, or of a key that is not known.
    Signature,
    /// A head that was kept outside is not in the chain.
    Head,
    /// A row is not as it was sealed.
    Changed,
    /// A sealed row stands elsewhere: under another id, timestamp or tenant.
    Moved,
    /// A sealed row is gone.
    Removed,
    /// A row is not under the seal that covers its id.
    Unsealed,
}

/// The row that a fault is about. What was removed left its id and time only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "columns of the same name")]
pub struct BadRow {
    pub id: i64,
    pub timestamp: Moment,
    pub call_id: Option<Uuid>,
    pub tenant_id: Option<Uuid>,
}

impl From<&AuditRow> for BadRow {
    fn from(row: &AuditRow) -> Self {
        Self { id: row.id, timestamp: row.timestamp, call_id: Some(row.call_id), tenant_id: Some(row.tenant_id) }
    }
}

impl From<&Entry> for BadRow {
    fn from(entry: &Entry) -> Self {
        Self { id: entry.id, timestamp: entry.timestamp, call_id: None, tenant_id: None }
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, Serialize)]
pub struct Fault {
    /// What sort of thing.
    pub kind: FaultKind,
    /// The seal that shows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seal_no: Option<i64>,
    /// The row.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub row: Option<BadRow>,
    /// In words.
    pub what: String,
    /// As it was sealed.
    #[serde(skip)]
    sealed: Option<Entry>,
    /// As it is.
    #[serde(skip)]
    found: Option<Box<AuditRow>>,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unknown = |id: Option<Uuid>| id.map_or_else(|| "unknown".to_owned(), |id| id.to_string());
        match (&self.row, self.seal_no) {
            (Some(row), _) => write!(
                f,
                "row {} (call {}, tenant {}, {}) {}",
                row.id,
                unknown(row.call_id),
                unknown(row.tenant_id),
                row.timestamp,
                self.what
            ),
            (None, Some(seal_no)) => write!(f, "seal {seal_no}: {}", self.what),
            (None, None) => f.write_str(&self.what),
        }
    }
}

/// All that is wrong, in the order of seals and ids.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Findings {
    /// How many faults there are.
    pub fault_count: u64,
    /// The first of them.
    pub faults: Vec<Fault>,
    /// The first row that one of them is about.
    pub first_bad_row: Option<BadRow>,
}

impl Findings {
    pub(super) fn seal(&mut self, kind: FaultKind, seal_no: i64, what: String) {
        self.add(Fault { kind, seal_no: Some(seal_no), row: None, what, sealed: None, found: None });
    }

    pub(super) fn other(&mut self, kind: FaultKind, what: String) {
        self.add(Fault { kind, seal_no: None, row: None, what, sealed: None, found: None });
    }

    pub(super) fn changed(&mut self, seal_no: i64, sealed: &Entry, row: &AuditRow) {
        let found = row.entry();
        let (kind, what) = if found.body_hash == sealed.body_hash {
            (FaultKind::Moved, format!("was moved to another timestamp: it began at {}", sealed.timestamp))
        } else {
            (FaultKind::Changed, "is not as it was sealed".to_owned())
        };
        self.row(kind, Some(seal_no), row.into(), what, Some(*sealed), Some(row));
    }

    pub(super) fn removed(&mut self, seal_no: i64, sealed: &Entry) {
        let what = "was sealed and is gone".to_owned();
        self.row(FaultKind::Removed, Some(seal_no), sealed.into(), what, Some(*sealed), None);
    }

    pub(super) fn unsealed(&mut self, seal_no: Option<i64>, row: &AuditRow, what: &str) {
        self.row(FaultKind::Unsealed, seal_no, row.into(), what.to_owned(), None, Some(row));
    }

    fn row(
        &mut self,
        kind: FaultKind,
        seal_no: Option<i64>,
        row: BadRow,
        what: String,
        sealed: Option<Entry>,
        found: Option<&AuditRow>,
    ) {
        self.first_bad_row.get_or_insert_with(|| row.clone());
        let found = found.map(|row| Box::new(row.clone()));
        self.add(Fault { kind, seal_no, row: Some(row), what, sealed, found });
    }

    fn add(&mut self, fault: Fault) {
        self.fault_count += 1;
        if self.faults.len() < MOST_LISTED {
            self.faults.push(fault);
        }
    }

    /// Says of the rows listed that stand where they do not belong where they come from: another id, or another of
    /// these tenants.
    pub(super) fn name_moves(&mut self, tenants: &[Uuid]) {
        let sealed: Vec<Entry> = self.faults.iter().filter_map(|fault| fault.sealed).collect();
        for fault in &mut self.faults {
            let Some(found) = &fault.found else { continue };
            let body_hash = found.body_hash();
            if let Some(from) = sealed.iter().find(|entry| entry.body_hash == body_hash && entry.id != found.id) {
                fault.kind = FaultKind::Moved;
                fault.what = format!("is the row that was sealed with id {}", from.id);
                continue;
            }
            let belongs = |tenant_id: &&Uuid| {
                let row = AuditRow { tenant_id: **tenant_id, ..AuditRow::clone(found) };
                Some(row.body_hash()) == fault.sealed.map(|sealed| sealed.body_hash)
            };
            if fault.kind == FaultKind::Changed
                && let Some(tenant_id) = tenants.iter().find(belongs)
            {
                fault.kind = FaultKind::Moved;
                fault.what = format!("was moved there from the tenant {tenant_id}");
            }
        }
    }
}
