//! `bailiwick connect`: other people's files, which must survive it.

mod settings;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use bailiwick::connect::{Client, Reach, Surroundings, System, place};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A person's home, with nothing of this machine's in the environment.
struct Home(TempDir);

impl Home {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    fn write(&self, path: &str, text: &str) -> PathBuf {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bailiwick"));
        command.arg("connect").args(arguments).env_clear().env("HOME", self.0.path()).current_dir(self.0.path());
        command
    }

    fn ok(&self, arguments: &[&str]) -> String {
        done(self.command(arguments).output().unwrap())
    }

    fn refused(&self, arguments: &[&str]) -> String {
        let output = self.command(arguments).output().unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0), "{told}");
        told
    }

    /// Every file in a folder.
    fn listed(&self, folder: &str) -> Vec<String> {
        let entries = fs::read_dir(self.path(folder)).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

fn done(output: Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn json_of(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

#[cfg(target_os = "linux")]
const DESKTOP: &str = ".config/Claude/claude_desktop_config.json";
#[cfg(target_os = "macos")]
const DESKTOP: &str = "Library/Application Support/Claude/claude_desktop_config.json";

#[test]
fn a_file_that_is_not_there_is_made_for_its_owner_alone() {
    let home = Home::new();
    let told = home.ok(&["claude-desktop"]);
    let file = home.path(DESKTOP);
    assert!(told.contains(file.to_str().unwrap()) && told.contains("Claude Desktop has the server"), "{told}");
    let server = &json_of(&file)["mcpServers"]["bailiwick"];
    assert_eq!(server["command"], env!("CARGO_BIN_EXE_bailiwick"));
    assert_eq!((&server["args"], &server["env"]), (&json!(["serve"]), &json!({ "BAILIWICK_TENANT": "demo" })));
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    // Once more changes nothing, and keeps nothing.
    let before = fs::metadata(&file).unwrap().ino();
    assert!(home.ok(&["claude-desktop"]).contains("already"));
    assert_eq!(fs::metadata(&file).unwrap().ino(), before);
    assert_eq!(home.listed(Path::new(DESKTOP).parent().unwrap().to_str().unwrap()), ["claude_desktop_config.json"]);
}

#[test]
fn who_connects_first_is_told_what_the_first_start_fetches() {
    let home = Home::new();
    let data = home.path("data");
    let connect =
        |name: &str| done(home.command(&["cursor", "--name", name]).env("BAILIWICK_DATA_DIR", &data).output().unwrap());
    let told = connect("one");
    let hint = "At its first start the program fetches PostgreSQL and an embedding model";
    let demo = format!("{} demo --keep --data-dir {}", env!("CARGO_BIN_EXE_bailiwick"), data.display());
    assert!(told.contains(hint) && told.contains(&demo) && !told.contains("--no-embeddings"), "{told}");
    let spaced = home.path("data of mine");
    let mut without = home.command(&["cursor", "--name", "none", "--no-embeddings"]);
    let told = done(without.env("BAILIWICK_DATA_DIR", &spaced).output().unwrap());
    let demo = format!(" demo --keep --data-dir '{}' --no-embeddings", spaced.display());
    assert!(told.contains("fetches PostgreSQL, 13 MB") && told.contains(&demo), "{told}");
    fs::create_dir_all(data.join("cluster")).unwrap();
    assert!(!connect("two").contains(hint), "it is there already");
    let url = ["cursor", "--name", "three", "--tenant", "demo", "--database-url", "postgresql://a@127.0.0.1/b"];
    assert!(!home.ok(&url).contains(hint), "nothing is to be fetched");
}

#[test]
fn what_else_is_in_a_file_stays_to_the_byte() {
    let home = Home::new();
    let before = "{\r\n\t\"theme\": \"dark\",\r\n\t\"mcpServers\": {\r\n\t\t\"other\": {\"command\": \"x\", \"big\": 12345678901234567890.10e3}\r\n\t},\r\n\t\"z\": [1,2 , 3]\r\n}";
    let file = home.write(".cursor/mcp.json", before);
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    let told: Value = serde_json::from_str(&home.ok(&["cursor", "--json", "--name", "docs_2"])).unwrap();
    assert_eq!(
        (&told["change"], &told["name"], &told["client"]),
        (&json!("added"), &json!("docs_2"), &json!("Cursor"))
    );
    let after = fs::read_to_string(&file).unwrap();
    for kept in [
        "{\r\n\t\"theme\": \"dark\",\r\n\t\"mcpServers\": {\r\n\t\t\"other\": {\"command\": \"x\", \"big\": 12345678901234567890.10e3}",
        "},\r\n\t\"z\": [1,2 , 3]\r\n}",
    ] {
        assert!(after.contains(kept), "{after}");
    }
    assert_eq!(json_of(&file)["mcpServers"]["docs_2"]["args"], json!(["serve"]));
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o640, "its permissions are its owner's");
    let backup = PathBuf::from(told["backup"].as_str().unwrap());
    assert_eq!(fs::read_to_string(&backup).unwrap(), before);
    assert_eq!(fs::metadata(&backup).unwrap().permissions().mode() & 0o077, 0, "a copy is nobody else's");
    // And out again: as it was.
    let told: Value = serde_json::from_str(&home.ok(&["cursor", "--json", "--name", "docs_2", "--remove"])).unwrap();
    assert_eq!(told["change"], "removed");
    assert_eq!(fs::read_to_string(&file).unwrap(), before);
    assert!(home.ok(&["cursor", "--remove"]).contains("There is no server"));
    assert_eq!(home.listed(".cursor").len(), 3, "two copies were kept: {:?}", home.listed(".cursor"));
}

#[test]
fn comments_stay_where_the_format_has_them() {
    let home = Home::new();
    let before = "// Servers of this project.\n{\n  // Not ours.\n  \"servers\": {\n    \"other\": { \"command\": \"x\" }, // mine\n  },\n  \"inputs\": [\n    { \"type\": \"promptString\", \"id\": \"token\" }, // asked once\n  ],\n}\n";
    let file = home.write(".vscode/mcp.json", before);
    home.ok(&["vscode", "--project", "--url", "https://mcp.example.com/mcp"]);
    let after = fs::read_to_string(&file).unwrap();
    for kept in ["// Servers of this project.", "// Not ours.", "// mine", "// asked once", "\"id\": \"token\""] {
        assert!(after.contains(kept), "{kept}: {after}");
    }
    assert!(after.contains("Bearer ${input:bailiwick-key}") && after.contains("\"id\": \"bailiwick-key\""), "{after}");
    assert!(home.ok(&["vscode", "--project", "--url", "https://mcp.example.com/mcp"]).contains("already"));
    // From HTTP to a program: replaced. What was asked for is asked no more once the server is gone.
    home.ok(&["vscode", "--project", "--tenant", "acme"]);
    let replaced = fs::read_to_string(&file).unwrap();
    assert!(replaced.contains("\"BAILIWICK_TENANT\": \"acme\"") && !replaced.contains("Bearer"), "{replaced}");
    home.ok(&["vscode", "--project", "--remove"]);
    let left = fs::read_to_string(&file).unwrap();
    assert!(!left.contains("bailiwick") && left.contains("// mine") && left.contains("\"id\": \"token\""), "{left}");
}

/// What its user put into this server's entry stays when the settings change; what an earlier setting left behind does not.
#[test]
fn what_a_user_put_into_the_entry_stays() {
    let home = Home::new();
    let before = r#"{
  "mcpServers": {
    "bailiwick": {
      "command": "/old/bailiwick", // where it was
      "args": ["serve", "--old"],
      "env": { "BAILIWICK_DATABASE_URL": "postgresql://old", "HTTPS_PROXY": "http://proxy:3128", "PGSSLMODE": "require" },
      "disabled": true,
      "timeout": 60
    }
  }
}
"#;
    let file = home.write(".cursor/mcp.json", &before.replace(" // where it was", ""));
    assert!(home.ok(&["cursor", "--tenant", "acme"]).contains("with new settings"));
    let server = &json_of(&file)["mcpServers"]["bailiwick"];
    assert_eq!((&server["command"], &server["args"]), (&json!(env!("CARGO_BIN_EXE_bailiwick")), &json!(["serve"])));
    assert_eq!(server["env"], json!({ "BAILIWICK_TENANT": "acme", "HTTPS_PROXY": "http://proxy:3128" }));
    assert_eq!((&server["disabled"], &server["timeout"]), (&json!(true), &json!(60)));
    assert!(home.ok(&["cursor", "--tenant", "acme"]).contains("already"));
    home.ok(&["cursor", "--url", "https://mcp.example.com/mcp", "--sign-in"]);
    let server = &json_of(&file)["mcpServers"]["bailiwick"];
    assert_eq!(*server, json!({ "url": "https://mcp.example.com/mcp", "disabled": true, "timeout": 60 }));
}

/// A project's file is made to be committed.
#[test]
fn a_secret_in_a_projects_file_is_told() {
    let home = Home::new();
    let url = "postgresql://bailiwick_app:secret@db.example.com/bw";
    let told = |arguments: &[&str]| done(home.command(arguments).env("BAILIWICK_DATABASE_URL", url).output().unwrap());
    let words = "keep it out of version control";
    assert!(told(&["vscode", "--project", "--tenant", "acme"]).contains(words));
    assert!(!told(&["cursor", "--tenant", "acme"]).contains(words));
    assert!(!home.ok(&["vscode", "--project", "--name", "other"]).contains(words), "there is no secret in it");
}

#[test]
fn a_file_that_cannot_be_understood_is_left_alone_and_the_place_is_told() {
    let home = Home::new();
    for (text, words) in [
        ("{\n  \"mcpServers\": {\n    \"a\": {},\n  }\n}\n", "line 3"),
        ("{\n  // a comment\n  \"mcpServers\": {}\n}\n", "reads plain JSON, without comments"),
        ("{ \"mcpServers\": { \"a\": ", "line 1"),
        ("{ \"mcpServers\": [] }", "\"mcpServers\" is not an object"),
        ("{ \"mcpServers\": null }", "\"mcpServers\" is not an object"),
        ("[1, 2]", "not an object"),
        ("\"text\"", "not an object"),
        ("{ \"mcpServers\": {}, \"mcpServers\": {} }", "\"mcpServers\" is there twice"),
        ("{ \"mcpServers\": { \"bailiwick\": 1, \"bailiwick\": 2 } }", "\"bailiwick\" is there twice"),
        ("{ 'mcpServers': {} }", "line 1"),
        ("{} trailing", "line 1"),
    ] {
        let file = home.write(DESKTOP, text);
        let told = home.refused(&["claude-desktop"]);
        assert!(told.contains(words) && told.contains("Nothing was changed"), "{text}: {told}");
        assert!(told.contains(file.to_str().unwrap()), "{told}");
        assert_eq!(fs::read_to_string(&file).unwrap(), text);
    }
    let file = home.path(DESKTOP);
    fs::write(&file, b"{ \"a\": \"\xff\" }").unwrap();
    assert!(home.refused(&["claude-desktop"]).contains("not UTF-8 (from byte 8 on)"));
    assert_eq!(home.listed(Path::new(DESKTOP).parent().unwrap().to_str().unwrap()), ["claude_desktop_config.json"]);
}

#[test]
fn nothing_and_white_space_and_a_mark_are_a_file_too() {
    let home = Home::new();
    for text in ["", "\n  \n", "{}", "\u{feff}{ \"a\": 1 }"] {
        let file = home.write(DESKTOP, text);
        home.ok(&["claude-desktop"]);
        let after = fs::read_to_string(&file).unwrap();
        assert_eq!(after.starts_with('\u{feff}'), text.starts_with('\u{feff}'), "{text:?}");
        let after: Value = serde_json::from_str(after.trim_start_matches('\u{feff}')).unwrap();
        assert!(after["mcpServers"]["bailiwick"].is_object(), "{text:?}: {after}");
        assert_eq!(after.get("a").is_some(), text.contains('a'), "{text:?}");
    }
}

#[test]
fn a_link_stays_a_link_and_one_to_nothing_is_told() {
    let home = Home::new();
    let real = home.write("dotfiles/claude.json", "{ \"kept\": true }");
    let link = home.path(DESKTOP);
    fs::create_dir_all(link.parent().unwrap()).unwrap();
    symlink(&real, &link).unwrap();
    home.ok(&["claude-desktop"]);
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    let after = json_of(&real);
    assert!(after["kept"] == true && after["mcpServers"]["bailiwick"].is_object(), "{after}");
    fs::remove_file(&real).unwrap();
    let told = home.refused(&["claude-desktop"]);
    assert!(told.contains("is a link to") && told.contains("claude.json"), "{told}");
    assert!(!real.exists());
}

#[test]
fn a_file_that_is_not_to_be_written_is_not() {
    let home = Home::new();
    let file = home.write(DESKTOP, "{}");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o444)).unwrap();
    let told = home.refused(&["claude-desktop"]);
    assert!(told.contains("is read-only") && told.contains("--print"), "{told}");
    assert_eq!(fs::read_to_string(&file).unwrap(), "{}");
    assert_eq!(home.listed(Path::new(DESKTOP).parent().unwrap().to_str().unwrap()).len(), 1, "no copy was made");
}

