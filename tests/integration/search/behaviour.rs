use serde_json::{Value, json};

use crate::harness::{Session, TestDatabase};

async fn session() -> (TestDatabase, Session) {
    let database = TestDatabase::create().await;
    let tenant = database.tenant("demo").await;
    let session = Session::open(&database, &tenant).await;
    (database, session)
}

async fn store(session: &Session, title: &str, content: &str) {
    session.ok("insert_document", json!({ "title": title, "content": content })).await;
}

#[tokio::test]
async fn any_word_may_match_and_more_rank_higher() {
    let (_database, session) = session().await;
    store(&session, "One", "The printer stands in the hall beside the lift and the stairs.").await;
    store(&session, "Two", "The printer needs new paper every week, says the caretaker.").await;
    store(&session, "None", "Nothing of that sort is written here at all.").await;
    assert_eq!(session.titles(json!({ "query": "where does the printer get its paper?" })).await, ["Two", "One"]);
}

#[tokio::test]
async fn east_asian_text_is_found_by_pairs_of_characters() {
    let (_database, session) = session().await;
    store(&session, "휴가", "직원은 매년 15일의 연차 휴가를 받습니다. VPN 접속은 팀장에게 신청합니다.").await;
    store(&session, "주차", "방문객의 차량은 지하 2층 주차장에 세워 주십시오.").await;
    store(&session, "会議", "会議室の予約は二週間前から受付で行うことができます。").await;
    store(&session, "停车", "访客的车辆请停放在地下二层停车场。").await;
    assert_eq!(session.titles(json!({ "query": "연차는 며칠인가요?" })).await, ["휴가"]);
    assert_eq!(session.titles(json!({ "query": "vpn 신청" })).await, ["휴가"]);
    assert_eq!(session.titles(json!({ "query": "会議室を予約したい" })).await, ["会議"]);
    assert_eq!(session.titles(json!({ "query": "停车场在哪里" })).await, ["停车"]);
    // The same syllables, taken apart into their letters as some systems store file names.
    let decomposed: String = "주차장".chars().flat_map(decompose).collect();
    assert_eq!(session.titles(json!({ "query": decomposed })).await, ["주차"]);
}

/// Hangul syllable to conjoining jamo (The Unicode Standard, section 3.12).
fn decompose(syllable: char) -> Vec<char> {
    let index = syllable as u32 - 0xAC00;
    let letters = [0x1100 + index / 588, 0x1161 + index % 588 / 28, 0x11A7 + index % 28];
    letters.into_iter().filter(|letter| *letter != 0x11A7).filter_map(char::from_u32).collect()
}

