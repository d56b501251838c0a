//! Asks a serving layer over HTTP.
//!
//! - `api_key`: the key that every request sends, if there is one;
//! - `events`: server-sent events;
//! - `refusal`: a response other than 200, in words;
//! - `gap`: why an answer is not complete, in words.

mod api_key;
mod events;
mod gap;
mod refusal;

use std::time::Duration;

use anyhow::{Context, Result};
use reqwest::Url;
use reqwest::header::HeaderMap;

use self::api_key::ApiKeyArgs;

pub use self::events::{Event, Events, Told};
pub use self::gap::Gap;
pub use self::refusal::Refusal;

/// How long a request may take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The flag that names a serving layer, to be flattened into a command's own flags.
#[derive(Debug, Clone, clap::Args)]
pub struct ServingArgs {
    /// Where the serving layer listens
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    http: String,
    #[command(flatten)]
    key: ApiKeyArgs,
}

/// A serving layer, wherever it listens.
#[derive(Debug)]
pub struct Serving {
    base: Url,
    client: reqwest::Client,
    /// What every request says of who asks.
    headers: HeaderMap,
}

/// What a request gets.
#[derive(Debug)]
pub enum Reply {
    /// The body of a response with status 200.
    Answer(String),
    /// Any other response.
    Refused(Refusal),
}

impl ServingArgs {
    /// The serving layer that the flag names; it is not asked yet.
    ///
    /// # Errors
    /// If the flag is not an address: `host:port` or a URL. If the file with the key cannot be read.
    pub fn serving(&self) -> Result<Serving> {
        let base = if self.http.contains("://") { self.http.clone() } else { format!("http://{}", self.http) };
        let base = Url::parse(&base).with_context(|| format!("--http {} is not an address", self.http))?;
        let headers = self.key.headers()?;
        let client = reqwest::Client::builder().timeout(TIMEOUT).default_headers(headers.clone()).build()?;
        Ok(Serving { base, client, headers })
    }
}

impl Serving {
    /// The URL of a path, which is given by its segments.
    ///
    /// # Errors
    /// If the address has no host.
    pub fn url(&self, path: &[&str]) -> Result<Url> {
        let mut url = self.base.clone();
        let mut segments = url.path_segments_mut().ok().with_context(|| format!("--http {} has no host", self.base))?;
        segments.pop_if_empty().extend(path);
        drop(segments);
        Ok(url)
    }

    /// Asks once.
    ///
    /// # Errors
    /// If there is no response, or it is cut off.
    pub async fn get(&self, url: &Url) -> Result<Reply> {
        let response = self.client.get(url.clone()).send().await.map_err(|error| {
            let advice = if error.is_connect() { "; is the platform running (`braid up`)?" } else { "" };
            anyhow::Error::new(error.without_url()).context(format!("no answer from {url}{advice}"))
        })?;
        let status = response.status();
        let body = response.text().await.with_context(|| format!("the answer of {url} was cut off"))?;
        Ok(if status.is_success() { Reply::Answer(body) } else { Reply::Refused(Refusal::new(status, body)) })
    }

    /// The events of a URL. `last_event_id` is where to go on; nothing is read yet.
    ///
    /// # Errors
    /// If no client can be made.
    pub fn events(&self, url: Url, last_event_id: Option<String>) -> Result<Events> {
        Events::new(url, self.headers.clone(), last_event_id)
    }

    /// The body of a path's answer.
    ///
    /// # Errors
    /// As [`Serving::get`], or a [`Refusal`].
    pub async fn answer(&self, path: &[&str]) -> Result<String> {
        match self.get(&self.url(path)?).await? {
            Reply::Answer(body) => Ok(body),
            Reply::Refused(refusal) => Err(refusal.into()),
        }
    }
}

/// A body as a program reads it: JSON is indented and keeps the order of its members and the digits of its numbers; any
/// other text stays as it is.
pub fn indented(body: &str) -> String {
    let value: Option<serde_json::Value> = serde_json::from_str(body).ok();
    value.and_then(|value| serde_json::to_string_pretty(&value).ok()).unwrap_or_else(|| body.trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_host_and_port_or_a_url() {
        let url = |http: &str| {
            let serving = ServingArgs { http: http.to_owned(), key: ApiKeyArgs::default() }.serving()?;
            serving.url(&["v1", "status"]).map(|url| url.to_string())
        };
        assert_eq!(url("10.0.0.7:8080").expect("a URL"), "http://10.0.0.7:8080/v1/status");
        assert_eq!(url("https://h/braid/").expect("a URL"), "https://h/braid/v1/status");
        for (wrong, why) in [("a b", "--http a b is not an address"), ("mailto:a://b", "has no host")] {
            let error = url(wrong).expect_err(wrong).to_string();
            assert!(error.contains(why), "{wrong}: {error}");
        }
    }

    #[test]
    fn indented_json_keeps_order_and_digits() {
        let body = "{\"b\":9223372036854775807,\"a\":4573.333333333333}";
        assert_eq!(indented(body), "{\n  \"b\": 9223372036854775807,\n  \"a\": 4573.333333333333\n}");
        assert_eq!(indented("bad gateway\n"), "bad gateway");
    }
}
