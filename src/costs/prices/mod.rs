//! List prices as an operator gives them: read from files, checked before they reach the table, which has no way to edit one.

mod file;
mod price;

pub use file::{FileFormat, read};
pub use price::{Fields, Price};
