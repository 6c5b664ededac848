use std::sync::Arc;

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyOperations, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use serde_json::Value;

/// Keys of an issuer that are looked at.
const MOST: usize = 100;

/// An issuer's keys that can check what we accept (RFC 7517).
#[derive(Default)]
pub(super) struct KeySet(Vec<Key>);

struct Key {
    id: Option<String>,
    algorithms: Vec<Algorithm>,
    key: Arc<DecodingKey>,
}

#[derive(Deserialize)]
struct Document {
    keys: Vec<Value>,
}

impl KeySet {
    /// Reads a set. Keys that are for something else, or of a kind that we do not know, are passed over.
    pub(super) fn parse(text: &[u8]) -> Result<Self, serde_json::Error> {
        let document: Document = serde_json::from_slice(text)?;
        let jwks = document.keys.into_iter().take(MOST).filter_map(|key| serde_json::from_value::<Jwk>(key).ok());
        Ok(Self(jwks.filter_map(|jwk| Key::of(&jwk)).collect()))
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The keys that may have signed a token with this `kid` and `alg`. A token without `kid` is believed only where there is no
    /// question which key it means.
    pub(super) fn find(&self, id: Option<&str>, algorithm: Algorithm) -> Vec<Arc<DecodingKey>> {
        let fits = |key: &&Key| key.algorithms.contains(&algorithm) && (id.is_none() || key.id.as_deref() == id);
        let found: Vec<_> = self.0.iter().filter(fits).map(|key| Arc::clone(&key.key)).collect();
        if id.is_none() && found.len() > 1 { Vec::new() } else { found }
    }
}

impl Key {
    fn of(jwk: &Jwk) -> Option<Self> {
        let common = &jwk.common;
        if common.public_key_use.as_ref().is_some_and(|purpose| *purpose != PublicKeyUse::Signature) {
            return None;
        }
        if common.key_operations.as_ref().is_some_and(|operations| !operations.contains(&KeyOperations::Verify)) {
            return None;
        }
        let mut algorithms = fitting(&jwk.algorithm).to_vec();
        if let Some(named) = common.key_algorithm {
            let named = Algorithm::try_from(named).ok()?;
            algorithms.retain(|algorithm| *algorithm == named);
        }
        if algorithms.is_empty() {
            return None;
        }
        let key = Arc::new(DecodingKey::from_jwk(jwk).ok()?);
        Some(Self { id: common.key_id.clone(), algorithms, key })
    }
}

/// What a key of this kind can have signed with. Secrets are no issuer's public keys, so they fit nothing.
fn fitting(parameters: &AlgorithmParameters) -> &'static [Algorithm] {
    use Algorithm::{ES256, ES384, EdDSA, PS256, PS384, PS512, RS256, RS384, RS512};
    match parameters {
        AlgorithmParameters::RSA(_) => &[RS256, RS384, RS512, PS256, PS384, PS512],
        AlgorithmParameters::EllipticCurve(key) => match key.curve {
            EllipticCurve::P256 => &[ES256],
            EllipticCurve::P384 => &[ES384],
            _ => &[],
        },
        AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => &[EdDSA],
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    // RFC 7517, appendix A.1, and RFC 8037, appendix A.2.
    fn ec() -> Value {
        json!({ "kty": "EC", "crv": "P-256", "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4", "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM" })
    }

    fn ed() -> Value {
        json!({ "kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" })
    }

    fn with(mut key: Value, more: &Value) -> Value {
        key.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        key
    }

    fn found(keys: &[Value], id: Option<&str>, algorithm: Algorithm) -> usize {
        KeySet::parse(json!({ "keys": keys }).to_string().as_bytes()).unwrap().find(id, algorithm).len()
    }

    #[test]
    fn a_key_checks_what_its_kind_can_sign_and_nothing_else() {
        assert_eq!(found(&[ec()], None, Algorithm::ES256), 1);
        assert_eq!(found(&[ed()], None, Algorithm::EdDSA), 1);
        for other in [Algorithm::ES384, Algorithm::RS256, Algorithm::EdDSA, Algorithm::HS256] {
            assert_eq!(found(&[ec()], None, other), 0, "{other:?}");
        }
        let secret = json!({ "kty": "oct", "k": "c2VjcmV0" });
        for algorithm in [Algorithm::HS256, Algorithm::RS256, Algorithm::ES256] {
            assert_eq!(found(std::slice::from_ref(&secret), None, algorithm), 0, "{algorithm:?}");
        }
    }

    #[test]
    fn keys_for_something_else_are_passed_over() {
        for more in [
            json!({ "use": "enc" }),
            json!({ "use": "tls" }),
            json!({ "key_ops": ["deriveKey"] }),
            json!({ "key_ops": [] }),
            json!({ "alg": "ES384" }),
            json!({ "alg": "ECDH-ES" }),
            json!({ "alg": "HS256" }),
            json!({ "crv": "P-521" }),
            json!({ "kty": "RSA" }),
        ] {
            assert_eq!(found(&[with(ec(), &more)], None, Algorithm::ES256), 0, "{more}");
        }
        for more in [json!({ "use": "sig" }), json!({ "key_ops": ["verify"] }), json!({ "alg": "ES256" })] {
            assert_eq!(found(&[with(ec(), &more)], None, Algorithm::ES256), 1, "{more}");
        }
    }

    #[test]
    fn a_token_without_a_key_id_is_believed_only_where_one_key_fits() {
        let (a, b) = (with(ec(), &json!({ "kid": "a" })), with(ec(), &json!({ "kid": "b" })));
        let all = [a.clone(), b, with(ed(), &json!({ "kid": "a" })), json!({ "kty": "new" }), json!(7)];
        assert_eq!(found(&all, None, Algorithm::ES256), 0);
        assert_eq!(found(&all, Some("a"), Algorithm::ES256), 1);
        assert_eq!(found(&all, None, Algorithm::EdDSA), 1);
        assert_eq!(found(&all, Some("c"), Algorithm::ES256), 0);
        assert_eq!(found(&[a], Some(""), Algorithm::ES256), 0);
    }
}
