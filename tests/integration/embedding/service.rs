//! An embedding service that misbehaves in every way: what a batch does about it.

use std::time::{Duration, Instant};

use bailiwick::embedding::{Embedder, EmbeddingError, Purpose};

use super::setup::{FakeService, Reply, vector};

async fn ask(replies: Vec<Reply>) -> (Result<Vec<Vec<f32>>, EmbeddingError>, FakeService) {
    let service = FakeService::start(replies).await;
    (embedded(&service.embedder()).await, service)
}

async fn embedded(embedder: &Embedder) -> Result<Vec<Vec<f32>>, EmbeddingError> {
    let texts = ["alpha", "beta"].map(str::to_owned);
    embedder.embed(Purpose::Passage, &texts).await.map(|embedded| embedded.vectors)
}

fn unit(text: &str) -> Vec<f32> {
    let vector = vector(text);
    let norm = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
    vector.iter().map(|x| x / norm).collect()
}

fn close(found: &[Vec<f32>]) {
    for (found, wanted) in found.iter().zip(["alpha", "beta"].map(unit)) {
        assert!(found.iter().zip(&wanted).all(|(a, b)| (a - b).abs() < 1e-5), "{found:?} {wanted:?}");
    }
    assert_eq!(found.len(), 2);
}

#[tokio::test]
async fn numbers_and_base64_come_back_as_unit_vectors_and_the_key_goes_along() {
    for reply in [Reply::Good, Reply::Base64] {
        let (found, service) = ask(vec![reply]).await;
        close(&found.unwrap());
        assert_eq!(service.requests(), 1);
        assert_eq!(*service.authorizations.lock().unwrap(), ["Bearer sk-very-secret"]);
    }
}

