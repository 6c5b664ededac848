//! `bailiwick key`: API keys for HTTP, made and taken back as the database's administrator.

mod create;
mod expiry;
mod list;
mod revoke;

use clap::Subcommand;

use super::{CommandError, Style};
use crate::configuration::{DatabaseArguments, DatabaseSettings};
use crate::db::admin;
use crate::startup::Deployment;

/// What to do with keys.
#[derive(Debug, Subcommand)]
pub(super) enum KeyCommand {
    /// Make a key and print it; it is shown this once and kept nowhere
    #[command(
        after_help = "Examples:\n  bailiwick key create --tenant acme --user ada@acme.example\n  bailiwick key create --tenant acme --user agent-7 --scopes 'documents:read audit:read' --expires 2027-01-01 --json"
    )]
    Create(create::CreateArguments),
    /// List the keys with their owners and states; a key itself cannot be shown again
    List(list::ListArguments),
    /// Take a key back, effective within a second; doing so twice does no harm
    Revoke(revoke::RevokeArguments),
}

/// Runs a key command.
pub(super) async fn run(database: &DatabaseArguments, command: KeyCommand) -> Result<(), CommandError> {
    // What is wrong with the arguments is told before a database is looked for.
    let request = match command {
        KeyCommand::Create(arguments) => Request::Create(arguments.checked()?),
        KeyCommand::List(arguments) => Request::List(arguments),
        KeyCommand::Revoke(arguments) => Request::Revoke(arguments.checked()?),
    };
    let settings = DatabaseSettings::resolve(database)?;
    let deployment = Deployment::open(&settings).await?;
    let client = admin::connect(deployment.admin()?).await?;
    match request {
        Request::Create(request) => create::run(&client, request).await,
        Request::List(arguments) => list::run(&client, &arguments).await,
        Request::Revoke(request) => revoke::run(&client, request).await,
    }
}

/// Checked arguments.
enum Request {
    Create(create::Request),
    List(list::ListArguments),
    Revoke(revoke::Request),
}

/// The error for a tenant that is not there.
fn no_tenant(slug: &str) -> CommandError {
    format!("there is no tenant {slug:?}; `bailiwick tenant list` shows them").into()
}
