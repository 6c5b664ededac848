//! What operators may settle for a tenant.

pub mod purge;
mod settings;
pub mod transfer;

pub use settings::{InvalidSettings, SettingsPatch};
