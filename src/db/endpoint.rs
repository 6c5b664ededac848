//! A database and the ways to it: hosts, encryption, and a way around a pooler.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio_postgres::config::{Host, LoadBalanceHosts, SslMode};
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{Client, Config, Connection, Error, Socket};
use uuid::Uuid;

use super::tls::Tls;
use super::types::Types;

/// How long one of several hosts has to take a connection, where its configuration says nothing.
const EACH_PATIENCE: Duration = Duration::from_secs(2);

/// How to reach a database as a role. It reads as its tokio-postgres configuration, whose `Debug` leaves the password out.
///
/// Every connection is made here, so that each is encrypted as it was asked for and goes to a host that is fit. Cheap to clone;
/// clones remember together which host answered last.
#[derive(Clone)]
pub struct Endpoint {
    config: Config,
    tls: Tls,
    answered: Arc<AtomicUsize>,
    direct: Option<Arc<Direct>>,
}

/// The way around a pooler that gives a connection to whoever has a transaction.
pub(super) struct Direct {
    pub endpoint: Endpoint,
    pub types: Types,
}

/// A connection, and what drives it.
pub(super) type Connected = (Client, Connection<Socket, <Tls as MakeTlsConnect<Socket>>::Stream>);

impl Endpoint {
    /// An endpoint whose connections are encrypted in this way.
    #[must_use]
    pub fn new(config: Config, tls: Tls) -> Self {
        Self { config, tls, answered: Arc::default(), direct: None }
    }

    /// The same behind a pooler in transaction mode: whatever needs a session of its own goes by `direct`.
    #[must_use]
    pub fn behind_pooler(mut self, direct: Self) -> Self {
        self.direct = Some(Arc::new(Direct { types: Types::new(direct.clone()), endpoint: direct }));
        self
    }

    /// The same for another database of that server.
    #[must_use]
    pub fn with_database(&self, name: &str) -> Self {
        let mut other = self.clone();
        other.config.dbname(name);
        other.direct = other.direct.map(|direct| {
            let endpoint = direct.endpoint.with_database(name);
            Arc::new(Direct { types: Types::new(endpoint.clone()), endpoint })
        });
        other
    }

    /// How its connections are encrypted.
    #[must_use]
    pub fn tls(&self) -> &Tls {
        &self.tls
    }

    /// The way on which a session lasts: around the pooler, if there is one.
    #[must_use]
    pub fn direct(&self) -> &Self {
        self.direct.as_ref().map_or(self, |direct| &direct.endpoint)
    }

    /// Whether its connections are a pooler's, which lends them by the transaction.
    #[must_use]
    pub fn is_pooled(&self) -> bool {
        self.direct.is_some()
    }

    pub(super) fn around(&self) -> Option<&Arc<Direct>> {
        self.direct.as_ref()
    }

    /// How soon a peer that has vanished is known to be gone: first asked after `idle`, then every `interval`; what it does not
    /// acknowledge within `unheard` is given up.
    pub(super) fn keep_alive(&mut self, idle: Duration, interval: Duration, unheard: Duration) {
        self.config.keepalives(true).keepalives_idle(idle).keepalives_interval(interval).tcp_user_timeout(unheard);
    }

    /// Each of its hosts by itself, in the order in which they were named; the way around a pooler is not theirs.
    #[must_use]
    pub fn each(&self) -> Vec<Self> {
        let application = self.config.get_application_name().unwrap_or("bailiwick");
        let patience = self.config.get_connect_timeout().copied().unwrap_or(EACH_PATIENCE);
        let each = each_host(&self.config, application, patience).into_iter();
        each.map(|config| Self::new(config, self.tls.clone())).collect()
    }

    /// How many hosts there are to try.
    pub(super) fn host_count(&self) -> u32 {
        let count = self.config.get_hosts().len().max(self.config.get_hostaddrs().len());
        u32::try_from(count).unwrap_or(u32::MAX).max(1)
    }

    /// Opens a connection to the first host that is fit; that which answered last is asked first. One that does not answer within
    /// `patience` is passed over, unless it is the last: whoever waits for a connection bounds the whole.
    #[expect(clippy::disallowed_methods, reason = "the one place that connects; callers are the doors of this module")]
    pub(super) async fn connect(&self, application: &str, patience: Duration) -> Result<Connected, Error> {
        let mut each = each_host(&self.config, application, patience);
        let count = each.len();
        let first = match self.config.get_load_balance_hosts() {
            LoadBalanceHosts::Random => usize::from(Uuid::new_v4().as_bytes()[0]),
            _ => self.answered.load(Ordering::Relaxed),
        } % count;
        each.rotate_left(first);
        for (step, config) in each.iter().enumerate() {
            let is_last = step + 1 == count;
            let connecting = config.connect(self.tls.clone());
            let connected = match is_last {
                true => Ok(connecting.await),
                false => tokio::time::timeout(patience, connecting).await,
            };
            match connected {
                Ok(Ok(connected)) => {
                    self.note((first + step) % count, config);
                    return Ok(connected);
                }
                Ok(Err(error)) if is_last => return Err(error),
                Ok(Err(error)) => {
                    tracing::debug!(host = ?config.get_hosts(), %error, "a host of the database is not fit");
                }
                Err(_elapsed) => {
                    tracing::debug!(host = ?config.get_hosts(), "a host of the database does not answer");
                }
            }
        }
        // There is always a last one.
        self.config.connect(self.tls.clone()).await
    }

