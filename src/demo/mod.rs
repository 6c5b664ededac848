//! demo
use crate::configuration::DatabaseArguments;
use clap::Args;
/// args
#[derive(Debug, Clone, Args)]
pub struct DemoArguments {
    /// Print what happened as JSON
    #[arg(long)]
    pub json: bool,
    /// Leave the demo's database in place
    #[arg(long)]
    pub keep: bool,
}
/// run
pub async fn run(
    _d: &DatabaseArguments,
    _a: &DemoArguments,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    Ok(())
}
