//! What every client does and must see: tests/clients/plan.json, which the drivers read, too.

use std::collections::BTreeSet;

use bailiwick::mcp::Toolbox;
use serde_json::{Map, Value};
use tokio::process::Command;

use super::packages;
use crate::embedding::setup::{FakeService, Reply};
use crate::harness::TestDatabase;

/// The plan.
pub struct Plan(Value);

impl Plan {
    pub fn read() -> Self {
        let text = std::fs::read_to_string(packages::scripts().join("plan.json")).unwrap();
        Self(serde_json::from_str(&text).unwrap())
    }

    fn steps(&self, part: &str) -> &[Value] {
        self.0[part].as_array().unwrap()
    }

    /// The tools that are called, with arguments that are good or bad.
    fn tools(&self, are_good: bool) -> BTreeSet<&str> {
        let steps = self.steps("tools").iter().filter(|step| step.get("refused").is_none() == are_good);
        steps.map(|step| step["tool"].as_str().unwrap()).collect()
    }

    /// Checks what a client saw, by the definitions that it saw.
    pub fn check(&self, saw: &Value) {
        let definitions = saw["tools"].as_array().unwrap();
        let names: BTreeSet<&str> = definitions.iter().map(|tool| tool["name"].as_str().unwrap()).collect();
        for are_good in [true, false] {
            assert_eq!(self.tools(are_good), names, "each tool that is listed is called, good arguments: {are_good}");
        }
        let kept = saw["kept"].as_object().unwrap();
        for (step, seen) in pairs(self.steps("tools"), &saw["calls"]) {
            let result = &seen["result"];
            let text = result["content"][0]["text"].as_str().unwrap_or_default();
            if let Some(beginning) = step["refused"].as_str() {
                assert_eq!(result["isError"], true, "{step}: {seen}");
                assert!(text.starts_with(beginning), "{step}: {text}");
                assert_eq!(result.get("structuredContent"), None, "{step}");
                continue;
            }
            assert_ne!(result["isError"], true, "{step}: {seen}");
            let definition = definitions.iter().find(|tool| tool["name"] == step["tool"]).unwrap();
            let validator = jsonschema::validator_for(&definition["outputSchema"]).unwrap();
            let problems: Vec<_> = validator.iter_errors(&result["structuredContent"]).map(|e| e.to_string()).collect();
            assert!(problems.is_empty(), "{step}: {problems:?}");
            expect(step, &result["structuredContent"], kept);
            if step["progress"] == true {
                let told = seen["progress"].as_array().unwrap();
                assert!(told.first().is_some_and(|told| told["message"] == "embedding passages"), "{step}: {told:?}");
            }
        }
        for (step, seen) in pairs(self.steps("others"), &saw["others"]) {
            let Some(words) = step["fails"].as_str() else {
                expect(step, &seen["result"], kept);
                continue;
            };
            // Clients put words of their own before the server's.
            assert!(seen["error"].as_str().is_some_and(|text| text.contains(words)), "{step}: {seen}");
        }
    }

    /// The rows that a client leaves, in order.
    pub fn rows(&self) -> String {
        let of_tool = |step: &Value| {
            let outcome = if step.get("refused").is_some() { "error" } else { "ok" };
            format!("tools/{} {outcome}", step["tool"].as_str().unwrap())
        };
        let others = self.steps("others").iter().filter_map(|step| step["row"].as_str().map(str::to_owned));
        self.steps("tools").iter().map(of_tool).chain(others).collect::<Vec<_>>().join("\n")
    }
}

fn pairs<'a>(steps: &'a [Value], seen: &'a Value) -> impl Iterator<Item = (&'a Value, &'a Value)> {
    let seen = seen.as_array().unwrap();
    assert_eq!(steps.len(), seen.len());
    steps.iter().zip(seen)
}

fn expect(step: &Value, found: &Value, kept: &Map<String, Value>) {
    for (pointer, wanted) in step["expect"].as_object().unwrap() {
        let mut wanted = wanted.to_string();
        for (name, value) in kept {
            wanted = wanted.replace(&format!("${name}"), value.as_str().unwrap());
        }
        let wanted: Value = serde_json::from_str(&wanted).unwrap();
        assert_eq!(found.pointer(pointer), Some(&wanted), "{pointer} of {step}: {found:#}");
    }
}

/// A service that embeds, slowly at first, so that there is progress to be told.
pub async fn service() -> FakeService {
    FakeService::start(vec![Reply::Slow(std::time::Duration::from_millis(400)); 4]).await
}

/// Has the server of this command embed by it.
pub fn embed_by(command: &mut Command, service: &FakeService) {
    command
        .env("BAILIWICK_EMBEDDINGS_URL", service.url())
        .env("BAILIWICK_EMBEDDINGS_MODEL", service.name())
        .env("BAILIWICK_EMBEDDINGS_API_KEY", "sk-very-secret")
        .env("BAILIWICK_EMBEDDINGS_DIMENSIONS", service.dimensions.to_string())
        .env("BAILIWICK_EMBEDDINGS_UNPRICED", "true");
}

/// What the trail tells of a client, in order, beside the server's own work.
pub async fn rows_of(database: &TestDatabase, client: &str) -> String {
    let rows = "SELECT coalesce(string_agg(resource || ' ' || outcome, E'\\n' ORDER BY id), '') FROM audit_logs WHERE action <> 'embed'";
    database.value::<String>(&format!("{rows} AND {client}")).await
}

#[test]
fn each_tool_there_is_is_called_by_every_client_with_good_and_with_bad_arguments() {
    let (plan, toolbox) = (Plan::read(), Toolbox::new(&bailiwick::tools::EmbeddingSpace::default()));
    let names: BTreeSet<&str> = toolbox.scopes().map(|(name, _)| name).collect();
    for are_good in [true, false] {
        assert_eq!(plan.tools(are_good), names, "add it to tests/clients/plan.json, good arguments: {are_good}");
    }
}
