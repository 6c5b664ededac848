//! The tools that agents call. Each is thin: it checks its input, works in the call's one transaction, and answers.

mod cost_report;
mod hybrid_search;
mod insert_document;
mod record_usage;
mod search_audit_log;
mod tenant_status;

pub use cost_report::CostReport;
pub use hybrid_search::HybridSearch;
pub use insert_document::InsertDocument;
pub use record_usage::RecordUsage;
pub use search_audit_log::SearchAuditLog;
pub use tenant_status::TenantStatus;

/// What the tools need to know of the database and its embedding model.
#[derive(Debug, Clone)]
pub struct EmbeddingSpace {
    /// Dimensions of the database's vectors.
    pub dimensions: usize,
    /// Id of the model whose vectors callers give.
    pub model_id: i16,
    /// Its name.
    pub model_name: String,
}
