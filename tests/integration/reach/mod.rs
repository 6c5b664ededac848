//! Ways to a database of somebody else's: encrypted, over several hosts, through a pooler, without a superuser.

mod authority;
mod caller;
mod cluster;
mod exposure;
mod hosts;
mod leases;
mod pgbouncer;
mod pooled_program;
mod pooler;
mod roles;
mod stalls;
mod tls;

pub use cluster::Cluster;
pub use pgbouncer::{Pgbouncer, Pooling};

use bailiwick::configuration::{Database, DatabaseArguments, DatabaseSettings, ExternalDatabase};
use bailiwick::db::Endpoint;

/// What the program makes of a URL.
fn configured(arguments: DatabaseArguments) -> Result<ExternalDatabase, String> {
    let settings = DatabaseSettings::resolve(&arguments).map_err(|error| error.to_string())?;
    match settings.database {
        Database::External(external) => Ok(*external),
        Database::Embedded { .. } => panic!("a URL was given"),
    }
}

/// An administrator's way by that URL.
fn admin(url: &str) -> Result<Endpoint, String> {
    let arguments = DatabaseArguments { admin_database_url: Some(url.to_owned()), ..DatabaseArguments::default() };
    Ok(configured(arguments)?.admin.unwrap())
}

/// The application's way by that URL, and past it where it leads to a pooler.
fn app(url: &str, direct: Option<&str>) -> Endpoint {
    let arguments = DatabaseArguments {
        database_url: Some(url.to_owned()),
        direct_database_url: direct.map(str::to_owned),
        ..DatabaseArguments::default()
    };
    configured(arguments).unwrap().app.unwrap()
}
