use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use reqwest::Url;
use secrecy::{ExposeSecret, SecretSlice, SecretString};
use serde_json::json;
use sha2::Sha256;

use super::Alert;
use crate::costs::usd;

const TIMEOUT: Duration = Duration::from_secs(10);
/// What a secret begins with in the Standard Webhooks notation.
const SECRET_PREFIX: &str = "whsec_";
const SHORTEST_SECRET_BYTES: usize = 24;

/// Where alerts are posted, signed as Standard Webhooks has it (standardwebhooks.com, 1.0: `webhook-id`, `webhook-timestamp`,
/// `webhook-signature`). An alert keeps its id however often it is tried.
pub struct Webhook {
    url: Url,
    secret: SecretSlice<u8>,
    client: reqwest::Client,
}

/// What is wrong with a webhook, or why it did not take an alert. No URL in it, which may hold a secret.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum WebhookError {
    #[error("BAILIWICK_BUDGET_WEBHOOK_URL is no http or https address")]
    Address,
    #[error(
        "BAILIWICK_BUDGET_WEBHOOK_SECRET is no secret: give at least 24 random bytes in base64, with or without whsec_ before them"
    )]
    Secret,
    #[error("the webhook's client cannot be made: {0}")]
    Client(String),
    #[error("it cannot be reached")]
    Unreachable,
    #[error("it answered with the status {0}")]
    Status(u16),
}

impl Webhook {
    /// A webhook at that address.
    ///
    /// # Errors
    /// [`WebhookError`] if the address or the secret is none.
    pub fn new(url: &str, secret: &SecretString) -> Result<Self, WebhookError> {
        let url = Url::parse(url).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
        let secret = secret.expose_secret();
        let bytes = BASE64_STANDARD.decode(secret.strip_prefix(SECRET_PREFIX).unwrap_or(secret));
        let bytes = bytes.ok().filter(|bytes| bytes.len() >= SHORTEST_SECRET_BYTES).ok_or(WebhookError::Secret)?;
        let client = reqwest::Client::builder()
            .timeout(TIMEOUT)
            // What is signed for one host is not for another.
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("bailiwick/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| WebhookError::Client(error.without_url().to_string()))?;
        Ok(Self { url: url.ok_or(WebhookError::Address)?, secret: bytes.into(), client })
    }

    /// Posts an alert.
    pub(super) async fn deliver(&self, alert: &Alert) -> Result<(), WebhookError> {
        let body = json!({
            "type": if alert.level == "EXCEEDED" { "budget.exceeded" } else { "budget.warning" },
            "timestamp": alert.raised_at.to_string(),
            "data": {
                "tenant": alert.tenant, "tenant_id": alert.tenant_id, "user_id": alert.user_id, "period": alert.period,
                "starts": alert.starts, "limit_usd": usd(alert.limit_usd), "spent_usd": usd(alert.spent_usd),
            },
        });
        let (id, at, body) = (format!("msg_{}", alert.id.simple()), Timestamp::now().as_second(), body.to_string());
        let sent = self
            .client
            .post(self.url.clone())
            .header("content-type", "application/json")
            .header("webhook-id", &id)
            .header("webhook-timestamp", at)
            .header("webhook-signature", format!("v1,{}", self.signature(&id, at, &body)?))
            .body(body)
            .send()
            .await
            .map_err(|_| WebhookError::Unreachable)?;
        match sent.status() {
            status if status.is_success() => Ok(()),
            status => Err(WebhookError::Status(status.as_u16())),
        }
    }

    fn signature(&self, id: &str, at: i64, body: &str) -> Result<String, WebhookError> {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.secret.expose_secret()).map_err(|_| WebhookError::Secret)?;
        mac.update(format!("{id}.{at}.{body}").as_bytes());
        Ok(BASE64_STANDARD.encode(mac.finalize().into_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification's own libraries.
    #[test]
    fn signatures_are_those_of_standard_webhooks() {
        let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_owned().into();
        let webhook = Webhook::new("https://example.com/hook", &secret).unwrap();
        let signature = webhook.signature("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, "{\"test\": 2432232314}");
        assert_eq!(signature.unwrap(), "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn what_is_no_address_or_no_secret_is_told() {
        let good: SecretString = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_owned().into();
        assert!(matches!(Webhook::new("ftp://example.com", &good), Err(WebhookError::Address)));
        for bad in ["", "short", "whsec_", "c2hvcnQ="] {
            assert!(matches!(Webhook::new("https://example.com", &bad.to_owned().into()), Err(WebhookError::Secret)));
        }
    }
}
