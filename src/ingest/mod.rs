//! Files, folders and streams of documents on their way into a tenant, in bulk.
//!
//! Readers take texts out of files side by side, formats that hostile files could turn against their reader in a process of their
//! own; a batcher gathers what they find; each batch is a call, through the wrapper of all calls, with one audit row. What was
//! stored before, by source and content, is not stored again: a run that was stopped is run again.

mod batch;
mod decode;
mod draft;
mod extraction;
mod format;
mod front_matter;
mod jsonl;
mod preview;
mod progress;
mod reader;
mod report;
mod run;
mod sources;
mod turns;
mod walk;
mod writer;

pub use batch::IngestDocuments;
pub use extraction::serve as serve_extraction;
pub use format::Format;
pub use progress::Progress;
pub use report::{Embedding, Failed, Report, Summary, printable};
pub use run::{Options, Target, run};