#[test]
fn what_cannot_be_is_refused_before_anything_is_written() {
    let home = Home::new();
    for arguments in [
        &["cursor", "--url", "ftp://mcp.example.com/mcp"][..],
        // The key would be read on the way.
        &["cursor", "--url", "http://mcp.example.com/mcp"],
        &["cursor", "--url", "http://10.0.0.7:8080/mcp"],
        &["cursor", "--url", "http://localhost.example.com/mcp"],
        &["cursor", "--url", "https://mcp.example.com"],
        &["cursor", "--url", "https://ada:key@mcp.example.com/mcp"],
        &["cursor", "--name", "a b"],
        &["cursor", "--sign-in"],
        &["emacs"],
    ] {
        let output = home.command(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    assert!(home.refused(&["claude-desktop", "--project"]).contains("knows no projects"));
    assert_eq!(home.listed(""), [""; 0]);
}

/// Two at once, again and again: neither loses what the other wrote, and the file is whole at every moment.
#[test]
fn who_writes_at_the_same_time_loses_nothing() {
    let home = Home::new();
    let file = home.write(".cursor/mcp.json", "{ \"mcpServers\": { \"other\": {} } }");
    let names: Vec<_> = (0..8).map(|n| format!("server_{n}")).collect();
    let children: Vec<_> =
        names.iter().map(|name| home.command(&["cursor", "--name", name, "--json"]).spawn().unwrap()).collect();
    let ended: Vec<_> = children.into_iter().map(|mut child| child.wait().unwrap().success()).collect();
    let servers = json_of(&file)["mcpServers"].clone();
    assert!(servers["other"].is_object(), "{servers}");
    for (name, succeeded) in names.iter().zip(ended) {
        assert_eq!(servers[name].is_object(), succeeded, "{name} is there if it was said to be: {servers}");
    }
}

#[test]
fn each_system_has_its_places() {
    let home = |system| Surroundings {
        system,
        home: Some("/home/ada".into()),
        configurations: None,
        claude_code: None,
        project: "/project".into(),
    };
    let at = |client, reach, surroundings: &Surroundings| place(client, reach, surroundings).unwrap();
    for (system, desktop, code) in [
        (System::Linux, "/home/ada/.config/Claude", "/home/ada/.config/Code/User"),
        (
            System::MacOs,
            "/home/ada/Library/Application Support/Claude",
            "/home/ada/Library/Application Support/Code/User",
        ),
        (System::Windows, "/home/ada/AppData/Roaming/Claude", "/home/ada/AppData/Roaming/Code/User"),
    ] {
        let home = home(system);
        let desktop = Path::new(desktop).join("claude_desktop_config.json");
        assert_eq!(at(Client::ClaudeDesktop, Reach::User, &home), desktop);
        assert_eq!(at(Client::Vscode, Reach::User, &home), Path::new(code).join("mcp.json"));
        assert_eq!(at(Client::ClaudeCode, Reach::User, &home), Path::new("/home/ada/.claude.json"));
        assert_eq!(at(Client::Cursor, Reach::User, &home), Path::new("/home/ada/.cursor/mcp.json"));
        assert_eq!(at(Client::ClaudeCode, Reach::Project, &home), Path::new("/project/.mcp.json"));
        assert_eq!(at(Client::Cursor, Reach::Project, &home), Path::new("/project/.cursor/mcp.json"));
        assert_eq!(at(Client::Vscode, Reach::Project, &home), Path::new("/project/.vscode/mcp.json"));
    }
    let moved = Surroundings {
        configurations: Some("/etc/ada".into()),
        claude_code: Some("/etc/code".into()),
        ..home(System::Linux)
    };
    assert_eq!(at(Client::Vscode, Reach::User, &moved), Path::new("/etc/ada/Code/User/mcp.json"));
    assert_eq!(at(Client::ClaudeCode, Reach::User, &moved), Path::new("/etc/code/.claude.json"));
    assert!(place(Client::Cursor, Reach::User, &Surroundings { home: None, ..moved }).is_err());
}

/// The configuration that was written starts a server that answers.
#[tokio::test]
async fn the_client_that_reads_the_file_finds_a_server() {
    let database = crate::harness::TestDatabase::create().await;
    let home = Home::new();
    let mut command = home.command(&["claude-desktop", "--tenant", "enterprise", "--user", "ada", "--no-embeddings"]);
    done(command.env("BAILIWICK_DATABASE_URL", database.url("bailiwick_app").await).output().unwrap());
    let server = json_of(&home.path(DESKTOP))["mcpServers"]["bailiwick"].clone();
    let mut command = tokio::process::Command::new(server["command"].as_str().unwrap());
    command.args(server["args"].as_array().unwrap().iter().map(|one| one.as_str().unwrap())).env_clear();
    for (name, value) in server["env"].as_object().unwrap() {
        command.env(name, value.as_str().unwrap());
    }
    command.env("HOME", home.0.path());
    let mut process = crate::harness::Process::spawn(command);
    process.initialize().await;
    process
        .send(json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": { "name": "tenant_status", "arguments": {} } }))
        .await;
    let answer = process.receive().await.unwrap();
    assert_eq!(answer["result"]["structuredContent"]["tenant"], "enterprise", "{answer}");
}
