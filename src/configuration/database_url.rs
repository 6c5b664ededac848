//! A database's URL with libpq's parameters, of which tokio-postgres knows only some.

use std::collections::BTreeMap;

use tokio_postgres::Config;
use tokio_postgres::config::{Host, TargetSessionAttrs};

use super::surroundings::{OWN, Surroundings};
use crate::db::Endpoint;

/// What a database is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    /// Everything: each call writes its audit row.
    Writing,
    /// What needs a session of its own, around a pooler: on the server that calls write to.
    Holding,
    /// Searches, as a replica.
    Reading,
}

const EXPECTED: &str = "expected postgresql://USER:PASSWORD@HOST:PORT/DATABASE";

/// Reads a URL. Errors are whole sentences that quote nothing of it: it may hold a password.
pub(super) fn parse(name: &str, url: &str, usage: Use, surroundings: &Surroundings) -> Result<Endpoint, String> {
    // libpq has another form ("host=… sslmode=…"), of which the parameters would not be found here.
    if !["postgres://", "postgresql://"].iter().any(|prefix| url.starts_with(prefix)) {
        return Err(format!("{name} is no PostgreSQL URL; {EXPECTED}."));
    }
    let (rest, given) = split(url);
    let parsed = rest.parse::<Config>();
    let mut config =
        parsed.map_err(|error| format!("{name} is no PostgreSQL URL ({}); {EXPECTED}.", reason(&error, url)))?;
    let parameters = Parameters { name, given, surroundings };
    check_places(name, &rest, &config)?;
    parameters.set_target(&mut config, usage)?;
    let tls = parameters.set_tls(&mut config)?;
    Ok(Endpoint::new(config, tls))
}

/// What is wrong with it. An option that is unknown is named, unless it may be the end of a password whose `?` was not encoded.
fn reason(error: &tokio_postgres::Error, url: &str) -> String {
    let text = std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string);
    let is_name = |option: &str| option.chars().all(|c| c.is_ascii_lowercase() || c == '_');
    match text.split_once('`') {
        Some((before, rest)) if url.matches('@').count() != 1 || !rest.split('`').next().is_some_and(is_name) => {
            before.trim_end().to_owned()
        }
        _ => text,
    }
}

/// A URL without the parameters that are read here, and those. It is split where tokio-postgres splits it: the first `@` ends the
/// credentials, the first `?` after it the place.
fn split(url: &str) -> (String, BTreeMap<String, String>) {
    let place = url.find('@').unwrap_or_default();
    let Some(query) = url[place..].find('?').map(|at| place + at) else {
        return (url.to_owned(), BTreeMap::new());
    };
    let mut given = BTreeMap::new();
    let mut others = Vec::new();
    for pair in url[query + 1..].split('&').filter(|pair| !pair.is_empty()) {
        // A plus is a plus here, as libpq has it; in a form it would be a space.
        let plain = pair.replace('+', "%2B");
        match form_urlencoded::parse(plain.as_bytes()).next() {
            Some((key, value)) if OWN.iter().any(|(own, _)| *own == key) => {
                given.insert(key.into_owned(), value.into_owned());
            }
            _ => others.push(pair),
        }
    }
    let separator = if others.is_empty() { "" } else { "?" };
    (format!("{}{separator}{}", &url[..query], others.join("&")), given)
}

fn check_places(name: &str, url: &str, config: &Config) -> Result<(), String> {
    let (hosts, addresses, ports) = (config.get_hosts().len(), config.get_hostaddrs().len(), config.get_ports().len());
    let count = hosts.max(addresses);
    if count == 0 {
        return Err(format!("{name} names no host."));
    }
    // Hosts are named in the log: none may be the end of a password whose @ was not encoded.
    let is_host = |host: &Host| match host {
        Host::Tcp(name) => !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || "._-:%".contains(c)),
        Host::Unix(_) => true,
    };
    let place = url.split_once('@').map_or(url, |(_, place)| place);
    if !config.get_hosts().iter().all(is_host) || place.split('?').next().is_some_and(|place| place.contains('@')) {
        return Err(format!(
            "{name} has a host or a database that is none; {EXPECTED}, where a password's own @ is %40, its / is %2F and its ? is %3F."
        ));
    }
    if (addresses > 0 && hosts > 0 && addresses != hosts) || (ports > 1 && ports != count) {
        return Err(format!(
            "{name} has {hosts} hosts, {addresses} addresses (hostaddr) and {ports} ports: give each host its own, or one port to all."
        ));
    }
    Ok(())
}

