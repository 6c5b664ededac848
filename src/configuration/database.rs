use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use super::database_url::{self, Use};
use super::surroundings::Surroundings;
use super::{ConfigurationError, DatabaseArguments, EmbeddingSettings};
use crate::db::{DEFAULT_MAX_LAG, Endpoint, ReplicaOptions};
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

/// A server by URL.
#[derive(Debug, Clone)]
pub struct ExternalDatabase {
    /// As the application role; absent if only administration was configured.
    pub app: Option<Endpoint>,
    /// As an administrator.
    pub admin: Option<Endpoint>,
    /// As a role that reads past row-level security, for backups.
    pub backup: Option<Endpoint>,
}

impl DatabaseSettings {
    /// Reads the arguments, and `DATABASE_URL` where there is no URL of our own.
    ///
    /// # Errors
    /// Every problem together.
    pub fn resolve(arguments: &DatabaseArguments) -> Result<Self, ConfigurationError> {
        Self::resolve_with(arguments, std::env::var("DATABASE_URL").ok(), &Surroundings::of_process())
    }

    fn resolve_with(
        arguments: &DatabaseArguments,
        fallback_url: Option<String>,
        surroundings: &Surroundings,
    ) -> Result<Self, ConfigurationError> {
        let mut problems = Vec::new();
        let given = |text: &Option<String>| text.clone().filter(|text| !text.trim().is_empty());
        let (url_name, url) = match given(&arguments.database_url) {
            Some(url) => ("BAILIWICK_DATABASE_URL", Some(url)),
            None => ("DATABASE_URL", fallback_url.filter(|url| !url.trim().is_empty())),
        };
        let mut read = |name: &str, url: Option<&str>, usage| parse(name, url?, usage, surroundings, &mut problems);
        let mut app = read(url_name, url.as_deref(), Use::Writing);
        let admin_url = given(&arguments.admin_database_url);
        let admin = read("BAILIWICK_ADMIN_DATABASE_URL", admin_url.as_deref(), Use::Writing);
        let backup_url = given(&arguments.backup_database_url);
        let backup = read("BAILIWICK_BACKUP_DATABASE_URL", backup_url.as_deref(), Use::Writing);
        let direct_url = given(&arguments.direct_database_url);
        if let Some(direct) = read("BAILIWICK_DIRECT_DATABASE_URL", direct_url.as_deref(), Use::Holding) {
            app = app.map(|app| app.behind_pooler(direct));
        }
        if direct_url.is_some() && url.is_none() {
            problems.push(
                "BAILIWICK_DIRECT_DATABASE_URL leads around the pooler of BAILIWICK_DATABASE_URL, which is not set."
                    .to_owned(),
            );
        }
        let database = if url.is_none() && admin_url.is_none() && backup_url.is_none() {
            Database::Embedded { data_dir: arguments.data_dir.clone(), pg_bin: arguments.pg_bin.clone() }
        } else {
            Database::External(Box::new(ExternalDatabase { app, admin, backup }))
        };
        let is_own = matches!(database, Database::Embedded { .. });
        let replica = replica(arguments, url.is_some(), surroundings, &mut problems);
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
}

fn replica(
    arguments: &DatabaseArguments,
    has_primary: bool,
    surroundings: &Surroundings,
    problems: &mut Vec<String>,
) -> Option<ReplicaOptions> {
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
    let endpoint = parse("BAILIWICK_REPLICA_DATABASE_URL", &url, Use::Reading, surroundings, problems)?;
    Some(ReplicaOptions { endpoint, max_lag: max_lag.unwrap_or(DEFAULT_MAX_LAG) })
}

fn parse(
    name: &str,
    url: &str,
    usage: Use,
    surroundings: &Surroundings,
    problems: &mut Vec<String>,
) -> Option<Endpoint> {
    database_url::parse(name, url, usage, surroundings).map_err(|problem| problems.push(problem)).ok()
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
        let error = DatabaseSettings::resolve_with(&arguments, None, &Surroundings::default()).unwrap_err();
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
        let settled = |url, lag| {
            let settled = DatabaseSettings::resolve_with(&replica(url, lag), None, &Surroundings::default());
            settled.map(|settings| settings.replica)
        };
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
        let settings = DatabaseSettings::resolve_with(
            &DatabaseArguments::default(),
            Some(" ".to_owned()),
            &Surroundings::default(),
        )
        .unwrap();
        assert!(matches!(settings.database, Database::Embedded { .. }));
    }

    #[test]
    fn passwords_are_not_displayed() {
        let url = Some("postgresql://user:hunter2@host/db".to_owned());
        let settings =
            DatabaseSettings::resolve_with(&DatabaseArguments::default(), url, &Surroundings::default()).unwrap();
        assert!(!format!("{settings:?}").contains("hunter2"));
    }
}
