use clap::{Args, Subcommand};

use super::{CommandError, Style};
use crate::configuration::{Database, DatabaseArguments, DatabaseSettings};
use crate::db::admin;
use crate::migrations::{self, Applied, Checksum, EntryState, MigrationError, Migrations, Progress, Runner, Status};
use crate::startup::Deployment;
use crate::telemetry;

/// What to do with the schema.
#[derive(Debug, Args)]
#[command(subcommand_negates_reqs = true, arg_required_else_help = true)]
pub(super) struct MigrateArguments {
    #[command(subcommand)]
    command: Option<MigrateCommand>,
    /// Print the SQL by which a managed service's administrator makes roles and extensions, so that the role of
    /// BAILIWICK_ADMIN_DATABASE_URL can do the rest without SUPERUSER or CREATEROLE
    #[arg(long, required = true)]
    print_roles: bool,
}

/// Where to move the schema.
#[derive(Debug, Subcommand)]
pub(super) enum MigrateCommand {
    /// Apply the migrations that are missing
    Up {
        /// Apply at most this many
        steps: Option<usize>,
    },
    /// Take the last migrations back. Data in their tables are lost
    Down {
        /// How many
        steps: usize,
    },
    /// Say which migrations are applied
    Status {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
}

/// The role that migrates, where no URL names one.
const SOME_ADMIN: &str = "bailiwick_admin";

/// Runs a migrate command as the database's administrator.
pub(super) async fn run(database: &DatabaseArguments, arguments: &MigrateArguments) -> Result<(), CommandError> {
    let settings = DatabaseSettings::resolve(database)?;
    let Some(command) = arguments.command.as_ref().filter(|_| !arguments.print_roles) else {
        return print_roles(&settings);
    };
    let deployment = Deployment::open(&settings).await?;
    let migrations = Migrations::embedded()?;
    let mut client = admin::connect(deployment.admin()?).await?;
    let runner = Runner::new(&migrations, deployment.run_options());
    match command {
        MigrateCommand::Up { steps } => {
            let done = runner.up(&mut client, *steps, tell).await.map_err(explained)?;
            admin::maintain_partitions(&client).await?;
            summarise(&done, "the schema is up to date");
        }
        MigrateCommand::Down { steps } => {
            summarise(&runner.down(&mut client, *steps, tell).await?, "nothing to take back");
        }
        MigrateCommand::Status { json } => print_status(&migrations::status(&client, &migrations).await?, *json)?,
    }
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the command's output")]
fn print_roles(settings: &DatabaseSettings) -> Result<(), CommandError> {
    let admin = match &settings.database {
        Database::External(external) => external.admin.as_ref().and_then(|admin| admin.get_user()),
        Database::Embedded { .. } => None,
    };
    print!("{}", migrations::roles_sql(&Migrations::embedded()?, admin.unwrap_or(SOME_ADMIN)));
    Ok(())
}

/// What helps a role that may not do what the migrations do.
fn explained(error: MigrationError) -> CommandError {
    if !error.is_want_of_power() {
        return error.into();
    }
    format!("{error}.\nThis role may not do that: `bailiwick migrate --print-roles` prints what somebody who may has to do first.").into()
}

fn tell(progress: Progress<'_>) {
    match progress {
        Progress::WaitingForLock { .. } => telemetry::announce("waiting for another migration run to end …"),
        Progress::Started { file, .. } => telemetry::announce(&format!("{file} …")),
        Progress::Yielding { file } => telemetry::announce(&format!(
            "{file} gives way to a transaction that holds a table it needs, and is tried again …"
        )),
        Progress::Finished(_) => {}
    }
}

#[expect(clippy::print_stdout, reason = "the command's output")]
fn summarise(done: &[Applied], none: &str) {
    match done {
        [] => println!("{none}"),
        [.., last] => println!("{} migrations run, the last was {:06}_{}", done.len(), last.version, last.name),
    }
}

#[expect(clippy::print_stdout, reason = "the command's output")]
fn print_status(status: &Status, json: bool) -> Result<(), CommandError> {
    if json {
        println!("{}", serde_json::to_string_pretty(status)?);
        return Ok(());
    }
    let mut table = Style::of_stdout().table(&["version", "name", "state", "applied at", "file"]);
    for entry in &status.entries {
        let (state, when, checksum) = match &entry.state {
            EntryState::Pending => ("pending", String::new(), ""),
            EntryState::Applied { applied_at, checksum } => (
                "applied",
                applied_at.map_or_else(|| "by another tool".to_owned(), |at| at.to_string()),
                match checksum {
                    Checksum::Matches => "as it is here",
                    Checksum::Differs => "EDITED since",
                    Checksum::Unknown => "unknown",
                },
            ),
        };
        table.add_row([
            format!("{:06}", entry.version),
            entry.name.clone(),
            state.to_owned(),
            when,
            checksum.to_owned(),
        ]);
    }
    println!("{table}");
    if status.dirty {
        println!("The current version is dirty: a migration tool failed in the middle of it.");
    }
    for unknown in &status.unknown {
        println!("The database also has migration {:06}, which this program does not know.", unknown.version);
    }
    Ok(())
}
