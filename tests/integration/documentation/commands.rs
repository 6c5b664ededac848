use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use clap::error::ErrorKind;
use tokio::process::Command;

use super::{Document, documents};
use crate::harness::{TestDatabase, data_dir, server};

/// How long all commands of one document may take.
const PATIENCE: Duration = Duration::from_secs(180);

/// Documents whose commands are those of another one.
const TRANSLATIONS: [&str; 1] = ["README.ko.md"];

/// `cargo run --release -- demo` runs the binary that is being tested.
const CARGO: &str = "#!/bin/sh\n[ \"$1\" = run ] || exit 64\nshift\n[ \"${1-}\" = --release ] && shift\n[ \"${1-}\" = -- ] && shift\nexec bailiwick \"$@\"\n";

/// All commands of a document that are run, in their order.
fn script(document: &Document) -> String {
    let mut script = String::new();
    for fence in document.fences.iter().filter(|fence| fence.language == "sh") {
        for part in fence.before.iter().chain(fence.not_run.is_none().then_some(&fence.text)) {
            script.push_str(part.trim_end());
            script.push('\n');
        }
    }
    script
}

/// In an empty folder, on a database of its own, with nothing else of this machine's.
async fn run(path: &str, script: &str) {
    let database = TestDatabase::create().await;
    server().await;
    let folder = tempfile::tempdir().unwrap();
    let programs = folder.path().join("programs");
    std::fs::create_dir(&programs).unwrap();
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_bailiwick"), programs.join("bailiwick")).unwrap();
    std::fs::write(programs.join("cargo"), CARGO).unwrap();
    std::fs::set_permissions(programs.join("cargo"), std::fs::Permissions::from_mode(0o755)).unwrap();
    let work = folder.path().join("work");
    std::fs::create_dir(&work).unwrap();
    let path_variable = format!("{}:/usr/local/bin:/usr/bin:/bin", programs.display());
    let mut shell = Command::new("sh");
    shell
        .args(["-eu", "-c", script])
        .current_dir(&work)
        .env_clear()
        .env("PATH", path_variable)
        .env("HOME", folder.path())
        .env("LANG", "C.UTF-8")
        .env("BAILIWICK_DATABASE_URL", database.url("bailiwick_app").await)
        .env("BAILIWICK_ADMIN_DATABASE_URL", database.url("postgres").await)
        .env("BAILIWICK_PG_BIN", server().await.bin_dir())
        .env("BAILIWICK_DATA_DIR", data_dir())
        .env("BAILIWICK_TENANT", "demo")
        .env("BAILIWICK_NO_EMBEDDINGS", "true")
        .stdin(std::process::Stdio::null())
        .kill_on_drop(true);
    let output = tokio::time::timeout(PATIENCE, shell.output()).await.unwrap_or_else(|_| panic!("{path}: never ends"));
    let output = output.unwrap();
    assert!(
        output.status.success(),
        "{path}: {}\n{script}\n{}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

#[tokio::test]
async fn every_command_of_the_documentation_runs_or_says_why_not() {
    let mut run_documents = 0;
    for (path, document) in documents() {
        if TRANSLATIONS.contains(&path.as_str()) {
            continue;
        }
        for fence in document.fences.iter().filter(|fence| fence.language == "sh") {
            assert!(fence.not_run.as_ref().is_none_or(|why| why.len() > 5), "{path}: say why:\n{}", fence.text);
        }
        let script = script(&document);
        if !script.is_empty() {
            run(&path, &script).await;
            run_documents += 1;
        }
    }
    assert!(run_documents >= 6, "{run_documents}");
}

#[tokio::test]
#[should_panic(expected = "planted.md: exit status: 1")]
async fn a_command_that_fails_is_found() {
    run("planted.md", "bailiwick tenant show nobody\necho not reached\n").await;
}

/// The words of each call of the program in a line of shell, without what is piped to or from it.
fn calls(line: &str) -> Vec<Vec<String>> {
    let words = shlex::split(line).unwrap_or_default();
    let is_end = |word: &String| ["|", ">", "&&", "||", ";", "\\"].contains(&word.as_str()) || word.starts_with('>');
    let calls = words.split(is_end).map(|words| {
        let set = words.iter().take_while(|word| word.contains('=')).count();
        words[set..].to_vec()
    });
    calls.filter(|words| words.first().is_some_and(|first| first == "bailiwick") && words.len() > 1).collect()
}

/// What is wrong with a call, as far as the command line's definition can tell.
fn fault(words: &[String], is_whole: bool) -> Option<String> {
    let error = bailiwick::cli::command().try_get_matches_from(words).err()?;
    let is_shouted = |word: &String| word.contains(char::is_uppercase) && !word.contains(char::is_lowercase);
    let is_placeholder = words.iter().any(|word| word.contains('…') || is_shouted(word));
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => None,
        // Text names commands without what they need.
        ErrorKind::MissingRequiredArgument
        | ErrorKind::MissingSubcommand
        | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
            if !is_whole =>
        {
            None
        }
        ErrorKind::ValueValidation | ErrorKind::InvalidValue if is_placeholder || !is_whole => None,
        _ => Some(format!("{}: {error}", words.join(" "))),
    }
}

/// Also of what is not run, and of what stands in the text.
#[test]
fn every_command_of_the_documentation_is_one_that_there_is() {
    let (mut faults, mut seen) = (Vec::new(), 0);
    for (path, document) in documents() {
        let blocks = document.fences.iter().filter(|fence| fence.language == "sh").flat_map(|fence| fence.text.lines());
        let whole = blocks.map(|line| (line, true));
        let named = document.code.iter().map(|code| (code.as_str(), false));
        for (line, is_whole) in whole.chain(named) {
            for words in calls(line) {
                seen += 1;
                faults.extend(fault(&words, is_whole).map(|fault| format!("{path}: {fault}")));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(seen > 60, "{seen}");
    for planted in ["bailiwick key create --tenant", "bailiwick ingest --colour a", "BAILIWICK_TENANT=a bailiwick serv"]
    {
        assert!(calls(planted).iter().all(|words| fault(words, true).is_some()), "{planted}");
    }
}
