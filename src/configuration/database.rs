use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::{ConfigurationError, DatabaseArguments, EmbeddingSettings};
use crate::db::{DEFAULT_MAX_LAG, ReplicaOptions};
use crate::embedded::{self, EmbeddedError};

/// Milliseconds that a replica may lag behind: below, it would hardly ever be asked.
const MAX_LAG_MS: RangeInclusive<u64> = 100..=3_600_000;

/// Where the data are, and what embeddings they hold.
#[derive(Debug, Clone)]
pub struct DatabaseSettings {
    /// The server.
    pub database: Database,
    /// Where searches may be read.
    pub replica: Option<ReplicaOptions>,
    /// Folder of what this program keeps outside the database; the default folder if `None`.
    pub data_dir: Option<PathBuf>,
    /// What embeds.
    pub embedding: EmbeddingSettings,
}

/// A PostgreSQL server.
#[derive(Debug, Clone)]
pub enum Database {
    /// Our own, in this folder (the default folder if `None`).
    Embedded {
        /// Where it lives.
        data_dir: Option<PathBuf>,
        /// Whose programs to run.
        pg_bin: Option<PathBuf>,
    },
    /// Somebody else's.
    External(Box<ExternalDatabase>),
}

/// A server by URL. `Debug` of a tokio-postgres configuration leaves the password out.
#[derive(Debug, Clone)]
pub struct ExternalDatabase {
    /// As the application role; absent if only administration was configured.
    pub app: Option<tokio_postgres::Config>,
    /// As an administrator.
    pub admin: Option<tokio_postgres::Config>,
}

impl DatabaseSettings {
    /// Reads the arguments, and `DATABASE_URL` where there is no URL of our own.
    ///
    /// # Errors
    /// Every problem together.
    pub fn resolve(arguments: &DatabaseArguments) -> Result<Self, ConfigurationError> {
        Self::resolve_with(arguments, std::env::var("DATABASE_URL").ok())
    }

    fn resolve_with(arguments: &DatabaseArguments, fallback_url: Option<String>) -> Result<Self, ConfigurationError> {
        let mut problems = Vec::new();
        let given = |text: &Option<String>| text.clone().filter(|text| !text.trim().is_empty());
        let (url_name, url) = match given(&arguments.database_url) {
            Some(url) => ("BAILIWICK_DATABASE_URL", Some(url)),
            None => ("DATABASE_URL", fallback_url.filter(|url| !url.trim().is_empty())),
        };
        let app = parse_url(url_name, url.as_deref(), &mut problems);
        let admin_url = given(&arguments.admin_database_url);
        let admin = parse_url("BAILIWICK_ADMIN_DATABASE_URL", admin_url.as_deref(), &mut problems);
        let database = if url.is_none() && admin_url.is_none() {
            Database::Embedded { data_dir: arguments.data_dir.clone(), pg_bin: arguments.pg_bin.clone() }
        } else {
            Database::External(Box::new(ExternalDatabase { app, admin }))
        };
        let is_own = matches!(database, Database::Embedded { .. });
        let replica = replica(arguments, url.is_some(), &mut problems);
        let embedding = EmbeddingSettings::resolve(&arguments.embedding, is_own, &mut problems);
        if !problems.is_empty() {
            return Err(ConfigurationError(problems));
        }
        Ok(Self { database, replica, data_dir: arguments.data_dir.clone(), embedding })
    }

    /// Folder of what this program keeps outside the database.
    ///
    /// # Errors
    /// [`EmbeddedError`] if there is no place for data.
    pub fn data_dir(&self) -> Result<PathBuf, EmbeddedError> {
        match &self.data_dir {
            Some(dir) => Ok(dir.clone()),
            None => embedded::default_data_dir(),
        }
    }

    /// Folder for audit rows that wait for that database: each database has its own, for they must not get into another.
    ///
    /// # Errors
    /// [`EmbeddedError`] if there is no place for data.
    pub fn spool_dir(&self, app: &tokio_postgres::Config) -> Result<PathBuf, EmbeddedError> {
        let data_dir = self.data_dir()?;
        let name = app.get_dbname().unwrap_or_default();
        let place = format!("{:?} {:?} {name}", app.get_hosts(), app.get_ports());
        let digest: String = Sha256::digest(place).iter().take(4).map(|byte| format!("{byte:02x}")).collect();
        // A name may hold what no file name may.
        let name: String = name.chars().filter(|c| c.is_ascii_alphanumeric() || "-_".contains(*c)).take(60).collect();
        Ok(data_dir.join("spool").join(format!("{name}-{digest}")))
    }
}

