//! A search server, asked by plain HTTP.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use reqwest::Method;
use serde_json::{Map, Value, json};

/// The most documents that the server gives in one answer.
const MOST: usize = 10_000;
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);

/// A document as the server has it.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    /// Its version, as the server counts it.
    pub version: u64,
    /// Its fields.
    pub fields: Map<String, Value>,
}

/// Asks a search server. Each runtime needs one of its own.
#[derive(Debug, Clone)]
pub struct Plain {
    http: reqwest::Client,
    url: String,
}

impl Plain {
    /// Asks the server at `http://host:port`.
    pub fn new(url: &str) -> Plain {
        Plain { http: reqwest::Client::new(), url: url.to_owned() }
    }

    /// The server's address.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Status and answer of a GET.
    pub async fn get(&self, path: &str) -> Result<(u16, Value)> {
        self.ask(Method::GET, path, None).await
    }

    /// A PUT that must succeed.
    pub async fn put(&self, path: &str, body: &Value) -> Result<Value> {
        self.succeed(Method::PUT, path, Some(body)).await
    }

    /// A POST that must succeed.
    pub async fn post(&self, path: &str, body: &Value) -> Result<Value> {
        self.succeed(Method::POST, path, Some(body)).await
    }

    /// A DELETE that must succeed.
    pub async fn delete(&self, path: &str) -> Result<Value> {
        self.succeed(Method::DELETE, path, None).await
    }

    /// Status and items of a bulk request whose lines these are.
    pub async fn bulk(&self, index: &str, lines: String) -> Result<Value> {
        let url = format!("{}/{index}/_bulk", self.url);
        let request = self.http.post(url).header("content-type", "application/x-ndjson").body(lines);
        let response = request.timeout(REQUEST_TIMEOUT).send().await?;
        let (status, text) = (response.status(), response.text().await?);
        ensure!(status.is_success(), "{index} took no documents ({status}): {text}");
        Ok(serde_json::from_str(&text)?)
    }

    /// Every document of an index or alias, by its id.
    pub async fn documents(&self, index: &str) -> Result<BTreeMap<String, Document>> {
        self.post(&format!("/{index}/_refresh"), &json!({})).await?;
        let body = json!({"size": MOST, "version": true, "track_total_hits": true, "query": {"match_all": {}}});
        let answer = self.post(&format!("/{index}/_search"), &body).await?;
        let (hits, total) = (answer["hits"]["hits"].as_array(), answer["hits"]["total"]["value"].as_u64());
        let hits = hits.with_context(|| format!("no hits: {answer}"))?;
        ensure!(total == Some(hits.len() as u64), "{} documents of {total:?}", hits.len());
        let document = |hit: &Value| {
            let (id, version) = (hit["_id"].as_str().context("no id")?, hit["_version"].as_u64());
            let fields = hit["_source"].as_object().cloned().context("no fields")?;
            Ok((id.to_owned(), Document { version: version.context("no version")?, fields }))
        };
        hits.iter().map(document).collect()
    }

    /// The names of the indexes that begin so.
    pub async fn indexes(&self, begin: &str) -> Result<Vec<String>> {
        let (status, answer) = self.get(&format!("/{begin}*/_settings/index.uuid")).await?;
        ensure!(status == 200, "{status}: {answer}");
        Ok(answer.as_object().into_iter().flat_map(Map::keys).cloned().collect())
    }

    /// The indexes that an alias names.
    pub async fn aliased(&self, alias: &str) -> Result<Vec<String>> {
        let (status, answer) = self.get(&format!("/_alias/{alias}")).await?;
        ensure!(status == 200 || status == 404, "{status}: {answer}");
        let names = answer.as_object().filter(|_| status == 200).into_iter().flat_map(Map::keys);
        Ok(names.cloned().collect())
    }

    async fn succeed(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value> {
        let (status, answer) = self.ask(method, path, body).await?;
        ensure!((200..300).contains(&status), "{path} answered {status}: {answer}");
        Ok(answer)
    }

    async fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> Result<(u16, Value)> {
        let url = format!("{}{path}", self.url);
        let mut request = self.http.request(method, &url).timeout(REQUEST_TIMEOUT);
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.send().await.with_context(|| url.clone())?;
        let (status, text) = (response.status().as_u16(), response.text().await?);
        Ok((status, serde_json::from_str(&text).with_context(|| format!("{path} answered {status} with {text:?}"))?))
    }
}
