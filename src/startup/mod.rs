//! From configuration to a running service: the database made ready, then the service on it.

mod deployment;
mod service;

pub use deployment::{Deployment, DeploymentError};
pub use service::{Service, ServiceError};
