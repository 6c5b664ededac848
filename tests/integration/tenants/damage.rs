//! Files that are not as they were written, and imports that are broken off.

use std::io::Write;
use std::path::Path;

use bailiwick::tenants::transfer::{self, ImportOptions, Step};

use super::transfer::{data, filled};
use super::{refused, told};
use crate::harness::TestDatabase;

async fn exported(folder: &Path) -> (TestDatabase, Vec<String>) {
    let (database, demo, _) = filled(20).await;
    let file = folder.join("whole.jsonl");
    transfer::export(&database.connect_admin().await, demo.id, &file, |_, _| ()).await.unwrap();
    let lines = std::fs::read_to_string(&file).unwrap().lines().map(|line| format!("{line}\n")).collect();
    (database, lines)
}

async fn import(database: &TestDatabase, file: &Path) -> Result<i64, String> {
    let options = ImportOptions { slug: Some("moved".to_owned()), without_vectors: false };
    let imported = transfer::import(&database.connect_admin().await, file, &options, |_| ()).await;
    imported.map(|imported| imported.found).map_err(|error| error.to_string())
}

#[tokio::test]
async fn whatever_is_wrong_with_a_file_is_named_by_its_line_and_nothing_is_stored() {
    let folder = tempfile::tempdir().unwrap();
    let (database, lines) = exported(folder.path()).await;
    let file = folder.path().join("damaged.jsonl");
    let whole = lines.concat();
    let without = |at: usize| [&lines[..at], &lines[at + 1..]].concat().concat();
    let swapped = {
        let mut lines = lines.clone();
        lines.swap(4, 5);
        lines.concat()
    };
    let last = lines.len();
    for (text, line, words) in [
        (whole.replacen("third floor", "fourth floor", 1), 2, "its checksum is another"),
        (whole.replacen("\"char_start\":0", "\"char_start\":1", 1), 2, "its checksum is another"),
        (whole.replacen("\"name\":\"Demo", "\"name\":\"Dema", 1), 1, "its checksum is another"),
        (without(7), 8, "its checksum is another"),
        ([&lines[..8], &lines[7..]].concat().concat(), 9, "its checksum is another"),
        (swapped, 5, "its checksum is another"),
        (without(last - 1), last, "it was cut off here"),
        (whole[..whole.len() - lines[last - 1].len() - 30].to_owned(), last - 1, "it has no end"),
        (whole[..whole.len() - 1].to_owned(), last, "it has no end"),
        (format!("{whole}{}", lines[3]), last, "something stands behind the end"),
        (whole.replacen("bailiwick-tenant-1", "bailiwick-tenant-9", 1), 1, "its checksum is another"),
        ("{\"a\": 1}\n".to_owned(), 1, "it does not begin with"),
        (String::new(), 1, "no header"),
    ] {
        std::fs::write(&file, text).unwrap();
        let error = import(&database, &file).await.unwrap_err();
        assert!(error.contains(&format!("damaged.jsonl, line {line}: ")) && error.contains(words), "{words}: {error}");
    }
    // Every byte counts, compressed or not.
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(whole.as_bytes()).unwrap();
    let packed = encoder.finish().unwrap();
    for at in (20..packed.len()).step_by(packed.len() / 40) {
        let mut bytes = packed.clone();
        bytes[at] ^= 0x10;
        std::fs::write(&file, &bytes).unwrap();
        assert!(import(&database, &file).await.unwrap_err().contains(", line "), "byte {at}");
    }
    std::fs::write(&file, &packed[..packed.len() / 2]).unwrap();
    assert!(import(&database, &file).await.unwrap_err().contains(", line "));
    assert_eq!(database.value::<i64>("SELECT count(*) FROM tenants").await, 2);
}

/// The sums are right and what they are of is not: a file that somebody made.
#[tokio::test]
async fn what_no_database_would_hold_is_refused_before_anything_is_stored() {
    let folder = tempfile::tempdir().unwrap();
    let (database, lines) = exported(folder.path()).await;
    let file = folder.path().join("forged.jsonl");
    for (from, to, line, words) in [
        ("\"char_start\":0,\"char_end\":", "\"char_start\":0,\"char_end\":99", 2, "a passage from 0 to 99"),
        ("\"title\":\"Stapler\"", "\"title\":\" \"", 2, "without a title"),
        ("\"embedding_status\":\"embedded\"", "\"embedding_status\":\"done\"", 2, "unknown embedding_status"),
        ("\"title\":\"Stapler\"", "\"title\":\"a\\u0000b\"", 2, "NUL character"),
        ("\"title\":\"Stapler\"", "\"titel\":\"Stapler\"", 2, "unknown field `titel`"),
        ("\"dimensions\":4,\"models\"", "\"dimensions\":5,\"models\"", 2, "a vector of 4 dimensions"),
        ("\"settings\":{", "\"settings\":{\"budgets\":1,", 1, "unknown field `budgets`"),
        ("\"settings\":{", "\"settings\":{\"budget\":null,", 1, "the setting \"budget\" without a value"),
        ("\"settings\":{", "\"settings\":{\"budget\":{\"mode\":null},", 1, "the setting \"budget.mode\" without"),
        ("\"max_documents\":null", "\"max_documents\":-1", 1, "max_documents -1, which is negative"),
        ("\"max_storage_mb\":null", "\"max_storage_mb\":-1", 1, "max_storage_mb -1, which is negative"),
        ("\"monthly_budget_usd\":\"", "\"monthly_budget_usd\":\"-", 1, "which is negative"),
        ("\"monthly_budget_usd\":\"", "\"monthly_budget_usd\":\"1000000000000", 1, "there are none from"),
        ("bailiwick-tenant-1", "bailiwick-tenant-9", 1, "the format \"bailiwick-tenant-9\""),
        ("\"documents\":23,", "\"documents\":24,", 25, "the end tells of 24 documents"),
    ] {
        assert!(lines.iter().any(|line| line.contains(from)), "{from}");
        let mut sum = crc32fast::Hasher::new();
        let mut done = false;
        let forged = lines.iter().map(|text| {
            let content = format!("{{{}", text.trim_end().split_once(',').unwrap().1);
            let content = if done { content } else { content.replacen(from, to, 1) };
            done = done || content.contains(to);
            sum.update(content.as_bytes());
            format!("{{\"crc32\":{},{}\n", sum.clone().finalize(), &content[1..])
        });
        std::fs::write(&file, forged.collect::<String>()).unwrap();
        let error = import(&database, &file).await.unwrap_err();
        assert!(error.contains(&format!("forged.jsonl, line {line}: ")) && error.contains(words), "{words}: {error}");
    }
    assert_eq!(database.value::<i64>("SELECT count(*) FROM tenants").await, 2);
}

