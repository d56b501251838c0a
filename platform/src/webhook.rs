//! A webhook: an address to which JSON is posted. Whoever posts tries again until the receiver has taken it.
//!
//! The address may hold a secret, as those of chats do. So no error names more of it than the host.

use std::path::PathBuf;

use reqwest::header::AUTHORIZATION;
use reqwest::redirect::Policy;
use reqwest::{Client, StatusCode};
use serde_json::Value;
use url::Url;

use crate::settings;

/// The header by which a receiver can drop what it has got before.
const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// Why a receiver has not taken what was posted.
#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    /// There is no client.
    #[error("cannot set up a client for the webhook")]
    Client(#[source] reqwest::Error),
    /// The address is none.
    #[error("alerts.webhook_url is not an address")]
    Address,
    /// The file with the secret cannot be read.
    #[error("cannot read {} (alerts.webhook_authorization_file)", path.display())]
    Authorization {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// The receiver cannot be reached, or did not answer in time.
    #[error("cannot reach the webhook at {host}")]
    Unreachable {
        /// The receiver's host.
        host: String,
        /// The client's error.
        source: reqwest::Error,
    },
    /// The receiver answered that it has not taken it.
    #[error("the webhook at {host} answers {status}{}", advice(*status))]
    Refused {
        /// The receiver's host.
        host: String,
        /// The answer's status.
        status: StatusCode,
    },
}

/// A receiver.
#[derive(Debug, Clone)]
pub struct Webhook {
    client: Client,
    url: Url,
    host: String,
    authorization: Option<PathBuf>,
}

impl Webhook {
    /// The receiver of the settings; `None` if they name none. It is not asked yet.
    ///
    /// # Errors
    /// If its address is none, or no client can be made.
    pub fn new(settings: &settings::Alerts) -> Result<Option<Webhook>, WebhookError> {
        let url = settings.webhook_url.reveal();
        if url.is_empty() {
            return Ok(None);
        }
        let url = Url::parse(url).map_err(|_| WebhookError::Address)?;
        let host = url.host_str().ok_or(WebhookError::Address)?.to_owned();
        let timeout = settings.webhook_timeout.get();
        // What is posted to one address is meant for no other.
        let client = Client::builder().timeout(timeout).connect_timeout(timeout).redirect(Policy::none());
        let client = client.build().map_err(WebhookError::Client)?;
        let file = &settings.webhook_authorization_file;
        let authorization = (!file.is_empty()).then(|| PathBuf::from(file));
        Ok(Some(Webhook { client, url, host, authorization }))
    }

    /// Posts a body; `id` is the same however often it is posted. Any status of success means that the receiver has taken it.
    ///
    /// # Errors
    /// [`WebhookError`]: it may have been taken all the same, and has to be posted again.
    pub async fn post(&self, id: &str, body: &Value) -> Result<(), WebhookError> {
        let mut request = self.client.post(self.url.clone()).header(IDEMPOTENCY_KEY, id).json(body);
        if let Some(path) = &self.authorization {
            let failed = |source| WebhookError::Authorization { path: path.clone(), source };
            let text = tokio::fs::read_to_string(path).await.map_err(failed)?;
            request = request.header(AUTHORIZATION, text.trim());
        }
        let response = request
            .send()
            .await
            .map_err(|error| WebhookError::Unreachable { host: self.host.clone(), source: error.without_url() })?;
        let status = response.status();
        if status.is_success() { Ok(()) } else { Err(WebhookError::Refused { host: self.host.clone(), status }) }
    }
}

/// What to do about a status.
fn advice(status: StatusCode) -> &'static str {
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => "; check alerts.webhook_authorization_file",
        StatusCode::NOT_FOUND => "; check alerts.webhook_url",
        status if status.is_redirection() => "; redirects are not followed, write the address that it leads to",
        _ => "",
    }
}