#[tokio::test]
async fn what_passes_is_tried_again() {
    let passing = [
        vec![Reply::Status(500, &[])],
        vec![Reply::Status(502, &[]), Reply::Status(503, &[])],
        vec![Reply::CutOff],
        vec![Reply::Status(429, &[])],
    ];
    for replies in passing {
        let expected = replies.len() + 1;
        let (found, service) = ask(replies).await;
        close(&found.unwrap());
        assert_eq!(service.requests(), expected);
    }
    let service = FakeService::start(vec![Reply::Slow(Duration::from_secs(60))]).await;
    let mut options = service.options();
    options.request_timeout = Duration::from_secs(2);
    close(&embedded(&service.embedder_with(options)).await.unwrap());
    assert_eq!(service.requests(), 2, "it did not wait for an answer that does not come");
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_paid_as_seldom_as_can_be() {
    let (found, service) = ask(vec![Reply::CutOffBehind]).await;
    close(&found.unwrap());
    assert_eq!(service.requests(), 1, "all of it was there");
    let (found, service) = ask(vec![Reply::CutOff; 4]).await;
    assert_eq!(found, Err(EmbeddingError::CutOff));
    assert_eq!(service.requests(), 2, "each may have to be paid");
    let keys = service.keys.lock().unwrap().clone();
    assert!(keys.len() == 2 && keys[0] == keys[1], "the service can tell that it is the same request: {keys:?}");
    let service = FakeService::start(Vec::new()).await;
    let texts: Vec<String> = (0..20).map(|n| format!("text {n}")).collect();
    service.embedder().embed(Purpose::Passage, &texts).await.unwrap();
    let keys: std::collections::BTreeSet<String> = service.keys.lock().unwrap().drain(..).collect();
    assert_eq!(keys.len(), 3, "and that another is another");
}

#[tokio::test]
async fn retry_after_is_heeded_and_not_waited_for_beyond_reason() {
    let started = Instant::now();
    let (found, _) = ask(vec![Reply::Status(429, &[("retry-after", "1")])]).await;
    close(&found.unwrap());
    assert!(started.elapsed() >= Duration::from_secs(1));
    let (found, service) = ask(vec![Reply::Status(429, &[("retry-after", "600")])]).await;
    assert_eq!(found, Err(EmbeddingError::Busy { retry_after: Some(Duration::from_secs(600)) }));
    assert_eq!(service.requests(), 1, "a service that asks for ten minutes is left alone");
}

#[tokio::test]
async fn an_answer_that_is_not_what_was_asked_for_is_refused_at_once() {
    let row = |numbers: &str| format!(r#"{{"embedding":{numbers}}}"#);
    let data = |rows: &[String]| Reply::Text(format!(r#"{{"data":[{}]}}"#, rows.join(",")));
    let good = row("[1,2,3,4]");
    for (what, reply) in [
        ("one vector for two texts", data(std::slice::from_ref(&good))),
        ("three vectors for two texts", data(&[good.clone(), good.clone(), good.clone()])),
        ("another dimension", data(&[good.clone(), row("[1,2,3]")])),
        ("no number", data(&[good.clone(), row("[1,2,3,NaN]")])),
        ("null", data(&[good.clone(), row("[1,2,3,null]")])),
        ("infinity in base64", data(&[good.clone(), row(r#""AACAfwAAgD8AAIA/AACAPw==""#)])),
        ("zeros", data(&[good, row("[0,0,0,0]")])),
        ("another shape", Reply::Text(r#"{"object":"list"}"#.to_owned())),
        ("no JSON", Reply::Text("<html>".to_owned())),
        ("too long", Reply::Text(" ".repeat(3 << 20))),
    ] {
        let (found, service) = ask(vec![reply]).await;
        assert!(matches!(found, Err(EmbeddingError::Unusable { .. })), "{what}: {found:?}");
        assert_eq!(service.requests(), 1, "{what} is paid for, and would come again");
    }
}

#[tokio::test]
async fn a_refusal_is_not_repeated_and_tells_no_secret() {
    for status in [400, 401, 403, 404, 422] {
        let (found, service) = ask(vec![Reply::Status(status, &[])]).await;
        let error = found.unwrap_err();
        assert_eq!(error, EmbeddingError::Refused { status });
        assert!(!format!("{error} {error:?}").contains("secret"));
        assert_eq!(service.requests(), 1);
    }
    let service = FakeService::start(Vec::new()).await;
    assert!(!format!("{:?} {:?}", service.options(), service.embedder()).contains("sk-very-secret"));
}

#[tokio::test]
async fn a_redirect_is_not_followed_with_the_key() {
    let elsewhere = FakeService::start(Vec::new()).await;
    let location: &'static str = Box::leak(elsewhere.url().into_boxed_str());
    let headers: &'static [(&'static str, &'static str)] = Box::leak(Box::new([("location", location)]));
    let (found, _) = ask(vec![Reply::Status(307, headers)]).await;
    assert_eq!(found, Err(EmbeddingError::Refused { status: 307 }));
    assert_eq!(elsewhere.requests(), 0);
}

#[tokio::test]
async fn a_service_that_fails_again_and_again_is_left_alone() {
    let service = FakeService::start(vec![Reply::Status(500, &[]); 40]).await;
    let embedder = service.embedder();
    let texts = ["alpha".to_owned()];
    let mut last = None;
    for _ in 0..4 {
        last = Some(embedder.embed(Purpose::Query, &texts).await.unwrap_err());
    }
    assert!(matches!(last, Some(EmbeddingError::Resting { .. })), "{last:?}");
    assert_eq!(service.requests(), 5, "five failures in a row open the breaker");
}

#[tokio::test]
async fn large_requests_go_out_in_batches_that_come_back_in_order() {
    let service = FakeService::start(Vec::new()).await;
    let texts: Vec<String> =
        (0..30).map(|n| format!("{}{}", char::from(b'a' + n % 26), "x".repeat(n.into()))).collect();
    let embedded = service.embedder().embed(Purpose::Passage, &texts).await.unwrap();
    assert_eq!(service.requests(), 4);
    assert_eq!(embedded.tokens, 300);
    for (text, found) in texts.iter().zip(&embedded.vectors) {
        assert!(found.iter().zip(unit(text)).all(|(a, b)| (a - b).abs() < 1e-5), "{text}");
    }
}
