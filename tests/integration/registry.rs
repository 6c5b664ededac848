//! server.json: the entry for an MCP registry.

use std::path::{Path, PathBuf};
use std::process::Command;

use bailiwick::mcp::Published;
use serde_json::{Value, json};

fn file(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn text(path: &str) -> String {
    std::fs::read_to_string(file(path)).unwrap()
}

/// What the registry's schema of 2025-12-11 demands of what is written here, in our words: of its `internal/validators/schemas/2025-12-11.json`
/// (modelcontextprotocol/registry at e361b5ff5a925b36a38eda0544bca8230a84558b) every rule for a member that is used, and more where its own
/// checks or our use of it want more.
fn registry_rules() -> Value {
    let short = |most: u32| json!({ "type": "string", "minLength": 1, "maxLength": most });
    let input = json!({
        "type": "object",
        "properties": {
            "description": { "type": "string" }, "placeholder": { "type": "string" }, "default": { "type": "string" },
            "value": { "type": "string" }, "isRequired": { "type": "boolean" }, "isSecret": { "type": "boolean" },
            "format": { "enum": ["string", "number", "boolean", "filepath"] },
            "choices": { "type": "array", "items": { "type": "string" } }
        }
    });
    let with_variables = json!({
        "allOf": [input],
        "properties": { "variables": { "type": "object", "additionalProperties": input } }
    });
    let named = json!({ "allOf": [with_variables], "required": ["name"], "properties": { "name": short(200) } });
    let argument = json!({
        "allOf": [with_variables],
        "required": ["type"],
        "properties": { "valueHint": { "type": "string" }, "isRepeated": { "type": "boolean" } },
        "oneOf": [
            { "properties": { "type": { "const": "positional" } }, "anyOf": [{ "required": ["value"] }, { "required": ["valueHint"] }] },
            { "properties": { "type": { "const": "named" } }, "required": ["name"] }
        ]
    });
    json!({
        "type": "object",
        "required": ["$schema", "name", "description", "version"],
        "additionalProperties": false,
        "properties": {
            "$schema": { "const": "https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json" },
            "name": { "type": "string", "minLength": 3, "maxLength": 200, "pattern": "^[a-zA-Z0-9.-]+/[a-zA-Z0-9._-]+$" },
            "title": short(100),
            "description": short(100),
            "version": { "type": "string", "maxLength": 255, "pattern": "^[0-9]+\\.[0-9]+\\.[0-9]+(-[0-9A-Za-z.-]+)?$" },
            "remotes": {
                "type": "array",
                "minItems": 1,
                "items": {
                    "type": "object",
                    "required": ["type", "url"],
                    "properties": {
                        "type": { "enum": ["streamable-http", "sse"] },
                        "url": { "type": "string", "pattern": "^https://[^\\s]+$" },
                        "variables": { "type": "object", "additionalProperties": input },
                        "headers": { "type": "array", "items": named }
                    }
                }
            },
            "packages": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["registryType", "identifier", "transport"],
                    "properties": {
                        "transport": { "const": { "type": "stdio" } },
                        "runtimeHint": { "type": "string" },
                        "registryBaseUrl": { "type": "string" },
                        "runtimeArguments": { "type": "array", "items": argument },
                        "packageArguments": { "type": "array", "items": argument },
                        "environmentVariables": { "type": "array", "items": named }
                    },
                    // The schema leaves these to each kind of package, and the registry's own checks do not.
                    "oneOf": [
                        {
                            "required": ["fileSha256"],
                            "properties": {
                                "registryType": { "const": "mcpb" },
                                "identifier": { "type": "string", "pattern": "^https://" },
                                "fileSha256": { "type": "string", "pattern": "^[a-f0-9]{64}$" },
                                "version": { "type": "string", "minLength": 1, "not": { "const": "latest" } }
                            }
                        },
                        {
                            "properties": {
                                "registryType": { "const": "oci" },
                                "identifier": { "type": "string", "pattern": "^[a-z0-9.:-]+/[a-z0-9._/-]+(:[A-Za-z0-9._-]+|@sha256:[a-f0-9]{64})$" },
                                "version": false
                            }
                        }
                    ]
                }
            }
        }
    })
}

fn registry_faults(entry: &Value) -> Vec<String> {
    let rules = jsonschema::validator_for(&registry_rules()).unwrap();
    let mut faults: Vec<_> = rules.iter_errors(entry).map(|error| error.to_string()).collect();
    // The registry's own schema, where somebody has it.
    if let Some(path) = std::env::var_os("BAILIWICK_REGISTRY_SCHEMA") {
        let schema: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        faults.extend(jsonschema::validator_for(&schema).unwrap().iter_errors(entry).map(|error| error.to_string()));
    }
    // What stands in braces is asked for.
    for remote in entry["remotes"].as_array().into_iter().flatten() {
        let asked = |text: &str, variables: &Value| {
            let names =
                text.split('{').skip(1).filter_map(|rest| rest.split_once('}')).map(|(name, _)| name.to_owned());
            names
                .filter(|name| !variables[name].is_object())
                .map(|name| format!("{name} is nowhere asked for"))
                .collect::<Vec<_>>()
        };
        faults.extend(asked(remote["url"].as_str().unwrap_or_default(), &remote["variables"]));
        for header in remote["headers"].as_array().into_iter().flatten() {
            faults.extend(asked(header["value"].as_str().unwrap_or_default(), &header["variables"]));
        }
    }
    faults
}

