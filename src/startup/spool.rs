//! Where audit rows wait that the database cannot take.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::ServiceError;
use crate::call;
use crate::configuration::DatabaseSettings;
use crate::db::{DatabaseIdentity, DbError, Endpoint, System};
use crate::embedded::EmbeddedError;

/// The folder for audit rows that wait for that database, told by what the database is and not by the way to it: after a failover,
/// or through a pooler, the next process must find what the last one left. Where the database never says which one it is, the way
/// there has to do, and what waits there is taken over once it says so. Rows that were left in other folders are told of.
pub(super) async fn folder(
    settings: &DatabaseSettings,
    app: &Endpoint,
    system: &System,
) -> Result<PathBuf, ServiceError> {
    let by_place = root(settings)?.join(by_place(app));
    let mut others = by_place.clone().into_os_string();
    others.push("-of-others");
    let others = PathBuf::from(others);
    let folder = match system.identity().await {
        Ok(identity) => {
            let own = of_database(settings, &identity)?;
            sort_out(&by_place, Left::TakenOver { to: own.clone() }, system).await;
            own
        }
        Err(error) if is_passing(&error) => return Err(error.into()),
        Err(error) => {
            tracing::warn!(
                %error,
                folder = %by_place.display(),
                "the database does not say which one it is (EXECUTE on pg_control_system() is not granted?): audit rows wait by the way to it"
            );
            sort_out(&by_place, Left::SetAside { to: others.clone() }, system).await;
            by_place
        }
    };
    // What was set aside while another database was there may be this one's.
    sort_out(&others, Left::TakenOver { to: folder.clone() }, system).await;
    let own = folder.clone();
    for stranded in tokio::task::spawn_blocking(move || call::stranded(&own)).await.unwrap_or_default() {
        tracing::warn!(
            folder = %stranded.folder.display(),
            rows = stranded.rows,
            own = %folder.display(),
            "audit rows wait on disk for another database than the one that is served: `bailiwick doctor` says what to do"
        );
    }
    Ok(folder)
}

/// Whether the next process may be told. Then this one does not start: what it kept elsewhere, that one would not look for.
fn is_passing(error: &DbError) -> bool {
    !matches!(error, DbError::Forbidden(_) | DbError::Other(_))
}

/// What becomes of rows that were kept by the way to a database.
enum Left {
    /// Those of its tenants are moved into its own folder.
    TakenOver { to: PathBuf },
    /// Those of others are moved out of it.
    SetAside { to: PathBuf },
}

/// Tells rows that were kept by the way to this database from those of another that was there before, which would be taken into the
/// trail all the same: its own are of tenants that it knows, whose ids are nobody else's.
async fn sort_out(from: &Path, left: Left, system: &System) {
    let from = from.to_owned();
    let moved = async {
        let folder = from.clone();
        let tenants = tokio::task::spawn_blocking(move || call::tenants_left(&folder)).await.unwrap_or_default();
        let mut known = HashSet::new();
        for id in tenants {
            let found = system.resolve_tenant(&id.to_string()).await.map_err(|error| error.to_string())?;
            known.extend(found.map(|tenant| tenant.id).filter(|found| *found == id));
        }
        let moving = tokio::task::spawn_blocking(move || match left {
            Left::TakenOver { to } => call::move_left(&from, &to, |tenants| tenants.is_subset(&known)),
            Left::SetAside { to } => call::move_left(&from, &to, |tenants| !tenants.is_subset(&known)),
        });
        moving.await.map_or(Ok(0), |moved| moved.map_err(|error| error.to_string()))
    };
    match moved.await {
        Ok(0) => {}
        Ok(rows) => tracing::info!(rows, "audit rows that waited by the way to this database are sorted out"),
        Err(error) => {
            tracing::warn!(%error, "audit rows that wait by the way to this database could not be sorted out");
        }
    }
}

/// The folder of the database that an administrator is connected to.
///
/// # Errors
/// [`EmbeddedError`] if there is no place for data.
pub(crate) fn of_database(settings: &DatabaseSettings, identity: &DatabaseIdentity) -> Result<PathBuf, EmbeddedError> {
    Ok(root(settings)?.join(named(&identity.database, &identity.system_identifier.cast_unsigned().to_string())))
}

fn root(settings: &DatabaseSettings) -> Result<PathBuf, EmbeddedError> {
    Ok(settings.data_dir()?.join("spool"))
}

/// As folders were called before they were databases', too.
fn by_place(app: &Endpoint) -> PathBuf {
    let name = app.get_dbname().unwrap_or_default();
    let place = format!("{:?} {:?} {name}", app.get_hosts(), app.get_ports());
    Path::new(&format!("{}-{}", plain(name), digest(&place))).to_owned()
}

fn named(database: &str, place: &str) -> PathBuf {
    let plain = plain(database);
    Path::new(&match plain == database {
        true => format!("{plain}-{place}"),
        false => format!("{plain}-{place}-{}", digest(database)),
    })
    .to_owned()
}

/// A name may hold what no file name may.
fn plain(database: &str) -> String {
    database.chars().filter(|c| c.is_ascii_alphanumeric() || "-_".contains(*c)).take(60).collect()
}

fn digest(text: &str) -> String {
    Sha256::digest(text).iter().take(4).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Who falls back for what passes keeps rows where the next process does not look.
    #[test]
    fn only_what_lasts_leads_to_another_folder() {
        let text = || "x".to_owned();
        assert!(is_passing(&DbError::Unavailable(text())) && is_passing(&DbError::TimedOut(text())));
        assert!(!is_passing(&DbError::Forbidden(text())) && !is_passing(&DbError::Other(text())));
    }

    #[test]
    fn each_database_has_a_folder_of_its_own_whose_name_is_one() {
        assert_eq!(named("bailiwick", "7"), Path::new("bailiwick-7"));
        let mut names: Vec<_> = ["a b", "ab", "a/b", "../ab", ""].map(|name| named(name, "7")).into();
        assert!(names.iter().all(|name| name.components().count() == 1), "{names:?}");
        names.sort();
        names.dedup();
        assert_eq!(names.len(), 5);
    }

    /// What an older program left is found by the name that it gave.
    #[test]
    fn the_folder_by_the_way_is_called_as_it_always_was() {
        let config: tokio_postgres::Config = "postgresql://ann@db.example:6432/doc%20s".parse().unwrap();
        let place = r#"[Tcp("db.example")] [6432] doc s"#;
        assert_eq!(by_place(&config.into()), Path::new(&format!("docs-{}", digest(place))));
        assert_eq!(digest(""), "e3b0c442", "FIPS 180-4, of nothing");
    }
}
