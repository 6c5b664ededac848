use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use super::{Document, documents, file};

/// `docs/../README.md` is `README.md`.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir => assert!(plain.pop(), "{} leads out of the repository", path.display()),
            Component::CurDir => {}
            other => plain.push(other),
        }
    }
    plain
}

/// What is wrong with the links of these documents.
fn broken(documents: &BTreeMap<String, Document>) -> Vec<String> {
    let mut broken = Vec::new();
    for (path, document) in documents {
        for link in document.links.iter().filter(|link| !link.contains("://")) {
            let (target, anchor) = link.split_once('#').map_or((link.as_str(), None), |(a, b)| (a, Some(b)));
            let target = match target {
                "" => PathBuf::from(path),
                _ => plain(&Path::new(path).parent().unwrap().join(target)),
            };
            let there = file(target.to_str().unwrap());
            if !there.exists() {
                broken.push(format!("{path}: {link}: there is no {}", target.display()));
                continue;
            }
            let Some(anchor) = anchor else { continue };
            let known = documents.get(target.to_str().unwrap());
            if !known.is_some_and(|known| known.headings.iter().any(|(_, text)| Document::anchor(text) == anchor)) {
                broken.push(format!("{path}: {link}: no heading there has this anchor"));
            }
        }
    }
    broken
}

#[test]
fn every_link_of_the_documentation_leads_somewhere() {
    let documents: BTreeMap<_, _> = documents().into_iter().collect();
    assert_eq!(broken(&documents), [""; 0]);
    assert!(documents.values().map(|document| document.links.len()).sum::<usize>() > 50);
}

#[test]
fn a_link_to_nothing_is_found() {
    let text = "# One heading\n[a](gone.md) [b](README.md#gone) [c](#one-heading) [d](LICENSE)";
    let documents = BTreeMap::from([("README.md".to_owned(), Document::read(text))]);
    let broken = broken(&documents);
    assert!(broken.len() == 2 && broken[0].contains("gone.md") && broken[1].contains("#gone"), "{broken:?}");
}

/// Every page of `docs/` can be found from the README.
#[test]
fn the_readme_leads_to_every_page() {
    let documents = documents();
    for readme in ["README.md", "README.ko.md"] {
        let (_, document) = documents.iter().find(|(path, _)| path == readme).unwrap();
        for (path, _) in documents.iter().filter(|(path, _)| path.starts_with("docs/")) {
            assert!(document.links.contains(path), "{readme} does not lead to {path}");
        }
    }
}

/// Whether there is a test of that name: a room of tests (`http::tokens`) or a test in one.
fn is_test(name: &str) -> bool {
    let exists = |path: &str| file(path).exists();
    let parts: Vec<_> = name.split("::").collect();
    let path = parts.join("/");
    if exists(name)
        || ["tests/integration", "src", "tests"]
            .iter()
            .any(|root| exists(&format!("{root}/{path}.rs")) || exists(&format!("{root}/{path}/mod.rs")))
    {
        return true;
    }
    let Some((function, room)) = parts.split_last() else { return false };
    let text = std::fs::read_to_string(file(&format!("tests/integration/{}.rs", room.join("/"))));
    text.is_ok_and(|text| text.contains(&format!("fn {function}(")))
}

#[test]
fn every_test_that_a_promise_names_is_there() {
    let mut named = 0;
    for (path, document) in documents() {
        for table in &document.tables {
            if !matches!(table[0].last().map(|cell| cell.text.as_str()), Some("held by" | "test")) {
                continue;
            }
            for row in &table[1..] {
                let names = &row.last().unwrap().code;
                assert!(!names.is_empty(), "{path}: a promise names no test: {}", row[0].text);
                // What a test leaves behind is not its name.
                for name in names.iter().filter(|name| !name.starts_with("target/")) {
                    assert!(is_test(name), "{path}: there is no test {name}");
                    named += 1;
                }
            }
        }
    }
    assert!(named > 80, "{named}");
    assert!(is_test("http::tokens") && is_test("catalog") && is_test("tests/embedded") && !is_test("http::gone"));
}

/// What alerts point to.
#[test]
fn every_alert_has_its_runbook() {
    let documents: BTreeMap<_, _> = documents().into_iter().collect();
    let anchors: Vec<_> =
        documents["docs/operations.md"].headings.iter().map(|(_, text)| Document::anchor(text)).collect();
    let operations = std::fs::read_to_string(file("docs/operations.md")).unwrap();
    let alerts: serde_json::Value =
        serde_saphyr::from_str(&std::fs::read_to_string(file("packaging/prometheus/alerts.yml")).unwrap()).unwrap();
    for rule in alerts["groups"].as_array().unwrap().iter().flat_map(|group| group["rules"].as_array().unwrap()) {
        let (name, runbook) = (rule["alert"].as_str().unwrap(), rule["annotations"]["runbook"].as_str().unwrap());
        let anchor = runbook.strip_prefix("docs/operations.md#").unwrap();
        assert!(anchors.iter().any(|there| there == anchor), "{name}: {runbook}");
        assert!(operations.contains(&format!("`{name}`")), "docs/operations.md does not say what to do about {name}");
    }
}
