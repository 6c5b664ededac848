use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{DecodePrivateKey, DecodePublicKey, EncodePrivateKey, EncodePublicKey};
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use sha2::{Digest, Sha256};

use super::error::FileContext;
use super::{AuditError, Hash, hash};

/// Begins what is signed, so that the key signs nothing else by mistake.
const DOMAIN: &[u8] = b"bailiwick audit head v1\0";

/// The key that signs the seals' heads: Ed25519 (RFC 8032), in a file as PKCS#8 PEM (RFC 8410).
#[derive(Clone)]
pub struct SealKey {
    key: SigningKey,
    key_id: String,
}

impl SealKey {
    /// Reads it.
    ///
    /// # Errors
    /// [`AuditError::File`] or [`AuditError::Key`].
    pub fn load(path: &Path) -> Result<Self, AuditError> {
        let pem = fs::read_to_string(path).doing("read", path)?;
        let key = SigningKey::from_pkcs8_pem(&pem).map_err(|error| not_a("signing key", path, &error))?;
        Ok(Self { key_id: key_id(&key.verifying_key()), key })
    }

    /// Reads it, after making it if it is not there. Of several who make it at once one wins, and all have that one's.
    /// The public key is laid beside it.
    ///
    /// # Errors
    /// [`AuditError`].
    pub fn load_or_create(path: &Path) -> Result<Self, AuditError> {
        if !path.exists() {
            if let Some(folder) = path.parent() {
                DirBuilder::new().recursive(true).mode(0o700).create(folder).doing("create", folder)?;
            }
            let mut seed = [0; 32];
            getrandom::fill(&mut seed).map_err(AuditError::Random)?;
            let pem = SigningKey::from_bytes(&seed).to_pkcs8_pem(LineEnding::LF);
            let pem = pem.map_err(|error| not_a("signing key", path, &error))?;
            place(path, pem.as_bytes(), 0o600)?;
        }
        let key = Self::load(path)?;
        let public = public_path(path);
        if !public.exists() {
            let pem = key.key.verifying_key().to_public_key_pem(LineEnding::LF);
            place(&public, pem.map_err(|error| not_a("public key", &public, &error))?.as_bytes(), 0o644)?;
        }
        Ok(key)
    }

    /// What seals name it by.
    #[must_use]
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// Signs a head.
    #[must_use]
    pub fn sign(&self, head: Hash) -> Vec<u8> {
        self.key.sign(&message(head)).to_bytes().to_vec()
    }
}

/// Public keys whose signatures are believed.
#[derive(Debug, Clone, Default)]
pub struct TrustedKeys(Vec<(String, VerifyingKey)>);

impl TrustedKeys {
    /// Adds the key in a PEM file: a public key (RFC 8410), or a signing key's public half.
    ///
    /// # Errors
    /// [`AuditError::File`] or [`AuditError::Key`].
    pub fn add(&mut self, path: &Path) -> Result<(), AuditError> {
        let pem = fs::read_to_string(path).doing("read", path)?;
        let key = match SigningKey::from_pkcs8_pem(&pem) {
            Ok(key) => key.verifying_key(),
            Err(_) => VerifyingKey::from_public_key_pem(&pem).map_err(|error| not_a("public key", path, &error))?,
        };
        self.0.push((key_id(&key), key));
        Ok(())
    }

    /// Whether there are none, so that no signature can be checked.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the key of that id is among them.
    #[must_use]
    pub fn know(&self, id: &str) -> bool {
        self.0.iter().any(|(known, _)| known == id)
    }

    /// Whether the key of that id signed the head.
    #[must_use]
    pub fn confirm(&self, id: &str, head: Hash, signature: &[u8]) -> bool {
        let Ok(signature) = Signature::from_slice(signature) else { return false };
        let mut named = self.0.iter().filter(|(known, _)| known == id);
        named.any(|(_, key)| key.verify_strict(&message(head), &signature).is_ok())
    }
}

/// Where a key's public half lies: `signing-key.pem` has it in `signing-key.pub.pem`.
#[must_use]
pub fn public_path(path: &Path) -> PathBuf {
    path.with_extension("pub.pem")
}

fn message(head: Hash) -> Vec<u8> {
    [DOMAIN, &head.0].concat()
}

/// The first 16 hexadecimal digits of the public key's SHA-256.
fn key_id(key: &VerifyingKey) -> String {
    let digest: [u8; 32] = Sha256::digest(key.as_bytes()).into();
    hash::encode(&digest[..8])
}

fn not_a(what: &'static str, path: &Path, reason: &dyn std::fmt::Display) -> AuditError {
    AuditError::Key { path: path.to_owned(), what, reason: reason.to_string() }
}

/// Puts a whole file there unless there is one: nobody ever reads a part of it, and nobody's is replaced.
fn place(path: &Path, content: &[u8], mode: u32) -> Result<(), AuditError> {
    let mut nonce = [0; 8];
    getrandom::fill(&mut nonce).map_err(AuditError::Random)?;
    let draft = path.with_extension(format!("{}.tmp", hash::encode(&nonce)));
    let write = || -> std::io::Result<()> {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&draft)?;
        file.write_all(content)?;
        file.sync_all()?;
        match fs::hard_link(&draft, path) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
            _ => path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all()),
        }
    };
    let written = write();
    let _ = fs::remove_file(&draft);
    written.doing("write", path)
}