    fn note(&self, answered: usize, config: &Config) {
        if self.answered.swap(answered, Ordering::Relaxed) != answered {
            tracing::info!(host = ?config.get_hosts(), "the database is at another host");
        }
    }
}

impl Deref for Endpoint {
    type Target = Config;

    fn deref(&self) -> &Config {
        &self.config
    }
}

impl std::fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Endpoint")
            .field("config", &self.config)
            .field("tls", &self.tls)
            .field("direct", &self.direct.as_ref().map(|direct| &direct.endpoint))
            .finish()
    }
}

/// As it stands, and unencrypted: for our own server's socket.
impl From<Config> for Endpoint {
    fn from(config: Config) -> Self {
        Self::new(config, Tls::off())
    }
}

impl From<&Config> for Endpoint {
    fn from(config: &Config) -> Self {
        Self::from(config.clone())
    }
}

impl From<&mut Config> for Endpoint {
    fn from(config: &mut Config) -> Self {
        Self::from(config.clone())
    }
}

impl From<&Self> for Endpoint {
    fn from(endpoint: &Self) -> Self {
        endpoint.clone()
    }
}

/// A configuration for each host: tokio-postgres would wait for ever for one that takes a connection and says nothing.
fn each_host(config: &Config, application: &str, patience: Duration) -> Vec<Config> {
    let (hosts, addresses, ports) = (config.get_hosts(), config.get_hostaddrs(), config.get_ports());
    let count = hosts.len().max(addresses.len());
    let is_sound = hosts.is_empty() || addresses.is_empty() || hosts.len() == addresses.len();
    if count == 0 || !is_sound || (ports.len() > 1 && ports.len() != count) {
        // It says itself what is wrong.
        return vec![config.clone()];
    }
    let one_of_them = |at: usize| {
        let mut one = session(config);
        one.application_name(application).connect_timeout(patience);
        match (hosts.get(at), addresses.get(at)) {
            (Some(Host::Tcp(name)), _) => one.host(name),
            // PostgreSQL encrypts nothing there.
            #[cfg(unix)]
            (Some(Host::Unix(folder)), _) => one.host_path(folder).ssl_mode(SslMode::Disable),
            // Without a name there would be none to shake hands with.
            (None, Some(address)) => one.host(address.to_string()),
            (None, None) => &mut one,
        };
        if let Some(address) = addresses.get(at) {
            one.hostaddr(*address);
        }
        if let Some(port) = ports.get(at).or(ports.first()) {
            one.port(*port);
        }
        one
    };
    (0..count).map(one_of_them).collect()
}

/// All of it but the places.
fn session(config: &Config) -> Config {
    let mut one = Config::new();
    if let Some(user) = config.get_user() {
        one.user(user);
    }
    if let Some(password) = config.get_password() {
        one.password(password);
    }
    if let Some(name) = config.get_dbname() {
        one.dbname(name);
    }
    if let Some(options) = config.get_options() {
        one.options(options);
    }
    one.ssl_mode(config.get_ssl_mode()).ssl_negotiation(config.get_ssl_negotiation());
    one.channel_binding(config.get_channel_binding());
    one.target_session_attrs(config.get_target_session_attrs());
    one.load_balance_hosts(config.get_load_balance_hosts());
    one.keepalives(config.get_keepalives()).keepalives_idle(config.get_keepalives_idle());
    if let Some(interval) = config.get_keepalives_interval() {
        one.keepalives_interval(interval);
    }
    if let Some(retries) = config.get_keepalives_retries() {
        one.keepalives_retries(retries);
    }
    if let Some(unheard) = config.get_tcp_user_timeout() {
        one.tcp_user_timeout(*unheard);
    }
    one
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_host_has_all_that_was_said_of_them_together() {
        let text = "postgresql://ann:secret@one:1,two:2/db?hostaddr=127.0.0.1,127.0.0.2&options=-c%20a.b%3D1&sslmode=require\
                    &channel_binding=require&target_session_attrs=read-write&keepalives=1&keepalives_idle=7&keepalives_interval=8\
                    &keepalives_retries=9&tcp_user_timeout=10&load_balance_hosts=random&sslnegotiation=direct";
        let config: Config = text.parse().unwrap();
        let each = each_host(&config, "tests", Duration::from_secs(3));
        for (one, (host, address, port)) in each.iter().zip([("one", "127.0.0.1", 1), ("two", "127.0.0.2", 2)]) {
            let text = text.replace("one:1,two:2", &format!("{host}:{port}")).replace("127.0.0.1,127.0.0.2", address);
            let wanted: Config = format!("{text}&application_name=tests&connect_timeout=3").parse().unwrap();
            assert_eq!(*one, wanted);
        }
        assert_eq!(each.len(), 2);
    }

    #[test]
    fn a_host_without_a_name_is_called_by_its_address_and_a_socket_is_not_encrypted() {
        let config: Config = "hostaddr=127.0.0.9 user=ann sslmode=require".parse().unwrap();
        let each = each_host(&config, "tests", Duration::from_secs(3));
        assert_eq!(each[0].get_hosts(), [Host::Tcp("127.0.0.9".to_owned())]);
        let config: Config = "host=/run/here,there user=ann sslmode=require port=5".parse().unwrap();
        let modes: Vec<_> =
            each_host(&config, "tests", Duration::from_secs(3)).iter().map(Config::get_ssl_mode).collect();
        assert_eq!(modes, [SslMode::Disable, SslMode::Require]);
    }
}
