use std::net::SocketAddr;

use super::{ConfigurationError, HttpArguments};
use crate::http::{HttpOptions, TlsFiles, TrustedProxies};
use crate::identity::IssuerOptions;

/// Where to serve over HTTP, and within which bounds.
#[derive(Debug, Clone)]
pub struct HttpSettings {
    /// Where to listen.
    pub address: SocketAddr,
    /// Where to listen for who reads figures alone.
    pub metrics: Option<SocketAddr>,
    /// Bounds and names.
    pub options: HttpOptions,
    /// With what to encrypt connections.
    pub tls: Option<TlsFiles>,
    /// Whose tokens are believed beside API keys.
    pub issuer: Option<IssuerOptions>,
}

impl HttpSettings {
    /// Reads the arguments; `None` if HTTP was not asked for.
    ///
    /// # Errors
    /// Every problem together.
    pub fn resolve(arguments: &HttpArguments) -> Result<Option<Self>, ConfigurationError> {
        let given =
            |text: &Option<String>| text.clone().map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
        let Some(address) = given(&arguments.http) else { return Ok(None) };
        let mut problems = Vec::new();
        let address = address.parse::<SocketAddr>().map_err(|_| {
            problems
                .push(format!("BAILIWICK_HTTP is {address:?}; expected an address and a port, like 127.0.0.1:8080."));
        });
        let mut allowed_hosts = list(&arguments.allowed_hosts);
        let public_url = given(&arguments.public_url).map(|url| url.trim_end_matches('/').to_owned());
        if let Some(url) = &public_url {
            match url.parse::<http::Uri>() {
                Ok(uri)
                    if matches!(uri.scheme_str(), Some("http" | "https"))
                        && is_prefix(url, uri.path())
                        && uri.query().is_none()
                        && uri.authority().is_some_and(|authority| !authority.as_str().contains('@')) =>
                {
                    allowed_hosts.extend(uri.authority().map(ToString::to_string));
                    // Taken off, such a prefix would leave nothing of the path itself.
                    if is_route(uri.path()) {
                        let path = uri.path();
                        problems.push(format!(
                            "BAILIWICK_PUBLIC_URL is {url:?}, and {path} is a path of this server's own: leave {path} off."
                        ));
                    }
                }
                _ => problems.push(format!(
                    "BAILIWICK_PUBLIC_URL is {url:?}; expected a URL like https://mcp.example.com, or https://example.com/mcp-server where a proxy serves it below a path."
                )),
            }
        }
        let allowed_origins = list(&arguments.allowed_origins);
        for origin in &allowed_origins {
            let uri = origin.parse::<http::Uri>().ok();
            if uri.is_none_or(|uri| uri.scheme().is_none() || uri.path() != "/" || origin.ends_with('/')) {
                problems.push(format!(
                    "BAILIWICK_ALLOWED_ORIGINS has {origin:?}; expected origins like https://app.example.com."
                ));
            }
        }
        let trusted_proxies = arguments.trusted_proxies.as_deref().unwrap_or_default().parse::<TrustedProxies>();
        let trusted_proxies = trusted_proxies.unwrap_or_else(|error| {
            problems.push(format!("BAILIWICK_TRUSTED_PROXIES has {error}."));
            TrustedProxies::default()
        });
        let tls = match (arguments.tls_cert.clone(), arguments.tls_key.clone()) {
            (Some(certificate), Some(key)) => Some(TlsFiles { certificate, key }),
            (None, None) => None,
            _ => {
                problems.push("BAILIWICK_TLS_CERT and BAILIWICK_TLS_KEY go together: set both, or neither.".to_owned());
                None
            }
        };
        let metrics_token = given(&arguments.metrics_token);
        let metrics = given(&arguments.metrics_listen).and_then(|text| {
            let wrong = |_| {
                problems.push(format!(
                    "BAILIWICK_METRICS_LISTEN is {text:?}; expected an address and a port, like 127.0.0.1:9464."
                ));
            };
            text.parse::<SocketAddr>().map_err(wrong).ok()
        });
        if let Some(metrics) = metrics.filter(|metrics| !is_private(metrics) && metrics_token.is_none()) {
            problems.push(format!(
                "BAILIWICK_METRICS_LISTEN is {metrics}, which others than this machine reach; set BAILIWICK_METRICS_TOKEN, or listen at 127.0.0.1."
            ));
        }
        let is_encrypted = arguments.tls_cert.is_some() && arguments.tls_key.is_some();
        let is_private_by_word = arguments.plain_http || !trusted_proxies.is_empty();
        for (variable, address) in [("BAILIWICK_HTTP", address.ok()), ("BAILIWICK_METRICS_LISTEN", metrics)] {
            if let Some(address) = address.filter(|it| !is_private(it) && !is_encrypted && !is_private_by_word) {
                problems.push(format!(
                    "{variable} is {address}, which others than this machine reach, and keys and documents would travel unencrypted. Set BAILIWICK_TLS_CERT and BAILIWICK_TLS_KEY; or name the proxy that encrypts in BAILIWICK_TRUSTED_PROXIES; or, where something else keeps that network private, say so with BAILIWICK_PLAIN_HTTP=true."
                ));
            }
        }
        let requests_per_minute = given(&arguments.requests_per_minute).map(|text| (text.parse::<u32>(), text));
        if let Some((Err(_), text)) = &requests_per_minute {
            problems
                .push(format!("BAILIWICK_REQUESTS_PER_MINUTE is {text:?}; expected a whole number, 0 for no bound."));
        }
        let issuer = arguments.issuer.resolve(&resources(public_url.as_deref(), arguments), &mut problems);
        let defaults = HttpOptions::default();
        let mut body_bytes = |name: &str, mib: Option<usize>, default: usize| {
            let bytes = mib.map_or(default, |mib| mib.saturating_mul(1 << 20));
            if bytes < defaults.largest_body_bytes {
                let least = defaults.largest_body_bytes >> 20;
                problems.push(format!("{name} is {}; expected at least {least}, the largest body's.", bytes >> 20));
            }
            bytes
        };
        let most_body_bytes = body_bytes("BAILIWICK_MOST_BODY_MIB", arguments.most_body_mib, defaults.most_body_bytes);
        let most_body_bytes_of_principal = body_bytes(
            "BAILIWICK_MOST_BODY_MIB_OF_USER",
            arguments.most_body_mib_of_user,
            defaults.most_body_bytes_of_principal,
        );
        match address {
            Ok(address) if problems.is_empty() => Ok(Some(Self {
                address,
                metrics,
                issuer,
                tls,
                options: HttpOptions {
                    allowed_hosts,
                    allowed_origins,
                    public_url,
                    is_encrypted,
                    trusted_proxies,
                    forwarded_header: arguments.forwarded_header,
                    legacy_sse: arguments.legacy_sse,
                    metrics_token: metrics_token.map(Into::into),
                    metrics_by_tenant: arguments.metrics_by_tenant,
                    a2a: arguments.a2a,
                    most_connections: arguments.most_connections.unwrap_or(defaults.most_connections),
                    most_connections_of_address: arguments
                        .most_connections_of_address
                        .unwrap_or(defaults.most_connections_of_address),
                    most_body_bytes,
                    most_body_bytes_of_principal,
                    most_unread_bytes: most_body_bytes,
                    most_unread_bytes_of_principal: most_body_bytes_of_principal,
                    bad_credentials_per_minute: arguments
                        .bad_credentials_per_minute
                        .unwrap_or(defaults.bad_credentials_per_minute),
                    requests_per_minute: requests_per_minute
                        .and_then(|(parsed, _)| parsed.ok())
                        .unwrap_or(defaults.requests_per_minute),
                    ..defaults
                },
            })),
            _ => Err(ConfigurationError(problems)),
        }
    }
}

