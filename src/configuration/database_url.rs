//! A database's URL with libpq's parameters, of which tokio-postgres knows only some.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode, TargetSessionAttrs};

use crate::db::{Endpoint, Tls, TlsCheck, TlsRoots, TlsSettings};

/// What libpq calls them in URLs and in the environment. Those that tokio-postgres would refuse, or understands less of, are read
/// here; the others stay in the URL.
const OWN: [(&str, &str); 6] = [
    ("sslmode", "PGSSLMODE"),
    ("sslrootcert", "PGSSLROOTCERT"),
    ("sslcert", "PGSSLCERT"),
    ("sslkey", "PGSSLKEY"),
    ("target_session_attrs", "PGTARGETSESSIONATTRS"),
    ("gssencmode", "PGGSSENCMODE"),
];

/// What libpq looks at beside a URL.
#[derive(Debug, Default)]
pub(super) struct Surroundings {
    /// Its variables of the environment, by the names of their parameters.
    variables: BTreeMap<&'static str, String>,
    /// The folder of certificates in the user's home.
    folder: Option<PathBuf>,
}

impl Surroundings {
    /// Those of this process.
    pub fn of_process() -> Self {
        let variables = OWN.iter().filter_map(|(parameter, name)| Some((*parameter, std::env::var(name).ok()?)));
        let folder = std::env::home_dir().map(|home| home.join(".postgresql"));
        Self { variables: variables.filter(|(_, value)| !value.is_empty()).collect(), folder }
    }

    fn file(&self, name: &str) -> Option<PathBuf> {
        self.folder.as_ref().map(|folder| folder.join(name)).filter(|path| path.is_file())
    }
}

/// What a database is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    /// Everything: each call writes its audit row.
    Writing,
    /// Searches, as a replica.
    Reading,
}

/// Reads a URL. Errors are whole sentences that quote nothing of it: it may hold a password.
pub(super) fn parse(name: &str, url: &str, usage: Use, surroundings: &Surroundings) -> Result<Endpoint, String> {
    let (rest, given) = split(url);
    let parsed = rest.parse::<Config>().map_err(|error| {
        let reason = std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string);
        format!("{name} is no PostgreSQL URL ({reason}); expected postgresql://USER:PASSWORD@HOST:PORT/DATABASE.")
    });
    let mut config = parsed?;
    let parameters = Parameters { name, given, surroundings };
    check_places(name, &config)?;
    if usage == Use::Writing {
        parameters.set_target(&mut config)?;
    }
    let tls = parameters.set_tls(&mut config)?;
    Ok(Endpoint::new(config, tls))
}

