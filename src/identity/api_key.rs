use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::zeroize::Zeroize;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

/// What every key begins with, for people and for scanners that look for leaked secrets.
const MARK: &str = "bwk_";
/// Characters of the public prefix, of five random bits each.
const PREFIX_LENGTH: usize = 8;
/// Random bytes of the secret.
const SECRET_BYTES: usize = 32;
/// The same as base64url.
const SECRET_LENGTH: usize = 43;
/// Mark, prefix, `_`, secret and the check character.
const LENGTH: usize = MARK.len() + PREFIX_LENGTH + 1 + SECRET_LENGTH + 1;

/// Crockford's digits: nothing here is taken for another, is upper case, or looks like an option.
const PREFIX_ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
const BASE64URL: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// A key that opens a tenant's door over HTTP: `bwk_`, 8 characters of public prefix, `_`, 256 random bits as 43
/// characters of base64url, and a check character, 57 in all.
///
/// The check character finds every single wrong character, so that a slip costs no look-up. `Debug` and `Display` show
/// the public prefix alone; the text is wiped from memory when the key is dropped.
#[derive(Clone)]
pub struct ApiKey(SecretString);

/// A text that is no API key: cut off, mistyped, or something else. It does not say where, and never what was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an API key: one has {LENGTH} characters and begins with {MARK}; it may be cut off or mistyped")]
pub struct MalformedKey;

impl ApiKey {
    /// A new key from the system's randomness.
    ///
    /// # Errors
    /// If the system gives none.
    pub fn generate() -> Result<Self, getrandom::Error> {
        let (mut prefix, mut secret) = ([0u8; PREFIX_LENGTH], [0u8; SECRET_BYTES]);
        getrandom::fill(&mut prefix)?;
        getrandom::fill(&mut secret)?;
        let key = Self::of(prefix, &secret);
        secret.zeroize();
        Ok(key)
    }

    /// The key of these bytes; of each byte of the prefix five bits count.
    fn of(prefix: [u8; PREFIX_LENGTH], secret: &[u8; SECRET_BYTES]) -> Self {
        let mut text = String::with_capacity(LENGTH);
        text.push_str(MARK);
        text.extend(prefix.iter().map(|byte| char::from(PREFIX_ALPHABET[usize::from(byte % 32)])));
        text.push('_');
        // It fits, so that the secret is not left behind where a longer text moved away from.
        URL_SAFE_NO_PAD.encode_string(secret, &mut text);
        if let Some(check) = check_character(text.as_bytes()) {
            text.push(char::from(check));
        }
        Self(text.into())
    }

    /// Reads a key as it was given out, without a space or a character more or less.
    ///
    /// # Errors
    /// [`MalformedKey`].
    pub fn parse(text: &str) -> Result<Self, MalformedKey> {
        let bytes = text.as_bytes();
        if bytes.len() != LENGTH {
            return Err(MalformedKey);
        }
        let (body, check) = bytes.split_at(LENGTH - 1);
        let (head, secret) = body.split_at(LENGTH - 1 - SECRET_LENGTH);
        let prefix = head.strip_prefix(MARK.as_bytes()).and_then(|rest| rest.strip_suffix(b"_"));
        let is_prefix = prefix.is_some_and(|prefix| prefix.iter().all(|byte| PREFIX_ALPHABET.contains(byte)));
        let mut bytes = [0u8; SECRET_BYTES];
        // Bits beyond the 256 are refused, so that a key has one text.
        let is_secret = URL_SAFE_NO_PAD.decode_slice_unchecked(secret, &mut bytes) == Ok(SECRET_BYTES);
        bytes.zeroize();
        if is_prefix && is_secret && check_character(body).is_some_and(|wanted| check == [wanted]) {
            return Ok(Self(text.to_owned().into()));
        }
        Err(MalformedKey)
    }

    /// The 8 characters by which people know the key; no secret, and not derived from it.
    #[must_use]
    pub fn prefix(&self) -> &str {
        self.expose().get(MARK.len()..MARK.len() + PREFIX_LENGTH).unwrap_or_default()
    }

    /// SHA-256 of the whole text: what the database keeps. The secret is 256 random bits, so a slow hash would add nothing.
    #[must_use]
    pub fn sha256(&self) -> [u8; 32] {
        Sha256::digest(self.expose()).into()
    }

    /// The whole text, to be handed to its user once.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl std::fmt::Display for ApiKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{MARK}{}_…", self.prefix())
    }
}

impl std::fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ApiKey({self})")
    }
}

/// A sum of the characters' values, weighted by odd numbers: those have inverses modulo 64, so one wrong character never
/// passes. `None` if a character is none of base64url.
fn check_character(body: &[u8]) -> Option<u8> {
    let mut sum = 0;
    for (index, byte) in body.iter().enumerate() {
        sum += (2 * index + 1) * BASE64URL.iter().position(|known| known == byte)?;
    }
    Some(BASE64URL[sum % BASE64URL.len()])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_key_is_read_back_as_it_was_written(prefix: [u8; PREFIX_LENGTH], secret: [u8; SECRET_BYTES]) {
            let key = ApiKey::of(prefix, &secret);
            let read = ApiKey::parse(key.expose()).unwrap();
            prop_assert_eq!(read.expose(), key.expose());
            prop_assert_eq!(read.sha256(), key.sha256());
            prop_assert_eq!(key.expose().len(), LENGTH);
            prop_assert_eq!(&key.expose()[4..12], key.prefix());
            for shown in [format!("{key:?}"), format!("{key}"), format!("{key:#?}")] {
                prop_assert!(!shown.contains(&key.expose()[13..17]) || key.prefix().contains(&key.expose()[13..17]));
            }
        }

        #[test]
        fn any_single_wrong_character_is_found(
            prefix: [u8; PREFIX_LENGTH], secret: [u8; SECRET_BYTES], at in 0..LENGTH, to in prop::char::range(' ', '~'),
        ) {
            let right = ApiKey::of(prefix, &secret);
            let mut wrong: Vec<char> = right.expose().chars().collect();
            prop_assume!(wrong[at] != to);
            wrong[at] = to;
            prop_assert_eq!(ApiKey::parse(&wrong.iter().collect::<String>()).err(), Some(MalformedKey));
        }

        #[test]
        fn no_text_makes_it_panic(text: String) {
            prop_assert!(ApiKey::parse(&text).is_err());
        }
    }

    #[test]
    fn two_keys_share_nothing() {
        let (one, other) = (ApiKey::generate().unwrap(), ApiKey::generate().unwrap());
        assert_ne!(one.prefix(), other.prefix());
        assert_ne!(one.expose()[13..56], other.expose()[13..56]);
    }

    #[test]
    fn what_is_cut_off_or_longer_is_no_key() {
        let key = ApiKey::generate().unwrap();
        for length in 0..LENGTH {
            assert!(ApiKey::parse(&key.expose()[..length]).is_err());
        }
        for wrong in
            [format!("{} ", key.expose()), format!(" {}", key.expose()), key.expose().repeat(2), "é".repeat(28) + "x"]
        {
            assert!(ApiKey::parse(&wrong).is_err(), "{}", wrong.len());
        }
    }
}
