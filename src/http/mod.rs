//! The face over HTTP: one server for all tenants, each request as whom its credential says.

mod a2a;
mod address;
mod authentication;
mod barred;
mod client;
mod descriptors;
mod exposition;
mod figures;
mod health;
mod legacy;
mod limits;
mod listener;
mod mcp;
mod options;
mod proxies;
mod request;
mod resource;
mod router;
mod scope;
mod standing;
mod streams;
mod tls;

pub use descriptors::connections_within_limits;
pub use exposition::Exposition;
pub use figures::figures;
pub use listener::{Listener, serve};
pub use options::HttpOptions;
pub use proxies::{ForwardedHeader, InvalidProxy, TrustedProxies};
pub use router::{Face, router};
pub use tls::{Tls, TlsError, TlsFiles};
