//! Where audit rows wait that the database cannot take.

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::ServiceError;
use crate::call;
use crate::configuration::DatabaseSettings;
use crate::db::{DatabaseIdentity, DbError, Endpoint, System};
use crate::embedded::EmbeddedError;

/// The folder for audit rows that wait for that database, told by what the database is and not by the way to it: after a failover,
/// or through a pooler, the next process must find what the last one left. Rows that were left in other folders are told of.
pub(super) async fn folder(
    settings: &DatabaseSettings,
    app: &Endpoint,
    system: &System,
) -> Result<PathBuf, ServiceError> {
    let folder = match system.identity().await {
        Ok(identity) => of_database(settings, &identity)?,
        Err(error @ DbError::Unavailable(_)) => return Err(error.into()),
        Err(error) => {
            tracing::warn!(%error, "the database does not say which one it is: audit rows wait by the way to it");
            root(settings)?.join(by_place(app))
        }
    };
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

fn by_place(app: &Endpoint) -> PathBuf {
    let name = app.get_dbname().unwrap_or_default();
    named(name, &digest(&format!("{:?} {:?}", app.get_hosts(), app.get_ports())))
}

fn named(database: &str, place: &str) -> PathBuf {
    // A name may hold what no file name may.
    let plain: String = database.chars().filter(|c| c.is_ascii_alphanumeric() || "-_".contains(*c)).take(60).collect();
    Path::new(&match plain == database {
        true => format!("{plain}-{place}"),
        false => format!("{plain}-{place}-{}", digest(database)),
    })
    .to_owned()
}

fn digest(text: &str) -> String {
    Sha256::digest(text).iter().take(4).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_database_has_a_folder_of_its_own_whose_name_is_one() {
        assert_eq!(named("bailiwick", "7"), Path::new("bailiwick-7"));
        let mut names: Vec<_> = ["a b", "ab", "a/b", "../ab", ""].map(|name| named(name, "7")).into();
        assert!(names.iter().all(|name| name.components().count() == 1), "{names:?}");
        names.sort();
        names.dedup();
        assert_eq!(names.len(), 5);
    }
}
