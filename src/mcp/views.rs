//! Pages that hosts show for a tool's results (MCP Apps, extension io.modelcontextprotocol/ui, revision 2026-01-26). A page
//! is part of the program and holds nobody's data: its host hands it the tool's results.

use rmcp::model::{ExtensionCapabilities, JsonObject, MetaObject, Resource, ResourceContents};
use serde_json::{Value, json};

use crate::call::Tool;
use crate::tools::CostReport;

/// The page for `cost_report`.
pub(super) const COST_REPORT: &str = "ui://bailiwick/cost-report";

/// The extension's name among the capabilities.
const EXTENSION: &str = "io.modelcontextprotocol/ui";

/// The media type that makes HTML a view.
const MIME_TYPE: &str = "text/html;profile=mcp-app";

/// Built by `views/cost-report/build.mjs`; a test compares it with its sources.
const PAGE: &str = include_str!("../../views/cost-report/page.html");

/// What the server says of the extension. Whether a client has it too is not asked: over HTTP before 2026-07-28 nobody
/// could tell, and to one without it a link that it does not know is nothing.
pub(super) fn capability() -> ExtensionCapabilities {
    ExtensionCapabilities::from([(EXTENSION.to_owned(), object(json!({ "mimeTypes": [MIME_TYPE] })))])
}

/// The `_meta` of a tool that has a view.
pub(super) fn link(tool: &str) -> Option<MetaObject> {
    (tool == CostReport::NAME).then(|| MetaObject(object(json!({ "ui": { "resourceUri": COST_REPORT } }))))
}

/// The entry in the list of resources.
pub(super) fn listed() -> Resource {
    Resource::new(COST_REPORT, "cost-report")
        .with_title("Costs, shown")
        .with_description("The page in which hosts show what cost_report answers")
        .with_mime_type(MIME_TYPE)
        .with_size(PAGE.len() as u64)
        .with_meta(meta())
}

/// The page itself.
pub(super) fn contents() -> ResourceContents {
    ResourceContents::text(PAGE, COST_REPORT).with_mime_type(MIME_TYPE).with_meta(meta())
}

/// What the host must keep the page from: it needs no network, frame, camera or anything.
fn meta() -> MetaObject {
    let csp = json!({ "connectDomains": [], "resourceDomains": [], "frameDomains": [], "baseUriDomains": [] });
    MetaObject(object(json!({ "ui": { "csp": csp, "prefersBorder": true } })))
}

fn object(value: Value) -> JsonObject {
    if let Value::Object(object) = value { object } else { JsonObject::new() }
}
