//! TLS to the database, by rustls: whom to believe, and with what to introduce ourselves.

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use tokio_postgres::Socket;
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres_rustls::MakeRustlsConnect;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore};

use super::tls_checks::Lenient;

/// Largest file that is read, in bytes.
const LARGEST: u64 = 4 << 20;

/// What of the server's certificate is checked, as libpq's `sslmode` names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsCheck {
    /// Nothing (`prefer`, `require`): whoever listens sees nothing, but nobody knows who answers.
    Nothing,
    /// That an authority that is trusted has signed it (`verify-ca`).
    Authority,
    /// That, and that it is the host's own (`verify-full`).
    Name,
}

/// Whose signature is trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TlsRoots {
    /// This machine's authorities, or those of `SSL_CERT_FILE` and `SSL_CERT_DIR`.
    System,
    /// The certificates in a file, as PEM.
    File(PathBuf),
}

/// How connections to a database are encrypted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsSettings {
    /// What is checked.
    pub check: TlsCheck,
    /// Whose signature is trusted, where any is looked at.
    pub roots: TlsRoots,
    /// Our own certificate with its chain, and its key, as PEM.
    pub client: Option<(PathBuf, PathBuf)>,
}

/// Why no connection can be encrypted.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum TlsError {
    #[error("{} cannot be read: {error}", path.display())]
    Read { path: PathBuf, error: std::io::Error },
    #[error("{} holds no certificate in PEM", .0.display())]
    NoCertificate(PathBuf),
    #[error("{} holds no private key in PEM that can be read without a passphrase", .0.display())]
    NoKey(PathBuf),
    #[error("this machine has no certificates of authorities; name a file of them (sslrootcert)")]
    NoSystemRoots,
    #[error("the client certificate and its key do not fit: {0}")]
    Pair(rustls::Error),
    #[error(transparent)]
    Rustls(#[from] rustls::Error),
}

/// Encrypts connections to a database, or leaves them as they are. Cheap to clone.
///
/// Its files are read with the first connection, and again once they have changed: certificates are renewed under a running
/// server.
#[derive(Clone)]
pub struct Tls(Arc<Shared>);

struct Shared {
    settings: Option<TlsSettings>,
    made: Mutex<Option<(Vec<Stamp>, MakeRustlsConnect)>>,
}

/// A file's time of change and length.
type Stamp = Option<(SystemTime, u64)>;

impl Tls {
    /// Nothing is encrypted.
    #[must_use]
    pub fn off() -> Self {
        Self(Arc::new(Shared { settings: None, made: Mutex::default() }))
    }

    /// By these settings; their files are looked at when they are first needed.
    #[must_use]
    pub fn new(settings: TlsSettings) -> Self {
        Self(Arc::new(Shared { settings: Some(settings), made: Mutex::default() }))
    }

    /// The settings; `None` if nothing is encrypted.
    #[must_use]
    pub fn settings(&self) -> Option<&TlsSettings> {
        self.0.settings.as_ref()
    }

    /// Reads the files and says what is wrong with them.
    ///
    /// # Errors
    /// [`TlsError`].
    pub fn check(&self) -> Result<(), TlsError> {
        self.connector().map(drop)
    }

    fn connector(&self) -> Result<MakeRustlsConnect, TlsError> {
        let mut made = self.0.made.lock().unwrap_or_else(PoisonError::into_inner);
        let stamps = self.0.settings.as_ref().map(stamps).unwrap_or_default();
        if let Some((known, connector)) = made.as_ref()
            && *known == stamps
        {
            return Ok(connector.clone());
        }
        match (client_config(self.0.settings.as_ref()), made.as_ref()) {
            (Ok(config), _) => {
                let connector = MakeRustlsConnect::new(config);
                *made = Some((stamps, connector.clone()));
                Ok(connector)
            }
            // Perhaps only one of two files has been written yet.
            (Err(error), Some((_, old))) => {
                tracing::warn!(%error, "new certificates for the database cannot be used; the old ones are used on");
                Ok(old.clone())
            }
            (Err(error), None) => Err(error),
        }
    }
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.settings.fmt(f)
    }
}