/// A URL's parameters that are read here.
pub(super) struct Parameters<'a> {
    pub name: &'a str,
    given: BTreeMap<String, String>,
    pub surroundings: &'a Surroundings,
}

impl Parameters<'_> {
    /// As the URL says, or else the environment.
    pub fn get(&self, parameter: &str) -> Option<&str> {
        let given = self.given.get(parameter).filter(|value| !value.is_empty());
        given.or_else(|| self.surroundings.variables.get(parameter)).map(String::as_str)
    }

    pub fn is_in_url(&self, parameter: &str) -> bool {
        self.given.get(parameter).is_some_and(|value| !value.is_empty())
    }

    pub fn wrong(&self, parameter: &str, expected: &str) -> String {
        let name = self.name;
        match self.is_in_url(parameter) {
            true => format!("{name} has a {parameter} that is none; expected {expected}."),
            false => {
                let variable = OWN.iter().find(|(own, _)| *own == parameter).map_or(parameter, |(_, name)| *name);
                format!("{variable} is none; expected {expected}.")
            }
        }
    }

    /// Which servers will do. Everything but a replica's searches writes, so of several hosts one that takes writes is meant; and
    /// around a pooler of any number, for a lock that was taken elsewhere would be none. Of a replica's one that only reads.
    fn set_target(&self, config: &mut Config, usage: Use) -> Result<(), String> {
        let parameter = "target_session_attrs";
        let is_several = config.get_hosts().len().max(config.get_hostaddrs().len()) > 1;
        let given = match usage {
            // What the environment says is said of the primary.
            Use::Reading => self.given.get(parameter).map(String::as_str).filter(|value| !value.is_empty()),
            Use::Writing | Use::Holding => self.get(parameter),
        };
        let target = match (given, usage) {
            (None, Use::Holding) => TargetSessionAttrs::ReadWrite,
            (None, _) if !is_several => return Ok(()),
            (None, Use::Writing) => TargetSessionAttrs::ReadWrite,
            (Some("any"), _) => TargetSessionAttrs::Any,
            (None | Some("read-only" | "standby" | "prefer-standby"), Use::Reading) => TargetSessionAttrs::ReadOnly,
            (Some("read-write" | "primary"), Use::Writing | Use::Holding) => TargetSessionAttrs::ReadWrite,
            (Some(_), Use::Reading) => {
                return Err(self.wrong(parameter, "standby, read-only or any, for a replica takes no writes"));
            }
            (Some(_), _) => {
                return Err(self.wrong(parameter, "read-write, primary or any, for each call writes its audit row"));
            }
        };
        config.target_session_attrs(target);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(url: &str) -> Result<Endpoint, String> {
        parse("URL", url, Use::Writing, &Surroundings::default())
    }

    #[test]
    fn what_is_not_read_here_is_left_to_the_driver() {
        let base = "postgresql://ann:s%3Fcret@db.example/bw?sslmode=require";
        let endpoint = read(&format!("{base}&application_name=a%26b&options=-c%20x.y%3D1+2")).unwrap();
        assert_eq!((endpoint.get_application_name(), endpoint.get_options()), (Some("a&b"), Some("-c x.y=1+2")));
        assert_eq!(endpoint.get_password(), Some(&b"s?cret"[..]));
    }

    #[test]
    fn what_is_no_url_is_told_and_no_part_of_a_password_with_it() {
        for (url, words) in [
            ("postgresql://a@h/d?sslcompression=1", "sslcompression"),
            ("postgresql://a@h/d?target_session_attrs=standby", "read-write"),
            ("postgresql://a@one,two/d?hostaddr=127.0.0.1", "hostaddr"),
            ("postgresql:///d", "no host"),
            ("postgresql://a@,two/d", "host"),
            // Its sslmode would lose against the environment's.
            ("host=db.example user=ann password=hunter sslmode=require", "expected postgresql://"),
            ("postgresql://a:p@hunter?hunter=1@h/d", "unknown option"),
            ("postgresql://a:p?hunter=1", "expected postgresql://"),
            ("postgresql://a:p?HUNTERhunter=1@h/d?hunter%20x=1", "unknown option"),
            ("postgresql://a:p@hunter@h/d", "%40"),
            ("postgresql://a:p@x/hunter@h/d", "%2F"),
            ("postgresql://a:p@x?sslmode=hunter@h/d", "verify-full"),
        ] {
            let told = read(url).unwrap_err();
            assert!(told.starts_with("URL") && told.contains(words) && told.ends_with('.'), "{url}: {told}");
            assert!(!told.contains("hunter"), "{told}");
        }
    }

    #[test]
    fn of_a_replica_s_hosts_one_that_only_reads_is_meant() {
        let surroundings = Surroundings {
            variables: [("target_session_attrs", "read-write".to_owned())].into(),
            ..Surroundings::default()
        };
        let read = |url: &str| parse("URL", url, Use::Reading, &surroundings);
        for (place, wanted) in [
            ("one,two/bw", TargetSessionAttrs::ReadOnly),
            ("one,two/bw?target_session_attrs=standby", TargetSessionAttrs::ReadOnly),
            ("one,two/bw?target_session_attrs=prefer-standby", TargetSessionAttrs::ReadOnly),
            ("one,two/bw?target_session_attrs=any", TargetSessionAttrs::Any),
            ("one/bw?target_session_attrs=read-only", TargetSessionAttrs::ReadOnly),
            // Whether it is a replica is looked at all the same.
            ("one/bw", TargetSessionAttrs::Any),
        ] {
            let endpoint = read(&format!("postgresql://ann@{place}")).unwrap();
            assert_eq!(endpoint.get_target_session_attrs(), wanted, "{place}");
        }
        let told = read("postgresql://ann@one,two/bw?target_session_attrs=primary").unwrap_err();
        assert!(told.starts_with("URL") && told.contains("standby"), "{told}");
    }

    #[test]
    fn around_a_pooler_the_server_that_takes_writes_is_meant() {
        for (place, wanted) in [
            ("one/bw", TargetSessionAttrs::ReadWrite),
            ("one,two/bw", TargetSessionAttrs::ReadWrite),
            ("one/bw?target_session_attrs=any", TargetSessionAttrs::Any),
        ] {
            let url = format!("postgresql://ann@{place}");
            let endpoint = parse("URL", &url, Use::Holding, &Surroundings::default()).unwrap();
            assert_eq!(endpoint.get_target_session_attrs(), wanted, "{place}");
        }
    }

    #[test]
    fn of_several_hosts_one_that_takes_writes_is_meant() {
        for (url, wanted) in [
            ("postgresql://ann@one:5,two:6/bw", TargetSessionAttrs::ReadWrite),
            ("postgresql://ann@one,two/bw?target_session_attrs=primary", TargetSessionAttrs::ReadWrite),
            ("postgresql://ann@one,two/bw?target_session_attrs=any", TargetSessionAttrs::Any),
            ("postgresql://ann@one/bw", TargetSessionAttrs::Any),
            ("postgresql://ann@one/bw?target_session_attrs=read-write", TargetSessionAttrs::ReadWrite),
        ] {
            assert_eq!(read(url).unwrap().get_target_session_attrs(), wanted, "{url}");
        }
    }
}
