//! README.ko.md says in Korean what README.md says, no more and no less.

use super::{Document, documents};

fn both() -> (Document, Document) {
    let mut documents = documents();
    let mut take = |wanted: &str| {
        let at = documents.iter().position(|(path, _)| path == wanted).unwrap();
        documents.swap_remove(at).1
    };
    (take("README.md"), take("README.ko.md"))
}

/// What of one is not in the other.
fn apart(english: &Document, korean: &Document) -> Vec<String> {
    let mut apart = Vec::new();
    let levels = |document: &Document| document.headings.iter().map(|(level, _)| *level).collect::<Vec<_>>();
    if levels(english) != levels(korean) {
        apart.push(format!("headings: {:?} and {:?}", english.headings, korean.headings));
    }
    let commands = |document: &Document| {
        document.fences.iter().map(|fence| (fence.language.clone(), fence.text.clone())).collect::<Vec<_>>()
    };
    let (ours, theirs) = (commands(english), commands(korean));
    apart.extend(ours.iter().filter(|one| !theirs.contains(one)).map(|one| format!("only in English: {one:?}")));
    apart.extend(theirs.iter().filter(|one| !ours.contains(one)).map(|one| format!("only in Korean: {one:?}")));
    if apart.is_empty() && ours != theirs {
        apart.push("the commands stand in another order".to_owned());
    }
    let sorted = |document: &Document| {
        // Headings have other anchors in another language, and each names the other.
        let mut links: Vec<_> = document.links.iter().map(|link| link.split('#').next().unwrap().to_owned()).collect();
        links.retain(|link| !link.starts_with("README"));
        links.sort();
        links
    };
    if sorted(english) != sorted(korean) {
        apart.push(format!("links: {:?} and {:?}", sorted(english), sorted(korean)));
    }
    let words = |document: &Document| {
        let mut code = document.code.clone();
        code.sort();
        code.dedup();
        code
    };
    let (ours, theirs) = (words(english), words(korean));
    apart.extend(ours.iter().filter(|one| !theirs.contains(one)).map(|one| format!("not named in Korean: {one}")));
    apart.extend(theirs.iter().filter(|one| !ours.contains(one)).map(|one| format!("named in Korean alone: {one}")));
    let rows = |document: &Document| document.tables.iter().map(Vec::len).collect::<Vec<_>>();
    if rows(english) != rows(korean) {
        apart.push(format!("rows of tables: {:?} and {:?}", rows(english), rows(korean)));
    }
    apart
}

#[test]
fn the_korean_readme_keeps_step() {
    let (english, korean) = both();
    let apart = apart(&english, &korean);
    assert!(apart.is_empty(), "README.ko.md is not README.md:\n{}", apart.join("\n"));
    let hangul = |text: &str| text.chars().any(|c| ('가'..='힣').contains(&c));
    assert!(korean.headings[1..].iter().all(|(_, heading)| hangul(heading)), "{:?}", korean.headings);
}

#[test]
fn a_translation_that_fell_behind_is_found() {
    let (english, mut korean) = both();
    korean.fences.last_mut().unwrap().text.push('x');
    korean.headings.pop();
    let apart = apart(&english, &korean);
    assert!(apart.iter().any(|one| one.starts_with("headings")) && apart.iter().any(|one| one.starts_with("only in")));
}
