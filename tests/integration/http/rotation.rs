//! An issuer whose keys change, who is away, or who answers badly.

use std::time::{Duration, Instant};

use bailiwick::http::HttpOptions;
use bailiwick::identity::{IssuerOptions, Pace};
use bailiwick::mcp::Toolbox;
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};

use super::issuer::{Mode, TestIssuer, ed, ed_jwk, signed, stranger, stranger_jwk};
use super::{ALL_SCOPES, HttpServer, key, model, tool_call};
use crate::harness::{PATIENCE, TestDatabase};

struct Rig {
    database: TestDatabase,
    server: HttpServer,
    client: Client,
}

impl Rig {
    async fn start(options: IssuerOptions) -> Self {
        let database = TestDatabase::create().await;
        // Its tests show many tokens that are none.
        let unbounded = HttpOptions { bad_credentials_per_minute: 0, ..HttpOptions::default() };
        let server = HttpServer::start_all(&database, unbounded, Toolbox::new(&model()), Some(options)).await;
        Self { database, server, client: Client::new() }
    }

    async fn status(&self, token: &str) -> StatusCode {
        let request = self.server.post(&self.client, token).json(&tool_call(1, "tenant_status", &json!({})));
        let response = request.send().await.unwrap();
        let status = response.status();
        assert_eq!(response.headers().contains_key("retry-after"), status == StatusCode::SERVICE_UNAVAILABLE);
        status
    }

    /// Waits until a token is answered so.
    async fn until(&self, token: &str, wanted: StatusCode) {
        let begun = Instant::now();
        while self.status(token).await != wanted {
            assert!(begun.elapsed() < PATIENCE, "it is never answered {wanted}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

fn by(claims: &Value, kid: &str, sign: impl Fn(&[u8]) -> Vec<u8>) -> String {
    signed(&json!({ "alg": "EdDSA", "kid": kid }), claims, sign)
}

#[tokio::test]
async fn a_new_key_is_believed_at_once_and_a_withdrawn_one_no_longer() {
    let issuer = TestIssuer::start().await;
    let mut options = issuer.options();
    options.pace.fresh = Duration::from_millis(700);
    let rig = Rig::start(options).await;
    let claims = issuer.claims("demo", ALL_SCOPES);
    let (old, new) = (by(&claims, "old", ed), by(&claims, "new", stranger));
    issuer.publish(vec![ed_jwk("old")]);
    assert_eq!((rig.status(&old).await, issuer.asked()), (StatusCode::OK, 1));
    assert_eq!(rig.status(&new).await, StatusCode::UNAUTHORIZED);
    tokio::time::sleep(Duration::from_millis(350)).await;
    issuer.publish(vec![ed_jwk("old"), stranger_jwk("new")]);
    assert_eq!(rig.status(&new).await, StatusCode::OK, "nobody waits for the next renewal");
    assert_eq!(rig.status(&old).await, StatusCode::OK);
    issuer.publish(vec![stranger_jwk("new")]);
    rig.until(&old, StatusCode::UNAUTHORIZED).await;
    assert_eq!(rig.status(&new).await, StatusCode::OK);
}

#[tokio::test]
async fn made_up_keys_are_no_flood_at_the_issuers() {
    let issuer = TestIssuer::start().await;
    let rig = Rig::start(issuer.options()).await;
    let claims = issuer.claims("demo", ALL_SCOPES);
    let begun = Instant::now();
    let strangers = (0..300).map(|n| {
        let (rig, token) = (&rig, by(&claims, &format!("made-up-{n}"), stranger));
        async move { rig.status(&token).await }
    });
    for chunk in futures_util::future::join_all(strangers).await {
        assert_eq!(chunk, StatusCode::UNAUTHORIZED);
    }
    let most = 2 + begun.elapsed().as_millis() / 300;
    assert!((issuer.asked() as u128) <= most, "{} > {most}", issuer.asked());
    assert_eq!(rig.status(&issuer.token(&claims)).await, StatusCode::OK);
}

#[tokio::test]
async fn known_keys_outlive_an_issuer_who_is_away_for_a_while_and_not_for_ever() {
    let mut issuer = TestIssuer::start().await;
    let mut options = issuer.options();
    options.pace = Pace {
        fresh: Duration::from_millis(200),
        stale: Duration::from_secs(6),
        first_pause: Duration::from_millis(400),
        longest_pause: Duration::from_millis(800),
        ..options.pace
    };
    let rig = Rig::start(options).await;
    let claims = issuer.claims("demo", ALL_SCOPES);
    let (good, new) = (issuer.token(&claims), by(&claims, "new", stranger));
    assert_eq!(rig.status(&good).await, StatusCode::OK);
    issuer.stop().await;
    let away = Instant::now();
    while away.elapsed() < Duration::from_millis(1_500) {
        assert_eq!(rig.status(&good).await, StatusCode::OK, "its keys are known");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(rig.status(&new).await, StatusCode::SERVICE_UNAVAILABLE, "it may be a new key: come again");
    rig.until(&good, StatusCode::SERVICE_UNAVAILABLE).await;
    assert!(away.elapsed() > Duration::from_secs(4), "{:?}", away.elapsed());
    let keyed = key(&rig.database, "demo", "k", ALL_SCOPES).await;
    assert_eq!(rig.status(&keyed).await, StatusCode::OK, "keys of ours need no issuer");
    issuer.come_back().await;
    rig.until(&good, StatusCode::OK).await;
}

#[tokio::test]
async fn an_issuer_in_trouble_is_asked_with_growing_pauses() {
    let issuer = TestIssuer::start().await;
    issuer.answer(Mode::Failing);
    let mut options = issuer.options();
    options.pace =
        Pace { first_pause: Duration::from_millis(200), longest_pause: Duration::from_secs(60), ..options.pace };
    let rig = Rig::start(options).await;
    let good = issuer.token(&issuer.claims("demo", ALL_SCOPES));
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(3) {
        assert_eq!(rig.status(&good).await, StatusCode::SERVICE_UNAVAILABLE);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // After 0, 0.2, 0.6, 1.4 and 3.0 seconds.
    assert!((3..=5).contains(&issuer.asked()), "{}", issuer.asked());
}

#[tokio::test]
async fn an_issuer_that_answers_badly_is_not_believed_and_holds_nobody_up() {
    for mode in [
        Mode::Failing,
        Mode::Silent,
        Mode::Endless,
        Mode::Redirecting,
        Mode::NoJson,
        Mode::OtherIssuer,
        Mode::KeysElsewhere,
        Mode::NoKeys,
    ] {
        let issuer = TestIssuer::start().await;
        issuer.answer(mode);
        let mut options = issuer.options();
        options.pace.answer = Duration::from_secs(1);
        let rig = Rig::start(options).await;
        let good = issuer.token(&issuer.claims("demo", ALL_SCOPES));
        let begun = Instant::now();
        assert_eq!(rig.status(&good).await, StatusCode::SERVICE_UNAVAILABLE, "{mode:?}");
        assert!(begun.elapsed() < Duration::from_secs(5), "{mode:?}: {:?}", begun.elapsed());
        issuer.answer(Mode::Well);
        rig.until(&good, StatusCode::OK).await;
    }
}
