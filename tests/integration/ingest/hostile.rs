use std::io::Write;

use super::{docx, pdf, run};
use crate::harness::TestDatabase;

/// An archive whose document is two hundred times larger than it.
fn bomb() -> Vec<u8> {
    let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    archive.start_file("word/document.xml", zip::write::SimpleFileOptions::default()).unwrap();
    for _ in 0..80 {
        archive.write_all(&vec![b' '; 1 << 20]).unwrap();
    }
    archive.finish().unwrap().into_inner()
}

/// Damages a file in a way that depends on the seed.
fn damaged(mut bytes: Vec<u8>, seed: usize) -> Vec<u8> {
    let mut state = seed as u64 * 2 + 1;
    for _ in 0..1 + seed % 7 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let at = (state >> 33) as usize % bytes.len();
        match seed % 3 {
            0 => bytes[at] ^= (state >> 20) as u8 | 1,
            1 => bytes.truncate(at.max(20)),
            _ => {
                let piece = bytes[at / 2..at].to_vec();
                bytes.splice(at..at, piece);
            }
        }
    }
    bytes
}

#[tokio::test]
async fn broken_and_hostile_files_fail_by_name_and_keep_no_other_out() {
    let (database, folder) = (TestDatabase::create().await, tempfile::tempdir().unwrap());
    let write = |name: &str, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes).unwrap();
    let deep = "<div>".repeat(200_000) + "needle";
    let nested = format!("%PDF-1.4\n1 0 obj\n{}\nendobj\ntrailer << /Root 1 0 R >>", "[".repeat(500_000));
    // A page tree that is its own child.
    let ring = String::from_utf8(pdf(&["x"])).unwrap().replace("/Kids [3 0 R]", "/Kids [2 0 R]");
    for (name, bytes) in [
        ("bad-empty.txt", b"  \n".to_vec()),
        ("bad-binary.txt", b"\x7fELF\0\0\x01".to_vec()),
        ("bad-yaml.md", b"---\na: [\n---\nbody".to_vec()),
        ("bad-none.pdf", b"no pdf at all".to_vec()),
        ("bad-ring.pdf", ring.into_bytes()),
        ("bad-nested.pdf", nested.into_bytes()),
        ("bad-picture.pdf", pdf(&[])),
        ("bad-none.docx", b"PK\x03\x04garbage".to_vec()),
        ("bad-bomb.docx", bomb()),
        ("bad-xml.docx", docx("<w:p><w:t>never closed", "x")),
        ("bad-long.txt", "x ".repeat(600_000).into_bytes()),
        ("bad-\u{1b}]0;title\u{7}.txt", Vec::new()),
        ("good.txt", b"A good text stays.".to_vec()),
        ("good.pdf", pdf(&["A good page stays."])),
        ("deep.html", deep.into_bytes()),
    ] {
        write(name, &bytes);
    }
    let told =
        run(&database, folder.path(), &["ingest", ".", "--continue-on-error", "--file-timeout", "8", "--json"]).await;
    assert_eq!(told.code, Some(1), "{told:?}");
    let failures = told.failures();
    let failed: Vec<&str> = failures
        .iter()
        .map(|one| one.split(':').next().unwrap())
        .filter(|name| *name != "deep.html" && !name.contains('\u{1b}'))
        .collect();
    assert_eq!(
        failed,
        [
            "bad-binary.txt",
            "bad-bomb.docx",
            "bad-empty.txt",
            "bad-long.txt",
            "bad-nested.pdf",
            "bad-none.docx",
            "bad-none.pdf",
            "bad-picture.pdf",
            "bad-ring.pdf",
            "bad-xml.docx",
            "bad-yaml.md"
        ]
    );
    assert!(!told.stderr.contains('\u{1b}') && told.stderr.contains("bad-\u{fffd}]0;title\u{fffd}.txt: has no text"));
    let reason = |name: &str| failures.iter().find(|one| one.starts_with(name)).unwrap().clone();
    assert!(reason("bad-bomb.docx").contains("unpacks to more than 64 MiB"), "{failures:?}");
    assert!(reason("bad-long.txt").contains("has 1200000 characters; at most 1000000"), "{failures:?}");
    for name in &failed {
        assert!(told.stderr.contains(&format!("{name}: ")), "{name} is told on stderr: {}", told.stderr);
    }
    let good: Vec<String> =
        database.value("SELECT array_agg(source ORDER BY source) FROM documents WHERE source LIKE 'good%'").await;
    assert_eq!(good, ["good.pdf", "good.txt"]);
    assert_eq!(told.report()["summary"]["complete"], true);
}

#[tokio::test]
async fn no_damage_ends_the_run() {
    let many = std::env::var("BAILIWICK_DAMAGED_FILES").map_or(60, |count| count.parse().unwrap());
    let (database, folder) = (TestDatabase::create().await, tempfile::tempdir().unwrap());
    let (page, word) = (pdf(&["One line.", "Another line."]), docx("<w:p><w:r><w:t>Words</w:t></w:r></w:p>", "t"));
    for seed in 0..many {
        std::fs::write(folder.path().join(format!("{seed}.pdf")), damaged(page.clone(), seed)).unwrap();
        std::fs::write(folder.path().join(format!("{seed}.docx")), damaged(word.clone(), seed)).unwrap();
    }
    let told =
        run(&database, folder.path(), &["ingest", ".", "--continue-on-error", "--file-timeout", "8", "--json"]).await;
    let [files, stored, failed] = told.counts(["files", "stored", "failed"]);
    assert_eq!((files, stored + failed), (2 * many as u64, 2 * many as u64), "{told:?}");
    assert!(failed > 10 && told.report()["summary"]["complete"] == true, "{failed}");
    assert_eq!(database.value::<i64>("SELECT count(*) FROM documents").await, i64::try_from(stored).unwrap());
}
