use std::collections::HashMap;
use std::sync::Arc;

use a2a::{AgentCapabilities, AgentCard, AgentInterface, AgentSkill, HttpAuthSecurityScheme, SecurityScheme};
use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::HeaderMap;
use http::header::HOST;

use super::super::Face;
use crate::identity::Scopes;

/// `/.well-known/agent-card.json` (A2A 1.0, section 8): who answers here, what it can do, and what it wants to see first.
pub(in crate::http) async fn card(State(face): State<Arc<Face>>, headers: HeaderMap) -> Response {
    let scheme = if face.options.is_encrypted { "https" } else { "http" };
    let host = || headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or("localhost");
    let base = face.options.public_url.clone().unwrap_or_else(|| format!("{scheme}://{}", host()));
    let skills = face.toolbox.definitions(&Scopes::all()).into_iter().map(|tool| AgentSkill {
        id: tool.name.to_string(),
        name: tool.title.unwrap_or_else(|| tool.name.to_string()),
        description: tool.description.unwrap_or_default().into_owned(),
        tags: vec!["documents".to_owned()],
        examples: None,
        input_modes: None,
        output_modes: None,
        security_requirements: None,
    });
    let format = if face.issuer.is_some() { "API key, or JWT" } else { "API key" };
    let bearer = HttpAuthSecurityScheme {
        scheme: "Bearer".to_owned(),
        description: Some(format!("Authorization: Bearer, with an {format}")),
        bearer_format: None,
    };
    let modes = || vec!["application/json".to_owned(), "text/plain".to_owned()];
    Json(AgentCard {
        name: "Bailiwick".to_owned(),
        description: "Finds, stores and cites an organisation's documents. Send a data part {\"skill\": …, \"arguments\": {…}}, or a question as text."
            .to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        supported_interfaces: vec![AgentInterface::new(format!("{base}/a2a"), "JSONRPC")],
        capabilities: AgentCapabilities {
            streaming: Some(false),
            push_notifications: Some(false),
            extensions: None,
            extended_agent_card: Some(false),
        },
        default_input_modes: modes(),
        default_output_modes: modes(),
        skills: skills.collect(),
        provider: None,
        documentation_url: None,
        icon_url: None,
        security_schemes: Some(HashMap::from([("bearer".to_owned(), SecurityScheme::HttpAuth(bearer))])),
        security_requirements: Some(vec![HashMap::from([("bearer".to_owned(), Vec::new())])]),
        signatures: None,
    })
    .into_response()
}
