use std::time::Duration;

use reqwest::Url;

use super::ClaimName;

/// Which issuer's tokens are believed, for whom they must be, and what in them means what.
#[derive(Debug, Clone)]
pub struct IssuerOptions {
    /// Whose tokens.
    pub issuer: IssuerUrl,
    /// A token must be for one of these (`aud`).
    pub audiences: Vec<String>,
    /// Names the tenant, by slug or id.
    pub tenant_claim: ClaimName,
    /// Names the user.
    pub user_claim: ClaimName,
    /// Names the scopes; the first that is there counts.
    pub scope_claims: Vec<ClaimName>,
    /// How often the issuer is asked.
    pub pace: Pace,
}

impl IssuerOptions {
    /// An issuer's tokens for these audiences, with the usual claims: `tenant`, `sub`, and `scope` (RFC 8693) or `scp`.
    #[must_use]
    pub fn new(issuer: IssuerUrl, audiences: Vec<String>) -> Self {
        Self {
            issuer,
            audiences,
            tenant_claim: ClaimName::fixed("tenant"),
            user_claim: ClaimName::fixed("sub"),
            scope_claims: ["scope", "scp"].map(ClaimName::fixed).to_vec(),
            pace: Pace::default(),
        }
    }
}

/// How often an issuer is asked for its keys, and how long they are used.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Keys are asked for anew, in the background, when they are older than that.
    pub fresh: Duration,
    /// They are not used any more when they are older than that, because the issuer could not be asked.
    pub stale: Duration,
    /// Least time between two questions because of a key that is not known.
    pub unknown_key: Duration,
    /// Pause after a first failure; it doubles with each further one.
    pub first_pause: Duration,
    /// Longest pause.
    pub longest_pause: Duration,
    /// How long an answer may take; metadata and keys together no more than twice that.
    pub answer: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            fresh: Duration::from_secs(300),
            stale: Duration::from_secs(3_600),
            unknown_key: Duration::from_secs(5),
            first_pause: Duration::from_secs(1),
            longest_pause: Duration::from_secs(60),
            answer: Duration::from_secs(5),
        }
    }
}

/// An issuer's identifier: an `https` URL without query and fragment (RFC 8414, section 2); `http` for this machine alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuerUrl {
    /// As it is compared, character by character, with what tokens and metadata say.
    text: String,
    url: Url,
}

/// A text that is no issuer's identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no issuer; expected an https URL without query and fragment, like https://login.example.com/realms/acme"
)]
pub struct InvalidIssuer(String);

impl IssuerUrl {
    /// Reads an identifier.
    ///
    /// # Errors
    /// [`InvalidIssuer`].
    pub fn parse(text: &str) -> Result<Self, InvalidIssuer> {
        let url = Url::parse(text).ok().filter(is_safe);
        let is_plain = |url: &Url| url.query().is_none() && url.fragment().is_none() && url.username().is_empty();
        let url = url.filter(|url| is_plain(url) && url.password().is_none());
        let url = url.ok_or_else(|| InvalidIssuer(text.chars().take(200).collect()))?;
        Ok(Self { text: text.to_owned(), url })
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it is on this machine.
    pub(super) fn is_loopback(&self) -> bool {
        is_loopback(&self.url)
    }

    /// Whether keys may be fetched from there: over TLS, or, of an issuer on this machine, from this machine.
    pub(super) fn may_send_to(&self, url: &Url) -> bool {
        url.scheme() == "https" || (self.is_loopback() && is_safe(url))
    }

    /// Where its metadata may be, in the order in which MCP has them tried (Authorization, Authorization Server Metadata
    /// Discovery): as RFC 8414 has it, then as OpenID Connect Discovery has it.
    pub(super) fn metadata_urls(&self) -> Vec<Url> {
        let path = self.url.path().trim_end_matches('/');
        let mut paths = ["oauth-authorization-server", "openid-configuration"]
            .map(|name| format!("/.well-known/{name}{path}"))
            .to_vec();
        if !path.is_empty() {
            paths.push(format!("{path}/.well-known/openid-configuration"));
        }
        let at = |path: String| {
            let mut url = self.url.clone();
            url.set_path(&path);
            url
        };
        paths.into_iter().map(at).collect()
    }
}

fn is_safe(url: &Url) -> bool {
    url.scheme() == "https" || (url.scheme() == "http" && is_loopback(url))
}

fn is_loopback(url: &Url) -> bool {
    let Some(host) = url.host_str() else { return false };
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_issuer_is_reached_over_tls_or_on_this_machine() {
        for right in [
            "https://login.example.com",
            "https://login.example.com/realms/a/",
            "http://127.0.0.1:9000",
            "http://[::1]/x",
        ] {
            assert_eq!(IssuerUrl::parse(right).unwrap().as_str(), right);
        }
        for wrong in [
            "",
            "login.example.com",
            "http://login.example.com",
            "http://127.0.0.1.example.com",
            "http://localhost.example.com",
            "ftp://localhost",
            "https://a.example/?x=1",
            "https://a.example/#x",
            "https://me:secret@a.example",
            "file:///etc/passwd",
        ] {
            assert!(IssuerUrl::parse(wrong).is_err(), "{wrong}");
        }
        let remote = IssuerUrl::parse("https://login.example.com").unwrap();
        assert!(!remote.may_send_to(&Url::parse("http://127.0.0.1/keys").unwrap()));
        assert!(remote.may_send_to(&Url::parse("https://keys.example.net/jwks").unwrap()));
    }

    #[test]
    fn metadata_is_looked_for_at_the_well_known_places() {
        let of = |issuer: &str| {
            let urls = IssuerUrl::parse(issuer).unwrap().metadata_urls();
            urls.into_iter().map(|url| url.path().to_owned()).collect::<Vec<_>>()
        };
        let root = ["/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"];
        assert_eq!(of("https://a.example"), root);
        assert_eq!(of("https://a.example/"), root);
        assert_eq!(
            of("https://a.example/realms/x"),
            [
                "/.well-known/oauth-authorization-server/realms/x",
                "/.well-known/openid-configuration/realms/x",
                "/realms/x/.well-known/openid-configuration"
            ]
        );
    }
}