#[tokio::test]
async fn equal_documents_come_in_the_order_in_which_they_were_stored() {
    let (_database, session) = session().await;
    for number in 0..5 {
        let document = json!({ "title": "Same", "content": "The very same text.", "source": format!("{number}"), "embedding": [1, 2, 3, 4] });
        session.ok("insert_document", document).await;
    }
    for arguments in [
        json!({ "query": "same text" }),
        json!({ "query": "same text", "query_embedding": [4, 3, 2, 1] }),
        json!({ "query": "same text", "query_embedding": [4, 3, 2, 1], "bm25_weight": 0 }),
    ] {
        let answer = session.ok("hybrid_search", arguments).await;
        let sources: Vec<_> = answer["results"]
            .as_array()
            .unwrap()
            .iter()
            .map(|row| row["source"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(sources, ["0", "1", "2", "3", "4"]);
    }
}

#[tokio::test]
async fn the_mode_says_which_sides_took_part_and_why() {
    let (_database, session) = session().await;
    store(&session, "Words", "Only words here.").await;
    let mode = async |arguments: Value| {
        let answer = session.ok("hybrid_search", arguments).await;
        (answer["mode"].as_str().unwrap().to_owned(), answer["mode_reason"].as_str().unwrap_or("").to_owned())
    };
    let (ran, reason) = mode(json!({ "query": "words" })).await;
    assert!(ran == "bm25_only" && reason.contains("no query_embedding was given"), "{ran} {reason}");
    let (ran, reason) = mode(json!({ "query": "words", "query_embedding": [1, 0, 0, 0] })).await;
    assert!(ran == "bm25_only" && reason.contains("no document"), "{ran} {reason}");
    let embedded = json!({ "title": "Both", "content": "Words and a vector.", "embedding": [1, 0, 0, 0] });
    session.ok("insert_document", embedded).await;
    assert_eq!(
        mode(json!({ "query": "words", "query_embedding": [1, 0, 0, 0] })).await,
        ("hybrid".to_owned(), String::new())
    );
    let (ran, reason) = mode(json!({ "query": "words", "query_embedding": [1, 0, 0, 0], "bm25_weight": 0 })).await;
    assert!(ran == "vector_only" && reason == "bm25_weight is 0", "{ran} {reason}");
    let (ran, reason) = mode(json!({ "query": "the of and", "query_embedding": [1, 0, 0, 0] })).await;
    assert!(ran == "vector_only" && reason.contains("no searchable words"), "{ran} {reason}");
    let (ran, reason) = mode(json!({ "query": "the of and" })).await;
    assert!(ran == "bm25_only" && reason.contains("no searchable words"), "{ran} {reason}");
}

#[tokio::test]
async fn no_query_is_an_error_for_its_characters() {
    let (_database, session) = session().await;
    store(&session, "Odd", "It's a back\\slash & a pipe | with (brackets) and 'quotes'.").await;
    for query in [
        "'",
        "\"",
        "\\",
        ":*",
        "a & b | !c",
        "((",
        "<->",
        "%_",
        "*",
        "\u{1}\u{2}\u{3}",
        "🙂",
        "́",
        "back\\slash 'quotes' | &",
        "𝕊𝕠 𝕨𝕙𝕒𝕥",
    ] {
        session.ok("hybrid_search", json!({ "query": query })).await;
    }
    session.ok("hybrid_search", json!({ "query": "'".repeat(2_000) })).await;
    session.ok("hybrid_search", json!({ "query": "word ".repeat(400) })).await;
    let answer = session.ok("hybrid_search", json!({ "query": "it's back\\slash 'quotes'" })).await;
    let highlights = answer["results"][0]["highlights"].to_string();
    assert!(highlights.contains("**quotes**") && highlights.contains("**back"), "{highlights}");
}

#[tokio::test]
async fn passages_are_cut_and_fifty_of_them_stay_small() {
    let (_database, session) = session().await;
    let long = "A sentence about the lighthouse and its keeper. ".repeat(400);
    for number in 0..50 {
        store(&session, &format!("Long {number}"), &long).await;
    }
    let answer = session.ok("hybrid_search", json!({ "query": "lighthouse keeper", "limit": 50 })).await;
    let results = answer["results"].as_array().unwrap();
    assert_eq!(results.len(), 50, "each document once, however many of its passages match");
    let characters: usize = results.iter().map(|row| row["passage"].as_str().unwrap().chars().count()).sum();
    assert!(characters <= 50 * 641, "{characters}");
}

#[tokio::test]
async fn an_explanation_names_the_terms_and_adds_up() {
    let (_database, session) = session().await;
    let document = json!({ "title": "Running shoes", "content": "Shoes for runners.", "embedding": [1, 0, 0, 0] });
    session.ok("insert_document", document).await;
    let answer = session
        .ok("hybrid_search", json!({ "query": "run in shoes", "query_embedding": [1, 1, 0, 0], "explain": true }))
        .await;
    let row = &answer["results"][0];
    let explanation = &row["explanation"];
    assert_eq!(
        explanation["matched_terms"],
        json!([{ "term": "run", "frequency": 3 }, { "term": "shoe", "frequency": 4 }])
    );
    let sum = explanation["bm25_contribution"].as_f64().unwrap() + explanation["vector_contribution"].as_f64().unwrap();
    assert!((row["combined_score"].as_f64().unwrap() - sum).abs() < 1e-12);
    assert!((row["vector_score"].as_f64().unwrap() - 0.5_f64.sqrt()).abs() < 1e-3);
}
