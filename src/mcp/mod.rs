//! The face towards MCP clients: what is offered, and how calls and answers travel.

mod manifest;
mod registry;
mod resources;
pub mod schema;
mod server;
mod toolbox;
mod views;

pub use manifest::manifest;
pub use registry::{Bundle, server_json};
pub use server::{ClientAddress, DeniedScope, Server};
pub use toolbox::Toolbox;
