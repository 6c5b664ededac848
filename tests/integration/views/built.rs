use tokio::process::Command;

use super::{folder, sources};

/// Most that a host has to fetch, in bytes.
const MOST_BYTES: usize = 128 * 1024;

#[tokio::test]
async fn the_page_is_what_its_sources_make() {
    let Some(folder) = folder("built").await else { return };
    for (name, words) in
        [("tsc", vec!["../../node_modules/typescript/bin/tsc"]), ("build", vec!["build.mjs", "built.html"])]
    {
        let output = Command::new("node").args(&words).current_dir(folder.join("cost-report")).output().await.unwrap();
        let told = [output.stdout, output.stderr].concat();
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&told));
    }
    let built = std::fs::read(folder.join("cost-report/built.html")).unwrap();
    let path = sources().join("page.html");
    if std::env::var_os("BAILIWICK_BLESS").is_some() {
        std::fs::write(&path, &built).unwrap();
    }
    let kept = std::fs::read(&path).unwrap_or_default();
    assert!(kept == built, "views/cost-report/page.html is out of date: run `npm ci && npm run build` there");
}

#[test]
fn the_page_is_small_names_nobody_elses_server_and_keeps_the_licences_of_what_is_in_it() {
    let page = std::fs::read_to_string(sources().join("page.html")).unwrap();
    assert!(page.len() < MOST_BYTES, "{} bytes", page.len());
    assert!(page.starts_with("<!doctype html>"));
    for forbidden in
        ["http://", "https://", "src=", "@import", "url(", "fetch(", "XMLHttpRequest", "WebSocket", "import("]
    {
        assert!(!page.contains(forbidden), "the page has {forbidden:?}, and needs no network");
    }
    let licence = page.split("-->").next().unwrap();
    for words in ["uPlot", "The MIT License", "Copyright (c)", "THE SOFTWARE IS PROVIDED \"AS IS\""] {
        assert!(licence.contains(words), "{words} is not in\n{licence}");
    }
    let image = std::fs::read_to_string(sources().join("../../packaging/Dockerfile.dockerignore")).unwrap();
    assert!(image.lines().any(|line| line == "!views/cost-report/page.html"), "the image is built with the page");
    let lock = std::fs::read_to_string(sources().join("package-lock.json")).unwrap();
    assert!(!lock.contains("\"resolved\""), "a lock file without addresses is one for every registry");
}
