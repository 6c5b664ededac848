use std::path::Path;

use rust_decimal::Decimal;

use super::TransferError;
use super::format::{Document, End, FORMAT, Header, Line, Tenant};
use super::lines::Lines;
use crate::tenants::SettingsPatch;

/// The column has twelve digits before the point.
const BUDGETS_BELOW_USD: u64 = 1_000_000_000_000;

/// Reads a file a document at a time.
pub(super) struct Reader {
    lines: Lines,
    pub header: Header,
    documents: i64,
    chunks: i64,
}

/// What comes next in a file.
pub(super) enum Next {
    Document(Box<Document>),
    /// The whole file was found to be as it was written.
    End(End),
}

/// Why no tenant can have such limits.
fn limits_fault(tenant: &Tenant) -> Option<String> {
    for (name, limit) in [("max_documents", tenant.max_documents), ("max_storage_mb", tenant.max_storage_mb)] {
        if let Some(limit) = limit.filter(|limit| *limit < 0) {
            return Some(format!("the {name} {limit}, which is negative"));
        }
    }
    let given = tenant.monthly_budget_usd.as_deref()?;
    match given.parse::<Decimal>() {
        Err(_) => Some("a monthly_budget_usd that is no number".to_owned()),
        Ok(usd) if usd < Decimal::ZERO => Some(format!("the monthly_budget_usd {given}, which is negative")),
        Ok(usd) if usd >= Decimal::from(BUDGETS_BELOW_USD) => {
            Some(format!("the monthly_budget_usd {given}; there are none from {BUDGETS_BELOW_USD} on"))
        }
        Ok(_) => None,
    }
}

impl Reader {
    pub fn open(path: &Path) -> Result<Self, TransferError> {
        let mut lines = Lines::open(path)?;
        let header = match lines.next()? {
            Some(Line::Header(header)) if header.format == FORMAT => *header,
            Some(Line::Header(header)) => {
                return Err(lines.refuse(format!("the format {:?}; this program reads {FORMAT:?}", header.format)));
            }
            _ => return Err(lines.refuse(format!("no header of {FORMAT:?}"))),
        };
        let tenant = &header.tenant;
        if !["active", "suspended"].contains(&tenant.status.as_str()) {
            return Err(lines.refuse(format!("the unknown status {:?}", tenant.status)));
        }
        if let Some(fault) = limits_fault(tenant) {
            return Err(lines.refuse(fault));
        }
        let settings = SettingsPatch::parse(&tenant.settings.to_string());
        let settings = settings.map_err(|error| lines.refuse(error.to_string()))?;
        if let Some(name) = settings.null() {
            return Err(lines.refuse(format!("the setting {name:?} without a value, which a tenant does not have")));
        }
        Ok(Self { lines, header, documents: 0, chunks: 0 })
    }

    /// The next document, or the end.
    pub fn next(&mut self) -> Result<Next, TransferError> {
        match self.lines.next()? {
            Some(Line::Document(document)) => {
                if let Some(fault) = document.fault(&self.header) {
                    return Err(self.lines.refuse(fault));
                }
                self.documents += 1;
                self.chunks += i64::try_from(document.chunks.len()).unwrap_or(i64::MAX);
                Ok(Next::Document(document))
            }
            Some(Line::End(end)) => {
                let counted =
                    End { documents: self.documents, chunks: self.chunks, sha256: self.lines.sha256_before() };
                if end != counted {
                    return Err(self.lines.refuse(format!(
                        "the end tells of {} documents with {} passages, or of a checksum, that the lines before do not have",
                        end.documents, end.chunks
                    )));
                }
                if !self.lines.is_at_end()? {
                    return Err(self.lines.refuse("something stands behind the end".to_owned()));
                }
                Ok(Next::End(end))
            }
            Some(Line::Header(_)) => Err(self.lines.refuse("a second header".to_owned())),
            None => Err(self.lines.refuse("the file ends before its last line: it was cut off here".to_owned())),
        }
    }
}
