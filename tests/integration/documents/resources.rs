use bailiwick::identity::Scopes;
use rmcp::model::{
    ArgumentInfo, CompleteRequestParams, GetPromptRequestParams, PaginatedRequestParams, ReadResourceRequestParams,
    Reference, ResourceContents,
};
use serde_json::{Value, json};

use super::{session, stored};
use crate::harness::{Session, TestDatabase};

async fn read(session: &Session, uri: &str) -> Result<String, String> {
    match session.client.read_resource(ReadResourceRequestParams::new(uri)).await {
        Ok(result) => match result.contents.as_slice() {
            [ResourceContents::TextResourceContents { text, .. }] => Ok(text.clone()),
            other => panic!("{other:?}"),
        },
        Err(error) => Err(error.to_string()),
    }
}

async fn completed(session: &Session, reference: Reference, argument: &str, value: &str) -> Vec<String> {
    let asked = CompleteRequestParams::new(reference, ArgumentInfo::new(argument, value));
    session.client.complete(asked).await.unwrap().completion.values
}

fn template() -> Reference {
    Reference::for_resource("bailiwick://documents/{id}")
}

async fn rows(database: &TestDatabase) -> String {
    database.value("SELECT coalesce(string_agg(resource || ' ' || outcome, ', ' ORDER BY id), '') FROM audit_logs WHERE resource NOT LIKE 'tools/%'").await
}

#[tokio::test]
async fn documents_are_listed_page_by_page_and_read_whole_each_with_its_row() {
    let (database, session) = session().await;
    let long = "A sentence that is repeated. ".repeat(4_000);
    for at in 0..60 {
        let content = if at == 0 { long.clone() } else { format!("content {at}") };
        stored(&session, json!({ "title": format!("Title {at}"), "content": content, "source": format!("s{at}") }))
            .await;
    }
    let first = session.client.list_resources(None).await.unwrap();
    let mut uris: Vec<String> = first.resources.iter().map(|resource| resource.uri.clone()).collect();
    let standing = ["bailiwick://tenant/statistics", "bailiwick://schema", "ui://bailiwick/cost-report"];
    assert_eq!(uris.drain(..3).collect::<Vec<_>>(), standing);
    let next = PaginatedRequestParams::default().with_cursor(first.next_cursor);
    let second = session.client.list_resources(Some(next)).await.unwrap();
    assert_eq!(second.next_cursor, None);
    uris.extend(second.resources.iter().map(|resource| resource.uri.clone()));
    let ids: Vec<String> = database
        .value("SELECT array_agg('bailiwick://documents/' || id ORDER BY created_at DESC, id DESC) FROM documents")
        .await;
    assert_eq!(uris, ids);
    assert_eq!(read(&session, &ids[59]).await.unwrap(), long);
    assert_eq!(
        session.client.list_all_resource_templates().await.unwrap()[0].uri_template,
        "bailiwick://documents/{id}"
    );
    assert_eq!(rows(&database).await, "resources/list ok, resources/list ok, resources/document ok");
    let id = ids[59].rsplit('/').next().unwrap().to_owned();
    let named = "SELECT resource_id::text FROM audit_logs WHERE resource = 'resources/document'";
    assert_eq!(database.value::<String>(named).await, id);
    let bad = PaginatedRequestParams::default().with_cursor(Some("nonsense".to_owned()));
    let text = session.client.list_resources(Some(bad)).await.unwrap_err().to_string();
    assert!(text.contains("`cursor` is not a cursor"), "{text}");
}

#[tokio::test]
async fn what_is_not_there_is_not_found_whosever_it_is() {
    let (database, session) = session().await;
    let enterprise = database.tenant("enterprise").await;
    let theirs = Session::open(&database, &enterprise).await;
    let id = stored(&theirs, json!({ "title": "Theirs", "content": "secret", "source": "their-source" })).await;
    let told =
        async |id: &str| read(&session, &format!("bailiwick://documents/{id}")).await.unwrap_err().replace(id, "ID");
    let (foreign, absent) = (told(&id).await, told("01890a5d-ac96-774b-bcce-b302099a8057").await);
    assert!(foreign.contains("not_found: there is no document ID"), "{foreign}");
    assert_eq!(foreign, absent);
    for uri in ["bailiwick://documents/x", "bailiwick://else", "ui://bailiwick/else", "file:///etc/passwd", ""] {
        assert!(
            read(&session, uri).await.unwrap_err().contains("not_found: there is no such resource; there are"),
            "{uri}"
        );
    }
    assert_eq!(rows(&database).await, ["resources/document error"; 7].join(", "));
    // Completion and list show nothing of another tenant's either, with either guard.
    for state in ["SELECT", "ALTER TABLE documents DISABLE ROW LEVEL SECURITY"] {
        database.execute(state).await;
        assert_eq!(completed(&session, template(), "id", &id[..4]).await, [""; 0]);
        assert_eq!(completed(&session, Reference::for_prompt("answer_with_sources"), "source", "their").await, [""; 0]);
        assert_eq!(session.client.list_resources(None).await.unwrap().resources.len(), 3);
        assert!(told(&id).await.contains("not_found"));
    }
}

