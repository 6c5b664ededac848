use std::sync::Arc;

use a2a::{
    A2AError, AgentCard, CancelTaskRequest, DeleteTaskPushNotificationConfigRequest, GetExtendedAgentCardRequest,
    GetTaskPushNotificationConfigRequest, GetTaskRequest, ListTaskPushNotificationConfigsRequest,
    ListTaskPushNotificationConfigsResponse, ListTasksRequest, ListTasksResponse, Message, Part, PartContent, Role,
    SendMessageRequest, SendMessageResponse, StreamResponse, SubscribeToTaskRequest, Task, TaskPushNotificationConfig,
};
use a2a_server::{RequestHandler, ServiceParams};
use async_trait::async_trait;
use futures_util::stream::BoxStream;
use rmcp::model::CallToolResult;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio_util::sync::CancellationToken;

use super::FROM;
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

/// Whole numbers as such: a client that speaks protobuf has floating point alone (`google.protobuf.Struct`), and says 10.0 for 10.
fn whole(value: Value) -> Value {
    match value {
        Value::Number(number) => match number.as_f64() {
            // What a double holds exactly.
            Some(float) if number.is_f64() && float.fract() == 0.0 && float.abs() < 9e15 => Value::from(float as i64),
            _ => Value::Number(number),
        },
        Value::Array(list) => list.into_iter().map(whole).collect(),
        Value::Object(fields) => fields.into_iter().map(|(name, value)| (name, whole(value))).collect(),
        other => other,
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
        let (caller, client) = FROM.try_with(Clone::clone).map_err(|_| A2AError::internal("not authenticated"))?;
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
        let is_theirs = ["invalid_input", "not_found", "forbidden"].iter().any(|code| text.starts_with(code));
        return Err(if is_theirs { A2AError::invalid_params(text) } else { A2AError::internal(text) });
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