/// Whether it is no path, or one that needs no thought: no empty or dotted steps, and nothing that is escaped.
fn is_prefix(url: &str, path: &str) -> bool {
    let is_plain = |step: &str| {
        let plain = step.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte));
        plain && !step.is_empty() && step != "." && step != ".."
    };
    // A fragment is no part of what is parsed.
    !url.contains('#') && (path == "/" || path.strip_prefix('/').is_some_and(|path| path.split('/').all(is_plain)))
}

/// Whether a path is what is served, with or without an option, or a place that paths of ours begin with.
fn is_route(path: &str) -> bool {
    matches!(path, "/mcp" | "/sse" | "/messages" | "/a2a" | "/healthz" | "/readyz" | "/metrics" | "/.well-known")
        || path.starts_with("/.well-known/")
}

/// Whether only this machine reaches it.
fn is_private(address: &SocketAddr) -> bool {
    address.ip().to_canonical().is_loopback()
}

/// The names of what is served, as tokens name whom they are for (RFC 9728, section 2).
fn resources(public_url: Option<&str>, arguments: &HttpArguments) -> Vec<String> {
    let served = [("/mcp", true), ("/sse", arguments.legacy_sse), ("/a2a", arguments.a2a)];
    let paths = served.into_iter().filter(|(_, is_served)| *is_served).map(|(path, _)| path);
    public_url.map(|url| paths.map(|path| format!("{url}{path}")).collect()).unwrap_or_default()
}

