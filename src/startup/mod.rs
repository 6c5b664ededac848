//! From configuration to a running service: the database made ready, then the service on it.

mod deployment;
mod embedding;
mod exposure;
mod service;
pub(crate) mod spool;

pub use deployment::{Deployment, DeploymentError};
pub(crate) use embedding::{calls, check_price, embedder, service as embedding_service};
pub(crate) use service::DEFAULT_TENANT;
pub use service::{Service, ServiceError};
