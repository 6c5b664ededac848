use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::{CryptoProvider, aws_lc_rs};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::{ClientHello, ResolvesServerCert};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{self, ServerConfig};
use tokio_util::sync::CancellationToken;

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Largest file that is read, in bytes.
const LARGEST: u64 = 1 << 20;

/// Where the certificate and its key are, as PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate, then those that lead from it to an authority.
    pub certificate: PathBuf,
    /// Its private key: PKCS#8, PKCS#1 or SEC1.
    pub key: PathBuf,
}

/// Why there is no certificate to show.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum TlsError {
    #[error("{} cannot be read: {error}", path.display())]
    Read { path: PathBuf, error: std::io::Error },
    #[error("{} holds no certificate in PEM", .0.display())]
    NoCertificate(PathBuf),
    #[error("{} holds no private key in PEM", .0.display())]
    NoKey(PathBuf),
    #[error("certificate and key do not fit: {0}")]
    Rustls(#[from] rustls::Error),
}

/// TLS 1.2 and 1.3 with a certificate that is read anew when its files change.
#[derive(Clone)]
pub struct Tls {
    files: TlsFiles,
    shown: Arc<Shown>,
    acceptor: TlsAcceptor,
    look_every: Duration,
}

impl Tls {
    /// Reads certificate and key.
    ///
    /// # Errors
    /// [`TlsError`].
    pub fn open(files: TlsFiles) -> Result<Self, TlsError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let (key, digest) = read(&files, &provider)?;
        let shown = Arc::new(Shown { now: RwLock::new((Arc::new(key), digest)), provider: Arc::clone(&provider) });
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13, &TLS12])?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&shown) as Arc<dyn ResolvesServerCert>);
        // What bounds heads, bodies and readers is known to hold for this protocol.
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { files, shown, acceptor: TlsAcceptor::from(Arc::new(config)), look_every: LOOK_EVERY })
    }

    /// Looks at the files this often, instead of every five seconds.
    #[must_use]
    pub fn looking_every(mut self, interval: Duration) -> Self {
        self.look_every = interval;
        self
    }

    pub(super) fn acceptor(&self) -> TlsAcceptor {
        self.acceptor.clone()
    }

    /// Follows the files until `stop`. New connections see a new certificate, old ones go on. What cannot be used changes nothing
    /// but the log, once: perhaps only one of two files has been written yet.
    pub(super) async fn follow(self, stop: CancellationToken) {
        let mut told = None;
        while stop.run_until_cancelled(tokio::time::sleep(self.look_every)).await.is_some() {
            let (files, shown) = (self.files.clone(), Arc::clone(&self.shown));
            let looked = tokio::task::spawn_blocking(move || shown.look(&files)).await;
            let problem = match looked {
                Ok(Ok(true)) => {
                    tracing::info!(certificate = %self.files.certificate.display(), "the certificate was read anew");
                    None
                }
                Ok(Ok(false)) => None,
                Ok(Err(error)) => Some(error.to_string()),
                Err(error) => Some(error.to_string()),
            };
            if let Some(problem) = problem.as_ref().filter(|problem| told.as_ref() != Some(*problem)) {
                tracing::error!(problem, "a new certificate cannot be used; the old one is shown on");
            }
            told = problem;
        }
    }
}

/// The certificate that is shown, and a hash of what its files held.
#[derive(Debug)]
struct Shown {
    now: RwLock<(Arc<CertifiedKey>, [u8; 32])>,
    provider: Arc<CryptoProvider>,
}

impl Shown {
    /// Takes what the files hold, if it is new; whether it was.
    fn look(&self, files: &TlsFiles) -> Result<bool, TlsError> {
        let known = self.now.read().unwrap_or_else(PoisonError::into_inner).1;
        let (certificate, key) = (contents(&files.certificate)?, contents(&files.key)?);
        if digest(&certificate, &key) == known {
            return Ok(false);
        }
        let new = read(files, &self.provider)?;
        *self.now.write().unwrap_or_else(PoisonError::into_inner) = (Arc::new(new.0), new.1);
        Ok(true)
    }
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.now.read().unwrap_or_else(PoisonError::into_inner).0))
    }
}

fn read(files: &TlsFiles, provider: &CryptoProvider) -> Result<(CertifiedKey, [u8; 32]), TlsError> {
    let (certificate, key) = (contents(&files.certificate)?, contents(&files.key)?);
    let chain = CertificateDer::pem_slice_iter(&certificate).collect::<Result<Vec<_>, _>>();
    let chain = chain.ok().filter(|chain| !chain.is_empty());
    let chain = chain.ok_or_else(|| TlsError::NoCertificate(files.certificate.clone()))?;
    let private = PrivateKeyDer::from_pem_slice(&key).map_err(|_| TlsError::NoKey(files.key.clone()))?;
    Ok((CertifiedKey::from_der(chain, private, provider)?, digest(&certificate, &key)))
}

fn contents(path: &Path) -> Result<Vec<u8>, TlsError> {
    use std::io::Read;
    let mut bytes = Vec::new();
    let read = std::fs::File::open(path).and_then(|file| file.take(LARGEST).read_to_end(&mut bytes));
    read.map_err(|error| TlsError::Read { path: path.to_owned(), error })?;
    Ok(bytes)
}

fn digest(certificate: &[u8], key: &[u8]) -> [u8; 32] {
    let length = (certificate.len() as u64).to_be_bytes();
    Sha256::new().chain_update(length).chain_update(certificate).chain_update(key).finalize().into()
}
