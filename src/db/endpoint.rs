//! A database and the ways to it: hosts, encryption, and a way around a pooler.

use std::net::IpAddr;
use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio_postgres::config::LoadBalanceHosts;
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{Client, Config, Connection, Socket};
use uuid::Uuid;

use super::DbError;
use super::tls::Tls;
use super::types::Types;
use super::ways::{self, Way};

/// How long a host has to take a connection, where nobody says.
const PATIENCE: Duration = Duration::from_secs(2);
/// What this program calls its sessions, unless its configuration has another name.
const APPLICATION: &str = "bailiwick";
/// When tokio-postgres begins to ask whether a silent peer is there, unless it is told.
const KEEPALIVES_IDLE: Duration = Duration::from_secs(2 * 60 * 60);

/// How to reach a database as a role. It reads as its tokio-postgres configuration, whose `Debug` leaves the password out.
///
/// Every connection is made here, so that each is encrypted as it was asked for and goes to a host that is fit. Cheap to clone;
/// clones remember together which host answered last.
#[derive(Clone)]
pub struct Endpoint {
    config: Config,
    tls: Tls,
    known: Vec<(String, Vec<IpAddr>)>,
    memory: Arc<Mutex<Memory>>,
    direct: Option<Arc<Direct>>,
}

/// What the last tries came to.
#[derive(Default)]
struct Memory {
    /// Which host is asked first, and at which of its addresses.
    first: Start,
    /// Which host answered last.
    answered: usize,
}

/// A host by its number, and one of its addresses.
type Start = (usize, Option<IpAddr>);

/// How long a connection may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// Of each way to each host.
    pub each: Duration,
    /// Of the last one.
    pub last: Duration,
}

impl From<Duration> for Patience {
    fn from(each: Duration) -> Self {
        Self { each, last: each }
    }
}

/// A way that is being tried. Unless it leads to a connection the next try begins behind it, also where nobody waits any more.
struct Trial<'a> {
    memory: &'a Mutex<Memory>,
    behind: Option<Start>,
}

impl Drop for Trial<'_> {
    fn drop(&mut self) {
        if let Some(behind) = self.behind {
            lock(self.memory).first = behind;
        }
    }
}

