//! The face towards MCP clients: what is offered, and how calls and answers travel.

mod desktop;
mod manifest;
mod registry;
mod resources;
pub mod schema;
mod server;
mod toolbox;
mod views;

pub use manifest::{manifest, manifest_of_this_platform};
pub use registry::{Bundle, Image, Published, server_json};
pub use server::{ClientAddress, DeniedScope, Server};
pub use toolbox::Toolbox;
