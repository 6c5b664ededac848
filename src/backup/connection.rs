use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use tokio_postgres::Client;
use tokio_postgres::config::{ChannelBinding, Host, SslMode};

use super::BackupError;
use crate::db::{DbError, Endpoint, TlsCheck, TlsRoots, admin};

/// Where a server's databases are looked up and made from, in the order in which they are tried.
const MAINTENANCE: [&str; 2] = ["postgres", "template1"];

/// One server, as this program and as PostgreSQL's own programs reach it: a snapshot is known to no other.
#[derive(Debug, Clone)]
pub struct Connection(Endpoint);

impl Connection {
    /// The first of the configured hosts that answers, at the address at which it does.
    ///
    /// # Errors
    /// The last one's [`BackupError`].
    pub async fn find(endpoint: &Endpoint) -> Result<Self, BackupError> {
        // A dump is one session, and a snapshot is known to no other server behind a pooler.
        let each = endpoint.direct().each().await;
        if let [one] = each.as_slice() {
            return Ok(Self(one.clone()));
        }
        let mut last = None;
        for one in each.into_iter().map(Self) {
            match one.client().await {
                Ok(_) => return Ok(one),
                // It answers: what it says of the database is for whoever asks next.
                Err(DbError::Other(_)) => return Ok(one),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| DbError::Unavailable("no host".to_owned())).into())
    }

    /// The same server's database of that name.
    #[must_use]
    pub fn with_database(&self, name: &str) -> Self {
        Self(self.0.with_database(name))
    }

    /// The database's name, which is the user's where none is given.
    #[must_use]
    pub fn database(&self) -> &str {
        self.0.get_dbname().or(self.0.get_user()).unwrap_or_default()
    }

    /// A session.
    ///
    /// # Errors
    /// Any [`DbError`].
    pub async fn client(&self) -> Result<Client, DbError> {
        let client = admin::connect(&self.0).await?;
        // It waits for hours beside the programs, and some of what it asks takes long.
        admin::have_time(&client).await?;
        Ok(client)
    }

    /// A session in a database that is none of ours, from which others are made, renamed and dropped.
    ///
    /// # Errors
    /// Any [`DbError`].
    pub async fn maintenance(&self) -> Result<Client, DbError> {
        let mut last = None;
        for name in MAINTENANCE {
            match self.with_database(name).client().await {
                Ok(client) => return Ok(client),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| DbError::Unavailable("no database".to_owned())))
    }

    /// What one of PostgreSQL's programs connects by. Never on its command line, which every user of the machine can read.
    pub(super) fn environment(&self) -> Vec<(&'static str, OsString)> {
        let config = &self.0;
        let mut set: Vec<(&'static str, OsString)> = Vec::new();
        let mut is_socket = false;
        match config.get_hosts().first() {
            Some(Host::Tcp(name)) => set.push(("PGHOST", name.into())),
            Some(Host::Unix(folder)) => {
                is_socket = true;
                set.push(("PGHOST", folder.into()));
            }
            None => {}
        }
        if let Some(address) = config.get_hostaddrs().first() {
            set.push(("PGHOSTADDR", address.to_string().into()));
        }
        set.push(("PGPORT", config.get_ports().first().copied().unwrap_or(5_432).to_string().into()));
        if let Some(user) = config.get_user() {
            set.push(("PGUSER", user.into()));
        }
        set.push(("PGDATABASE", self.database().into()));
        if let Some(password) = config.get_password() {
            set.push(("PGPASSWORD", OsString::from_vec(password.to_vec())));
        }
        if let Some(options) = config.get_options() {
            set.push(("PGOPTIONS", options.into()));
        }
        let tls = self.0.tls().settings().filter(|_| !is_socket);
        let mode = match (config.get_ssl_mode(), tls.map(|tls| tls.check)) {
            (SslMode::Disable, _) | (_, None) => "disable",
            (_, Some(TlsCheck::Authority)) => "verify-ca",
            (_, Some(TlsCheck::Name)) => "verify-full",
            (SslMode::Require, Some(TlsCheck::Nothing)) => "require",
            _ => "prefer",
        };
        set.push(("PGSSLMODE", mode.into()));
        if let Some(tls) = tls.filter(|_| mode != "disable") {
            if tls.check != TlsCheck::Nothing {
                let roots = match &tls.roots {
                    TlsRoots::System => "system".into(),
                    TlsRoots::File(file) => file.into(),
                };
                set.push(("PGSSLROOTCERT", roots));
            }
            if let Some((certificate, key)) = &tls.client {
                set.extend([("PGSSLCERT", certificate.into()), ("PGSSLKEY", key.into())]);
            }
        }
        let binding = match config.get_channel_binding() {
            ChannelBinding::Disable => Some("disable"),
            ChannelBinding::Require => Some("require"),
            _ => None,
        };
        set.extend(binding.map(|binding| ("PGCHANNELBINDING", binding.into())));
        set.push(("PGCONNECT_TIMEOUT", "10".into()));
        set.push(("PGAPPNAME", "bailiwick-backup".into()));
        set
    }
}

#[cfg(test)]
mod tests {
    use tokio_postgres::Config;

    use super::*;
    use crate::db::{Tls, TlsSettings};

    #[tokio::test]
    async fn programs_get_the_password_by_their_environment_and_one_host_alone() {
        let config: Config =
            "postgresql://ada:hunter2@a.example:1,b.example:2/docs?sslmode=require&channel_binding=require&hostaddr=127.0.0.1,127.0.0.2"
                .parse()
                .unwrap();
        let tls = TlsSettings {
            check: TlsCheck::Name,
            roots: TlsRoots::File("roots.pem".into()),
            client: Some(("ada.pem".into(), "ada.key".into())),
        };
        let second = Connection(Endpoint::new(config, Tls::new(tls)).each().await[1].clone());
        let environment = second.environment();
        let of =
            |name: &str| environment.iter().find(|(known, _)| *known == name).and_then(|(_, value)| value.to_str());
        let names =
            ["PGHOST", "PGHOSTADDR", "PGPORT", "PGUSER", "PGDATABASE", "PGPASSWORD", "PGSSLMODE", "PGCHANNELBINDING"];
        let found = names.map(|name| of(name).unwrap_or_default());
        assert_eq!(found, ["b.example", "127.0.0.2", "2", "ada", "docs", "hunter2", "verify-full", "require"]);
        let found = ["PGSSLROOTCERT", "PGSSLCERT", "PGSSLKEY"].map(|name| of(name).unwrap_or_default());
        assert_eq!(found, ["roots.pem", "ada.pem", "ada.key"]);
        assert!(!format!("{second:?}").contains("hunter2"));
    }

    #[test]
    fn a_socket_is_a_folder_and_not_encrypted() {
        let config: Config = "postgresql://postgres@%2Fvar%2Frun:5433/docs".parse().unwrap();
        let environment = Connection(config.into()).environment();
        assert!(
            environment.contains(&("PGHOST", "/var/run".into()))
                && environment.contains(&("PGSSLMODE", "disable".into()))
        );
        assert!(environment.iter().all(|(name, _)| *name != "PGPASSWORD"), "{environment:?}");
    }
}