fn replica(arguments: &DatabaseArguments, has_primary: bool, problems: &mut Vec<String>) -> Option<ReplicaOptions> {
    let given = |text: &Option<String>| text.clone().filter(|text| !text.trim().is_empty());
    let max_lag = given(&arguments.replica_max_lag_ms).and_then(|text| match text.trim().parse() {
        Ok(ms) if MAX_LAG_MS.contains(&ms) => Some(Duration::from_millis(ms)),
        _ => {
            let (least, most) = (MAX_LAG_MS.start(), MAX_LAG_MS.end());
            problems
                .push(format!("BAILIWICK_REPLICA_MAX_LAG_MS is {text:?}; expected {least} to {most} milliseconds."));
            None
        }
    });
    let url = given(&arguments.replica_database_url)?;
    if !has_primary {
        problems.push(
            "BAILIWICK_REPLICA_DATABASE_URL names a replica of no database: BAILIWICK_DATABASE_URL is not set."
                .to_owned(),
        );
    }
    let config = parse_url("BAILIWICK_REPLICA_DATABASE_URL", Some(&url), problems)?;
    Some(ReplicaOptions { config, max_lag: max_lag.unwrap_or(DEFAULT_MAX_LAG) })
}

fn parse_url(name: &str, url: Option<&str>, problems: &mut Vec<String>) -> Option<tokio_postgres::Config> {
    match url?.parse() {
        Ok(config) => Some(config),
        Err(error) => {
            // The text itself may hold a password, so only the parser's reason is told.
            let reason = std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string);
            problems.push(format!(
                "{name} is no PostgreSQL URL ({reason}); expected postgresql://USER:PASSWORD@HOST:PORT/DATABASE."
            ));
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::configuration::EmbeddingArguments;

    #[test]
    fn problems_are_reported_together_and_without_passwords() {
        let arguments = DatabaseArguments {
            database_url: Some("postgresql://user:hunter2@host:notaport/db".to_owned()),
            admin_database_url: Some("hunter2://".to_owned()),
            embedding: EmbeddingArguments {
                embeddings_dimensions: Some("4001".to_owned()),
                ..EmbeddingArguments::default()
            },
            ..DatabaseArguments::default()
        };
        let error = DatabaseSettings::resolve_with(&arguments, None).unwrap_err();
        assert_eq!(error.0.len(), 3, "{error}");
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }

    #[test]
    fn a_replica_is_one_of_a_database_and_lags_by_a_bound() {
        let replica = |url: &str, lag: &str| DatabaseArguments {
            database_url: Some(url.to_owned()).filter(|url| !url.is_empty()),
            replica_database_url: Some("postgresql://user:hunter2@standby/db".to_owned()),
            replica_max_lag_ms: Some(lag.to_owned()),
            ..DatabaseArguments::default()
        };
        let settled =
            |url, lag| DatabaseSettings::resolve_with(&replica(url, lag), None).map(|settings| settings.replica);
        assert_eq!(settled("postgresql://host/db", "250").unwrap().unwrap().max_lag, Duration::from_millis(250));
        assert_eq!(settled("postgresql://host/db", "").unwrap().unwrap().max_lag, DEFAULT_MAX_LAG);
        for (url, lag, problems) in
            [("", "99", 2), ("postgresql://host/db", "1s", 1), ("postgresql://host/db", "3600001", 1)]
        {
            let error = settled(url, lag).unwrap_err();
            assert_eq!(error.0.len(), problems, "{error}");
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
        assert!(!format!("{:?}", settled("postgresql://host/db", "250")).contains("hunter2"));
    }

    #[test]
    fn without_a_url_the_database_is_our_own() {
        let settings = DatabaseSettings::resolve_with(&DatabaseArguments::default(), Some(" ".to_owned())).unwrap();
        assert!(matches!(settings.database, Database::Embedded { .. }));
    }

    #[test]
    fn passwords_are_not_displayed() {
        let url = Some("postgresql://user:hunter2@host/db".to_owned());
        let settings = DatabaseSettings::resolve_with(&DatabaseArguments::default(), url).unwrap();
        assert!(!format!("{settings:?}").contains("hunter2"));
    }
}
