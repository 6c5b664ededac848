//! What of a database's certificate is believed, and what to do about one that is not.

use std::error::Error as StdError;
use std::io;

use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::client::verify_server_cert_signed_by_trust_anchor;
use tokio_rustls::rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::server::ParsedCertificate;
use tokio_rustls::rustls::{CertificateError, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

/// Looks at no name: a certificate that one of these authorities has signed, or any at all where there are none. That whoever
/// shows it has its key is checked all the same.
#[derive(Debug)]
pub(super) struct Lenient {
    pub roots: Option<RootCertStore>,
    pub algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for Lenient {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if let Some(roots) = &self.roots {
            let certificate = ParsedCertificate::try_from(certificate)?;
            verify_server_cert_signed_by_trust_anchor(&certificate, roots, intermediates, now, self.algorithms.all)?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// What to do about a failure that has to do with TLS, if it is one.
pub(super) fn advice(error: &(dyn StdError + 'static)) -> Option<&'static str> {
    let mut cause = Some(error);
    while let Some(inner) = cause {
        // An I/O error shows what it wraps by its text alone.
        let wrapped = inner.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        let told = match wrapped {
            Some(wrapped) => wrapped.downcast_ref::<Error>(),
            None => inner.downcast_ref::<Error>(),
        };
        if let Some(told) = told {
            return about(told);
        }
        if let Some(refusal) = inner.downcast_ref::<tokio_postgres::error::DbError>() {
            return advice_on_refusal(refusal.message());
        }
        if inner.to_string() == "server does not support TLS" {
            return Some(
                "the sslmode demands TLS and the server has none: switch it on there (ssl = on), or on a network that is private do without (sslmode=disable)",
            );
        }
        cause = inner.source();
    }
    None
}

/// Whether no connection could be encrypted.
pub(super) fn is_handshake(error: &tokio_postgres::Error) -> bool {
    // The crate tells its kinds of errors by their texts alone.
    error.to_string().starts_with("error performing TLS handshake")
}

/// What to do about a refusal in the server's own words.
pub(super) fn advice_on_refusal(message: &str) -> Option<&'static str> {
    if message.contains("requires a valid client certificate") {
        return Some("name a certificate that the server trusts, and its key (sslcert and sslkey)");
    }
    if message.contains("pg_hba.conf") && message.contains("no encryption") {
        return Some("the server may let in only who encrypts: sslmode=verify-full");
    }
    None
}

fn about(error: &Error) -> Option<&'static str> {
    match error {
        Error::InvalidCertificate(certificate) => about_certificate(certificate),
        // Who refuses ours says so only once we take it for accepted (TLS 1.3).
        Error::AlertReceived(_) => {
            Some("the server refuses the connection: it wants a client certificate that it trusts (sslcert and sslkey)")
        }
        _ => None,
    }
}

fn about_certificate(error: &CertificateError) -> Option<&'static str> {
    match error {
        CertificateError::UnknownIssuer | CertificateError::BadSignature => Some(
            "no authority that is trusted has signed the server's certificate: sslrootcert must be a file with the certificate of the one that has",
        ),
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => Some(
            "the server's certificate is another host's: connect by the name that it is for; sslmode=verify-ca looks at no name",
        ),
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            Some("the server's certificate has run out: renew it there")
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            Some("the server's certificate is not valid yet: look at both machines' clocks")
        }
        other if format!("{other:?}").contains("CaUsedAsEndEntity") => {
            Some("the server shows an authority's certificate as its own: make it one that is signed by that authority")
        }
        _ => None,
    }
}
