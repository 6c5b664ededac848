//! The face over HTTP: one server for all tenants, each request as whom its credential says.

mod address;
mod authentication;
mod exposition;
mod health;
mod limits;
mod listener;
mod options;
mod request;
mod resource;
mod router;
mod scope;
mod standing;

pub use exposition::Exposition;
pub use listener::{Listener, serve};
pub use options::{HttpOptions, TrustedProxies};
pub use router::{Face, router};
