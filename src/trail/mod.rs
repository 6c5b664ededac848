//! Reading the audit trail, a page at a time and newest first. One way for the tool and for the command line.

mod cursor;
mod filter;
mod page;

pub use cursor::Cursor;
pub use filter::{Filter, Wanted};
pub use page::{Entry, Page, page};
