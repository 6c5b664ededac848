//! Real clients drive every tool of the real binary over stdio.

mod inspector;
mod packages;
mod sdks;
