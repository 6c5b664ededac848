//! Words that match are shown, and none is passed over for how it begins.

use std::collections::BTreeSet;

use bailiwick::search::highlight::words::{Sieve, words};
use serde_json::json;

use crate::harness::{Session, TestDatabase};

/// Sentences with words whose stem is not their beginning, by language.
const SENTENCES: [(&str, &str); 16] = [
    (
        "en",
        "He is dying, lying and tying knots; skies, skis, gently, idly, ugly, early, only, singly, news, innings, proceeding.",
    ),
    (
        "de",
        "Äpfel, Häuser, Bücher, ueber, über, Oel, Öl, Straße, Strasse, Fräulein, aufgeräumt, Kaeufer, Äcker, ärgerlich, größer.",
    ),
    (
        "fr",
        "Élèves, écoles, été, œuvres, yeux, généralement, l'avion, aujourd'hui, naïve, maïs, Noël, île, ça, où, âmes.",
    ),
    ("es", "Él, árboles, época, índices, órdenes, útiles, niños, corazones, también, rápidamente, América, ánimo."),
    ("pt", "São, ações, órgãos, irmãos, corações, ânimo, época, índice, última, avó, às, não, mãe, pães."),
    ("it", "È, città, perché, così, più, virtù, università, abbandonata, propaga, àncora, òpera, ùltimo."),
    ("sv", "Ängar, öar, åar, flickorna, hundarnas, tjänster, människor, även, därför, älskar, öppnade."),
    ("no", "Øyer, åpne, ærlige, husene, jentenes, vanskeligheter, også, før, så, år, æren."),
    ("da", "Øer, åbne, ærlige, husene, pigernes, vanskeligheder, også, før, så, år, æblerne."),
    ("fi", "Äidit, öljyt, taloissa, kirjastojen, työpaikkojen, yöllä, ääni, käsissä, edeltäjistään, asiakkaitamme."),
    ("ru", "Ёлки, лётчики, бежавшему, наилучшими, приехавшие, её, ещё, объявление, электричество, яблоки, всё."),
    ("ro", "Împărați, șapte, țări, câinilor, învățători, știrile, tânără, ăsta, înțelegere, zâmbete."),
    ("hu", "Ágyak, élet, írás, óra, ősz, út, űr, házakban, könyvek, almáknak, kezéhez, tűzben."),
    ("ca", "Àvia, època, història, óssos, únic, col·legi, força, açò, països, universitàries, íntims."),
    ("eu", "Etxeetan, mendietako, ikasleak, liburutegiko, zahagi, kaixo, gizonarekin."),
    ("simple", "Whatever IT may be, Äpfel or 3rd places."),
];

#[tokio::test]
async fn the_sieve_lets_every_word_through_that_becomes_the_lexeme() {
    let database = TestDatabase::create().await;
    let client = database.connect_admin().await;
    let manuals = ["README.md", "ARCHITECTURE.md", "docs/search.md", "docs/operations.md"];
    let manuals = manuals.map(|file| std::fs::read_to_string(file).unwrap()).concat();
    let (mut looked_at, mut stopped) = (0, 0);
    for (language, text) in SENTENCES.into_iter().chain([("en", manuals.as_str()), ("ko", manuals.as_str())]) {
        let different: BTreeSet<&str> = words(text).into_iter().map(|word| &text[word]).collect();
        let words: Vec<&str> = different.into_iter().collect();
        let sql = "SELECT word, term.lexeme FROM unnest($1::text[]) AS word CROSS JOIN text_terms($2, word) AS term";
        let rows = client.query(sql, &[&words, &language]).await.unwrap();
        assert!(!rows.is_empty(), "{language}");
        for row in rows {
            let (word, lexeme): (&str, &str) = (row.get(0), row.get(1));
            let sieve = Sieve::new([lexeme]);
            assert!(sieve.lets_through(language, word), "{language}: {word} becomes {lexeme}");
            let others = words.iter().step_by(words.len().div_ceil(50));
            stopped += others.clone().filter(|other| !sieve.lets_through(language, other)).count();
            looked_at += others.count();
        }
    }
    // And it is there for something: nine in ten words need not be asked for.
    assert!(stopped * 10 > looked_at * 9, "{stopped} of {looked_at}");
}

#[tokio::test]
async fn what_matches_is_shown_in_its_own_words() {
    let database = TestDatabase::create().await;
    let session = Session::open(&database, &database.tenant("demo").await).await;
    let shown = async |language: &str, content: &str, query: &str| {
        let arguments = json!({ "title": "T", "content": content, "language": language, "embedding": [1, 2, 3, 4] });
        let stored = session.ok("insert_document", arguments).await;
        let answer = session.ok("hybrid_search", json!({ "query": query, "vector_weight": 0 })).await;
        let row = answer["results"].as_array().unwrap().iter().find(|row| row["document_id"] == stored["document_id"]);
        let highlights = row.map(|row| row["highlights"].to_string()).unwrap_or_default();
        session.ok("delete_document", json!({ "document_id": stored["document_id"] })).await;
        highlights
    };
    for (language, content, query, expected) in [
        (
            "en",
            "Both Libraries lend; a library's lobby does not.",
            "library",
            r#"["Both **Libraries** lend; a **library**'s lobby does not."]"#,
        ),
        ("en", "Nobody is lying here.", "lie", r#"["Nobody is **lying** here."]"#),
        (
            "en",
            "See mail.example.org or version 10.2.1 of SRC/main.rs.",
            "mail.example.org 10.2.1 src/main.rs",
            r#"["See **mail.example.org** or version **10.2.1** of **SRC/main.rs**."]"#,
        ),
        (
            "en",
            "A self-hosted server; hosted by us.",
            "self-hosted",
            r#"["A **self**-**hosted** server; **hosted** by us."]"#,
        ),
        ("de", "Die Bücher der Häuser.", "buch haus", r#"["Die **Bücher** der **Häuser**."]"#),
        ("fr", "L'École et l'avion.", "école avion", r#"["L'**École** et l'**avion**."]"#),
        ("id", "Mereka membaca di perpustakaan.", "baca", r#"["Mereka **membaca** di perpustakaan."]"#),
        ("ko", "문서검색 엔진은 Indexes를 쓴다.", "검색 index", r#"["문서**검색** 엔진은 **Indexes**를 쓴다."]"#),
        ("en", "Ｆｕｌｌ-width Ｌｉｂｒａｒｙ.", "library", r#"["Ｆｕｌｌ-width **Ｌｉｂｒａｒｙ**."]"#),
    ] {
        assert_eq!(shown(language, content, query).await, expected, "{language}: {query}");
    }
}

#[tokio::test]
async fn an_answer_without_words_asks_for_none() {
    let database = TestDatabase::create().await;
    let session = Session::open(&database, &database.tenant("demo").await).await;
    session.ok("insert_document", json!({ "title": "T", "content": "Some words.", "embedding": [1, 2, 3, 4] })).await;
    let arguments = json!({ "query": "words", "query_embedding": [1, 2, 3, 4], "bm25_weight": 0 });
    let answer = session.ok("hybrid_search", arguments).await;
    assert_eq!(answer["results"][0]["highlights"], json!([]));
}
