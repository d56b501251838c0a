//! Server-sent events of the serving layer, as a client gets them.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use test_kit::DEADLINE;

use crate::answer::{Answer, Client, Parameters};

/// A client that watches what a path answers.
pub struct Live {
    response: reqwest::Response,
    /// What has arrived and was not read.
    text: String,
}

impl Live {
    /// Watches what that path answers to those parameters.
    pub async fn watch(client: &Client, path: &str, parameters: &Parameters<'_>) -> Result<Live> {
        let url = format!("{}{path}", client.url());
        let request = reqwest::Client::new().get(&url).query(parameters).header("accept", "text/event-stream");
        let response = request.send().await.with_context(|| url.clone())?;
        ensure!(response.status() == 200, "{url} answered {}", response.status());
        Ok(Live { response, text: String::new() })
    }

    /// The kind and the data of the next event; an answer is of no kind.
    pub async fn next(&mut self) -> Result<(String, Value)> {
        loop {
            if let Some(end) = self.text.find("\n\n") {
                let event: String = self.text.drain(..end + 2).collect();
                let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
                if let Some(data) = field("data") {
                    let data = serde_json::from_str(data).with_context(|| format!("no JSON in {event:?}"))?;
                    return Ok((field("event").unwrap_or_default().to_owned(), data));
                }
                continue;
            }
            let chunk = tokio::time::timeout(DEADLINE, self.response.chunk()).await.context("no event in time")??;
            let chunk = chunk.context("the serving layer has ended the connection")?;
            self.text.push_str(std::str::from_utf8(&chunk).context("an event is not UTF-8")?);
        }
    }

    /// The next answer. Events that only say as of when the last one holds are passed over.
    pub async fn answer(&mut self) -> Result<Answer> {
        loop {
            let (kind, data) = self.next().await?;
            if kind.is_empty() {
                let answer: Answer = serde_json::from_value(data.clone()).with_context(|| data.to_string())?;
                return Ok(Answer { text: data.to_string(), ..answer });
            }
            ensure!(kind == "fresh", "{kind}: {data}");
        }
    }
}
