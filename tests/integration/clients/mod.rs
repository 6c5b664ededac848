//! Real clients drive every tool of the real binary over stdio.

mod inspector;
pub mod packages;
pub mod plan;
mod sdks;
