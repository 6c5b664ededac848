//! What a query's text may ask for: phrases, exclusions, and words that were mistyped. Each is asked of fresh postings and
//! of merged ones.

use bailiwick::maintenance::{self, Scope};
use serde_json::{Value, json};

use crate::harness::{Session, Tenant, TestDatabase};

async fn stocked() -> (TestDatabase, Tenant, Session) {
    let database = TestDatabase::create().await;
    let tenant = database.tenant("demo").await;
    let session = Session::open(&database, &tenant).await;
    for (title, content) in [
        ("a", "Annual leave is booked with the team lead. The printer stands in the hall."),
        ("b", "Leave the annual report on the desk of the restaurant's manager."),
        ("c", "Sick leave needs a note; annual leave does not."),
        ("d", "The policy on parking: bicycles stand in the yard."),
        ("e", "연차 휴가는 매년 15일입니다."),
        ("f", "휴가 중에도 연차 수당은 지급됩니다. 퇴직 휴가."),
    ] {
        session.ok("insert_document", json!({ "title": title, "content": content, "embedding": [1, 2, 3, 4] })).await;
    }
    (database, tenant, session)
}

/// The titles found by words, by vectors and by both, fresh and merged.
async fn found(session: &Session, query: &str) -> String {
    let mut seen = Vec::new();
    for weights in [(1.0, 0.0), (0.5, 0.5), (0.0, 1.0)] {
        let arguments = json!({ "query": query, "query_embedding": [1, 2, 3, 4], "bm25_weight": weights.0, "vector_weight": weights.1 });
        let mut titles = session.titles(arguments).await;
        titles.sort();
        seen.push(titles.concat());
    }
    seen.join(" ")
}

#[tokio::test]
async fn phrases_must_occur_and_exclusions_must_not() {
    let (database, tenant, session) = stocked().await;
    for round in ["fresh", "merged"] {
        for (query, titles) in [
            ("\"annual leave\"", "ac ac ac"),
            ("\"leave annual\"", "  "),
            ("\"annual leave\" printer", "ac ac ac"),
            ("\"annual leave\" \"sick leave\"", "c c c"),
            ("annual leave -sick", "ab abdef abdef"),
            ("leave -\"annual leave\"", "b bdef bdef"),
            ("\"연차 휴가\"", "e e e"),
            ("휴가 -퇴직", "e abcde abcde"),
            ("printer -printer", " bcdef bcdef"),
            ("\"bicycle\" parking", "d d d"),
        ] {
            assert_eq!(found(&session, query).await, titles, "{round}: {query}");
        }
        let answer = session.ok("hybrid_search", json!({ "query": "leave \"of the\"" })).await;
        assert!(answer["notes"][0].as_str().unwrap().contains("\"of the\" has no searchable words"), "{answer}");
        maintenance::run(&database.connect_admin().await, None, Scope::Everything, Some(tenant.id)).await.unwrap();
    }
}

#[tokio::test]
async fn a_word_that_nobody_wrote_is_read_as_the_nearest_that_somebody_did() {
    let (database, tenant, session) = stocked().await;
    // Another tenant's words are nobody's readings.
    let other = Session::open(&database, &database.tenant("enterprise").await).await;
    other.ok("insert_document", json!({ "title": "x", "content": "polcy polcies polcy printre" })).await;
    for round in ["fresh", "merged"] {
        for (query, titles, corrections) in [
            ("polcy", "d", json!([{ "term": "polci", "read_as": ["polici"] }])),
            ("restuarant", "b", json!([{ "term": "restuar", "read_as": ["restaur"] }])),
            ("printre in the hall", "a", json!([{ "term": "printr", "read_as": ["printer"] }])),
            ("policy", "d", Value::Null),
            ("xyzzy", "", Value::Null),
        ] {
            let answer = session.ok("hybrid_search", json!({ "query": query, "explain": true })).await;
            let found: String =
                answer["results"].as_array().unwrap().iter().map(|row| row["title"].as_str().unwrap()).collect();
            assert_eq!((found.as_str(), &answer["corrections"]), (titles, &corrections), "{round}: {query}");
        }
        let answer = session.ok("hybrid_search", json!({ "query": "polcy", "explain": true })).await;
        assert_eq!(answer["results"][0]["explanation"]["matched_terms"], json!([{ "term": "polici", "frequency": 1 }]));
        assert!(answer["results"][0]["highlights"].to_string().contains("**policy**"), "{answer}");
        maintenance::run(&database.connect_admin().await, None, Scope::Everything, Some(tenant.id)).await.unwrap();
    }
}

#[tokio::test]
async fn words_of_one_language_are_no_typos_of_another() {
    let (_database, _tenant, session) = stocked().await;
    session
        .ok(
            "insert_document",
            json!({ "title": "g", "content": "Die Verträge liegen beim Weizen, contrast.", "language": "de" }),
        )
        .await;
    session
        .ok("insert_document", json!({ "title": "h", "content": "contracts are kept in the hall", "language": "en" }))
        .await;
    for query in ["contracts", "what is the leave policy", "policies"] {
        let answer = session.ok("hybrid_search", json!({ "query": query })).await;
        assert_eq!(answer["corrections"], Value::Null, "{query}: {answer}");
    }
    let answer = session.ok("hybrid_search", json!({ "query": "what is the leave polcy" })).await;
    assert_eq!(answer["corrections"].as_array().map(Vec::len), Some(1), "{answer}");
    // A word that stood in a deleted document alone is unknown again.
    let answer = session.ok("hybrid_search", json!({ "query": "contracts of the restaurants" })).await;
    assert_eq!(answer["corrections"], Value::Null, "{answer}");
}

#[tokio::test]
async fn phrases_cross_scripts_and_hold_lone_characters() {
    let (_database, _tenant, session) = stocked().await;
    for (title, content) in [
        ("k", "제3조의 규정에 따라 GDPR compliance를 준수합니다."),
        ("l", "佐々木さんは会議室にいます。"),
        ("m", "ＦＵＬＬ width compliance"),
    ] {
        session.ok("insert_document", json!({ "title": title, "content": content })).await;
    }
    for (query, titles) in [
        ("\"제3조\"", "k"),
        ("\"GDPR compliance\"", "k"),
        ("compliance -\"GDPR compliance\"", "m"),
        ("\"佐々木\"", "l"),
        ("\"full width\"", "m"),
    ] {
        let mut found = session.titles(json!({ "query": query })).await;
        found.sort();
        assert_eq!(found.concat(), titles, "{query}");
    }
}

#[tokio::test]
async fn a_tenant_sets_its_own_constants() {
    let (database, tenant, session) = stocked().await;
    let score = async || {
        session.ok("hybrid_search", json!({ "query": "policy" })).await["results"][0]["bm25_score"].as_f64().unwrap()
    };
    let standard = score().await;
    for (settings, changes) in [
        (r#"{"bm25": {"k1": 2.0}}"#, true),
        (r#"{"bm25": {"b": 0}}"#, true),
        (r#"{"bm25": {"k1": -1, "b": 7}}"#, false),
        (r#"{"bm25": "fast"}"#, false),
    ] {
        database.execute(&format!("UPDATE tenants SET settings = '{settings}' WHERE id = '{}'", tenant.id)).await;
        assert_eq!((score().await - standard).abs() > 1e-6, changes, "{settings}");
    }
}
