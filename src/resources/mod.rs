//! What clients attach and complete: documents, statistics and the shape of documents as MCP resources. Each look at a tenant's
//! data is a call like a tool's, with its scope, its turn and its audit row.

mod complete;
mod document;
mod list;
mod schema;
mod statistics;
mod view;

pub use complete::{CompleteIds, CompleteSources, Completion};
pub use document::ReadDocument;
pub use list::ListResources;
pub use schema::ReadSchema;
pub use statistics::ReadStatistics;
pub use view::ReadCostView;
