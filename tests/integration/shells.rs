//! What shells and `man` get.

use std::process::Command;

use crate::harness::TestDatabase;

fn bailiwick(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_bailiwick")).args(arguments).env_clear().output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Commands that people see.
fn commands() -> Vec<String> {
    let command = bailiwick::cli::command();
    let shown = command.get_subcommands().filter(|command| !command.is_hide_set());
    shown.map(|command| command.get_name().to_owned()).collect()
}

#[test]
fn every_shell_gets_completions_without_what_is_hidden() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = bailiwick(&["completions", shell]);
        for command in commands() {
            assert!(script.contains(&command), "{shell}: {command}");
        }
        for hidden in ["embedded-keeper", "embedded-participant", "extraction"] {
            assert!(!script.contains(hidden), "{shell} shows {hidden}");
        }
        assert!(script.contains("admin-database-url"), "{shell}");
        // Not every shell's generator knows the values of positions.
        assert!(script.contains("claude-desktop") || ["fish", "elvish", "powershell"].contains(&shell), "{shell}");
    }
}

/// Nobody wants to hear of a panic behind `| head`.
#[tokio::test]
async fn output_that_nobody_reads_any_more_is_no_error() {
    let database = TestDatabase::create().await;
    let url = database.url("bailiwick_maintenance").await;
    for words in [
        vec!["completions", "bash"],
        vec!["man"],
        vec!["tenant", "list"],
        vec!["prices", "list"],
        vec!["report", "statistics"],
        vec!["report", "statistics", "--csv"],
        vec!["doctor"],
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = Command::new(env!("CARGO_BIN_EXE_bailiwick"));
        let output = command.args(&words).env("BAILIWICK_ADMIN_DATABASE_URL", &url).stdout(writer).output().unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(141), "{words:?}: {told}");
        assert!(!told.contains("panic") && !told.contains("pipe"), "{words:?}: {told}");
    }
}

#[test]
fn bash_completes_by_them() {
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("bailiwick");
    std::fs::write(&script, bailiwick(&["completions", "bash"])).unwrap();
    let complete = |words: &[&str]| {
        let last = words.last().unwrap();
        let before = words[words.len() - 2];
        let line = format!(
            "source {}; COMP_WORDS=({}); COMP_CWORD={}; _bailiwick bailiwick '{last}' '{before}'; echo \"${{COMPREPLY[@]}}\"",
            script.display(),
            words.iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(" "),
            words.len() - 1,
        );
        let output = Command::new("bash").args(["--norc", "-c", &line]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    assert_eq!(complete(&["bailiwick", "tena"]), "tenant");
    assert_eq!(complete(&["bailiwick", "tenant", "susp"]), "suspend");
    assert_eq!(complete(&["bailiwick", "connect", "cl"]), "claude-desktop claude-code");
    assert_eq!(complete(&["bailiwick", "search", "--limi"]), "--limit");
}

#[test]
fn each_command_has_its_page() {
    let folder = tempfile::tempdir().unwrap();
    let pages = folder.path().join("man1");
    bailiwick(&["man", "--dir", pages.to_str().unwrap()]);
    for command in commands() {
        let page = std::fs::read_to_string(pages.join(format!("bailiwick-{command}.1"))).unwrap();
        assert!(page.contains(".TH") && page.contains(".SH NAME"), "{command}: {page}");
    }
    assert!(!pages.join("bailiwick-extraction.1").exists());
    let page = bailiwick(&["man"]);
    assert_eq!(page, std::fs::read_to_string(pages.join("bailiwick.1")).unwrap());
    // Where there is groff, it finds nothing to warn of.
    let file = pages.join("bailiwick.1");
    if let Ok(output) = Command::new("groff").args(["-Kutf8", "-man", "-Tutf8", "-ww", "-z"]).arg(&file).output() {
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success() && told.is_empty(), "{told}");
    }
}
