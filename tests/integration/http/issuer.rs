//! An issuer of tokens on this machine: metadata and keys over HTTP, signatures by the library below TLS, written by hand so
//! that wrong ones can be made too.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RSA_PSS_SHA256,
    RsaEncoding, RsaKeyPair,
};
use aws_lc_rs::{hmac, rsa};
use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bailiwick::identity::{IssuerOptions, IssuerUrl, Pace};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use http::StatusCode;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

/// Whom good tokens are for.
pub const AUDIENCE: &str = "https://mcp.example/mcp";

/// How the issuer answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Well,
    Failing,
    Silent,
    Endless,
    Redirecting,
    NoJson,
    OtherIssuer,
    KeysElsewhere,
    NoKeys,
}

struct Told {
    url: String,
    keys: Vec<Value>,
    mode: Mode,
}

pub struct TestIssuer {
    pub url: String,
    address: SocketAddr,
    told: Arc<Mutex<Told>>,
    asked: Arc<AtomicUsize>,
    serving: JoinHandle<()>,
}

type Shared = (Arc<Mutex<Told>>, Arc<AtomicUsize>);

impl TestIssuer {
    /// An issuer with the keys that sign good tokens.
    pub async fn start() -> Self {
        let keys = vec![jwk_ed(ED.public_key().as_ref(), "ed"), EC.jwk("ec"), RSA.jwk("rsa")];
        let told = Arc::new(Mutex::new(Told { url: String::new(), keys, mode: Mode::Well }));
        let asked = Arc::<AtomicUsize>::default();
        let (address, serving) = listen("127.0.0.1:0".parse().unwrap(), (Arc::clone(&told), Arc::clone(&asked))).await;
        let url = format!("http://{address}");
        told.lock().unwrap().url.clone_from(&url);
        Self { url, address, told, asked, serving }
    }

    pub fn options(&self) -> IssuerOptions {
        let mut options = IssuerOptions::new(IssuerUrl::parse(&self.url).unwrap(), vec![AUDIENCE.to_owned()]);
        options.pace =
            Pace { unknown_key: Duration::from_millis(300), answer: Duration::from_secs(10), ..Pace::default() };
        options
    }

    pub fn answer(&self, mode: Mode) {
        self.told.lock().unwrap().mode = mode;
    }

    pub fn publish(&self, keys: Vec<Value>) {
        self.told.lock().unwrap().keys = keys;
    }

    pub fn add(&self, keys: Vec<Value>) {
        self.told.lock().unwrap().keys.extend(keys);
    }

    /// How often its keys or metadata were asked for.
    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }

    /// Nobody listens any more.
    pub async fn stop(&mut self) {
        self.serving.abort();
        let _ = (&mut self.serving).await;
    }

    pub async fn come_back(&mut self) {
        self.serving = listen(self.address, (Arc::clone(&self.told), Arc::clone(&self.asked))).await.1;
    }

    /// Good claims of a user of a tenant.
    pub fn claims(&self, tenant: &str, scopes: &str) -> Value {
        let now = now();
        json!({
            "iss": self.url, "aud": AUDIENCE, "sub": "ada", "exp": now + 300, "iat": now, "nbf": now - 5,
            "tenant": tenant, "scope": scopes, "client_id": "test",
        })
    }

    /// A good token of these claims.
    pub fn token(&self, claims: &Value) -> String {
        signed(&json!({ "alg": "EdDSA", "typ": "at+jwt", "kid": "ed" }), claims, ed)
    }
}

