//! What the trail may hold of a text that its caller gave.

use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Map, Value};
use sha2::Sha256;

use crate::db::TenantState;

/// Adds a query to the details of its row: its HMAC under the tenant's key, so that equal queries are seen to be equal; or
/// itself, if the tenant must keep queries (`{"audit": {"query_text": "plain"}}` in its settings).
pub(super) fn note_query(details: &mut Map<String, Value>, tenant: &TenantState, query: &str) {
    if tenant.settings.pointer("/audit/query_text").and_then(Value::as_str) == Some("plain") {
        details.insert("query".to_owned(), query.replace('\0', "\u{fffd}").into());
        return;
    }
    // HMAC takes keys of any length.
    if let Ok(mac) = Hmac::<Sha256>::new_from_slice(&tenant.audit_key) {
        let digest = mac.chain_update(query.as_bytes()).finalize().into_bytes();
        let hex: String = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        details.insert("query_hmac".to_owned(), hex.into());
    }
}
