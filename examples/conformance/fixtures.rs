#![expect(deprecated, reason = "the suite asks for lines of a log, which MCP 2026-07-28 deprecates")]

use std::time::Duration;

use rmcp::model::*;
use rmcp::service::{RequestContext, RoleServer};
use rmcp::{ErrorData, ServerHandler};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::{content, rounds};

/// The suite's tools, prompts, resources and completions.
#[derive(Clone)]
pub struct Fixtures;

type Answer<T> = Result<T, ErrorData>;

/// As the protocol has it; complete, unless it says that it asks.
fn parsed<T: DeserializeOwned>(mut value: Value) -> Answer<T> {
    if value.get("resultType").is_none() {
        value["resultType"] = "complete".into();
    }
    serde_json::from_value(value).map_err(|error| ErrorData::internal_error(error.to_string(), None))
}

/// As it is for everybody, for a while (2026-07-28 wants to be told).
fn listed<T: DeserializeOwned>(mut value: Value, context: &RequestContext<RoleServer>) -> Answer<T> {
    if context.protocol_version().is_some_and(|version| version >= ProtocolVersion::V_2026_07_28) {
        value["ttlMs"] = 1_000.into();
        value["cacheScope"] = "public".into();
    }
    parsed(value)
}

fn done(text: &str) -> CallToolResponse {
    CallToolResult::success(vec![ContentBlock::text(text)]).into()
}

async fn log(context: &RequestContext<RoleServer>) {
    for line in ["Tool execution started", "Tool processing data", "Tool execution completed"] {
        let line = LoggingMessageNotificationParam::new(LoggingLevel::Info, json!(line));
        let _ = context.peer.notify_logging_message(line).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn progress(context: &RequestContext<RoleServer>) {
    let Some(token) = context.meta.get_progress_token() else { return };
    for done in [0.0, 50.0, 100.0] {
        let step = ProgressNotificationParam::new(token.clone(), done).with_total(100.0);
        let _ = context.peer.notify_progress(step).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

impl ServerHandler for Fixtures {
    fn get_info(&self) -> ServerConfig {
        let capabilities = ServerCapabilities::builder();
        let capabilities = capabilities.enable_tools().enable_prompts().enable_resources().enable_resources_subscribe();
        let mut info = ServerConfig::new(capabilities.enable_completions().enable_logging().build());
        info.server_info = Implementation::new("bailiwick-conformance", env!("CARGO_PKG_VERSION"));
        info
    }

    async fn discover(&self, _: RequestContext<RoleServer>) -> Answer<DiscoverResult> {
        let mut info = self.get_info();
        // Only the older revisions' way to subscribe is there.
        if let Some(resources) = &mut info.capabilities.resources {
            resources.subscribe = None;
        }
        Ok(DiscoverResult::from_server_info(self.supported_protocol_versions().into_owned(), info))
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        let tools = content::tools();
        let tool = tools.as_array()?.iter().find(|tool| tool["name"] == name)?;
        serde_json::from_value(tool.clone()).ok()
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Answer<ListToolsResult> {
        listed(json!({ "tools": content::tools() }), &context)
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Answer<CallToolResponse> {
        let capabilities = context.client_capabilities().unwrap_or_default();
        match request.name.as_ref() {
            "test_tool_with_logging" => {
                log(&context).await;
                return Ok(done("Logging test completed"));
            }
            "test_logging_tool" => {
                if context.meta.log_level().is_some() {
                    log(&context).await;
                }
                return Ok(done("Logging test completed"));
            }
            "test_tool_with_progress" => {
                progress(&context).await;
                return Ok(done("Progress test completed"));
            }
            "test_missing_capability" if capabilities.sampling.is_none() => {
                return Err(ErrorData::missing_required_client_capability(
                    ClientCapabilities::builder().enable_sampling().build(),
                ));
            }
            "test_missing_capability" => return Ok(done("The client can sample")),
            _ => {}
        }
        if let Some(round) = rounds::of_tool(&request, &capabilities)? {
            return match round.get("resultType") {
                Some(_) => Ok(parsed::<InputRequiredResult>(round)?.into()),
                None => Ok(parsed::<CallToolResult>(round)?.into()),
            };
        }
        let result = content::of_tool(&request.name).ok_or_else(|| ErrorData::invalid_params("unknown tool", None))?;
        Ok(parsed::<CallToolResult>(result)?.into())
    }

    async fn list_prompts(
        &self,
        _: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Answer<ListPromptsResult> {
        listed(content::prompts(), &context)
    }

    async fn get_prompt(
        &self,
        request: GetPromptRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Answer<GetPromptResponse> {
        if request.name == "test_input_required_result_prompt" {
            let answered = request.input_responses.iter().flatten().any(|(key, _)| key == "user_context");
            return if answered {
                Ok(parsed::<GetPromptResult>(json!({ "messages": [{ "role": "user", "content": { "type": "text", "text": "With your context." } }] }))?.into())
            } else {
                Ok(parsed::<InputRequiredResult>(rounds::of_prompt())?.into())
            };
        }
        let arguments = request.arguments.unwrap_or_default();
        let argument = |name: &str| arguments.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let prompt = content::of_prompt(&request.name, argument)
            .ok_or_else(|| ErrorData::invalid_params("unknown prompt", None))?;
        Ok(parsed::<GetPromptResult>(prompt)?.into())
    }

    async fn list_resources(
        &self,
        _: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Answer<ListResourcesResult> {
        listed(content::resources(), &context)
    }

    async fn list_resource_templates(
        &self,
        _: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Answer<ListResourceTemplatesResult> {
        listed(
            json!({ "resourceTemplates": [{ "uriTemplate": "test://template/{id}/data", "name": "Template", "mimeType": "application/json" }] }),
            &context,
        )
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Answer<ReadResourceResponse> {
        let contents = content::of_resource(&request.uri)
            .ok_or_else(|| ErrorData::resource_not_found("resource not found", Some(json!({ "uri": request.uri }))))?;
        Ok(listed::<ReadResourceResult>(contents, &context)?.into())
    }

    async fn subscribe(&self, _: SubscribeRequestParams, _: RequestContext<RoleServer>) -> Answer<()> {
        Ok(())
    }

    async fn unsubscribe(&self, _: UnsubscribeRequestParams, _: RequestContext<RoleServer>) -> Answer<()> {
        Ok(())
    }

    async fn set_level(&self, _: SetLevelRequestParams, _: RequestContext<RoleServer>) -> Answer<()> {
        Ok(())
    }

    async fn complete(&self, request: CompleteRequestParams, _: RequestContext<RoleServer>) -> Answer<CompleteResult> {
        let values = ["paris", "park", "party"].into_iter().filter(|value| value.starts_with(&request.argument.value));
        parsed(json!({ "completion": { "values": values.collect::<Vec<_>>(), "total": 3, "hasMore": false } }))
    }
}