#[tokio::test]
async fn ids_and_sources_are_completed() {
    let (database, session) = session().await;
    let mut ids = Vec::new();
    for at in 0..130 {
        let source = format!("{}/{:03}.md", if at % 2 == 0 { "Docs" } else { "docs" }, at);
        ids.push(stored(&session, json!({ "title": "t", "content": format!("c{at}"), "source": source })).await);
    }
    stored(&session, json!({ "title": "t", "content": "again", "source": "docs/001.md" })).await;
    assert_eq!(completed(&session, template(), "id", &ids[7]).await, [ids[7].clone()]);
    assert!(completed(&session, template(), "id", &ids[7][..35]).await.contains(&ids[7]));
    assert_eq!(completed(&session, template(), "id", "").await.len(), 100);
    let prompt = || Reference::for_prompt("answer_with_sources");
    let sources: Vec<String> = (0..65).map(|at| format!("docs/{:03}.md", at * 2 + 1)).collect();
    assert_eq!(completed(&session, prompt(), "source", "docs/").await, sources);
    assert_eq!(
        completed(&session, prompt(), "source", "docs/12").await,
        ["docs/121.md", "docs/123.md", "docs/125.md", "docs/127.md", "docs/129.md"]
    );
    assert_eq!(completed(&session, prompt(), "source", "").await.len(), 100);
    assert_eq!(completed(&session, prompt(), "source", "\u{10ffff}").await, [""; 0]);
    assert_eq!(completed(&session, prompt(), "question", "x").await, [""; 0]);
    assert_eq!(database.value::<i64>("SELECT count(*) FROM audit_logs WHERE resource LIKE 'completion/%'").await, 7);
}

#[tokio::test]
async fn statistics_schema_and_prompt_say_what_there_is() {
    let (database, session) = session().await;
    stored(
        &session,
        json!({ "title": "t", "content": "c", "language": "ko", "metadata": { "team": "hr", "year": 2026 } }),
    )
    .await;
    stored(&session, json!({ "title": "t", "content": "d", "metadata": { "team": ["it"] } })).await;
    let statistics: Value =
        serde_json::from_str(&read(&session, "bailiwick://tenant/statistics").await.unwrap()).unwrap();
    assert_eq!(statistics["quota"]["documents_used"], 2);
    let schema: Value = serde_json::from_str(&read(&session, "bailiwick://schema").await.unwrap()).unwrap();
    assert_eq!(schema["metadata"][0], json!({ "key": "team", "kinds": ["array", "string"], "documents": 2 }));
    assert_eq!((&schema["embeddings"]["dimensions"], &schema["languages"]), (&json!(4), &json!(["en", "ko"])));
    assert_eq!(rows(&database).await, "resources/statistics ok, resources/schema ok");
    assert_eq!(session.client.list_all_prompts().await.unwrap()[0].name, "answer_with_sources");
    let arguments = json!({ "question": "Who is on leave?", "source": "a\"b" }).as_object().unwrap().clone();
    let prompt = session
        .client
        .get_prompt(GetPromptRequestParams::new("answer_with_sources").with_arguments(arguments))
        .await
        .unwrap();
    let text = prompt.messages[0].content.as_text().unwrap().text.clone();
    assert!(text.contains("Who is on leave?") && text.contains(r#"{"source":"a\"b"}"#), "{text}");
    for name in ["answer_with_sources", "other"] {
        assert!(session.client.get_prompt(GetPromptRequestParams::new(name)).await.is_err());
    }
}

#[tokio::test]
async fn who_may_not_read_documents_is_shown_none() {
    let (database, session) = session().await;
    let id = stored(&session, json!({ "title": "t", "content": "c" })).await;
    let (tenant, scopes): (_, Scopes) = (database.tenant("demo").await, "costs:write".parse().unwrap());
    let other = Session::open_with(&database, &tenant, scopes, &database.call_options()).await;
    assert_eq!(other.client.list_resources(None).await.unwrap().resources.len(), 0);
    assert_eq!(other.client.list_all_resource_templates().await.unwrap().len(), 0);
    for uri in [
        format!("bailiwick://documents/{id}"),
        "bailiwick://tenant/statistics".to_owned(),
        "bailiwick://schema".to_owned(),
    ] {
        assert!(read(&other, &uri).await.unwrap_err().contains("forbidden: "), "{uri}");
    }
    let asked = CompleteRequestParams::new(template(), ArgumentInfo::new("id", ""));
    assert!(other.client.complete(asked).await.unwrap_err().to_string().contains("forbidden: "));
    assert_eq!(
        rows(&database).await,
        "resources/document denied, resources/statistics denied, resources/schema denied, completion/document_ids denied"
    );
}
