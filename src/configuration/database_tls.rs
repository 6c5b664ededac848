//! How connections to a database are encrypted, by libpq's parameters.

use std::path::{Path, PathBuf};

use tokio_postgres::Config;
use tokio_postgres::config::{ChannelBinding, Host, SslMode, SslNegotiation};

use super::database_url::Parameters;
use crate::db::{Tls, TlsCheck, TlsRoots, TlsSettings};

/// What we speak at least, or less.
const MET_PROTOCOLS: [&str; 3] = ["TLSv1", "TLSv1.1", "TLSv1.2"];

impl Parameters<'_> {
    pub(super) fn set_tls(&self, config: &mut Config) -> Result<Tls, String> {
        let name = self.name;
        if self.get("gssencmode") == Some("require") {
            return Err(format!("{name}: gssencmode=require cannot be met; TLS can (sslmode=verify-full)."));
        }
        let (roots, is_system) = (self.roots(), self.get("sslrootcert") == Some("system"));
        let has_root = is_system || matches!(roots, TlsRoots::File(_));
        let mode = match self.get("sslmode") {
            Some(mode) => mode,
            None if is_system => "verify-full",
            None => "prefer",
        };
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
        config.ssl_mode(ssl_mode);
        self.set_channel(config)?;
        let has_network = config.get_hosts().iter().any(|host| matches!(host, Host::Tcp(_)));
        let has_network = has_network || !config.get_hostaddrs().is_empty();
        let check = check.filter(|_| has_network);
        self.refuse_unmet(check, config.get_hosts().iter().any(|host| !matches!(host, Host::Tcp(_))))?;
        let Some(check) = check else { return Ok(Tls::off()) };
        if check == TlsCheck::Authority && roots == TlsRoots::System {
            return Err(format!(
                "{name}: sslmode={mode} looks at no name, and this machine's authorities sign for every site on the internet: \
                 say sslmode=verify-full, or name the file of the authority that signs for the database (sslrootcert)."
            ));
        }
        let tls = Tls::new(TlsSettings { check, roots, client: self.client()? });
        tls.check().map_err(|error| format!("{name}: {error}."))?;
        Ok(tls)
    }

    /// What goes on inside of the encryption, and before it.
    fn set_channel(&self, config: &mut Config) -> Result<(), String> {
        match self.get("channel_binding") {
            None | Some("prefer") => {}
            Some("disable") => {
                config.channel_binding(ChannelBinding::Disable);
            }
            Some("require") => {
                config.channel_binding(ChannelBinding::Require);
            }
            Some(_) => return Err(self.wrong("channel_binding", "require, prefer or disable")),
        }
        match (self.get("sslnegotiation"), config.get_ssl_mode()) {
            (None | Some("postgres"), _) => {}
            (Some("direct"), SslMode::Prefer) => {
                return Err(format!("{}: sslnegotiation=direct needs TLS: say sslmode=verify-full.", self.name));
            }
            (Some("direct"), _) => {
                config.ssl_negotiation(SslNegotiation::Direct);
            }
            _ => return Err(self.wrong("sslnegotiation", "postgres or direct")),
        }
        Ok(())
    }

    /// Whoever set a variable by which libpq would refuse a server relies on that: rather no connection than a weaker one.
    fn refuse_unmet(&self, check: Option<TlsCheck>, has_socket: bool) -> Result<(), String> {
        let (name, is_checked) = (self.name, matches!(check, Some(TlsCheck::Authority | TlsCheck::Name)));
        let unmet = self.surroundings.demands.iter().find(|(variable, value)| match **variable {
            "PGREQUIREPEER" => has_socket,
            "PGSSLCRL" | "PGSSLCRLDIR" => is_checked,
            "PGSSLMINPROTOCOLVERSION" => check.is_some() && !MET_PROTOCOLS.contains(&value.as_str()),
            "PGSSLCERTMODE" => check.is_some() && *value != "allow",
            "PGREQUIRESSL" => value.starts_with('1') && self.get("sslmode").is_none(),
            _ => true,
        });
        if let Some((variable, _)) = unmet {
            return Err(format!(
                "{name}: {variable} demands what this program does not look at: take it out of the environment, and say in the URL what is \
                 to be checked (sslmode=verify-full, channel_binding=require)."
            ));
        }
        match self.surroundings.file("root.crl").filter(|_| is_checked) {
            Some(list) => Err(format!(
                "{name}: {} revokes certificates, and no such list is looked at here: take it away, or renew the authority itself.",
                list.display()
            )),
            None => Ok(()),
        }
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
    use tokio_postgres::config::{ChannelBinding, SslMode, SslNegotiation};

    use crate::configuration::database_url::{Use, parse};
    use crate::configuration::surroundings::Surroundings;
    use crate::db::{Endpoint, TlsCheck, TlsRoots};

    fn read(url: &str) -> Result<Endpoint, String> {
        parse("URL", url, Use::Writing, &Surroundings::default())
    }

    fn check(url: &str) -> (SslMode, Option<TlsCheck>) {
        checked(&read(url).unwrap())
    }

    fn checked(endpoint: &Endpoint) -> (SslMode, Option<TlsCheck>) {
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
        // Nothing is encrypted on a socket, whatever is asked for.
        for mode in ["verify-full", "verify-ca"] {
            assert_eq!(check(&format!("postgresql://ann@%2Frun%2Fpostgresql/bw?sslmode={mode}")).1, None);
        }
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
            ("postgresql://a@h/d?sslrootcert=system&sslmode=require".to_owned(), "every site"),
            // Nobody named an authority: this machine's would sign for anybody.
            ("postgresql://a@h/d?sslmode=verify-ca".to_owned(), "sslrootcert"),
            ("postgresql://a@h/d?sslmode=full".to_owned(), "verify-full"),
            (format!("{base}&sslmode=verify-full&sslcert={root}"), "sslkey"),
            (format!("{base}&sslmode=verify-full&sslcert={root}&sslkey={root}"), "no private key"),
            ("postgresql://a@h/d?gssencmode=require".to_owned(), "gssencmode"),
            ("postgresql://a@h/d?channel_binding=always".to_owned(), "channel_binding"),
            ("postgresql://a@h/d?sslnegotiation=direct".to_owned(), "sslmode=verify-full"),
            ("postgresql://a@h/d?sslnegotiation=none".to_owned(), "sslnegotiation"),
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
            variables: [("sslmode", "verify-full".to_owned()), ("channel_binding", "require".to_owned())].into(),
            folder: Some(folder.path().to_owned()),
            ..Surroundings::default()
        };
        let endpoint = |url: &str, surroundings: &Surroundings| parse("URL", url, Use::Writing, surroundings).unwrap();
        let settings = |url: &str, surroundings: &Surroundings| endpoint(url, surroundings).tls().settings().cloned();
        let url = "postgresql://ann@db.example/bw";
        let found = settings(url, &surroundings).unwrap();
        assert_eq!(
            (found.check, found.roots, found.client),
            (TlsCheck::Name, TlsRoots::File(folder.path().join("root.crt")), None)
        );
        assert_eq!(endpoint(url, &surroundings).get_channel_binding(), ChannelBinding::Require);
        let disabled = endpoint(&format!("{url}?channel_binding=disable"), &surroundings);
        assert_eq!(disabled.get_channel_binding(), ChannelBinding::Disable, "the URL wins");
        assert_eq!(settings(&format!("{url}?sslmode=disable"), &surroundings), None, "the URL wins");
        // As libpq has it: a root that lies there is looked at.
        let required = endpoint(&format!("{url}?sslmode=require"), &surroundings);
        assert_eq!(checked(&required), (SslMode::Require, Some(TlsCheck::Authority)));
        std::fs::write(folder.path().join("postgresql.crt"), pair.cert.pem()).unwrap();
        std::fs::write(folder.path().join("postgresql.key"), pair.signing_key.serialize_pem()).unwrap();
        assert!(settings(url, &surroundings).unwrap().client.is_some());
        surroundings.variables.insert("sslnegotiation", "direct".to_owned());
        assert_eq!(endpoint(url, &surroundings).get_ssl_negotiation(), SslNegotiation::Direct);
        surroundings.variables.insert("sslmode", "ful".to_owned());
        assert!(parse("URL", url, Use::Writing, &surroundings).unwrap_err().starts_with("PGSSLMODE"));
    }

    #[test]
    fn what_libpq_would_refuse_by_its_variables_is_not_let_in() {
        let (plain, checked, socket) = (
            "postgresql://a@db.example/d?sslmode=require",
            "postgresql://a@db.example/d?sslmode=verify-full",
            "postgresql://a@%2Frun/d",
        );
        let refusal = |variable: &'static str, value: &str, url: &str| {
            let surroundings =
                Surroundings { demands: [(variable, value.to_owned())].into(), ..Surroundings::default() };
            parse("URL", url, Use::Writing, &surroundings).err()
        };
        for (variable, value, url) in [
            ("PGREQUIREAUTH", "scram-sha-256", plain),
            ("PGREQUIREAUTH", "scram-sha-256", socket),
            ("PGREQUIREPEER", "postgres", socket),
            ("PGREQUIRESSL", "1", "postgresql://a@db.example/d"),
            ("PGSSLCERTMODE", "require", plain),
            ("PGSSLCRL", "list.pem", checked),
            ("PGSSLCRLDIR", "lists", checked),
            ("PGSSLMINPROTOCOLVERSION", "TLSv1.3", plain),
        ] {
            let told = refusal(variable, value, url).unwrap();
            assert!(told.starts_with("URL") && told.contains(variable) && told.ends_with('.'), "{told}");
        }
        for (variable, value, url) in [
            ("PGREQUIREPEER", "postgres", plain),
            ("PGREQUIRESSL", "1", plain),
            ("PGSSLCERTMODE", "allow", plain),
            // libpq looks for revoked ones only where it looks at any.
            ("PGSSLCRL", "list.pem", plain),
            ("PGSSLMINPROTOCOLVERSION", "TLSv1.2", plain),
            ("PGSSLMINPROTOCOLVERSION", "TLSv1.3", "postgresql://a@db.example/d?sslmode=disable"),
        ] {
            assert_eq!(refusal(variable, value, url), None, "{variable} {value} {url}");
        }
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("root.crl"), "").unwrap();
        let surroundings = Surroundings { folder: Some(folder.path().to_owned()), ..Surroundings::default() };
        assert!(parse("URL", checked, Use::Writing, &surroundings).unwrap_err().contains("root.crl"));
        assert!(parse("URL", plain, Use::Writing, &surroundings).is_ok());
    }
}
