//! The bundle for desktops: packed by its script, installed and started as a client does.

use std::path::{Path, PathBuf};

use bailiwick::mcp::{manifest, manifest_of_this_platform};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::clients::packages;
use crate::harness::{TestDatabase, server};

/// Node, and the pinned packages.
struct Tools {
    node: PathBuf,
    folder: PathBuf,
}

impl Tools {
    fn mcpb(&self) -> PathBuf {
        self.folder.join("node_modules/.bin/mcpb")
    }

    /// Starts what was installed with a form that was filled in so, and works with it; what it saw.
    async fn start(&self, installed: &Path, filled_in: &Value, options: &[&str]) -> Value {
        let mut script = Command::new(&self.node);
        script.arg(self.folder.join("bundle.mjs")).arg(installed).arg(filled_in.to_string()).args(options);
        serde_json::from_str(&done(&mut script).await).unwrap()
    }
}

async fn done(command: &mut Command) -> String {
    let output = command.kill_on_drop(true).output().await.unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}\n{stdout}\n{stderr}", output.status);
    stdout.into_owned()
}

/// What keeps a PostgreSQL of its own, which is ended with the test.
struct DataFolder(tempfile::TempDir);

impl Drop for DataFolder {
    fn drop(&mut self) {
        let Ok(processes) = std::fs::read_dir("/proc") else { return };
        let place = self.0.path().to_string_lossy().into_owned();
        for process in processes.flatten() {
            let line = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
            let pid = process
                .file_name()
                .to_str()
                .and_then(|name| name.parse().ok())
                .and_then(rustix::process::Pid::from_raw);
            if let (true, Some(pid)) = (String::from_utf8_lossy(&line).contains(&place), pid) {
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            }
        }
    }
}

#[tokio::test]
async fn a_bundle_is_packed_installed_and_started_as_its_form_was_filled_in() {
    let Some(folder) = tokio::task::spawn_blocking(packages::javascript).await.unwrap() else { return };
    let Some(node) = packages::node(&folder) else { return };
    let (tools, work) = (Tools { node, folder }, tempfile::tempdir().unwrap());
    let bundle = packed(&tools, work.path()).await;
    let installed = work.path().join("installed");
    done(Command::new(&tools.node).arg(tools.mcpb()).arg("unpack").arg(&bundle).arg(&installed)).await;
    std::fs::remove_file(&bundle).unwrap();
    is_whole(&tools, &installed).await;
    serves_the_database_that_was_filled_in(&tools, &installed).await;
    runs_a_postgresql_of_its_own_where_none_was(&tools, &installed).await;
}

