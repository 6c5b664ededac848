//! The door to a tenant's rows: who may serve through it, and what a call leaves behind.

mod drops;
mod startup;
mod sweep;