impl MakeTlsConnect<Socket> for Tls {
    type Stream = <MakeRustlsConnect as MakeTlsConnect<Socket>>::Stream;
    type TlsConnect = <MakeRustlsConnect as MakeTlsConnect<Socket>>::TlsConnect;
    type Error = TlsError;

    fn make_tls_connect(&mut self, host: &str) -> Result<Self::TlsConnect, TlsError> {
        let mut connector = self.connector()?;
        let made: Result<_, Infallible> = MakeTlsConnect::<Socket>::make_tls_connect(&mut connector, host);
        let Ok(connect) = made;
        Ok(connect)
    }
}

fn stamps(settings: &TlsSettings) -> Vec<Stamp> {
    let roots = match &settings.roots {
        TlsRoots::File(path) => Some(path),
        TlsRoots::System => None,
    };
    let client = settings.client.iter().flat_map(|(certificate, key)| [certificate, key]);
    let stamp = |path: &PathBuf| {
        let file = std::fs::metadata(path).ok()?;
        Some((file.modified().ok()?, file.len()))
    };
    roots.into_iter().chain(client).map(stamp).collect()
}

fn client_config(settings: Option<&TlsSettings>) -> Result<ClientConfig, TlsError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder =
        ClientConfig::builder_with_provider(Arc::clone(&provider)).with_protocol_versions(&[&TLS13, &TLS12])?;
    let Some(settings) = settings else {
        // Never shakes hands: the mode is `disable`.
        return Ok(builder.with_root_certificates(RootCertStore::empty()).with_no_client_auth());
    };
    let roots = match settings.check {
        TlsCheck::Nothing => None,
        TlsCheck::Authority | TlsCheck::Name => Some(roots(&settings.roots)?),
    };
    let builder = match (settings.check, roots) {
        (TlsCheck::Name, Some(roots)) => builder.with_root_certificates(roots),
        (_, roots) => {
            let lenient = Lenient { roots, algorithms: provider.signature_verification_algorithms };
            builder.dangerous().with_custom_certificate_verifier(Arc::new(lenient))
        }
    };
    let mut config = match &settings.client {
        Some((certificate, key)) => {
            let (chain, key) = (certificates(certificate)?, private_key(key)?);
            builder.with_client_auth_cert(chain, key).map_err(TlsError::Pair)?
        }
        None => builder.with_no_client_auth(),
    };
    // As PostgreSQL registered it; `sslnegotiation=direct` needs it.
    config.alpn_protocols = vec![b"postgresql".to_vec()];
    Ok(config)
}

fn roots(roots: &TlsRoots) -> Result<RootCertStore, TlsError> {
    let mut store = RootCertStore::empty();
    match roots {
        TlsRoots::System => {
            // What of them cannot be read is another program's to mend.
            store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            if store.is_empty() {
                return Err(TlsError::NoSystemRoots);
            }
        }
        TlsRoots::File(path) => {
            for certificate in certificates(path)? {
                store.add(certificate)?;
            }
        }
    }
    Ok(store)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let read = CertificateDer::pem_slice_iter(&contents(path)?).collect::<Result<Vec<_>, _>>();
    read.ok().filter(|found| !found.is_empty()).ok_or_else(|| TlsError::NoCertificate(path.to_owned()))
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_slice(&contents(path)?).map_err(|_| TlsError::NoKey(path.to_owned()))
}

fn contents(path: &Path) -> Result<Vec<u8>, TlsError> {
    use std::io::Read;
    let mut bytes = Vec::new();
    let read = std::fs::File::open(path).and_then(|file| file.take(LARGEST).read_to_end(&mut bytes));
    read.map_err(|error| TlsError::Read { path: path.to_owned(), error })?;
    Ok(bytes)
}
