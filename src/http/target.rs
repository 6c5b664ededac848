use axum::response::{IntoResponse, Response};
use http::header::{CONNECTION, HOST};
use http::{HeaderValue, Method, StatusCode, Uri};

use super::resource::WELL_KNOWN;

/// What a request is told that asks for another protocol, or for a tunnel: we are no proxy (RFC 9110, sections 7.4 and 9.3.6). What
/// would follow it on its connection is nothing that we know.
pub(super) fn refusal<B>(request: &http::Request<B>) -> Option<Response> {
    let is_ours = request.uri().scheme_str().is_none_or(|scheme| matches!(scheme, "http" | "https"));
    if is_ours && request.method() != Method::CONNECT {
        return None;
    }
    let text = "this is no proxy: ask for a path, or a URL of http or https";
    Some((StatusCode::BAD_REQUEST, [(CONNECTION, "close")], text).into_response())
}

/// Settles what a request is for, before anything judges it: its target becomes a path without the prefix under which a proxy serves
/// us, and its host the target's, where the target names one.
///
/// Of a target that names a host the `Host` header counts for nothing (RFC 9112, section 3.2.2); it must be there all the same, once,
/// so one that is missing or there twice is left as it is, to be refused.
pub(super) fn settle<B>(request: &mut http::Request<B>, prefix: &str) {
    let authority = request.uri().authority().cloned();
    let path = request.uri().path();
    let within = without(path, prefix);
    if authority.is_none() && within.is_none() {
        return;
    }
    let path = within.unwrap_or_else(|| path.to_owned());
    let target = match request.uri().query() {
        Some(query) => format!("{path}?{query}"),
        None => path,
    };
    // What is no path, such as the `*` of OPTIONS, stays as it is, and is no route.
    if let Ok(target) = Uri::try_from(target) {
        *request.uri_mut() = target;
    }
    if let Some(authority) = authority
        && request.headers().get_all(HOST).iter().count() == 1
    {
        // Without a user's name before it, which no `Host` has.
        let host = authority.as_str().rsplit('@').next().unwrap_or_default();
        let host = HeaderValue::from_str(host).unwrap_or(HeaderValue::from_static(""));
        request.headers_mut().insert(HOST, host);
    }
}

/// The path below the prefix, if it is there; also that of a resource's metadata, whose well-known place comes before the prefix
/// (RFC 9728, section 3.1).
fn without(path: &str, prefix: &str) -> Option<String> {
    if prefix.is_empty() {
        return None;
    }
    let below = |path: &str| {
        let rest = path.strip_prefix(prefix)?;
        (rest.is_empty() || rest.starts_with('/')).then(|| rest.to_owned())
    };
    if let Some(resource) = path.strip_prefix(WELL_KNOWN) {
        return below(resource).map(|resource| format!("{WELL_KNOWN}{resource}"));
    }
    below(path).map(|rest| if rest.is_empty() { "/".to_owned() } else { rest })
}

#[cfg(test)]
mod tests {
    use axum::extract::Request;

    use super::*;

    fn settled(target: &str, hosts: &[&str], prefix: &str) -> (String, Vec<String>) {
        let mut request = Request::new(axum::body::Body::empty());
        *request.uri_mut() = target.parse().unwrap();
        for host in hosts {
            request.headers_mut().append(HOST, host.parse().unwrap());
        }
        settle(&mut request, prefix);
        let hosts = request.headers().get_all(HOST).iter().map(|host| host.to_str().unwrap().to_owned()).collect();
        (request.uri().to_string(), hosts)
    }

    #[test]
    fn the_target_s_host_is_the_one_that_counts() {
        let host = |target: &str, hosts: &[&str]| settled(target, hosts, "").1.join(" ");
        assert_eq!(host("/mcp", &["good"]), "good");
        assert_eq!(host("http://evil/mcp", &["good"]), "evil");
        assert_eq!(host("https://good@evil:8080/mcp?a=b", &["good"]), "evil:8080");
        assert_eq!(host("http://evil/mcp", &["good", "better"]), "good better", "refused for being two");
        assert_eq!(host("http://good/mcp", &[]), "", "refused for being none");
        assert_eq!(settled("http://evil/mcp?a=b", &["good"], "").0, "/mcp?a=b");
        assert_eq!(settled("http://evil", &["good"], "").0, "/");
    }

    #[test]
    fn a_prefix_is_taken_off_where_it_is() {
        let path = |target: &str| settled(target, &["good"], "/docs/v1").0;
        assert_eq!(path("/docs/v1/mcp"), "/mcp");
        assert_eq!(path("/docs/v1/messages?sessionId=7"), "/messages?sessionId=7");
        assert_eq!(path("http://evil/docs/v1/mcp"), "/mcp");
        assert_eq!(path("/docs/v1"), "/");
        assert_eq!(
            path("/.well-known/oauth-protected-resource/docs/v1/mcp"),
            "/.well-known/oauth-protected-resource/mcp"
        );
        for other in ["/mcp", "/docs/v10/mcp", "/docs", "/x/docs/v1/mcp", "/.well-known/oauth-protected-resource/mcp"] {
            assert_eq!(path(other), other);
        }
    }
}
