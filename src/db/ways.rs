//! The hosts of a configuration one by one, and the addresses at which they are.

use std::net::IpAddr;
use std::time::Duration;

use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};

/// PostgreSQL's port.
const PORT: u16 = 5_432;

/// How a host can be reached: a configuration of this host alone, at one address.
pub(super) struct Way {
    pub config: Config,
    /// The address that its name was looked up to.
    pub address: Option<IpAddr>,
}

impl Way {
    /// For a person.
    pub fn name(&self) -> String {
        let name = name(&self.config);
        self.address.map_or_else(|| name.clone(), |address| format!("{name} ({address})"))
    }
}

/// A host and its port, for a person.
pub(super) fn name(one: &Config) -> String {
    let port = one.get_ports().first().copied().unwrap_or(PORT);
    match (one.get_hosts().first(), one.get_hostaddrs().first()) {
        (Some(Host::Tcp(name)), _) => format!("{name}:{port}"),
        #[cfg(unix)]
        (Some(Host::Unix(folder)), _) => format!("{}:{port}", folder.display()),
        (None, Some(address)) => format!("{address}:{port}"),
        (None, None) => "no host".to_owned(),
    }
}

/// The ways to one host. A name without an address beside it is looked up, for each of its addresses may be another server, or none.
pub(super) async fn each_address(
    one: &Config,
    known: &[(String, Vec<IpAddr>)],
    patience: Duration,
) -> Result<Vec<Way>, String> {
    let itself = || vec![Way { config: one.clone(), address: None }];
    let Some(Host::Tcp(name)) = one.get_hosts().first().filter(|_| one.get_hostaddrs().is_empty()) else {
        return Ok(itself());
    };
    if name.parse::<IpAddr>().is_ok() {
        return Ok(itself());
    }
    let addresses = match known.iter().find(|(known, _)| known == name) {
        Some((_, addresses)) => addresses.clone(),
        None => {
            let looked_up = tokio::time::timeout(patience, tokio::net::lookup_host((name.as_str(), 0))).await;
            let looked_up = looked_up.map_err(|_| "its name could not be looked up in time".to_owned())?;
            let looked_up = looked_up.map_err(|error| format!("its name could not be looked up: {error}"))?;
            looked_up.map(|address| address.ip()).collect()
        }
    };
    let mut ways: Vec<Way> = Vec::new();
    for address in addresses {
        if ways.iter().all(|way| way.address != Some(address)) {
            let mut config = one.clone();
            config.hostaddr(address);
            ways.push(Way { config, address: Some(address) });
        }
    }
    match ways.is_empty() {
        true => Err("its name has no address".to_owned()),
        false => Ok(ways),
    }
}

/// A configuration for each host: tokio-postgres would wait for ever for one that takes a connection and says nothing.
pub(super) fn each_host(config: &Config) -> Vec<Config> {
    let (hosts, addresses, ports) = (config.get_hosts(), config.get_hostaddrs(), config.get_ports());
    let count = hosts.len().max(addresses.len());
    let is_sound = hosts.is_empty() || addresses.is_empty() || hosts.len() == addresses.len();
    if count == 0 || !is_sound || (ports.len() > 1 && ports.len() != count) {
        // It says itself what is wrong.
        return vec![config.clone()];
    }
    let one_of_them = |at: usize| {
        let mut one = session(config);
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

/// All of it but the places, which cannot be taken out of one.
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
    if let Some(application) = config.get_application_name() {
        one.application_name(application);
    }
    if let Some(patience) = config.get_connect_timeout() {
        one.connect_timeout(*patience);
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
                    &keepalives_retries=9&tcp_user_timeout=10&load_balance_hosts=random&sslnegotiation=direct\
                    &application_name=tests&connect_timeout=3";
        let config: Config = text.parse().unwrap();
        let each = each_host(&config);
        for (one, (host, address, port)) in each.iter().zip([("one", "127.0.0.1", 1), ("two", "127.0.0.2", 2)]) {
            let text = text.replace("one:1,two:2", &format!("{host}:{port}")).replace("127.0.0.1,127.0.0.2", address);
            assert_eq!(*one, text.parse().unwrap());
        }
        assert_eq!(each.len(), 2);
    }

    /// So that a version of the driver that knows one more is not taken without it.
    #[test]
    fn all_that_the_driver_knows_is_said_above() {
        let shown = format!("{:#?}", Config::new());
        let fields: Vec<_> = shown
            .lines()
            .filter(|line| line.starts_with("    ") && !line.starts_with("     "))
            .filter_map(|line| line.trim().split_once(':').map(|(field, _)| field))
            .collect();
        let said = "user password dbname options application_name ssl_mode host hostaddr port connect_timeout tcp_user_timeout \
                    keepalives keepalives_idle keepalives_interval keepalives_retries target_session_attrs channel_binding \
                    load_balance_hosts";
        assert_eq!(fields, said.split_whitespace().collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn a_host_without_a_name_is_called_by_its_address_and_a_socket_is_not_encrypted() {
        let config: Config = "hostaddr=127.0.0.9 user=ann sslmode=require".parse().unwrap();
        let each = each_host(&config);
        assert_eq!(each[0].get_hosts(), [Host::Tcp("127.0.0.9".to_owned())]);
        let config: Config = "host=/run/here,there user=ann sslmode=require port=5".parse().unwrap();
        let each = each_host(&config);
        let modes: Vec<_> = each.iter().map(Config::get_ssl_mode).collect();
        assert_eq!(modes, [SslMode::Disable, SslMode::Require]);
        assert_eq!(each.iter().map(name).collect::<Vec<_>>(), ["/run/here:5", "there:5"]);
    }

    #[tokio::test]
    async fn a_name_is_as_many_ways_as_it_has_addresses() {
        let addresses = ["127.0.0.1", "::1", "127.0.0.1"].map(|address| address.parse().unwrap());
        let known = [("db.example".to_owned(), addresses.to_vec())];
        let config: Config = "postgresql://ann@db.example,127.0.0.3/db".parse().unwrap();
        let mut ways = Vec::new();
        for one in each_host(&config) {
            ways.extend(each_address(&one, &known, Duration::ZERO).await.unwrap());
        }
        let names: Vec<_> = ways.iter().map(Way::name).collect();
        assert_eq!(names, ["db.example:5432 (127.0.0.1)", "db.example:5432 (::1)", "127.0.0.3:5432"]);
        // The name stays, for a certificate to be compared with.
        assert_eq!(ways[1].config.get_hosts(), [Host::Tcp("db.example".to_owned())]);
        assert_eq!(ways[1].config.get_hostaddrs(), &addresses[1..2]);
    }
}
