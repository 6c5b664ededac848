//! What a client's entry holds of the settings that were given.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::{Value, json};

use super::{DESKTOP, Home, done, json_of};

/// What a client's settings become: all that were given, and none that are not the server's.
#[test]
fn the_settings_that_were_given_go_along() {
    let home = Home::new();
    let output = home
        .command(&["claude-desktop", "--user", "ada", "--data-dir", "data", "--no-embeddings", "--json"])
        .env("BAILIWICK_DATABASE_URL", "postgresql://bailiwick_app:secret@db.example/bailiwick")
        .env("BAILIWICK_ADMIN_DATABASE_URL", "postgresql://admin:all@db.example/bailiwick")
        .env("BAILIWICK_TENANT", "acme")
        .env("BAILIWICK_LOG", "debug")
        .env("BAILIWICK_SCOPES", "")
        .output()
        .unwrap();
    done(output);
    let environment = &json_of(&home.path(DESKTOP))["mcpServers"]["bailiwick"]["env"];
    let folder = fs::canonicalize(home.0.path()).unwrap().join("data");
    assert_eq!(
        environment,
        &json!({
            "BAILIWICK_DATABASE_URL": "postgresql://bailiwick_app:secret@db.example/bailiwick",
            "BAILIWICK_DATA_DIR": folder,
            "BAILIWICK_NO_EMBEDDINGS": "true",
            "BAILIWICK_TENANT": "acme",
            "BAILIWICK_USER": "ada",
        })
    );
    let mut command = home.command(&["cursor"]);
    let output = command.env("DATABASE_URL", "postgresql://bailiwick_app@db.example/b").output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && told.contains("which tenant's documents?"), "{told}");
    // A secret in a file that others read is told of.
    let file = home.write(".cursor/mcp.json", "{}");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    let output =
        home.command(&["cursor", "--tenant", "acme"]).env("DATABASE_URL", "postgresql://a:b@db.example/b").output();
    assert!(done(output.unwrap()).contains("chmod 600"));
}

/// The same URL must not be less checked in the client than in the shell.
#[test]
fn how_the_database_is_checked_goes_along_and_who_sees_all_tenants_does_not() {
    let home = Home::new();
    let folder = fs::canonicalize(home.0.path()).unwrap();
    let written = |url: Option<&str>| {
        let mut command = home.command(&["claude-desktop", "--tenant", "acme"]);
        for (name, value) in [
            ("PGSSLMODE", "verify-full"),
            ("PGSSLROOTCERT", "own.crt"),
            ("PGCHANNELBINDING", "require"),
            ("PGREQUIREAUTH", "scram-sha-256"),
            ("PGSSLKEY", ""),
            ("PGPASSWORD", "hunter2"),
            ("BAILIWICK_BACKUP_DATABASE_URL", "postgresql://backup:all@db.example/bailiwick"),
        ] {
            command.env(name, value);
        }
        done(command.envs(url.map(|url| ("BAILIWICK_DATABASE_URL", url))).output().unwrap());
        json_of(&home.path(DESKTOP))["mcpServers"]["bailiwick"]["env"].clone()
    };
    let url = "postgresql://bailiwick_app:secret@db.example/bailiwick";
    assert_eq!(
        written(Some(url)),
        json!({
            "BAILIWICK_DATABASE_URL": url,
            "BAILIWICK_TENANT": "acme",
            "PGSSLMODE": "verify-full",
            "PGSSLROOTCERT": folder.join("own.crt"),
            "PGCHANNELBINDING": "require",
            "PGREQUIREAUTH": "scram-sha-256",
        })
    );
    assert_eq!(written(None), json!({ "BAILIWICK_TENANT": "acme" }), "there is nothing to check");
}

/// What is printed is what the examples show.
#[test]
fn what_is_printed_is_what_the_examples_show() {
    let home = Home::new();
    for (client, local, remote) in [
        ("claude-desktop", "claude_desktop_config.json", "mcp_remote.json"),
        ("claude-code", "claude_code.mcp.json", "claude_code.mcp.json"),
        ("cursor", "cursor.mcp.json", "cursor.mcp.json"),
        ("vscode", "vscode.mcp.json", "vscode.mcp.json"),
    ] {
        let example =
            |path: String| json_of(&Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/clients").join(path));
        let printed = home.ok(&[client, "--print"]).replace(env!("CARGO_BIN_EXE_bailiwick"), "bailiwick");
        assert_eq!(serde_json::from_str::<Value>(&printed).unwrap(), example(local.to_owned()), "{client}");
        let printed = home.ok(&[client, "--print", "--url", "https://mcp.example.com/mcp"]);
        assert_eq!(serde_json::from_str::<Value>(&printed).unwrap(), example(format!("remote/{remote}")), "{client}");
        let signed_in = home.ok(&[client, "--print", "--url", "https://mcp.example.com/mcp", "--sign-in"]);
        assert!(!signed_in.contains("Bearer") && signed_in.contains("https://mcp.example.com/mcp"), "{signed_in}");
    }
    assert_eq!(home.listed(""), [""; 0], "nothing was written");
    let mut command = home.command(&["claude-desktop", "--print", "--url", "https://mcp.example.com/mcp"]);
    assert!(done(command.env("BAILIWICK_KEY", "bwk_a_b").output().unwrap()).contains("Bearer bwk_a_b"));
    for host in ["localhost", "127.0.0.1", "127.8.0.1", "[::1]"] {
        let printed = home.ok(&["claude-desktop", "--print", "--url", &format!("http://{host}:8080/mcp")]);
        assert!(printed.contains("\"--allow-http\"") && printed.contains("\"mcp-remote@"), "{printed}");
    }
}