fn lock(memory: &Mutex<Memory>) -> MutexGuard<'_, Memory> {
    // Nothing panics while it is held.
    memory.lock().unwrap_or_else(PoisonError::into_inner)
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
        Self { config, tls, known: Vec::new(), memory: Arc::default(), direct: None }
    }

    /// The same, with a host's name that is not looked up, but is at these addresses.
    #[must_use]
    pub fn resolved(mut self, name: &str, addresses: &[IpAddr]) -> Self {
        self.known.push((name.to_owned(), addresses.to_vec()));
        self
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

    /// How soon a peer that has vanished is known to be gone, where the configuration does not say: first asked after `idle`, then
    /// every `interval`; what it does not acknowledge within `unheard` is given up.
    pub(super) fn keep_alive(&mut self, idle: Duration, interval: Duration, unheard: Duration) {
        let config = &mut self.config;
        if config.get_keepalives_idle() == KEEPALIVES_IDLE {
            config.keepalives_idle(idle);
        }
        if config.get_keepalives_interval().is_none() {
            config.keepalives_interval(interval);
        }
        if config.get_tcp_user_timeout().is_none() {
            config.tcp_user_timeout(unheard);
        }
    }

    /// The same for whoever can do without: what the configuration says of its patience (`connect_timeout`) counts up to `most`.
    pub(super) fn in_haste(&self, most: Duration) -> Self {
        let mut other = self.clone();
        if other.config.get_connect_timeout().is_some_and(|told| *told > most) {
            other.config.connect_timeout(most);
        }
        other
    }

    /// Each of its hosts by itself at each of its addresses, in the order in which they were named; the way around a pooler is not
    /// theirs.
    pub async fn each(&self) -> Vec<Self> {
        let patience = self.patience(PATIENCE.into()).each;
        let mut each = Vec::new();
        for one in ways::each_host(&self.named(APPLICATION, patience)) {
            let found = ways::each_address(&one, &self.known, patience).await;
            // Whoever connects to it finds out the same, and tells it.
            let found = found.unwrap_or_else(|_| vec![Way { config: one, address: None }]);
            each.extend(found.into_iter().map(|way| Self::new(way.config, self.tls.clone())));
        }
        each
    }

    /// Opens a connection to the first host that is fit, at the first of its addresses that is; where the last one was made is
    /// asked first. It ends in time by itself: each way has `patience`, or what the configuration says (`connect_timeout`).
    ///
    /// # Errors
    /// Why the only way does not lead there, or [`DbError::Unavailable`] with the reasons of all.
    pub(super) async fn connect(&self, application: &str, patience: impl Into<Patience>) -> Result<Connected, DbError> {
        let patience = self.patience(patience.into());
        let hosts = ways::each_host(&self.named(application, patience.each));
        let (count, is_random) = (hosts.len(), self.config.get_load_balance_hosts() == LoadBalanceHosts::Random);
        let first = lock(&self.memory).first;
        let mut hosts: Vec<_> = hosts.into_iter().enumerate().collect();
        match is_random {
            true => hosts.sort_by_cached_key(|_| Uuid::new_v4()),
            false => hosts.rotate_left(first.0 % count),
        }
        let mut failures = Vec::new();
        for (step, (host, one)) in hosts.iter().enumerate() {
            let is_last = step + 1 == count;
            let for_name = if is_last { patience.last } else { patience.each };
            let mut ways = match ways::each_address(one, &self.known, for_name).await {
                Ok(ways) => ways,
                Err(reason) => {
                    failures.push((ways::name(one), DbError::Unavailable(reason)));
                    continue;
                }
            };
            match is_random {
                true => ways.sort_by_cached_key(|_| Uuid::new_v4()),
                false => {
                    let at = ways.iter().position(|way| first == (*host, way.address));
                    ways.rotate_left(at.unwrap_or_default());
                }
            }
            for (at, way) in ways.iter().enumerate() {
                let next = ways.get(at + 1);
                let behind = next.map_or(((host + 1) % count, None), |next| (*host, next.address));
                let mut trial = Trial { memory: &self.memory, behind: Some(behind) };
                let patience = if next.is_none() && is_last { patience.last } else { patience.each };
                match self.try_way(way, patience).await {
                    Ok(connected) => {
                        trial.behind = None;
                        self.note(*host, way, is_random);
                        return Ok(connected);
                    }
                    Err(error) => failures.push((way.name(), error)),
                }
            }
        }
        Err(DbError::of_each(failures))
    }

    #[expect(clippy::disallowed_methods, reason = "the one place that connects; callers are the doors of this module")]
    async fn try_way(&self, way: &Way, patience: Duration) -> Result<Connected, DbError> {
        // Rare, and it would make every call's future large.
        let connecting = Box::pin(way.config.connect(self.tls.clone()));
        match tokio::time::timeout(patience, connecting).await {
            Ok(connected) => Ok(connected?),
            Err(_elapsed) => Err(DbError::Unavailable(format!("no answer within {patience:?}"))),
        }
    }

    fn note(&self, host: usize, way: &Way, is_random: bool) {
        let mut memory = lock(&self.memory);
        memory.first = (host, way.address);
        if std::mem::replace(&mut memory.answered, host) != host && !is_random {
            tracing::info!(host = way.name(), "the database is at another host");
        }
    }

    fn patience(&self, patience: Patience) -> Patience {
        self.config.get_connect_timeout().map_or(patience, |told| Patience::from(*told))
    }

    /// Its configuration for sessions of that name. Where it has a name of its own, that stands in the place of ours.
    fn named(&self, application: &str, patience: Duration) -> Config {
        let mut config = self.config.clone();
        let own = config.get_application_name().unwrap_or(APPLICATION);
        let application = application.replacen(APPLICATION, own, 1);
        config.application_name(application).connect_timeout(patience);
        config
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

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(text: &str) -> Endpoint {
        Endpoint::from(text.parse::<Config>().unwrap())
    }

    #[tokio::test]
    async fn of_several_the_reason_of_each_is_told() {
        let endpoint = endpoint("postgresql://ann@db.example:1,%2Fnowhere:2,nobody.invalid:3/db?sslmode=disable");
        let addresses = ["127.0.0.1", "127.0.0.2"].map(|address| address.parse().unwrap());
        let endpoint = endpoint.resolved("db.example", &addresses).resolved("nobody.invalid", &[]);
        let error = endpoint.connect("bailiwick", Duration::from_secs(5)).await.map(drop).unwrap_err();
        let told = error.to_string();
        let places = ["db.example:1 (127.0.0.1): ", "db.example:1 (127.0.0.2): ", "/nowhere:2: ", "nobody.invalid:3: "];
        let found: Vec<_> = places.iter().filter_map(|place| told.find(place)).collect();
        assert!(matches!(error, DbError::Unavailable(_)) && found.len() == 4 && found.is_sorted(), "{told}");
        assert!(told.contains("refused") && told.contains("No such file") && told.contains("no address"), "{told}");
    }

    /// Callers have less patience than a dead address takes, and would never come to the next one.
    #[tokio::test]
    async fn who_gives_up_waiting_leaves_the_next_try_to_the_next_address() {
        let silent = std::net::TcpListener::bind("127.0.0.2:0").unwrap();
        let port = silent.local_addr().unwrap().port();
        let addresses = ["127.0.0.2", "127.0.0.3"].map(|address| address.parse().unwrap());
        let endpoint = endpoint(&format!("postgresql://ann@db.example:{port}/db")).resolved("db.example", &addresses);
        let trying = endpoint.connect("bailiwick", Duration::from_secs(60));
        assert!(tokio::time::timeout(Duration::from_millis(100), trying).await.is_err());
        assert_eq!(lock(&endpoint.memory).first, (0, Some(addresses[1])));
    }

    /// Where all hosts say the same it is not that none could be reached.
    #[tokio::test]
    async fn what_all_of_them_say_keeps_its_kind() {
        let of = |kinds: &[fn(String) -> DbError]| {
            let failures =
                kinds.iter().enumerate().map(|(at, kind)| (format!("host {at}"), kind(format!("reason {at}"))));
            DbError::of_each(failures.collect())
        };
        let refused = of(&[DbError::Other, DbError::Other]);
        assert!(matches!(refused, DbError::Other(_)), "{refused:?}");
        assert_eq!(refused.to_string(), "database error: host 0: reason 0; host 1: reason 1");
        let mixed = of(&[DbError::Other, DbError::Unavailable]);
        assert_eq!(mixed.to_string(), "no database connection: host 0: reason 0; host 1: reason 1");
        let forbidden = of(&[DbError::Forbidden, DbError::Forbidden]);
        assert!(matches!(forbidden, DbError::Forbidden(_)), "{forbidden:?}");
    }

    #[tokio::test]
    async fn who_is_in_haste_waits_no_longer_than_that() {
        let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("postgresql://ann@127.0.0.1:{}/db?connect_timeout=600", silent.local_addr().unwrap().port());
        let hasty = endpoint(&url).in_haste(Duration::from_millis(50));
        let trying = tokio::time::timeout(Duration::from_secs(60), hasty.connect("bailiwick", Duration::from_secs(2)));
        let told = trying.await.expect("it waited as long as the URL says").map(drop).unwrap_err().to_string();
        assert!(told.contains("no answer within 50ms"), "{told}");
        let patient = endpoint("postgresql://ann@h/db?connect_timeout=1").in_haste(Duration::from_secs(2));
        assert_eq!(patient.get_connect_timeout(), Some(&Duration::from_secs(1)));
        assert_eq!(endpoint("postgresql://ann@h/db").in_haste(Duration::from_secs(2)).get_connect_timeout(), None);
    }

    #[test]
    fn what_the_configuration_says_is_not_overruled() {
        let mut told = endpoint(
            "postgresql://ann@h/db?application_name=mine&connect_timeout=15&keepalives=0&keepalives_idle=7&tcp_user_timeout=9",
        );
        let seconds = Duration::from_secs;
        told.keep_alive(seconds(30), seconds(10), seconds(30));
        assert_eq!((told.get_keepalives(), told.get_keepalives_idle()), (false, seconds(7)));
        assert_eq!(
            (told.get_keepalives_interval(), told.get_tcp_user_timeout()),
            (Some(seconds(10)), Some(&seconds(9)))
        );
        assert_eq!(told.named("bailiwick-lease", seconds(2)).get_application_name(), Some("mine-lease"));
        let patience = told.patience(seconds(2).into());
        assert_eq!((patience.each, patience.last), (seconds(15), seconds(15)));
        let mut silent = endpoint("postgresql://ann@h/db");
        silent.keep_alive(seconds(30), seconds(10), seconds(40));
        assert_eq!((silent.get_keepalives_idle(), silent.get_tcp_user_timeout()), (seconds(30), Some(&seconds(40))));
        assert_eq!(silent.named("bailiwick-lease", seconds(2)).get_application_name(), Some("bailiwick-lease"));
    }
}
