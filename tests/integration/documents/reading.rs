use bailiwick::identity::Scopes;
use serde_json::json;

use super::{paragraphs, read, session, stored};
use crate::harness::Session;

#[tokio::test]
async fn a_long_document_is_read_whole_in_parts_by_characters_and_by_passages() {
    let (_database, session) = session().await;
    let content = format!("{}ÄÖÜ 한국어 🙂", paragraphs(150));
    let id = stored(&session, json!({ "title": "Long", "content": content, "metadata": { "a": 1 } })).await;
    let (mut whole, mut from) = (String::new(), Some(0));
    let mut parts = 0;
    while let Some(at) = from {
        let part = session.ok("get_document", json!({ "document_id": id, "from_char": at })).await;
        let text = part["content"].as_str().unwrap();
        assert_eq!(
            part["to_char"].as_u64().unwrap() - part["from_char"].as_u64().unwrap(),
            text.chars().count() as u64
        );
        assert!(part.to_string().len() < 40_000, "an answer stays within some 10,000 tokens");
        whole.push_str(text);
        from = part["next_from_char"].as_u64();
        parts += 1;
    }
    assert!(parts > 1, "{parts}");
    assert_eq!(whole, content);
    // Every passage is where it says, and together they reach from the start to the end.
    let (mut next, mut last_end) = (Some(0), 0);
    let characters: Vec<char> = content.chars().collect();
    while let Some(passage) = next {
        let part = session.ok("get_document", json!({ "document_id": id, "passage": passage })).await;
        let (from, to) = (part["from_char"].as_u64().unwrap() as usize, part["to_char"].as_u64().unwrap() as usize);
        assert_eq!(part["content"], characters[from..to].iter().collect::<String>());
        let between = characters[last_end..from.max(last_end)].iter().all(|c| c.is_whitespace());
        assert!(between && to > last_end, "{from} {to} after {last_end}");
        last_end = to;
        next = part["next_passage"].as_u64();
    }
    assert_eq!(last_end, characters.len());
    let range = session.ok("get_document", json!({ "document_id": id, "from_char": 10, "to_char": 19 })).await;
    assert_eq!((&range["content"], &range["next_from_char"]), (&json!(&content[10..19]), &json!(null)));
}

#[tokio::test]
async fn what_is_not_there_and_what_is_anothers_look_the_same() {
    let (database, session) = session().await;
    let enterprise = database.tenant("enterprise").await;
    let theirs = Session::open(&database, &enterprise).await;
    let id = stored(&theirs, json!({ "title": "Theirs", "content": "secret" })).await;
    let nobodys = "01890a5d-ac96-774b-bcce-b302099a8057";
    for (tool, more) in [("get_document", json!({})), ("update_document", json!({ "title": "x" }))] {
        let told = async |id: &str| {
            let mut arguments = more.clone();
            arguments["document_id"] = id.into();
            session.refused(tool, arguments).await.replace(id, "ID")
        };
        let (foreign, absent) = (told(&id).await, told(nobodys).await);
        assert!(foreign.starts_with("not_found: there is no document ID in your organisation"), "{foreign}");
        assert_eq!(foreign, absent);
    }
    let gone = async |id: &str| session.ok("delete_document", json!({ "document_id": id })).await["deleted"].clone();
    assert_eq!((gone(&id).await, gone(nobodys).await), (json!(false), json!(false)));
    // With row-level security lifted, the statements' own condition keeps tenants apart.
    database
        .execute(
            "ALTER TABLE documents DISABLE ROW LEVEL SECURITY; ALTER TABLE document_chunks DISABLE ROW LEVEL SECURITY",
        )
        .await;
    for (tool, more) in [("get_document", json!({})), ("update_document", json!({ "content": "x" }))] {
        let mut arguments = more;
        arguments["document_id"] = id.as_str().into();
        assert!(session.refused(tool, arguments).await.starts_with("not_found"));
    }
    assert_eq!(gone(&id).await, false);
    assert_eq!(session.ok("list_documents", json!({})).await["documents"], json!([]));
    assert_eq!(read(&theirs, &id).await["content"], "secret");
}

#[tokio::test]
async fn a_deleted_document_is_gone_everywhere_and_its_quota_is_free() {
    let (database, session) = session().await;
    database.execute("UPDATE tenants SET max_documents = 1 WHERE slug = 'demo'").await;
    let id = stored(&session, json!({ "title": "Gone", "content": "soon forgotten", "embedding": [1, 0, 0, 0] })).await;
    let answer = session.ok("delete_document", json!({ "document_id": id })).await;
    assert_eq!((&answer["deleted"], &answer["quota"]["documents_used"]), (&json!(true), &json!(0)));
    assert_eq!(answer["quota"]["storage_used_bytes"], 0);
    assert_eq!(session.ok("delete_document", json!({ "document_id": id })).await["deleted"], false);
    let search = json!({ "query": "forgotten", "query_embedding": [1, 0, 0, 0] });
    assert_eq!(session.titles(search).await, [""; 0]);
    for table in ["documents", "document_chunks", "fresh_postings"] {
        assert_eq!(database.value::<i64>(&format!("SELECT count(*) FROM {table}")).await, 0, "{table}");
    }
    stored(&session, json!({ "title": "Next", "content": "fits again" })).await;
    let rows = "SELECT string_agg(action || ' ' || outcome || ' ' || (resource_id IS NOT NULL), ', ' ORDER BY id) FROM audit_logs WHERE action = 'delete'";
    assert_eq!(database.value::<String>(rows).await, "delete ok true, delete ok true");
}

#[tokio::test]
async fn bad_places_are_named_with_what_there_is() {
    let (_database, session) = session().await;
    let id = stored(&session, json!({ "title": "Short", "content": "0123456789" })).await;
    for (arguments, words) in [
        (json!({ "document_id": id, "passage": 1 }), "`passage` is 1; the document has passages 0 to 0"),
        (json!({ "document_id": id, "from_char": 10 }), "`from_char` is 10; the document has 10 characters"),
        (
            json!({ "document_id": id, "from_char": 5, "to_char": 5 }),
            "`to_char` is 5; it must be greater than from_char, 5",
        ),
        (json!({ "document_id": id, "passage": 0, "to_char": 5 }), "`passage` cannot be combined"),
        (json!({ "document_id": id, "from_char": -1 }), "`from_char` is -1"),
        (json!({ "document_id": "7" }), "`document_id` does not fit"),
    ] {
        let text = session.refused("get_document", arguments).await;
        assert!(text.starts_with("invalid_input: ") && text.contains(words), "{words}: {text}");
    }
}

#[tokio::test]
async fn who_may_only_read_is_offered_no_change_and_refused_one() {
    let (database, session) = session().await;
    let id = stored(&session, json!({ "title": "t", "content": "c" })).await;
    let scopes: Scopes = "documents:read".parse().unwrap();
    let tenant = database.tenant("demo").await;
    let reader = Session::open_with(&database, &tenant, scopes, &database.call_options()).await;
    let names: Vec<_> =
        reader.client.list_all_tools().await.unwrap().into_iter().map(|tool| tool.name.to_string()).collect();
    assert!(names.contains(&"get_document".to_owned()) && names.contains(&"list_documents".to_owned()), "{names:?}");
    for tool in ["update_document", "delete_document"] {
        assert!(!names.contains(&tool.to_owned()));
        let text = reader.refused(tool, json!({ "document_id": id, "title": "x" })).await;
        assert!(text.starts_with("forbidden: "), "{text}");
    }
    assert_eq!(read(&reader, &id).await["title"], "t");
}