#[test]
fn the_registrys_entry_is_the_programs_and_valid() {
    let text_of = bailiwick::mcp::server_json("local.bailiwick", &Published::default());
    let path = file("server.json");
    if std::env::var_os("BAILIWICK_BLESS").is_some() {
        std::fs::write(&path, &text_of).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(written == text_of, "server.json is out of date: run `BAILIWICK_BLESS=1 cargo test registry`");
    let entry: Value = serde_json::from_str(&text_of).unwrap();
    assert_eq!(registry_faults(&entry), [""; 0]);
    let cargo = text("Cargo.toml");
    let version = cargo.lines().find_map(|line| line.strip_prefix("version = \"")?.strip_suffix('"')).unwrap();
    let manifest: Value = serde_json::from_str(&text("mcp-manifest.json")).unwrap();
    assert_eq!((&entry["version"], &manifest["version"]), (&json!(version), &json!(version)));
    for (field, value) in [
        ("name", json!("a/b/c")),
        ("description", json!("x".repeat(101))),
        ("version", json!("^1.0")),
        ("extra", json!(1)),
    ] {
        let mut wrong = entry.clone();
        wrong[field] = value;
        assert_eq!(registry_faults(&wrong).len(), 1, "{field}");
    }
    for (place, value) in [
        ("/remotes/0/type", json!("stdio")),
        ("/remotes/0/url", json!("https://{host}/m c p")),
        ("/remotes/0/variables/host", json!("example.com")),
        ("/remotes/0/variables/host/isRequired", json!("true")),
        ("/remotes/0/headers/0/name", json!(null)),
        ("/remotes/0/headers/0/isSecret", json!(1)),
        ("/remotes/0/headers/0/variables/api_key/description", json!(["a"])),
    ] {
        let mut wrong = entry.clone();
        *wrong.pointer_mut(place).unwrap() = value;
        assert!(!registry_faults(&wrong).is_empty(), "{place}");
    }
    let mut wrong = entry;
    wrong["remotes"][0]["url"] = json!("https://{hosst}/mcp");
    assert_eq!(registry_faults(&wrong), ["hosst is nowhere asked for"]);
}

#[test]
fn what_was_published_is_named_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let bundle = folder.path().join("bailiwick.mcpb");
    std::fs::write(&bundle, "abc").unwrap();
    let run = |arguments: &[&str]| {
        Command::new(env!("CARGO_BIN_EXE_bailiwick")).arg("manifest").args(arguments).output().unwrap()
    };
    let (url, image) = ("https://example.com/bailiwick.mcpb", "ghcr.io/example/bailiwick:0.1.0");
    let output = run(&[
        "--server-json",
        "--namespace",
        "com.example",
        "--bundle",
        bundle.to_str().unwrap(),
        "--bundle-url",
        url,
        "--image",
        image,
    ]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let entry: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(registry_faults(&entry), [""; 0]);
    assert_eq!(entry["name"], "com.example/bailiwick");
    let package = &entry["packages"][0];
    // FIPS 180-2, appendix B.1.
    assert_eq!(package["fileSha256"], "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_eq!(package["identifier"], url);
    let known = text(".env.example");
    let variables = |package: &Value| package["environmentVariables"].as_array().unwrap().clone();
    for variable in entry["packages"].as_array().unwrap().iter().flat_map(variables) {
        assert!(known.contains(&format!("#{}=", variable["name"].as_str().unwrap())), "{variable}");
    }
    let of_image = &entry["packages"][1];
    assert_eq!((&of_image["identifier"], &of_image["registryType"]), (&json!(image), &json!("oci")));
    let asked: Vec<_> = variables(of_image).into_iter().filter(|one| one["isRequired"] == true).collect();
    let asked: Vec<_> = asked.iter().map(|one| one["name"].as_str().unwrap()).collect();
    assert_eq!(asked, ["BAILIWICK_TENANT", "BAILIWICK_USER", "BAILIWICK_DATABASE_URL"]);
    // The image speaks over stdio when it is started so, and says whose it is.
    let dockerfile = text("packaging/Dockerfile");
    assert_eq!(of_image["packageArguments"], json!([{ "type": "positional", "value": "serve" }]));
    assert!(dockerfile.contains("CMD [\"serve\", \"--http\"") && !dockerfile.contains("BAILIWICK_HTTP="));
    assert!(dockerfile.contains("LABEL io.modelcontextprotocol.server.name=$SERVER_NAME"));
    for wrong in [
        &["--server-json", "--image", "bailiwick:0.1.0"][..],
        &["--server-json", "--image", "ghcr.io/example/bailiwick"],
        &["--server-json", "--image", "ghcr.io/example/bailiwick:latest"],
        &["--server-json", "--this-platform"],
        &["--image", image],
        &["--namespace", "com.example"],
        &["--server-json", "--bundle", "x"],
        &["--server-json", "--namespace", "a b"],
    ] {
        assert_eq!(run(wrong).status.code(), Some(2), "{wrong:?}");
    }
}