/// A URL without the parameters that are read here, and those. It is split where tokio-postgres splits it: the first `@` ends the
/// credentials, the first `?` after it the place.
fn split(url: &str) -> (String, BTreeMap<String, String>) {
    let is_url = ["postgres://", "postgresql://"].iter().any(|prefix| url.starts_with(prefix));
    let place = url.find('@').unwrap_or_default();
    let Some(query) = url[place..].find('?').filter(|_| is_url).map(|at| place + at) else {
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

fn check_places(name: &str, config: &Config) -> Result<(), String> {
    let (hosts, addresses, ports) = (config.get_hosts().len(), config.get_hostaddrs().len(), config.get_ports().len());
    let count = hosts.max(addresses);
    if count == 0 {
        return Err(format!("{name} names no host."));
    }
    if (addresses > 0 && hosts > 0 && addresses != hosts) || (ports > 1 && ports != count) {
        return Err(format!(
            "{name} has {hosts} hosts, {addresses} addresses (hostaddr) and {ports} ports: give each host its own, or one port to all."
        ));
    }
    Ok(())
}

struct Parameters<'a> {
    name: &'a str,
    given: BTreeMap<String, String>,
    surroundings: &'a Surroundings,
}

impl Parameters<'_> {
    /// As the URL says, or else the environment.
    fn get(&self, parameter: &str) -> Option<&str> {
        let given = self.given.get(parameter).filter(|value| !value.is_empty());
        given.or_else(|| self.surroundings.variables.get(parameter)).map(String::as_str)
    }

    fn is_in_url(&self, parameter: &str) -> bool {
        self.given.get(parameter).is_some_and(|value| !value.is_empty())
    }

    fn wrong(&self, parameter: &str, expected: &str) -> String {
        let name = self.name;
        match self.is_in_url(parameter) {
            true => format!("{name} has a {parameter} that is none; expected {expected}."),
            false => {
                let variable = OWN.iter().find(|(own, _)| *own == parameter).map_or(parameter, |(_, name)| *name);
                format!("{variable} is none; expected {expected}.")
            }
        }
    }

    /// Which servers will do. Everything here writes, so of several hosts one that takes writes is meant.
    fn set_target(&self, config: &mut Config) -> Result<(), String> {
        let parameter = "target_session_attrs";
        let is_several = config.get_hosts().len().max(config.get_hostaddrs().len()) > 1;
        let target = match self.get(parameter) {
            None if is_several => TargetSessionAttrs::ReadWrite,
            None => return Ok(()),
            Some("read-write" | "primary") => TargetSessionAttrs::ReadWrite,
            Some("any") => TargetSessionAttrs::Any,
            Some(_) => {
                return Err(self.wrong(parameter, "read-write, primary or any, for each call writes its audit row"));
            }
        };
        config.target_session_attrs(target);
        Ok(())
    }

    fn set_tls(&self, config: &mut Config) -> Result<Tls, String> {
        let name = self.name;
        if self.get("gssencmode") == Some("require") {
            return Err(format!("{name}: gssencmode=require cannot be met; TLS can (sslmode=verify-full)."));
        }
        let is_system = self.get("sslrootcert") == Some("system");
        let mode = match (self.get("sslmode"), config.get_ssl_mode()) {
            (Some(mode), _) => mode,
            // The other form of a connection string has said so, and was read as a whole.
            (None, SslMode::Disable) => "disable",
            (None, SslMode::Require) => "require",
            (None, _) if is_system => "verify-full",
            (None, _) => "prefer",
        };
        let has_root = self.get("sslrootcert").is_some();
        let (ssl_mode, check) = match mode {
            "disable" => (SslMode::Disable, None),
            // Where the server allows both it is encrypted.
            "allow" | "prefer" => (SslMode::Prefer, Some(TlsCheck::Nothing)),
            // So that what once was the only way to have it checked still checks it.
            "require" if has_root => (SslMode::Require, Some(TlsCheck::Authority)),
            "require" => (SslMode::Require, Some(TlsCheck::Nothing)),
            "verify-ca" => (SslMode::Require, Some(TlsCheck::Authority)),
            "verify-full" => (SslMode::Require, Some(TlsCheck::Name)),
            _ => return Err(self.wrong("sslmode", "disable, prefer, require, verify-ca or verify-full (recommended)")),
        };
        if self.is_in_url("sslrootcert") && matches!(check, None | Some(TlsCheck::Nothing)) {
            return Err(format!(
                "{name} has an sslrootcert that sslmode={mode} does not look at: say sslmode=verify-full."
            ));
        }
        if is_system && check == Some(TlsCheck::Authority) {
            return Err(format!(
                "{name}: sslmode={mode} with sslrootcert=system would believe every site on the internet: say sslmode=verify-full."
            ));
        }
        config.ssl_mode(ssl_mode);
        let has_network = config.get_hosts().iter().any(|host| matches!(host, Host::Tcp(_)));
        let has_network = has_network || !config.get_hostaddrs().is_empty();
        let Some(check) = check.filter(|_| has_network) else { return Ok(Tls::off()) };
        let tls = Tls::new(TlsSettings { check, roots: self.roots(), client: self.client()? });
        tls.check().map_err(|error| format!("{name}: {error}."))?;
        Ok(tls)
    }

    fn roots(&self) -> TlsRoots {
        match self.get("sslrootcert") {
            Some("system") => TlsRoots::System,
            Some(path) => TlsRoots::File(path.into()),
            None => self.surroundings.file("root.crt").map_or(TlsRoots::System, TlsRoots::File),
        }
    }

    fn client(&self) -> Result<Option<(PathBuf, PathBuf)>, String> {
        let own = |parameter, file| self.get(parameter).map(PathBuf::from).or_else(|| self.surroundings.file(file));
        match (own("sslcert", "postgresql.crt"), own("sslkey", "postgresql.key")) {
            (Some(certificate), Some(key)) => Ok(Some((certificate, key))),
            (None, None) => Ok(None),
            (Some(found), None) => Err(self.half(&found, "sslkey")),
            (None, Some(found)) => Err(self.half(&found, "sslcert")),
        }
    }

    fn half(&self, found: &Path, lacking: &str) -> String {
        format!("{}: {} goes with a second file: name it ({lacking}).", self.name, found.display())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(url: &str) -> Result<Endpoint, String> {
        parse("URL", url, Use::Writing, &Surroundings::default())
    }

    fn check(url: &str) -> (SslMode, Option<TlsCheck>) {
        let endpoint = read(url).unwrap();
        (endpoint.get_ssl_mode(), endpoint.tls().settings().map(|settings| settings.check))
    }

    #[test]
    fn modes_are_libpq_s() {
        let base = "postgresql://ann:s%3Fcret@db.example/bw";
        for (query, mode, wanted) in [
            ("", SslMode::Prefer, Some(TlsCheck::Nothing)),
            ("?sslmode=disable", SslMode::Disable, None),
            ("?sslmode=allow", SslMode::Prefer, Some(TlsCheck::Nothing)),
            ("?sslmode=require&connect_timeout=5", SslMode::Require, Some(TlsCheck::Nothing)),
        ] {
            assert_eq!(check(&format!("{base}{query}")), (mode, wanted), "{query}");
        }
        let endpoint = read(&format!("{base}?application_name=a%26b&sslmode=require&options=-c%20x.y%3D1+2")).unwrap();
        assert_eq!((endpoint.get_application_name(), endpoint.get_options()), (Some("a&b"), Some("-c x.y=1+2")));
        assert_eq!(endpoint.get_password(), Some(&b"s?cret"[..]));
        assert_eq!(check("host=db.example user=ann sslmode=require"), (SslMode::Require, Some(TlsCheck::Nothing)));
        // Nothing is encrypted on a socket, whatever is asked for.
        assert_eq!(check("postgresql://ann@%2Frun%2Fpostgresql/bw?sslmode=verify-full").1, None);
    }

    #[test]
    fn roots_decide_what_is_checked_and_what_is_weak_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("a root+.crt");
        let pair = rcgen::generate_simple_self_signed(["db.example".to_owned()]).unwrap();
        std::fs::write(&root, pair.cert.pem()).unwrap();
        let root = root.display().to_string().replace(' ', "%20");
        let base = format!("postgresql://ann@db.example/bw?sslrootcert={root}");
        for (mode, wanted) in
            [("require", TlsCheck::Authority), ("verify-ca", TlsCheck::Authority), ("verify-full", TlsCheck::Name)]
        {
            assert_eq!(check(&format!("{base}&sslmode={mode}")), (SslMode::Require, Some(wanted)), "{mode}");
        }
        for (url, words) in [
            (base.clone(), "does not look at"),
            (format!("{base}&sslmode=disable"), "does not look at"),
            (format!("{base}.absent&sslmode=verify-full"), "cannot be read"),
            ("postgresql://a@h/d?sslrootcert=system&sslmode=verify-ca".to_owned(), "every site"),
            ("postgresql://a@h/d?sslmode=full".to_owned(), "verify-full"),
            (format!("{base}&sslmode=verify-full&sslcert={root}"), "sslkey"),
            (format!("{base}&sslmode=verify-full&sslcert={root}&sslkey={root}"), "no private key"),
            ("postgresql://a@h/d?gssencmode=require".to_owned(), "gssencmode"),
            ("postgresql://a@h/d?sslcompression=1".to_owned(), "sslcompression"),
            ("postgresql://a@h/d?target_session_attrs=standby".to_owned(), "read-write"),
            ("postgresql://a@one,two/d?hostaddr=127.0.0.1".to_owned(), "hostaddr"),
            ("postgresql:///d".to_owned(), "no host"),
        ] {
            let told = read(&url).unwrap_err();
            assert!(told.starts_with("URL") && told.contains(words) && told.ends_with('.'), "{url}: {told}");
        }
    }

    #[test]
    fn the_environment_and_the_home_say_what_a_url_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let pair = rcgen::generate_simple_self_signed(["db.example".to_owned()]).unwrap();
        std::fs::write(folder.path().join("root.crt"), pair.cert.pem()).unwrap();
        let mut surroundings = Surroundings {
            variables: [("sslmode", "verify-full".to_owned())].into(),
            folder: Some(folder.path().to_owned()),
        };
        let settings = |url: &str, surroundings: &Surroundings| {
            parse("URL", url, Use::Writing, surroundings).unwrap().tls().settings().cloned()
        };
        let url = "postgresql://ann@db.example/bw";
        let found = settings(url, &surroundings).unwrap();
        assert_eq!(
            (found.check, found.roots, found.client),
            (TlsCheck::Name, TlsRoots::File(folder.path().join("root.crt")), None)
        );
        assert_eq!(settings(&format!("{url}?sslmode=disable"), &surroundings), None, "the URL wins");
        std::fs::write(folder.path().join("postgresql.crt"), pair.cert.pem()).unwrap();
        std::fs::write(folder.path().join("postgresql.key"), pair.signing_key.serialize_pem()).unwrap();
        assert!(settings(url, &surroundings).unwrap().client.is_some());
        surroundings.variables.insert("sslmode", "ful".to_owned());
        assert!(parse("URL", url, Use::Writing, &surroundings).unwrap_err().starts_with("PGSSLMODE"));
    }

    #[test]
    fn a_replica_s_hosts_may_be_any() {
        for query in ["", "?target_session_attrs=read-only", "?target_session_attrs=prefer-standby"] {
            let url = format!("postgresql://ann@one,two/bw{query}");
            let endpoint = parse("URL", &url, Use::Reading, &Surroundings::default()).unwrap();
            assert_eq!(endpoint.get_target_session_attrs(), TargetSessionAttrs::Any, "{query}");
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
