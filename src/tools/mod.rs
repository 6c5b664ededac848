//! The tools that agents call. Each is thin: it checks its input, works in the call's one transaction, and answers.

use crate::embedding::Embeddings;

pub(crate) mod budget;
pub(crate) mod cost_report;
mod delete_document;
pub(crate) mod fields;
mod filter;
mod get_document;
mod hybrid_search;
mod insert_document;
mod list_documents;
mod record_usage;
mod search_audit_log;
pub(crate) mod tenant_status;
mod update_document;

pub use cost_report::CostReport;
pub use delete_document::DeleteDocument;
pub use get_document::GetDocument;
pub use hybrid_search::HybridSearch;
pub use insert_document::InsertDocument;
pub use list_documents::ListDocuments;
pub use record_usage::RecordUsage;
pub use search_audit_log::SearchAuditLog;
pub use tenant_status::TenantStatus;
pub use update_document::UpdateDocument;

/// What the tools need to know of the database and its embedding model.
#[derive(Debug, Clone, Default)]
pub struct EmbeddingSpace {
    /// Dimensions of the database's vectors.
    pub dimensions: usize,
    /// Id of the model whose vectors callers give.
    pub model_id: i16,
    /// Its name.
    pub model_name: String,
    /// What this server embeds with, if anything.
    pub embeddings: Embeddings,
}

/// What a caller's vector must be, and of which model it is taken to be.
#[derive(Debug)]
pub(crate) struct Expected {
    pub dimensions: usize,
    pub model_id: i16,
    pub model_name: String,
}

impl EmbeddingSpace {
    /// For vectors that come now: of this server's own model while documents are embedded with it, which may have begun since it was
    /// started.
    pub(crate) fn expected(&self) -> Expected {
        match self.embeddings.embedder().filter(|_| self.embeddings.absence().is_none()) {
            Some((embedder, model_id)) => {
                let model = embedder.model();
                Expected { dimensions: model.dimensions, model_id, model_name: model.name.clone() }
            }
            None => {
                Expected { dimensions: self.dimensions, model_id: self.model_id, model_name: self.model_name.clone() }
            }
        }
    }
}
