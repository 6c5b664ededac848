use std::time::Duration;

use super::{ForwardedHeader, TrustedProxies};

/// Bounds and names of the HTTP face.
#[derive(Debug, Clone)]
pub struct HttpOptions {
    /// `Host` values that are served beside loopback's: names, with a port or without (DNS rebinding is kept out so).
    pub allowed_hosts: Vec<String>,
    /// `Origin` values of browsers that may call. Requests without one are no browser's.
    pub allowed_origins: Vec<String>,
    /// Under which URL clients reach this server, for what it tells of itself; with a path where a proxy serves it below one.
    pub public_url: Option<String>,
    /// Whether connections are encrypted, for the same.
    pub is_encrypted: bool,
    /// Proxies whose word on the client's address is taken.
    pub trusted_proxies: TrustedProxies,
    /// How they say it.
    pub forwarded_header: ForwardedHeader,
    /// Bearer token that reads `/metrics`; without one nobody does.
    /// A listener of its own has figures without one: [`figures`](fn@super::figures).
    pub metrics_token: Option<secrecy::SecretString>,
    /// Whether agents are served by A2A, too.
    pub a2a: bool,
    /// Whether `/metrics` tells of calls by tenant, too.
    pub metrics_by_tenant: bool,
    /// Requests that one user of a tenant may make in a minute, over all connections and credentials; 0 is no bound.
    pub requests_per_minute: u32,
    /// Connections at the same time.
    pub most_connections: usize,
    /// Of them, from one address (or /64 of IPv6); trusted proxies, who speak for many, are not bounded so.
    pub most_connections_of_address: usize,
    /// Whether HTTP+SSE of 2024-11-05 is served, at `/sse` and `/messages`.
    pub legacy_sse: bool,
    /// Streams of events at the same time: answers that come as events, and those of HTTP+SSE.
    pub most_streams: usize,
    /// Of them, of one user of a tenant.
    pub most_streams_of_principal: usize,
    /// How often a stream that has nothing to tell says so.
    pub keep_alive: Duration,
    /// Largest body, in bytes: a document of a million characters, escaped.
    pub largest_body_bytes: usize,
    /// What bodies of requests may hold at the same time, in bytes.
    pub most_body_bytes: usize,
    /// Of it, those of one user of a tenant.
    pub most_body_bytes_of_principal: usize,
    /// What answers that wait to be read may hold at the same time, in bytes.
    pub most_unread_bytes: usize,
    /// Of it, those of one user of a tenant.
    pub most_unread_bytes_of_principal: usize,
    /// Requests with a bad credential that one address (or /64 of IPv6) may make in a minute before it is put off; 0 is no bound.
    pub bad_credentials_per_minute: u32,
    /// Longest wait for a request's head, from its first byte on; and for a connection's first byte.
    pub header_limit: Duration,
    /// Longest wait between two requests. Clients and proxies keep connections for about a minute, and are surprised by one that is
    /// closed before.
    pub idle_limit: Duration,
    /// Longest wait for its body.
    pub body_limit: Duration,
    /// A reader that takes nothing for so long is cut.
    pub write_limit: Duration,
}

impl HttpOptions {
    /// The path under which clients reach this server: a proxy's, or nothing. It may take it off or leave it.
    pub(super) fn prefix(&self) -> String {
        let url = self.public_url.as_deref().and_then(|url| url.parse::<http::Uri>().ok());
        url.map(|url| url.path().trim_end_matches('/').to_owned()).unwrap_or_default()
    }
}

impl Default for HttpOptions {
    fn default() -> Self {
        Self {
            allowed_hosts: Vec::new(),
            allowed_origins: Vec::new(),
            public_url: None,
            is_encrypted: false,
            trusted_proxies: TrustedProxies::default(),
            forwarded_header: ForwardedHeader::default(),
            metrics_token: None,
            metrics_by_tenant: false,
            a2a: false,
            requests_per_minute: 6_000,
            most_connections: 4_096,
            most_connections_of_address: 512,
            legacy_sse: false,
            most_streams: 2_048,
            most_streams_of_principal: 128,
            keep_alive: Duration::from_secs(15),
            largest_body_bytes: 12 << 20,
            most_body_bytes: 96 << 20,
            most_body_bytes_of_principal: 24 << 20,
            most_unread_bytes: 96 << 20,
            most_unread_bytes_of_principal: 24 << 20,
            bad_credentials_per_minute: 60,
            header_limit: Duration::from_secs(10),
            idle_limit: Duration::from_secs(75),
            body_limit: Duration::from_secs(15),
            write_limit: Duration::from_secs(30),
        }
    }
}