fn list(text: &Option<String>) -> Vec<String> {
    let items = text.iter().flat_map(|text| text.split(','));
    items.map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problems_are_reported_together() {
        let arguments = HttpArguments {
            http: Some("8080".to_owned()),
            public_url: Some("mcp.example.com".to_owned()),
            allowed_origins: Some("https://app.example.com, app.example.com,https://a.example/path".to_owned()),
            trusted_proxies: Some("10.0.0.1,proxy".to_owned()),
            requests_per_minute: Some("many".to_owned()),
            most_body_mib: Some(11),
            ..HttpArguments::default()
        };
        let problems = HttpSettings::resolve(&arguments).unwrap_err().0;
        assert_eq!(problems.len(), 7, "{problems:?}");
    }

    #[test]
    fn the_public_host_is_allowed() {
        let arguments = HttpArguments {
            http: Some("0.0.0.0:8080".to_owned()),
            public_url: Some("https://mcp.example.com/".to_owned()),
            allowed_hosts: Some(" other.example ,".to_owned()),
            plain_http: true,
            ..HttpArguments::default()
        };
        let settings = HttpSettings::resolve(&arguments).unwrap().unwrap();
        assert_eq!(settings.options.allowed_hosts, ["other.example", "mcp.example.com"]);
        assert_eq!(settings.options.public_url.as_deref(), Some("https://mcp.example.com"));
    }

    #[test]
    fn a_public_url_is_not_a_route_s() {
        let problems = |url: &str| {
            let (http, public_url) = (Some("127.0.0.1:8080".to_owned()), Some(url.to_owned()));
            let arguments = HttpArguments { http, public_url, ..HttpArguments::default() };
            HttpSettings::resolve(&arguments).map_or_else(|error| error.0, |_| Vec::new())
        };
        for route in
            ["/mcp", "/sse", "/messages", "/a2a/", "/healthz", "/readyz", "/metrics", "/.well-known", "/.well-known/x"]
        {
            let told = problems(&format!("https://example.com{route}"));
            let words = format!("leave {} off", route.trim_end_matches('/'));
            assert!(told.len() == 1 && told[0].contains(&words), "{route}: {told:?}");
        }
        for prefix in ["", "/", "/docs", "/mcp-server", "/docs/mcp", "/mcp/docs"] {
            assert_eq!(problems(&format!("https://example.com{prefix}")), Vec::<String>::new());
        }
    }

    #[test]
    fn beyond_this_machine_something_must_encrypt_and_figures_need_a_token() {
        let problems = |change: &dyn Fn(&mut HttpArguments)| {
            let mut arguments = HttpArguments { http: Some("127.0.0.1:8080".to_owned()), ..HttpArguments::default() };
            change(&mut arguments);
            HttpSettings::resolve(&arguments).map_or_else(|error| error.0.len(), |_| 0)
        };
        let public = |arguments: &mut HttpArguments| arguments.http = Some("0.0.0.0:8080".to_owned());
        let figures = |arguments: &mut HttpArguments, at: &str| arguments.metrics_listen = Some(at.to_owned());
        assert_eq!(problems(&|_| ()), 0);
        assert_eq!(problems(&public), 1);
        assert_eq!(problems(&|it| it.http = Some("[::ffff:127.0.0.1]:8080".to_owned())), 0);
        let ways: [fn(&mut HttpArguments); 3] = [
            |it| it.plain_http = true,
            |it| it.trusted_proxies = Some("10.0.0.1".to_owned()),
            |it| (it.tls_cert, it.tls_key) = (Some("cert.pem".into()), Some("key.pem".into())),
        ];
        for named in ways {
            let both = |it: &mut HttpArguments| {
                public(it);
                named(it);
            };
            assert_eq!(problems(&both), 0);
        }
        assert_eq!(problems(&|it| figures(it, "127.0.0.1:9464")), 0);
        assert_eq!(problems(&|it| figures(it, "9464")), 1);
        assert_eq!(problems(&|it| figures(it, "0.0.0.0:9464")), 2, "neither a token nor encryption");
        let with_token = |it: &mut HttpArguments| {
            figures(it, "0.0.0.0:9464");
            (it.metrics_token, it.plain_http) = (Some("figures".to_owned()), true);
        };
        assert_eq!(problems(&with_token), 0);
        assert_eq!(problems(&|it| it.public_url = Some("https://me:secret@mcp.example.com".to_owned())), 1);
    }

    #[test]
    fn without_an_address_there_is_no_http() {
        assert!(HttpSettings::resolve(&HttpArguments::default()).unwrap().is_none());
    }
}
