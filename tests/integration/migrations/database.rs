//! A database without a schema for each test, with psql to play golang-migrate and people.

use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};

use tokio_postgres::config::Host;
use tokio_postgres::{Client, Config, NoTls};

use crate::harness::server;

static NEXT: AtomicU32 = AtomicU32::new(0);

/// A database, dropped at the end together with the roles `{name}_owner` and `{name}_app`.
pub struct Database {
    pub name: String,
    admin: Config,
    psql: PathBuf,
}

impl Database {
    pub async fn create() -> Self {
        let server = server().await;
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("migrations_{}_{number}", std::process::id());
        let created = Self { name, admin: server.config("postgres", "postgres"), psql: server.bin_dir().join("psql") };
        created.psql("postgres", &["-c", &format!("create database {}", created.name)]);
        created
    }

    /// A connection of the administrator.
    pub async fn admin(&self) -> Client {
        self.connect(&self.admin.clone()).await
    }

    /// A connection of the role `{name}_{suffix}`.
    pub async fn role(&self, suffix: &str) -> Client {
        self.connect(self.admin.clone().user(format!("{}_{suffix}", self.name))).await
    }

    async fn connect(&self, config: &Config) -> Client {
        let mut config = config.clone();
        let (client, connection) = config.dbname(&self.name).connect(NoTls).await.unwrap();
        tokio::spawn(connection);
        client
    }

    /// Runs `psql` on this database with a file of `sql`; `options` becomes PGOPTIONS.
    pub fn psql_file(&self, sql: &str, options: &str) -> Output {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), sql).unwrap();
        let path = file.path().to_str().unwrap();
        self.command(&self.name).env("PGOPTIONS", options).args(["-v", "ON_ERROR_STOP=1", "-f", path]).output().unwrap()
    }

    /// Runs each of `sql` as one simple query, as golang-migrate sends a file.
    pub fn psql_command(&self, sql: &str) -> Output {
        self.command(&self.name).args(["-c", sql]).output().unwrap()
    }

    fn psql(&self, database: &str, arguments: &[&str]) {
        let output = self.command(database).args(arguments).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    fn command(&self, database: &str) -> Command {
        let mut command = Command::new(&self.psql);
        command.args(["-X", "-q"]).env("PGDATABASE", database);
        match self.admin.get_hosts().first() {
            Some(Host::Tcp(host)) => command.env("PGHOST", host),
            Some(Host::Unix(path)) => command.env("PGHOST", path),
            None => &mut command,
        };
        if let Some(port) = self.admin.get_ports().first() {
            command.env("PGPORT", port.to_string());
        }
        if let Some(user) = self.admin.get_user() {
            command.env("PGUSER", user);
        }
        if let Some(password) = self.admin.get_password() {
            command.env("PGPASSWORD", String::from_utf8_lossy(password).as_ref());
        }
        command
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let name = &self.name;
        for sql in
            [format!("drop database {name} with (force)"), format!("drop role if exists {name}_app, {name}_owner")]
        {
            self.command("postgres").args(["-c", &sql]).output().ok();
        }
    }
}
