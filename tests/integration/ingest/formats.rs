use serde_json::{Value, json};

use super::{docx, pdf, run};
use crate::harness::{Session, TestDatabase};

async fn stored(database: &TestDatabase, source: &str) -> (String, String, Value, String) {
    let sql = "SELECT title, content, metadata, language FROM documents WHERE source = $1";
    let row = database.connect_admin().await.query_one(sql, &[&source]).await.unwrap();
    (row.get(0), row.get(1), row.get(2), row.get(3))
}

#[tokio::test]
async fn each_format_becomes_a_document_with_its_title_text_and_metadata() {
    let (database, folder) = (TestDatabase::create().await, tempfile::tempdir().unwrap());
    let write = |name: &str, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes).unwrap();
    write("plain.txt", "Staplers are refilled on Tuesdays.\n".as_bytes());
    write(
        "korean.txt",
        &encoding_rs::EUC_KR.encode("올해 연차 휴가는 스물다섯 일이다. 내년에는 더 늘어난다고 이사회가 밝혔다.").0,
    );
    write("note.md", b"---\ntitle: Fire drill\nlang: en\ntags: [safety, 2026]\nsource: https://wiki.example/fire\n---\n# Heading\n\nWalk, do not run.\n");
    write("heading.md", b"Intro line\n\n# The first heading\n\nText below it.\n");
    write("page.html", b"<!doctype html><html lang=\"de\"><head><title>Urlaub &amp; Zeit</title><style>p{color:red}</style><script>alert('never')</script></head><body><h1>Regeln</h1><p>Der Urlaub betr\xc3\xa4gt 25 Tage.</p><ul><li>eins</li></ul></body></html>");
    write("latin.html", b"<html><head><meta charset=\"iso-8859-1\"><title>Caf\xe9</title></head><body>Le caf\xe9 est ferm\xe9 le dimanche.</body></html>");
    write("rules.pdf", &pdf(&["Visitors park behind the building.", "Bicycles have a shed."]));
    let body = r#"<w:p><w:pPr><w:pStyle w:val="Heading1"/></w:pPr><w:r><w:t>Travel &amp; costs</w:t></w:r></w:p><w:p><w:r><w:t xml:space="preserve">Trains </w:t></w:r><w:r><w:t>before planes.</w:t></w:r></w:p><w:tbl><w:tr><w:tc><w:p><w:r><w:t>Cell</w:t></w:r></w:p></w:tc></w:tr></w:tbl>"#;
    write("travel.docx", &docx(body, "Travel policy"));
    write("picture.png", b"\x89PNG");
    let told = run(&database, folder.path(), &["ingest", ".", "--metadata", "team=office", "--json"]).await;
    assert_eq!(told.code, Some(0), "{told:?}");
    assert_eq!(told.counts(["files", "stored", "failed", "passed_over"]), [8, 8, 0, 1]);

    let (title, content, metadata, language) = stored(&database, "plain.txt").await;
    assert_eq!((title.as_str(), content.as_str()), ("plain", "Staplers are refilled on Tuesdays.\n"));
    assert_eq!(
        (&metadata["team"], &metadata["path"], &metadata["format"]),
        (&json!("office"), &json!("plain.txt"), &json!("text"))
    );
    assert!(metadata["modified_at"].as_str().unwrap().ends_with('Z') && language == "en");
    let (_, content, _, language) = stored(&database, "korean.txt").await;
    assert!(content.starts_with("올해 연차") && language == "ko", "{content} {language}");
    let (title, content, metadata, _) = stored(&database, "https://wiki.example/fire").await;
    assert_eq!((title.as_str(), content.as_str()), ("Fire drill", "# Heading\n\nWalk, do not run.\n"));
    assert_eq!((&metadata["tags"], &metadata["path"]), (&json!(["safety", 2026]), &json!("note.md")));
    assert_eq!(stored(&database, "heading.md").await.0, "The first heading");
    let (title, content, _, language) = stored(&database, "page.html").await;
    assert_eq!((title.as_str(), language.as_str()), ("Urlaub & Zeit", "de"));
    assert!(
        content.contains("# Regeln")
            && content.contains("beträgt 25 Tage")
            && !content.contains("never")
            && !content.contains("color"),
        "{content}"
    );
    let (title, content, ..) = stored(&database, "latin.html").await;
    assert!(title == "Café" && content.contains("café est fermé"), "{title} {content}");
    let (title, content, ..) = stored(&database, "rules.pdf").await;
    assert_eq!(title, "Parking rules");
    assert!(
        content.contains("Visitors park behind the building.") && content.contains("Bicycles have a shed."),
        "{content}"
    );
    let (title, content, ..) = stored(&database, "travel.docx").await;
    assert_eq!(title, "Travel policy");
    assert!(content.contains("# Travel & costs\nTrains before planes.\n") && content.contains("Cell"), "{content:?}");

    let session = Session::open(&database, &database.tenant("demo").await).await;
    assert_eq!(session.titles(json!({ "query": "bicycle shed" })).await, ["Parking rules"]);
    let rows = "SELECT string_agg(resource || ' ' || outcome || ' ' || user_id || ' ' || (details->>'stored'), ', ') FROM audit_logs WHERE resource LIKE 'commands/%'";
    assert_eq!(database.value::<String>(rows).await, "commands/ingest ok loader 8");
}
