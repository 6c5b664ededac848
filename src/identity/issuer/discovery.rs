use reqwest::{Client, Response, Url, redirect};
use serde::Deserialize;

use super::key_set::KeySet;
use super::{IssuerUrl, Pace};

/// Largest document that is taken from an issuer, in bytes.
const LARGEST: usize = 512 << 10;

/// What is read of an issuer's metadata (RFC 8414, section 2; OpenID Connect Discovery, section 3).
#[derive(Deserialize)]
struct Metadata {
    issuer: String,
    jwks_uri: String,
}

/// Asks an issuer for its metadata and keys.
pub(super) struct Discovery {
    issuer: IssuerUrl,
    client: Client,
}

impl Discovery {
    pub(super) fn new(issuer: IssuerUrl, pace: Pace) -> Result<Self, String> {
        let mut client = Client::builder()
            .user_agent(concat!("bailiwick/", env!("CARGO_PKG_VERSION")))
            // Whoever can redirect could send us anywhere.
            .redirect(redirect::Policy::none())
            .connect_timeout(pace.answer)
            .timeout(pace.answer)
            .pool_max_idle_per_host(1);
        client = if issuer.is_loopback() { client.no_proxy() } else { client.https_only(true) };
        let client = client.build().map_err(|error| format!("no client for the issuer: {}", whole(&error)))?;
        Ok(Self { issuer, client })
    }

    /// The issuer's keys of now.
    pub(super) async fn keys(&self) -> Result<KeySet, String> {
        let url = self.keys_url().await?;
        let text = self.get(url.clone()).await?;
        let keys = KeySet::parse(&text).map_err(|_| format!("what {url} gives is no set of keys (RFC 7517)"))?;
        if keys.len() == 0 {
            return Err(format!("{url} has no key that could check a signature by RS, PS, ES or EdDSA"));
        }
        Ok(keys)
    }

    async fn keys_url(&self) -> Result<Url, String> {
        let mut problems = Vec::new();
        for url in self.issuer.metadata_urls() {
            match self.metadata(url).await {
                Ok(metadata) => {
                    let url = Url::parse(&metadata.jwks_uri).ok().filter(|url| self.issuer.may_send_to(url));
                    return url.ok_or_else(|| "the issuer's jwks_uri is no https URL".to_owned());
                }
                Err(problem) => problems.push(problem),
            }
        }
        Err(problems.join("; "))
    }

    async fn metadata(&self, url: Url) -> Result<Metadata, String> {
        let text = self.get(url.clone()).await?;
        let metadata: Metadata =
            serde_json::from_slice(&text).map_err(|_| format!("what {url} gives is no metadata"))?;
        if metadata.issuer != self.issuer.as_str() {
            // RFC 8414, section 3.3: it must be identical, or one issuer could stand in for another.
            let other: String = metadata.issuer.chars().take(200).collect();
            return Err(format!("{url} is of another issuer ({other:?}): set that one exactly"));
        }
        Ok(metadata)
    }

    async fn get(&self, url: Url) -> Result<Vec<u8>, String> {
        let told = |error: reqwest::Error| format!("{url}: {}", whole(&error.without_url()));
        let answer = self.client.get(url.clone()).header("accept", "application/json").send().await.map_err(told)?;
        if !answer.status().is_success() {
            return Err(format!("{url} answers {}", answer.status()));
        }
        let told = |error: reqwest::Error| format!("{url}: {}", whole(&error.without_url()));
        bounded(answer).await.map_err(told)?.ok_or_else(|| format!("{url} gives more than {LARGEST} bytes"))
    }
}

/// The body; `None` if it is too large.
async fn bounded(mut answer: Response) -> Result<Option<Vec<u8>>, reqwest::Error> {
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await? {
        if body.len() + chunk.len() > LARGEST {
            return Ok(None);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Some(body))
}

/// An error with what caused it.
fn whole(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
