use http::request::Parts;

use crate::call::Client;
use crate::mcp::ClientAddress;

/// The client program behind a request, as its headers and its connection tell.
pub(super) fn client(parts: &Parts) -> Client {
    let told = parts.headers.get(http::header::USER_AGENT).and_then(|text| text.to_str().ok());
    Client {
        // Bounded, and without what PostgreSQL or a terminal would stumble over.
        user_agent: told.map(|text| text.chars().filter(|c| !c.is_control()).take(200).collect()),
        ip_address: parts.extensions.get::<ClientAddress>().map(|address| address.0),
        ..Client::default()
    }
}
