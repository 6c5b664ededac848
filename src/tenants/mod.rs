//! What operators may settle for a tenant.

mod settings;

pub use settings::{InvalidSettings, SettingsPatch};