/// By the script, with the program of this build in the place of a release.
async fn packed(tools: &Tools, work: &Path) -> PathBuf {
    let (program, stripped, mcpb) = (env!("CARGO_BIN_EXE_bailiwick"), work.join("stripped"), work.join("mcpb"));
    // What a release has not: to pack it, too, would take long.
    let strip = Command::new("strip").arg("-o").arg(&stripped).arg(program).output().await;
    let program =
        if strip.is_ok_and(|output| output.status.success()) { stripped.as_path() } else { Path::new(program) };
    let wrapper = format!("#!/bin/sh\nexec '{}' '{}' \"$@\"\n", tools.node.display(), tools.mcpb().display());
    std::fs::write(&mcpb, wrapper).unwrap();
    std::fs::set_permissions(&mcpb, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let mut pack = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/mcpb/pack"));
    pack.current_dir(work).env("MCPB", &mcpb).arg("--binary").arg(program).args(["--output", "bailiwick.mcpb"]);
    done(&mut pack).await;
    let _ = std::fs::remove_file(&stripped);
    work.join("bailiwick.mcpb")
}

async fn is_whole(tools: &Tools, installed: &Path) {
    let read = |path: &str| std::fs::read(installed.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
    let ours = |path: &str| std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap();
    assert_eq!(String::from_utf8(read("manifest.json")).unwrap(), manifest_of_this_platform());
    for (path, source) in
        [("LICENSE", "LICENSE"), ("README.md", "packaging/mcpb/README.md"), ("assets/icon.png", "assets/icon.png")]
    {
        assert_eq!(read(path), ours(source), "{path}");
    }
    let validate = done(Command::new(&tools.node).arg(tools.mcpb()).arg("validate").arg(installed)).await;
    assert!(validate.contains("Icon validation passed"), "{validate}");
    // It runs on this platform alone, and says so.
    let told: Value = serde_json::from_str(&manifest_of_this_platform()).unwrap();
    let here = if cfg!(target_os = "macos") { "darwin" } else { "linux" };
    assert_eq!(told["compatibility"]["platforms"], json!([here]));
}

/// What every run of it must have come to.
fn worked(seen: &Value, installed: &Path) {
    let told: Value = serde_json::from_str(&manifest()).unwrap();
    assert_eq!(seen["config"]["command"], installed.join("server/bailiwick").to_str().unwrap());
    assert_eq!(seen["server"]["name"], "bailiwick");
    let names: Vec<&Value> = told["tools"].as_array().unwrap().iter().map(|tool| &tool["name"]).collect();
    assert_eq!(seen["tools"], json!(names));
    assert_eq!(seen["prompts"][0]["name"], told["prompts"][0]["name"]);
    assert_eq!(seen["found"]["results"][0]["document_id"], seen["stored"]["document_id"], "{seen}");
}

async fn serves_the_database_that_was_filled_in(tools: &Tools, installed: &Path) {
    let database = TestDatabase::create().await;
    let form = json!({ "database_url": database.url("bailiwick_app").await, "user": "ada@demo.example", "scopes": "documents:read documents:write" });
    let mut seen = tools.start(installed, &form, &[]).await;
    let environment = seen["config"]["env"].as_object().unwrap();
    assert!(environment.values().all(|value| !value.as_str().unwrap().contains("${")), "{environment:?}");
    assert_eq!(environment["BAILIWICK_TENANT"], "demo");
    assert!(!seen["tools"].to_string().contains("cost_report"), "it has the scopes that were filled in");
    let all: Value = serde_json::from_str(&manifest()).unwrap();
    seen["tools"] = all["tools"].as_array().unwrap().iter().map(|tool| tool["name"].clone()).collect();
    worked(&seen, installed);
    let rows = "SELECT count(*) FROM audit_logs WHERE user_id = 'ada@demo.example' AND outcome = 'ok'";
    assert_eq!(database.value::<i64>(rows).await, 2);
}

/// With nothing but a folder, and a PostgreSQL that need not be fetched; the other fields are left empty, whatever the client makes of that.
async fn runs_a_postgresql_of_its_own_where_none_was(tools: &Tools, installed: &Path) {
    let programs = server().await.bin_dir().to_owned();
    let data = DataFolder(tempfile::Builder::new().prefix("bailiwick-bundle-").tempdir().unwrap());
    let form = json!({ "data_folder": data.0.path(), "postgres_programs": programs, "words_only": true });
    let seen = tools.start(installed, &form, &[]).await;
    worked(&seen, installed);
    assert_eq!(seen["found"]["mode"], "bm25_only");
    assert!(data.0.path().join("cluster/PG_VERSION").exists(), "the data are where they were asked to be");
    let seen = tools.start(installed, &form, &["left-empty"]).await;
    assert_eq!(seen["config"]["env"]["BAILIWICK_TENANT"], "${user_config.tenant}", "as some clients hand it on");
    let found = seen["found"]["results"].as_array().unwrap();
    assert_eq!(found.len(), 2, "and the same data: {seen}");
}

/// Every field of the form is a setting of the program that serves a client, and those that are kept like passwords are those that the
/// program never shows.
#[test]
fn every_field_of_the_form_is_a_setting_of_the_program() {
    let told: Value = serde_json::from_str(&manifest()).unwrap();
    let command = bailiwick::cli::command();
    let serve = command.find_subcommand("serve").unwrap();
    let environment = told["server"]["mcp_config"]["env"].as_object().unwrap();
    let form = told["user_config"].as_object().unwrap();
    assert_eq!(environment.len(), form.len());
    for (variable, value) in environment {
        let key = value.as_str().unwrap().strip_prefix("${user_config.").unwrap().strip_suffix('}').unwrap();
        let field = form.get(key).unwrap_or_else(|| panic!("{key} is no field"));
        let mut arguments = command.get_arguments().chain(serve.get_arguments());
        let argument = arguments.find(|one| one.get_env().is_some_and(|name| name == variable.as_str()));
        let argument = argument.unwrap_or_else(|| panic!("{variable} is nothing that serve reads"));
        assert_eq!(field["sensitive"] == true, argument.is_hide_env_values_set(), "{key}");
        assert!(!field["default"].is_null(), "{key}: clients hand a field on as it stands that has no default");
        let is_switch = !argument.get_action().takes_values();
        assert_eq!(field["type"] == "boolean", is_switch, "{key}");
    }
}

/// Variables that say nothing are as good as none, for every setting that there is.
#[tokio::test]
async fn what_was_left_empty_is_not_set() {
    let names = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(".env.example")).unwrap();
    let names: Vec<&str> = names.lines().filter_map(|line| line.strip_prefix('#')?.strip_suffix('=')).collect();
    assert!(names.len() > 50, "{names:?}");
    let home = tempfile::tempdir().unwrap();
    std::fs::set_permissions(home.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    for value in ["", " ", "${user_config.field}"] {
        // All that a client's file is to hold: nothing beside the tenant that is not given.
        let mut connect = Command::new(env!("CARGO_BIN_EXE_bailiwick"));
        connect.args(["connect", "cursor", "--print"]).envs(names.iter().map(|name| (*name, value)));
        let told: Value = serde_json::from_str(&done(&mut connect).await).unwrap();
        assert_eq!(told["mcpServers"]["bailiwick"]["env"], json!({ "BAILIWICK_TENANT": "demo" }), "{value:?}");
        let database = TestDatabase::create().await;
        let mut serve = Command::new(env!("CARGO_BIN_EXE_bailiwick"));
        serve.arg("serve").envs(names.iter().map(|name| (*name, value)));
        serve.env("BAILIWICK_DATABASE_URL", database.url("bailiwick_app").await).env("BAILIWICK_TENANT", "demo");
        // Where it spools and keeps models, too: nothing is left in the developer's own folder.
        serve.env("HOME", home.path()).env_remove("XDG_DATA_HOME");
        serve.stdin(std::process::Stdio::null());
        done(&mut serve).await;
    }
}
