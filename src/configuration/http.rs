use std::net::SocketAddr;

use super::{ConfigurationError, HttpArguments};
use crate::http::{HttpOptions, TlsFiles, TrustedProxies};
use crate::identity::IssuerOptions;

/// Where to serve over HTTP, and within which bounds.
#[derive(Debug, Clone)]
pub struct HttpSettings {
    /// Where to listen.
    pub address: SocketAddr,
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
                        && uri.path() == "/"
                        && uri.query().is_none() =>
                {
                    allowed_hosts.extend(uri.authority().map(ToString::to_string));
                }
                _ => problems.push(format!(
                    "BAILIWICK_PUBLIC_URL is {url:?}; expected a URL without a path, like https://mcp.example.com."
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
        let requests_per_minute = given(&arguments.requests_per_minute).map(|text| (text.parse::<u32>(), text));
        if let Some((Err(_), text)) = &requests_per_minute {
            problems
                .push(format!("BAILIWICK_REQUESTS_PER_MINUTE is {text:?}; expected a whole number, 0 for no bound."));
        }
        let issuer = arguments.issuer.resolve(public_url.as_deref(), &mut problems);
        let defaults = HttpOptions::default();
        match address {
            Ok(address) if problems.is_empty() => Ok(Some(Self {
                address,
                issuer,
                tls,
                options: HttpOptions {
                    allowed_hosts,
                    allowed_origins,
                    public_url,
                    trusted_proxies,
                    forwarded_header: arguments.forwarded_header,
                    legacy_sse: arguments.legacy_sse,
                    metrics_token: given(&arguments.metrics_token).map(Into::into),
                    metrics_by_tenant: arguments.metrics_by_tenant,
                    a2a: arguments.a2a,
                    most_connections: arguments.most_connections.unwrap_or(defaults.most_connections),
                    most_connections_of_address: arguments
                        .most_connections_of_address
                        .unwrap_or(defaults.most_connections_of_address),
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
            ..HttpArguments::default()
        };
        let problems = HttpSettings::resolve(&arguments).unwrap_err().0;
        assert_eq!(problems.len(), 6, "{problems:?}");
    }

    #[test]
    fn the_public_host_is_allowed() {
        let arguments = HttpArguments {
            http: Some("0.0.0.0:8080".to_owned()),
            public_url: Some("https://mcp.example.com/".to_owned()),
            allowed_hosts: Some(" other.example ,".to_owned()),
            ..HttpArguments::default()
        };
        let settings = HttpSettings::resolve(&arguments).unwrap().unwrap();
        assert_eq!(settings.options.allowed_hosts, ["other.example", "mcp.example.com"]);
        assert_eq!(settings.options.public_url.as_deref(), Some("https://mcp.example.com"));
    }

    #[test]
    fn without_an_address_there_is_no_http() {
        assert!(HttpSettings::resolve(&HttpArguments::default()).unwrap().is_none());
    }
}
