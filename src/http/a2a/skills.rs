use std::collections::HashMap;
use std::sync::Arc;

use a2a::{
    A2AError, AgentCard, CancelTaskRequest, DeleteTaskPushNotificationConfigRequest, GetExtendedAgentCardRequest,
    GetTaskPushNotificationConfigRequest, GetTaskRequest, ListTaskPushNotificationConfigsRequest,
    ListTaskPushNotificationConfigsResponse, ListTasksRequest, ListTasksResponse, Message, Part, PartContent, Role,
    SendMessageRequest, SendMessageResponse, StreamResponse, SubscribeToTaskRequest, Task, TaskPushNotificationConfig,
    TypedDetail, error_code,
};
use a2a_server::{RequestHandler, ServiceParams};
use async_trait::async_trait;
use futures_util::stream::BoxStream;
use rmcp::model::CallToolResult;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio_util::sync::CancellationToken;

use super::numbers::whole;
use super::{FROM, From};
use crate::call::Calls;
use crate::mcp::Toolbox;

/// The skill of a plain text.
const OF_TEXT: &str = "hybrid_search";

/// Tools as an agent's skills.
pub(super) struct Skills {
    pub toolbox: Arc<Toolbox>,
    pub calls: Calls,
}

/// What a data part asks for.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    skill: String,
    #[serde(default)]
    arguments: Map<String, Value>,
}

impl Asked {
    /// From a message's parts: one data part, or texts.
    fn read(parts: &[Part]) -> Result<Self, A2AError> {
        if let [Part { content: PartContent::Data(data), .. }] = parts {
            return serde_json::from_value(whole(data.clone())).map_err(|_| Self::wrong());
        }
        let texts = parts.iter().map(|part| match &part.content {
            PartContent::Text(text) => Ok(text.as_str()),
            _ => Err(Self::wrong()),
        });
        let texts = texts.collect::<Result<Vec<_>, _>>()?;
        if texts.is_empty() {
            return Err(Self::wrong());
        }
        let arguments = Map::from_iter([("query".to_owned(), texts.join("\n").into())]);
        Ok(Self { skill: OF_TEXT.to_owned(), arguments })
    }

    fn wrong() -> A2AError {
        A2AError::invalid_params(
            "expected one data part {\"skill\": NAME, \"arguments\": {…}}, or text parts alone to search for",
        )
    }
}

/// The skill that the parameters of a `SendMessage` name, if one can be told.
pub(in crate::http) fn skill_of(params: &Map<String, Value>) -> Option<&str> {
    match params.get("message")?.get("parts")?.as_array()?.as_slice() {
        [] => None,
        [part] if part.get("data").is_some() => part["data"].get("skill")?.as_str(),
        parts => parts.iter().all(|part| part.get("text").is_some()).then_some(OF_TEXT),
    }
}

/// What there is none of, for no task outlives its message.
fn no_tasks<T>() -> Result<T, A2AError> {
    Err(A2AError::unsupported_operation(
        "each message is answered at once: there are no tasks, streams or notifications",
    ))
}

#[async_trait]
impl RequestHandler for Skills {
    async fn send_message(
        &self,
        _: &ServiceParams,
        request: SendMessageRequest,
    ) -> Result<SendMessageResponse, A2AError> {
        // A tenant that the request names has no say: the caller's credential settles it.
        let from = FROM.try_with(Clone::clone).map_err(|_| A2AError::internal("not authenticated"))?;
        let From { caller, client, denied } = from;
        let asked = Asked::read(&request.message.parts)?;
        // Whoever closes the connection drops this, and with it the call.
        let never = CancellationToken::new();
        let called =
            self.toolbox.call(&asked.skill, &self.calls, &caller, client.clone(), asked.arguments, &never).await;
        let Some(result) = called else {
            self.calls.refuse_unknown(&asked.skill, &caller, client).await;
            let names: Vec<_> = self.toolbox.definitions(&caller.scopes).into_iter().map(|tool| tool.name).collect();
            return Err(A2AError::invalid_params(format!("unknown skill; there are {}", names.join(", "))));
        };
        if let Some(denied) = denied {
            denied.note(&self.toolbox, &asked.skill, &caller, &result);
        }
        let mut answer = Message::new(Role::Agent, vec![part(result)?]);
        answer.context_id = request.message.context_id;
        Ok(SendMessageResponse::Message(answer))
    }

