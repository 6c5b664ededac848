use futures_util::future::join_all;
use serde_json::json;

use super::{read, session, stored};

#[tokio::test]
async fn the_same_content_from_the_same_source_is_stored_once() {
    let (database, session) = session().await;
    let document =
        json!({ "title": "Handbook", "content": "Leave is 25 days.", "source": "handbook.md", "metadata": { "v": 1 } });
    let answers = join_all((0..8).map(|_| session.ok("insert_document", document.clone()))).await;
    assert!(answers.iter().all(|answer| answer["document_id"] == answers[0]["document_id"]));
    assert_eq!(answers.iter().filter(|answer| answer["repeated"] == false).count(), 1);
    assert_eq!(database.value::<i64>("SELECT count(*) FROM documents").await, 1);
    assert!(answers.iter().all(|answer| answer.get("note").is_none() && answer["chunk_count"] == 1));
    // Another title is no other document, but the caller is told.
    let mut renamed = document.clone();
    renamed["title"] = "Renamed".into();
    let answer = session.ok("insert_document", renamed).await;
    assert_eq!((&answer["document_id"], &answer["repeated"]), (&answers[0]["document_id"], &json!(true)));
    assert!(answer["note"].as_str().unwrap().contains("update_document"), "{answer}");
    // Another source, no source, another content: each is another document.
    for other in [
        json!({ "title": "Handbook", "content": "Leave is 25 days.", "source": "copy.md" }),
        json!({ "title": "Handbook", "content": "Leave is 25 days." }),
        json!({ "title": "Handbook", "content": "Leave is 25 days." }),
        json!({ "title": "Handbook", "content": "Leave is 26 days.", "source": "handbook.md" }),
    ] {
        assert_eq!(session.ok("insert_document", other).await["repeated"], false);
    }
    assert_eq!(database.value::<i64>("SELECT count(*) FROM documents").await, 5);
    // It is the tenant's own affair.
    let enterprise = database.tenant("enterprise").await;
    let theirs = crate::harness::Session::open(&database, &enterprise).await;
    assert_eq!(theirs.ok("insert_document", document).await["repeated"], false);
}

#[tokio::test]
async fn replace_corrects_the_document_of_the_source_under_its_id() {
    let (database, session) = session().await;
    let version = |number: u32| json!({ "title": format!("Policy {number}"), "content": format!("Version {number} says {}.", ["mauve", "teal", "ochre"][number as usize]), "source": "policy.md", "metadata": { "version": number }, "replace": true });
    let first = session.ok("insert_document", version(0)).await;
    assert_eq!(first["replaced"], false);
    let second = session.ok("insert_document", version(1)).await;
    assert_eq!((&second["replaced"], &second["repeated"]), (&json!(true), &json!(false)));
    assert_eq!(second["document_id"], first["document_id"]);
    let now = read(&session, first["document_id"].as_str().unwrap()).await;
    assert_eq!((&now["title"], &now["metadata"]), (&json!("Policy 1"), &json!({ "version": 1 })));
    assert_eq!(session.titles(json!({ "query": "mauve" })).await, [""; 0]);
    assert_eq!(session.titles(json!({ "query": "teal" })).await, ["Policy 1"]);
    assert_eq!(session.ok("insert_document", version(1)).await["repeated"], true);
    // At once, and in any order: one document in the end.
    join_all([0, 1, 2, 0, 2, 1].map(|number| session.ok("insert_document", version(number)))).await;
    assert_eq!(database.value::<i64>("SELECT count(*) FROM documents").await, 1);
    // Where several have the source nobody can tell which is meant.
    stored(&session, json!({ "title": "Beside", "content": "another", "source": "policy.md" })).await;
    let text = session
        .refused("insert_document", json!({ "title": "x", "content": "new", "source": "policy.md", "replace": true }))
        .await;
    assert!(text.starts_with("conflict: replace needs exactly one document of that source"), "{text}");
    let text = session.refused("insert_document", json!({ "title": "x", "content": "new", "replace": true })).await;
    assert!(text.contains("`replace` is true, but there is no source"), "{text}");
}
