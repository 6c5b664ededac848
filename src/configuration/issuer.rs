use clap::Args;

use crate::identity::{ClaimName, IssuerOptions, IssuerUrl};

/// Whose tokens are believed over HTTP, and what they say.
#[derive(Debug, Clone, Args, Default)]
#[command(next_help_heading = "Tokens")]
pub struct IssuerArguments {
    /// Issuer whose access tokens (JWT) are believed beside API keys, as in their `iss`: `https://login.example.com/realms/acme`
    #[arg(long, env = "BAILIWICK_OIDC_ISSUER", value_name = "URL")]
    pub oidc_issuer: Option<String>,
    /// Whom tokens must be for (`aud`), parted by commas; the public URL with /mcp by default, and with /sse and /a2a where these are served
    #[arg(long, env = "BAILIWICK_OIDC_AUDIENCE", value_name = "AUDIENCES")]
    pub oidc_audience: Option<String>,
    /// Claim with the tenant's slug or id, or a path to it like /organisation/id; "tenant" by default
    #[arg(long, env = "BAILIWICK_OIDC_TENANT_CLAIM", value_name = "CLAIM")]
    pub oidc_tenant_claim: Option<String>,
    /// Claim with the user; "sub" by default
    #[arg(long, env = "BAILIWICK_OIDC_USER_CLAIM", value_name = "CLAIM")]
    pub oidc_user_claim: Option<String>,
    /// Claim with the scopes, a text or a list; "scope", else "scp", by default
    #[arg(long, env = "BAILIWICK_OIDC_SCOPE_CLAIM", value_name = "CLAIM")]
    pub oidc_scope_claim: Option<String>,
}

impl IssuerArguments {
    /// Reads them; `None` if there is no issuer. `resources` are the names of what is served, none without a public URL. What is
    /// wrong goes to `problems`.
    pub(super) fn resolve(&self, resources: &[String], problems: &mut Vec<String>) -> Option<IssuerOptions> {
        let given =
            |text: &Option<String>| text.as_deref().map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned);
        let Some(text) = given(&self.oidc_issuer) else {
            let others = [&self.oidc_audience, &self.oidc_tenant_claim, &self.oidc_user_claim, &self.oidc_scope_claim];
            if others.into_iter().any(|other| given(other).is_some()) {
                problems.push(
                    "BAILIWICK_OIDC_ISSUER is missing: without it the other BAILIWICK_OIDC_ variables mean nothing."
                        .to_owned(),
                );
            }
            return None;
        };
        let issuer =
            IssuerUrl::parse(&text).map_err(|error| problems.push(format!("BAILIWICK_OIDC_ISSUER: {error}."))).ok();
        if resources.is_empty() {
            // RFC 9728 wants the resource named, and clients ask the issuer for tokens by that name.
            problems.push(
                "BAILIWICK_OIDC_ISSUER needs BAILIWICK_PUBLIC_URL, under which clients reach this server.".to_owned(),
            );
        }
        let named = given(&self.oidc_audience).map(|text| {
            text.split(',').map(str::trim).filter(|one| !one.is_empty()).map(str::to_owned).collect::<Vec<_>>()
        });
        let audiences = named.unwrap_or_else(|| resources.to_vec());
        let mut claim = |variable: &str, text: &Option<String>| {
            let name = given(text)?.parse::<ClaimName>();
            name.map_err(|error| problems.push(format!("{variable}: {error}."))).ok()
        };
        let tenant = claim("BAILIWICK_OIDC_TENANT_CLAIM", &self.oidc_tenant_claim);
        let user = claim("BAILIWICK_OIDC_USER_CLAIM", &self.oidc_user_claim);
        let scope = claim("BAILIWICK_OIDC_SCOPE_CLAIM", &self.oidc_scope_claim);
        if audiences.is_empty() && !resources.is_empty() {
            problems.push("BAILIWICK_OIDC_AUDIENCE names nobody.".to_owned());
        }
        let mut options = IssuerOptions::new(issuer?, audiences);
        options.tenant_claim = tenant.unwrap_or(options.tenant_claim);
        options.user_claim = user.unwrap_or(options.user_claim);
        options.scope_claims = scope.map_or(options.scope_claims, |scope| vec![scope]);
        Some(options)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(arguments: &IssuerArguments, resource: Option<&str>) -> (Option<IssuerOptions>, Vec<String>) {
        let mut problems = Vec::new();
        let resources: Vec<_> = resource.map(str::to_owned).into_iter().collect();
        (arguments.resolve(&resources, &mut problems), problems)
    }

    #[test]
    fn tokens_are_for_the_public_url_unless_somebody_else_is_named() {
        let issuer = Some("https://login.example.com".to_owned());
        let plain = IssuerArguments { oidc_issuer: issuer, ..IssuerArguments::default() };
        let (options, problems) = resolve(&plain, Some("https://mcp.example.com/mcp"));
        assert_eq!((options.unwrap().audiences, problems.len()), (vec!["https://mcp.example.com/mcp".to_owned()], 0));
        let named = IssuerArguments { oidc_audience: Some("a, b".to_owned()), ..plain };
        assert_eq!(resolve(&named, Some("https://mcp.example.com/mcp")).0.unwrap().audiences, ["a", "b"]);
    }

    #[test]
    fn problems_are_told_together() {
        let arguments = IssuerArguments {
            oidc_issuer: Some("http://login.example.com".to_owned()),
            oidc_tenant_claim: Some("/".to_owned()),
            oidc_scope_claim: Some("a b".to_owned()),
            ..IssuerArguments::default()
        };
        assert_eq!(resolve(&arguments, None).1.len(), 4);
        let lonely = IssuerArguments { oidc_audience: Some("me".to_owned()), ..IssuerArguments::default() };
        assert_eq!(resolve(&lonely, None).1.len(), 1);
        assert!(resolve(&IssuerArguments::default(), None).1.is_empty());
    }
}