    async fn send_streaming_message(
        &self,
        _: &ServiceParams,
        _: SendMessageRequest,
    ) -> Result<BoxStream<'static, Result<StreamResponse, A2AError>>, A2AError> {
        no_tasks()
    }

    async fn get_task(&self, _: &ServiceParams, request: GetTaskRequest) -> Result<Task, A2AError> {
        Err(A2AError::task_not_found(&request.id))
    }

    async fn list_tasks(&self, _: &ServiceParams, _: ListTasksRequest) -> Result<ListTasksResponse, A2AError> {
        no_tasks()
    }

    async fn cancel_task(&self, _: &ServiceParams, request: CancelTaskRequest) -> Result<Task, A2AError> {
        Err(A2AError::task_not_found(&request.id))
    }

    async fn subscribe_to_task(
        &self,
        _: &ServiceParams,
        request: SubscribeToTaskRequest,
    ) -> Result<BoxStream<'static, Result<StreamResponse, A2AError>>, A2AError> {
        Err(A2AError::task_not_found(&request.id))
    }

    async fn create_push_config(
        &self,
        _: &ServiceParams,
        _: TaskPushNotificationConfig,
    ) -> Result<TaskPushNotificationConfig, A2AError> {
        Err(A2AError::push_notification_not_supported())
    }

    async fn get_push_config(
        &self,
        _: &ServiceParams,
        _: GetTaskPushNotificationConfigRequest,
    ) -> Result<TaskPushNotificationConfig, A2AError> {
        Err(A2AError::push_notification_not_supported())
    }

    async fn list_push_configs(
        &self,
        _: &ServiceParams,
        _: ListTaskPushNotificationConfigsRequest,
    ) -> Result<ListTaskPushNotificationConfigsResponse, A2AError> {
        Err(A2AError::push_notification_not_supported())
    }

    async fn delete_push_config(
        &self,
        _: &ServiceParams,
        _: DeleteTaskPushNotificationConfigRequest,
    ) -> Result<(), A2AError> {
        Err(A2AError::push_notification_not_supported())
    }

    async fn get_extended_agent_card(
        &self,
        _: &ServiceParams,
        _: GetExtendedAgentCardRequest,
    ) -> Result<AgentCard, A2AError> {
        Err(A2AError::extended_card_not_configured())
    }
}

/// A tool's answer as a data part. A failure is an error with the same words that an MCP client reads; A2A has no result that is one.
fn part(result: CallToolResult) -> Result<Part, A2AError> {
    let text =
        result.content.iter().filter_map(|block| block.as_text()).map(|text| text.text.as_str()).collect::<String>();
    if result.is_error == Some(true) {
        return Err(error(text));
    }
    Ok(match result.structured_content {
        Some(data) => Part {
            content: PartContent::Data(data),
            filename: None,
            media_type: Some("application/json".to_owned()),
            metadata: None,
        },
        None => Part {
            content: PartContent::Data(json!({ "text": text })),
            filename: None,
            media_type: None,
            metadata: None,
        },
    })
}

/// A failure as an error, whose kind stands as `failure` in its details for programs. A2A has no codes of its own for these.
fn error(text: String) -> A2AError {
    let kind = text.split(':').next().unwrap_or_default().to_owned();
    let code = match kind.as_str() {
        "invalid_input" | "not_found" | "conflict" => error_code::INVALID_PARAMS,
        // As MCP's resources say it: nothing is wrong with the parameters.
        "forbidden" | "quota_exceeded" | "budget_exceeded" | "rate_limited" => error_code::INVALID_REQUEST,
        _ => error_code::INTERNAL_ERROR,
    };
    let details = HashMap::from([("failure".to_owned(), kind)]);
    A2AError::new(code, text).with_details(vec![TypedDetail::error_info("FAILURE", "bailiwick", Some(details))])
}