#[tokio::test]
async fn an_import_that_was_broken_off_lets_nobody_in_and_goes_on_without_doubling_anything() {
    let folder = tempfile::tempdir().unwrap();
    let (database, demo, _) = filled(600).await;
    let file = folder.path().join("demo.jsonl");
    transfer::export(&database.connect_admin().await, demo.id, &file, |_, _| ()).await.unwrap();
    let options = ImportOptions { slug: Some("moved".to_owned()), without_vectors: false };
    {
        // Dropped once its first batch is stored, as by a kill.
        let (client, reached) = (database.connect_admin().await, tokio::sync::Notify::new());
        let import = transfer::import(&client, &file, &options, |step| {
            if matches!(step, Step::Stored { .. }) {
                reached.notify_one();
            }
        });
        tokio::select! {
            biased;
            () = reached.notified() => {}
            _ = import => panic!("the import was to be broken off"),
        }
    }
    let held = "SELECT count(*) FROM pg_locks l JOIN pg_database d ON d.oid = l.database WHERE l.locktype = 'advisory' AND d.datname = current_database()";
    while database.value::<i64>(held).await > 0 {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let stored = "SELECT count(*) FROM documents d JOIN tenants t ON t.id = d.tenant_id WHERE t.slug = 'moved'";
    let half = database.value::<i64>(stored).await;
    assert!((1..603).contains(&half), "{half}");
    assert_eq!(database.value::<String>("SELECT status FROM tenants WHERE slug = 'moved'").await, "deleted");
    for (arguments, words) in [
        (&["tenant", "restore", "moved"][..], "has not ended: import the same file again"),
        (&["tenant", "suspend", "moved"], "has not ended"),
        (&["tenant", "export", "moved", "nowhere.jsonl"], "its own import was broken off"),
    ] {
        let error = refused(&database, arguments).await;
        assert!(error.contains(words), "{arguments:?}: {error}");
    }
    // Another file is another tenant.
    let other = folder.path().join("other.jsonl");
    transfer::export(&database.connect_admin().await, database.tenant("enterprise").await.id, &other, |_, _| ())
        .await
        .unwrap();
    let error = import(&database, &other).await.unwrap_err();
    assert!(error.contains("an import of another file as \"moved\" was broken off"), "{error}");

    assert_eq!(import(&database, &file).await.unwrap(), half);
    assert_eq!(data(&database, "moved").await, data(&database, "demo").await);
    // Once it is whole it is a tenant like any other.
    assert!(import(&database, &file).await.unwrap_err().contains("there is a tenant \"moved\" already"));
    told(&database, &["tenant", "delete", "moved"]).await;
    told(&database, &["tenant", "restore", "moved"]).await;
}

/// A tenant opens only if as much was stored as the file has, whatever it was that stored more.
#[tokio::test]
async fn an_import_that_stores_something_twice_stays_shut() {
    let folder = tempfile::tempdir().unwrap();
    let (database, _) = exported(folder.path()).await;
    database
        .execute(
            "CREATE FUNCTION store_again() RETURNS trigger LANGUAGE plpgsql AS $$
             BEGIN
                 IF pg_trigger_depth() = 1 THEN
                     INSERT INTO documents (tenant_id, title, content) SELECT tenant_id, title, content FROM inserted WHERE title = 'Parking';
                 END IF;
                 RETURN NULL;
             END $$;
             GRANT EXECUTE ON FUNCTION store_again() TO PUBLIC;
             CREATE TRIGGER documents_90_store_again AFTER INSERT ON documents
                 REFERENCING NEW TABLE AS inserted FOR EACH STATEMENT EXECUTE FUNCTION store_again()",
        )
        .await;
    let error = import(&database, &folder.path().join("whole.jsonl")).await.unwrap_err();
    assert!(error.contains("not as much was stored as the file has"), "{error}");
    assert_eq!(database.value::<String>("SELECT status FROM tenants WHERE slug = 'moved'").await, "deleted");
    assert_eq!(database.value::<i64>("SELECT count(*) FROM documents WHERE title = 'Parking'").await, 3);
}
