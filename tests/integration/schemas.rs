//! What `tools/list` offers, as snapshots, and the manifest beside it.

use std::path::Path;

use bailiwick::mcp::{manifest, schema};
use serde_json::{Value, json};

use crate::harness::{Session, TestDatabase};

async fn session() -> (TestDatabase, Session) {
    let database = TestDatabase::create().await;
    let tenant = database.tenant("demo").await;
    let session = Session::open(&database, &tenant).await;
    (database, session)
}

#[tokio::test]
async fn every_definition_is_as_it_was() {
    let (_database, session) = session().await;
    for tool in session.client.list_all_tools().await.unwrap() {
        insta::assert_json_snapshot!(tool.name.to_string(), tool);
    }
}

#[tokio::test]
async fn every_definition_suits_every_client() {
    let (_database, session) = session().await;
    let tools = session.client.list_all_tools().await.unwrap();
    assert!(tools.len() <= 10, "a model reads them all before it says a word");
    for tool in tools {
        let output = tool.output_schema.as_deref().expect("structured answers have a schema");
        for one in [&*tool.input_schema, output] {
            assert_eq!(schema::lint(one), [""; 0], "{}", tool.name);
        }
        let description = tool.description.as_deref().unwrap_or_default();
        assert!((60..2_000).contains(&description.len()), "{}: {}", tool.name, description.len());
        assert!(tool.name.len() <= 40 && tool.title.is_some() && tool.annotations.is_some());
        let properties = tool.input_schema["properties"].as_object().unwrap();
        for (name, property) in properties {
            assert!(property["description"].as_str().is_some_and(|text| text.len() > 10), "{}.{name}", tool.name);
        }
    }
}

#[tokio::test]
async fn every_answer_satisfies_its_own_schema() {
    let (_database, session) = session().await;
    let insert = json!({ "title": "t", "content": "word", "source": "s", "metadata": { "a": 1 }, "embedding": [1, 0, 0, 0], "idempotency_key": "k", "wait_for_embedding": true });
    let usage = json!({ "provider": "openai", "model_name": "gpt-4o", "input_tokens": 1, "output_tokens": 1 });
    let search = json!({ "query": "word", "query_embedding": [1, 0, 0, 0], "explain": true });
    let pending = json!({ "title": "t", "content": "word", "wait_for_embedding": true });
    let stored =
        session.ok("insert_document", json!({ "title": "first", "content": "a first word", "source": "f" })).await;
    let id = &stored["document_id"];
    let calls = [
        ("get_document", json!({ "document_id": id })),
        ("get_document", json!({ "document_id": id, "passage": 0 })),
        ("list_documents", json!({ "limit": 1 })),
        ("update_document", json!({ "document_id": id, "title": "second" })),
        ("update_document", json!({ "document_id": id, "content": "a second word" })),
        (
            "insert_document",
            json!({ "title": "t", "content": "w", "source": "f", "replace": true, "more_documents": [{ "title": "m", "content": "m" }] }),
        ),
        ("list_documents", json!({ "limit": 1 })),
        ("delete_document", json!({ "document_id": id })),
        ("delete_document", json!({ "document_id": id })),
        ("hybrid_search", json!({ "query": "nothing yet" })),
        ("insert_document", insert.clone()),
        ("insert_document", insert),
        ("insert_document", pending),
        ("hybrid_search", search),
        ("cost_report", json!({})),
        ("tenant_status", json!({})),
        ("hybrid_search", json!({ "query": "wrod \"of the\"" })),
        ("record_usage", usage),
        ("cost_report", json!({ "group_by": ["day", "model"] })),
        ("search_audit_log", json!({ "limit": 3 })),
        ("search_audit_log", json!({ "user": "nobody", "call_id": "01890a5d-ac96-774b-bcce-b302099a8057" })),
    ];
    let tools = session.client.list_all_tools().await.unwrap();
    for (name, arguments) in calls {
        let tool = tools.iter().find(|tool| tool.name == name).unwrap();
        let schema = Value::Object(tool.output_schema.as_deref().unwrap().clone());
        let answer = session.ok(name, arguments).await;
        let validator = jsonschema::validator_for(&schema).unwrap();
        let faults: Vec<_> = validator.iter_errors(&answer).map(|error| error.to_string()).collect();
        assert_eq!(faults, [""; 0], "{name}: {answer}");
    }
}

#[test]
fn the_manifest_is_the_programs() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("mcp-manifest.json");
    if std::env::var_os("BAILIWICK_BLESS").is_some() {
        std::fs::write(&path, manifest()).unwrap();
    }
    let file = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(file == manifest(), "mcp-manifest.json is out of date: run `BAILIWICK_BLESS=1 cargo test manifest`");
}

#[tokio::test]
async fn the_manifest_names_the_tools_that_the_server_lists() {
    let (_database, session) = session().await;
    let manifest: Value = serde_json::from_str(&manifest()).unwrap();
    let listed: Vec<_> = session.client.list_all_tools().await.unwrap();
    let listed: Vec<_> =
        listed.iter().map(|tool| json!({ "name": tool.name, "description": tool.description })).collect();
    assert_eq!(manifest["tools"], json!(listed));
}

#[test]
fn the_clients_configuration_files_start_the_server() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/clients");
    for (file, key) in [
        ("claude_desktop_config.json", "mcpServers"),
        ("claude_code.mcp.json", "mcpServers"),
        ("cursor.mcp.json", "mcpServers"),
        ("vscode.mcp.json", "servers"),
    ] {
        let text = std::fs::read_to_string(folder.join(file)).unwrap();
        let configuration: Value = serde_json::from_str(&text).unwrap();
        let server = &configuration[key]["bailiwick"];
        assert_eq!((&server["command"], &server["args"]), (&json!("bailiwick"), &json!(["serve"])), "{file}");
        assert_eq!(server["env"]["BAILIWICK_TENANT"], "demo", "{file}");
    }
}
