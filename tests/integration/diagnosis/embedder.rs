//! What embeds is asked once, and each way in which it cannot do what it is there for is told apart.

use std::time::Duration;

use tokio::process::Command;

use super::command::{Told, doctor_with};
use crate::embedding::setup::{FakeService, Reply};
use crate::harness::{TestDatabase, data_dir};

/// What doctor says of the embedder alone.
async fn of_embedder(database: &TestDatabase, arrange: impl FnOnce(&mut Command)) -> Option<(String, String, String)> {
    let Told { findings, out, .. } = doctor_with(database, &["--json", "--quick"], arrange).await;
    let of_embedder = findings.iter().filter(|finding| finding["check"] == "embedder").collect::<Vec<_>>();
    assert!(of_embedder.len() <= 1 && !out.contains("sk-very-secret"), "{out}");
    let text = |name: &str| of_embedder.first().map(|finding| finding[name].as_str().unwrap().to_owned());
    Some((text("severity")?, text("subject")?, text("detail")?))
}

async fn of_service(database: &TestDatabase, service: &FakeService) -> Option<(String, String, String)> {
    of_embedder(database, |command| {
        command.env("BAILIWICK_EMBEDDINGS_URL", service.url()).env("BAILIWICK_EMBEDDINGS_MODEL", "fake-model");
        command.env("BAILIWICK_EMBEDDINGS_API_KEY", "sk-very-secret");
    })
    .await
}

#[tokio::test]
async fn a_service_that_answers_well_is_no_finding_and_is_asked_once() {
    let (database, service) = (TestDatabase::create().await, FakeService::start(Vec::new()).await);
    assert_eq!(of_service(&database, &service).await, None);
    assert_eq!(service.requests(), 1);
    assert_eq!(*service.authorizations.lock().unwrap(), ["Bearer sk-very-secret"]);
}

#[tokio::test]
async fn each_fault_of_a_service_is_told_apart() {
    let database = TestDatabase::create().await;
    for (reply, severity, words) in [
        (Reply::Status(401, &[]), "fault", "does not take the key (HTTP 401)"),
        (Reply::Status(404, &[]), "fault", "no model \"fake-model\" (HTTP 404)"),
        (Reply::Status(400, &[]), "fault", "refuses the request (HTTP 400), for the model \"fake-model\""),
        (Reply::Status(500, &[]), "fault", "failed (HTTP 500)"),
        (Reply::Status(429, &[]), "warning", "asks to wait"),
        (Reply::Text("<html>".to_owned()), "fault", "unusable answer"),
        (Reply::CutOff, "fault", "broke its answer off"),
        (Reply::Slow(Duration::from_millis(1_500)), "warning", "s for one word"),
    ] {
        let service = FakeService::start(vec![reply]).await;
        let (found, subject, detail) = of_service(&database, &service).await.unwrap_or_else(|| panic!("{words}"));
        assert!(found == severity && detail.contains(words), "{words}: {found} {detail}");
        assert_eq!(subject, service.address.to_string());
        assert_eq!(service.requests(), 1, "{words}: it is asked once");
    }
    // Of other dimensions than the database's vectors.
    let service = FakeService::of_dimensions(8, Vec::new()).await;
    let (severity, _, detail) = of_service(&database, &service).await.unwrap();
    assert_eq!(
        (severity.as_str(), detail.as_str()),
        ("fault", "its vectors have 8 dimensions, and the database's have 4")
    );
}

#[tokio::test]
async fn a_service_that_is_not_there_or_never_answers_is_told_in_time() {
    let database = TestDatabase::create().await;
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let found = of_embedder(&database, |command| {
        // A secret in an address is not repeated.
        command.env("BAILIWICK_EMBEDDINGS_URL", format!("http://user:sk-very-secret@{gone}/v1?key=sk-very-secret"));
        command.env("BAILIWICK_EMBEDDINGS_MODEL", "m");
    });
    let (severity, subject, detail) = found.await.unwrap();
    assert_eq!((severity.as_str(), subject), ("fault", gone.to_string()));
    assert!(detail.contains("cannot be reached"), "{detail}");

    let service = FakeService::start(vec![Reply::Slow(Duration::from_secs(60))]).await;
    let found = of_embedder(&database, |command| {
        command.env("BAILIWICK_EMBEDDINGS_URL", service.url()).env("BAILIWICK_EMBEDDINGS_MODEL", "m");
        command.env("BAILIWICK_EMBEDDINGS_TIMEOUT_S", "1");
    });
    assert_eq!(found.await.unwrap().2, "did not answer within 1 s");
}

#[tokio::test]
async fn a_model_in_process_must_be_there_whole_and_fit() {
    let database = TestDatabase::create().await;
    let folder = tempfile::tempdir().unwrap();
    // One without a model is a mistake of the configuration, which all commands tell.
    let told = doctor_with(&database, &["--quick"], |command| {
        command.env("BAILIWICK_EMBEDDINGS_MODEL", folder.path());
    });
    let told = told.await;
    assert!(told.code == Some(2) && told.err.contains("config.json"), "{}", told.err);

    let Some(model) = crate::embedding::setup::minilm().await else { return };
    let model_of = async |path: &std::path::Path| {
        of_embedder(&database, |command| {
            command.env("BAILIWICK_EMBEDDINGS_MODEL", path).env("BAILIWICK_DATA_DIR", data_dir());
        })
        .await
    };
    let (severity, _, detail) = model_of(&model).await.unwrap();
    assert_eq!(
        (severity.as_str(), detail.as_str()),
        ("fault", "its vectors have 384 dimensions, and the database's 4")
    );
    // Weights that are cut off, as by a full disk.
    let copy = folder.path().join("model");
    let status = std::process::Command::new("cp").arg("-rL").arg(&model).arg(&copy).status().unwrap();
    assert!(status.success());
    let weights = copy.join("model.safetensors");
    std::fs::set_permissions(&weights, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    std::fs::OpenOptions::new().write(true).open(&weights).unwrap().set_len(100_000).unwrap();
    let (severity, subject, detail) = model_of(&copy).await.unwrap();
    assert_eq!((severity.as_str(), subject), ("fault", copy.display().to_string()));
    assert!(!detail.contains("dimensions"), "{detail}");
}
