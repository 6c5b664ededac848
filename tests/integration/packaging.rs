//! What operators and clients copy: units, images, configurations.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::harness::{Lacking, TestDatabase, skip, until};
use crate::http::served::Served;
use crate::http::{ALL_SCOPES, key, tool_call};

fn file(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn text(path: &str) -> String {
    std::fs::read_to_string(file(path)).unwrap()
}

#[test]
fn client_configurations_name_the_server_and_hold_no_key() {
    for (folder, files, place) in [("", 4, "serve"), ("remote/", 4, "https://mcp.example.com/mcp")] {
        let mut found = 0;
        for entry in std::fs::read_dir(file("examples/clients").join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_none_or(|extension| extension != "json") {
                continue;
            }
            let told: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
            let server = ["mcpServers", "servers"].iter().find_map(|key| told.get(*key)?.get("bailiwick")).unwrap();
            let written = server.to_string();
            assert!(written.contains(place), "{}: {written}", path.display());
            // A bearer that is filled in later: a variable, a question, or the mark of one.
            if let Some((_, bearer)) = written.split_once("Bearer ") {
                assert!(bearer.starts_with("${") || bearer.starts_with("bwk_…"), "{}", path.display());
            }
            found += 1;
        }
        assert_eq!(found, files, "{folder}");
    }
}

/// Every variable that the packaging sets is one of the program's.
#[test]
fn packaged_variables_are_the_programs() {
    let known = text(".env.example");
    for path in [
        "packaging/bailiwick.service",
        "packaging/bailiwick.env",
        "packaging/bailiwick-maintain.service",
        "packaging/maintain.env",
        "packaging/Dockerfile",
        "packaging/compose.yaml",
    ] {
        let text = text(path);
        let words =
            text.split(|c: char| !(c.is_ascii_uppercase() || c == '_')).filter(|word| word.starts_with("BAILIWICK_"));
        // The one that compose asks its user for.
        for word in words.filter(|word| *word != "BAILIWICK_APP_PASSWORD") {
            assert!(known.contains(&format!("#{word}=")), "{path}: {word}");
        }
    }
}

#[test]
fn the_units_are_ones_that_systemd_takes() {
    if Command::new("systemd-analyze").arg("--version").output().is_err() {
        skip(Lacking::Systemd, "there is no systemd-analyze on this machine");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let units = ["bailiwick.service", "bailiwick-maintain.service", "bailiwick-maintain.timer"];
    for unit in units {
        let text = text(&format!("packaging/{unit}"));
        let text = text.replace("/usr/local/bin/bailiwick", env!("CARGO_BIN_EXE_bailiwick"));
        std::fs::write(folder.path().join(unit), text).unwrap();
    }
    let output =
        Command::new("systemd-analyze").arg("verify").args(units.map(|unit| folder.path().join(unit))).output();
    let output = output.unwrap();
    let told = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    let ours: Vec<_> = told.lines().filter(|line| line.contains("bailiwick")).collect();
    assert!(output.status.success() && ours.is_empty(), "{told}");
}

/// The server that is recommended holds no administrator's connection, so something else must look after its database, and back it up.
#[tokio::test]
async fn what_the_server_may_not_do_is_packaged_beside_it() {
    let compose: Value = serde_saphyr::from_str(&text("packaging/compose.yaml")).unwrap();
    let services = &compose["services"];
    assert!(services["bailiwick"]["environment"]["BAILIWICK_ADMIN_DATABASE_URL"].is_null());
    let upkeep = &services["maintain"];
    assert!(
        upkeep["profiles"].is_null() && upkeep["restart"] == "unless-stopped",
        "it runs without being asked: {upkeep}"
    );
    // Its loop goes on whatever a run says.
    let looped = upkeep["entrypoint"][2].as_str().unwrap().replace("sleep 60", "sleep 0.1");
    let database = TestDatabase::create().await;
    let folder = tempfile::tempdir().unwrap();
    let (told, admin) = (folder.path().join("told"), database.url("postgres").await);
    let mut shell = tokio::process::Command::new("sh");
    shell
        .args(["-c", &looped.replace("bailiwick maintain", &format!("{} maintain", env!("CARGO_BIN_EXE_bailiwick")))])
        .env("BAILIWICK_ADMIN_DATABASE_URL", admin)
        .env("BAILIWICK_DATA_DIR", folder.path())
        .stdout(std::fs::File::create(&told).unwrap())
        .kill_on_drop(true);
    let running = shell.spawn().unwrap();
    until("it ran twice", async || {
        std::fs::read_to_string(&told).unwrap().matches("nothing was left to do").count() > 1
    })
    .await;
    drop(running);
    // Its tools are of the server's version: they are the server's own image's.
    let image = services["database"]["image"].as_str().unwrap();
    assert!(text("packaging/Dockerfile").contains(&format!("FROM {image} AS operations\n")), "{image}");
    assert_eq!(services["operations"]["build"]["target"], "operations");
    // The image that serves is the last of the file, which a build without a target makes.
    assert!(text("packaging/Dockerfile").rsplit("FROM ").next().unwrap().contains("USER 10001:10001"));

    let unit = text("packaging/bailiwick-maintain.service");
    assert!(unit.contains("\nExecStart=/usr/local/bin/bailiwick maintain\n") && unit.contains("\nType=oneshot\n"));
    for part in ["bailiwick.service", "bailiwick.env"] {
        let lines = text(&format!("packaging/{part}"));
        assert!(!lines.lines().any(|line| line.starts_with("BAILIWICK_ADMIN_DATABASE_URL")), "{part}");
    }
}

#[tokio::test]
async fn the_server_needs_no_root_file_system_that_can_be_written() {
    // The image's variables, as Docker gives them.
    let image = text("packaging/Dockerfile");
    assert!(image.contains("USER 10001:10001") && image.contains("BAILIWICK_DATA_DIR=/var/lib/bailiwick"));
    let state = "/mnt/bailiwick";
    let arrange =
        "mount --bind / / && mount -o remount,bind,ro / && mount -t tmpfs none /mnt && ! touch /probe 2>/dev/null";
    let tried = Command::new("unshare").args(["--mount", "sh", "-c", arrange]).output();
    if !tried.is_ok_and(|output| output.status.success()) {
        skip(Lacking::Mounts, "this user may not mount file systems");
        return;
    }
    let database = TestDatabase::create().await;
    let inside = format!("{arrange} && exec \"$0\" \"$@\"");
    let served = Served::start_by(&database, &["unshare", "--mount", "sh", "-c", &inside], |command| {
        command.env("BAILIWICK_DATA_DIR", state).env("BAILIWICK_LOG_FORMAT", "json");
    })
    .await;
    let (ada, client) = (key(&database, "demo", "ada", ALL_SCOPES).await, reqwest::Client::new());
    let stored = tool_call(1, "insert_document", &json!({ "title": "t", "content": "words" }));
    let reply: Value = served.post(&client, &ada).json(&stored).send().await.unwrap().json().await.unwrap();
    assert_eq!(reply["result"]["isError"], false, "{reply}");
    let ready = client.get(served.at("/readyz")).send().await.unwrap();
    assert_eq!(ready.status(), 200, "{}", ready.text().await.unwrap());
    assert_eq!(served.finish().await.0, Some(0));
}

#[test]
fn prometheus_scrapes_where_the_unit_shows_figures() {
    let told: Value = serde_saphyr::from_str(&text("packaging/prometheus/prometheus.yml")).unwrap();
    let jobs = told["scrape_configs"].as_array().unwrap();
    let listens = text("packaging/bailiwick.env");
    let listens = listens.lines().find_map(|line| line.strip_prefix("BAILIWICK_METRICS_LISTEN=")).unwrap().to_owned();
    assert_eq!(jobs[0]["static_configs"][0]["targets"][0], listens);
    // From elsewhere only with a token, and encrypted.
    assert!(jobs[1]["authorization"]["credentials_file"].is_string() && jobs[1]["scheme"] == "https", "{told}");
}

/// What compose and the unit set is a configuration that the program takes.
#[tokio::test]
async fn the_packaged_settings_start_a_server() {
    let compose: Value = serde_saphyr::from_str(&text("packaging/compose.yaml")).unwrap();
    let settings = compose["services"]["bailiwick"]["environment"].as_object().unwrap().clone();
    assert_eq!(settings["BAILIWICK_HTTP"], "0.0.0.0:8080");
    let database = TestDatabase::create().await;
    let folder = tempfile::tempdir().unwrap();
    let served = Served::start_at(&database, "0.0.0.0:0", |command| {
        let set =
            settings.iter().filter(|(name, _)| !["BAILIWICK_DATABASE_URL", "BAILIWICK_HTTP"].contains(&name.as_str()));
        for (name, value) in set {
            // As compose does where the variable is not set.
            command.env(name, value.as_str().unwrap().replace("${BAILIWICK_METRICS_TOKEN:-}", ""));
        }
        command.env("BAILIWICK_DATA_DIR", folder.path());
    })
    .await;
    let ready = reqwest::get(served.at("/readyz").replace("0.0.0.0", "127.0.0.1")).await.unwrap();
    assert_eq!(ready.status(), 200);
    assert_eq!(served.finish().await.0, Some(0));
}
