//! What libpq looks at beside a URL.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

/// What libpq calls them in URLs and in the environment. Those that tokio-postgres would refuse, understands less of, or does not
/// look for in the environment are read here; the others stay in the URL.
pub(super) const OWN: [(&str, &str); 8] = [
    ("sslmode", "PGSSLMODE"),
    ("sslrootcert", "PGSSLROOTCERT"),
    ("sslcert", "PGSSLCERT"),
    ("sslkey", "PGSSLKEY"),
    ("sslnegotiation", "PGSSLNEGOTIATION"),
    ("channel_binding", "PGCHANNELBINDING"),
    ("target_session_attrs", "PGTARGETSESSIONATTRS"),
    ("gssencmode", "PGGSSENCMODE"),
];

/// Of them, those that name a file.
const FILES: [&str; 3] = ["PGSSLROOTCERT", "PGSSLCERT", "PGSSLKEY"];

/// By which libpq would be told to let in less than is let in here.
const DEMANDS: [&str; 7] = [
    "PGREQUIREAUTH",
    "PGREQUIREPEER",
    "PGREQUIRESSL",
    "PGSSLCERTMODE",
    "PGSSLCRL",
    "PGSSLCRLDIR",
    "PGSSLMINPROTOCOLVERSION",
];

/// What libpq looks at beside a URL.
#[derive(Debug, Default)]
pub(super) struct Surroundings {
    /// Its variables of the environment, by the names of their parameters.
    pub variables: BTreeMap<&'static str, String>,
    /// Those that ask for more than is done here, by their own names.
    pub demands: BTreeMap<&'static str, String>,
    /// The folder of certificates in the user's home.
    pub folder: Option<PathBuf>,
}

impl Surroundings {
    /// Those of this process.
    pub fn of_process() -> Self {
        let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        Self {
            variables: OWN.iter().filter_map(|(parameter, name)| Some((*parameter, set(name)?))).collect(),
            demands: DEMANDS.iter().filter_map(|name| Some((*name, set(name)?))).collect(),
            folder: std::env::home_dir().map(|home| home.join(".postgresql")),
        }
    }

    /// A file of that folder, if it is there.
    pub fn file(&self, name: &str) -> Option<PathBuf> {
        self.folder.as_ref().map(|folder| folder.join(name)).filter(|path| path.is_file())
    }
}

/// libpq's variables that say how URLs of databases are meant, as they are set, and whether each names a file.
pub(crate) fn libpq_variables() -> Vec<(&'static str, OsString, bool)> {
    let names = OWN.iter().map(|(_, name)| *name).chain(DEMANDS);
    let set = names.filter_map(|name| Some((name, std::env::var_os(name).filter(|value| !value.is_empty())?)));
    set.map(|(name, value)| {
        let is_file = FILES.contains(&name) && value != "system";
        (name, value, is_file)
    })
    .collect()
}