impl Drop for TestIssuer {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn listen(address: SocketAddr, shared: Shared) -> (SocketAddr, JoinHandle<()>) {
    let router = Router::new()
        .route("/.well-known/openid-configuration", get(metadata))
        .route("/keys", get(keys))
        .with_state(shared);
    let listener = tokio::net::TcpListener::bind(address).await.unwrap();
    let address = listener.local_addr().unwrap();
    (address, tokio::spawn(async move { axum::serve(listener, router).await.unwrap() }))
}

async fn metadata(State((told, _)): State<Shared>) -> Response {
    let (url, mode) = {
        let told = told.lock().unwrap();
        (told.url.clone(), told.mode)
    };
    match mode {
        Mode::OtherIssuer => {
            axum::Json(json!({ "issuer": format!("{url}/"), "jwks_uri": format!("{url}/keys") })).into_response()
        }
        Mode::KeysElsewhere => {
            axum::Json(json!({ "issuer": url, "jwks_uri": "http://192.0.2.1/keys" })).into_response()
        }
        Mode::Redirecting => (StatusCode::FOUND, [("location", format!("{url}/keys"))]).into_response(),
        _ => axum::Json(json!({ "issuer": url, "jwks_uri": format!("{url}/keys") })).into_response(),
    }
}

async fn keys(State((told, asked)): State<Shared>) -> Response {
    asked.fetch_add(1, Ordering::Relaxed);
    let (keys, mode) = {
        let told = told.lock().unwrap();
        (told.keys.clone(), told.mode)
    };
    match mode {
        Mode::Failing => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        Mode::Silent => std::future::pending().await,
        Mode::Endless => {
            let chunk = || Some((Ok::<_, std::io::Error>(vec![b' '; 1 << 16]), ()));
            let body = futures_util::stream::unfold((), move |()| async move { chunk() });
            axum::body::Body::from_stream(body).into_response()
        }
        Mode::NoJson => "<html>sign in</html>".into_response(),
        Mode::NoKeys => axum::Json(json!({ "keys": [] })).into_response(),
        _ => axum::Json(json!({ "keys": keys })).into_response(),
    }
}

pub fn now() -> i64 {
    jiff::Timestamp::now().as_second()
}

/// A token with any header and claims, signed by whatever signs.
pub fn signed(header: &Value, claims: &Value, sign: impl Fn(&[u8]) -> Vec<u8>) -> String {
    signed_text(&header.to_string(), &claims.to_string(), sign)
}

pub fn signed_text(header: &str, claims: &str, sign: impl Fn(&[u8]) -> Vec<u8>) -> String {
    let message = format!("{}.{}", BASE64.encode(header), BASE64.encode(claims));
    let signature = BASE64.encode(sign(message.as_bytes()));
    format!("{message}.{signature}")
}

static ED: LazyLock<Ed25519KeyPair> = LazyLock::new(|| Ed25519KeyPair::generate().unwrap());
/// A key that the issuer does not have.
static STRANGER: LazyLock<Ed25519KeyPair> = LazyLock::new(|| Ed25519KeyPair::generate().unwrap());
static EC: LazyLock<Ec> = LazyLock::new(|| Ec(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap()));
static RSA: LazyLock<Rsa> = LazyLock::new(|| Rsa::generate(rsa::KeySize::Rsa2048));

struct Ec(EcdsaKeyPair);

struct Rsa(RsaKeyPair);

pub fn ed(message: &[u8]) -> Vec<u8> {
    ED.sign(message).as_ref().to_vec()
}

pub fn stranger(message: &[u8]) -> Vec<u8> {
    STRANGER.sign(message).as_ref().to_vec()
}

pub fn stranger_jwk(id: &str) -> Value {
    jwk_ed(STRANGER.public_key().as_ref(), id)
}

pub fn ed_jwk(id: &str) -> Value {
    jwk_ed(ED.public_key().as_ref(), id)
}

pub fn ec(message: &[u8]) -> Vec<u8> {
    EC.0.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec()
}

pub fn rs256(message: &[u8]) -> Vec<u8> {
    RSA.sign(&RSA_PKCS1_SHA256, message)
}

pub fn ps256(message: &[u8]) -> Vec<u8> {
    RSA.sign(&RSA_PSS_SHA256, message)
}

pub fn hs256(secret: &[u8], message: &[u8]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), message).as_ref().to_vec()
}

/// The issuer's public keys in the forms in which somebody may take them for a secret.
pub fn public_forms() -> Vec<Vec<u8>> {
    let der = RSA.0.public_key().as_der().unwrap().as_ref().to_vec();
    let base64 = base64::engine::general_purpose::STANDARD.encode(&der);
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{base64}\n-----END PUBLIC KEY-----\n");
    let modulus = BASE64.decode(RSA.jwk("rsa")["n"].as_str().unwrap()).unwrap();
    vec![der, pem.into_bytes(), modulus, ED.public_key().as_ref().to_vec(), RSA.jwk("rsa").to_string().into_bytes()]
}

fn jwk_ed(public: &[u8], id: &str) -> Value {
    json!({ "kty": "OKP", "crv": "Ed25519", "use": "sig", "kid": id, "x": BASE64.encode(public) })
}

impl Ec {
    fn jwk(&self, id: &str) -> Value {
        let (x, y) = self.0.public_key().as_ref()[1..].split_at(32);
        json!({ "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": id, "x": BASE64.encode(x), "y": BASE64.encode(y) })
    }
}

impl Rsa {
    fn generate(size: rsa::KeySize) -> Self {
        let key = rsa::KeyPair::generate(size).unwrap();
        let pkcs8 = AsDer::<aws_lc_rs::encoding::Pkcs8V1Der<'_>>::as_der(&key).unwrap();
        Self(RsaKeyPair::from_pkcs8(pkcs8.as_ref()).unwrap())
    }

    fn sign(&self, encoding: &'static dyn RsaEncoding, message: &[u8]) -> Vec<u8> {
        let mut signature = vec![0; self.0.public_modulus_len()];
        self.0.sign(encoding, &SystemRandom::new(), message, &mut signature).unwrap();
        signature
    }

    fn jwk(&self, id: &str) -> Value {
        let public = self.0.public_key();
        let part = |number: &[u8]| BASE64.encode(number);
        let n = part(public.modulus().big_endian_without_leading_zero());
        json!({ "kty": "RSA", "use": "sig", "kid": id, "n": n, "e": part(public.exponent().big_endian_without_leading_zero()) })
    }
}
