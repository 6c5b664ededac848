//! Recovery to a moment, drilled on the program's own PostgreSQL as docs/operations.md has it: archiving by what `doctor --pitr`
//! writes, a base backup, two marks by real calls, and back to between them.

mod deployment;
mod drill;
mod hanging;
