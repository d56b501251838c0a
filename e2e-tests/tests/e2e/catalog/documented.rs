//! The OpenAPI document of a platform that runs with the catalog that we ship: each of its examples is sent as it stands, and is answered as the
//! document says; methods that it does not name are refused. Searches are, without a search server, by the problem that says so.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e_tests::{Scenario, Up, scenario};
use reqwest::Method;
use serde_json::Value;
use test_kit::{DEADLINE, Progress, wait_for};

const SHIPPED: &str = include_str!("../../../../catalog.toml");
const WITHIN: Duration = Duration::from_secs(30);

/// A request that the document shows.
struct Example {
    method: Method,
    path: String,
    query: Vec<(String, String)>,
    headers: Vec<(String, String)>,
    body: Option<Value>,
}

#[test]
fn documented_examples() {
    scenario("documented_examples", async |scenario| {
        let up = up(scenario).await?;
        let (status, document) = up.client.get("/openapi.json", &[]).await?;
        ensure!(status == 200, "{status}: {document}");
        let examples = examples(&document)?;
        ensure!(examples.len() > 100, "{} examples", examples.len());
        for example in &examples {
            // Rows of tables and batch views are there soon after the start.
            wait_for(&example.text(), DEADLINE, async || {
                let (status, text) = example.sent(up.client.url()).await?;
                match status {
                    200 => Ok(Progress::Done(())),
                    503 if example.is_understood_without_a_server(&text) => Ok(Progress::Done(())),
                    503 => Ok(Progress::NotYet(text)),
                    status => anyhow::bail!("{} is answered with {status}: {text}", example.text()),
                }
            })
            .await?;
        }
        the_shipped_names_are_in_it(&document)?;
        other_methods_are_refused(&document, up.client.url()).await
    });
}

async fn up(scenario: &Scenario) -> Result<Up> {
    let path = |name: &str| scenario.dir().join(name);
    std::fs::write(path("catalog.toml"), SHIPPED)?;
    Up::start(&path("catalog.toml"), &path("data"), &["--kafka", "in-process"], &path("up.out")).await
}

/// Of each operation: a request with what it requires, and one for each example of what it does not.
fn examples(document: &Value) -> Result<Vec<Example>> {
    let mut examples = Vec::new();
    for (path, item) in object(&document["paths"])? {
        for (method, operation) in object(item)? {
            let parameters = operation["parameters"].as_array().map(Vec::as_slice).unwrap_or_default();
            let method = Method::from_bytes(method.to_uppercase().as_bytes())?;
            let body = operation.pointer("/requestBody/content/application~1json/example").cloned();
            ensure!(body.is_some() || operation.get("requestBody").is_none(), "{path}: its body has no example");
            let plain = Example { method, path: path.clone(), query: Vec::new(), headers: Vec::new(), body };
            let required = parameters.iter().filter(|parameter| parameter["required"] == true);
            let required = required.map(|parameter| {
                ensure!(
                    parameter.get("example").is_some(),
                    "{path}: {} is required, and has no example",
                    parameter["name"]
                );
                Ok(parameter)
            });
            let plain = required.collect::<Result<Vec<_>>>()?.into_iter().try_fold(plain, Example::with)?;
            let others = parameters.iter().filter(|parameter| parameter["required"] != true);
            for parameter in others.filter(|parameter| parameter.get("example").is_some()) {
                examples.push(plain.copy().with(parameter)?);
            }
            examples.push(plain);
        }
    }
    Ok(examples)
}

impl Example {
    fn copy(&self) -> Example {
        let (query, headers, body) = (self.query.clone(), self.headers.clone(), self.body.clone());
        Example { method: self.method.clone(), path: self.path.clone(), query, headers, body }
    }

    /// The same with the example of a parameter.
    fn with(mut self, parameter: &Value) -> Result<Example> {
        let name = parameter["name"].as_str().context("a name")?.to_owned();
        let values = match &parameter["example"] {
            Value::Array(values) => values.iter().map(text).collect(),
            value => vec![text(value)],
        };
        match parameter["in"].as_str() {
            Some("path") => self.path = self.path.replace(&format!("{{{name}}}"), &values.concat()),
            Some("header") => self.headers.push((name, values.join(", "))),
            Some("query") if parameter["explode"] == false => self.query.push((name, values.join(","))),
            _ => self.query.extend(values.into_iter().map(|value| (name.clone(), value))),
        }
        Ok(self)
    }

    /// Whether it is a search, and the answer says that this deployment has no search server. Nothing else lacks then: parameters that are no
    /// search are refused before that.
    fn is_understood_without_a_server(&self, answer: &str) -> bool {
        let problem: Value = serde_json::from_str(answer).unwrap_or_default();
        self.path.starts_with("/v1/search/")
            && problem["type"] == "urn:braid:problem:index-unavailable"
            && problem["detail"].as_str().is_some_and(|detail| detail.contains("set search.url"))
    }

    fn text(&self) -> String {
        format!("{} {} {:?} {:?}", self.method, self.path, self.query, self.headers)
    }

    async fn sent(&self, url: &str) -> Result<(u16, String)> {
        let request = reqwest::Client::new().request(self.method.clone(), format!("{url}{}", self.path));
        let mut request = request.query(&self.query).timeout(WITHIN);
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        if let Some(body) = &self.body {
            request = request.json(body);
        }
        let response = request.send().await.with_context(|| self.text())?;
        let status = response.status().as_u16();
        // A picture is no text.
        Ok((status, String::from_utf8_lossy(&response.bytes().await?).into_owned()))
    }
}

/// What a reader looks for: his metrics, with their columns, and the names of their values.
fn the_shipped_names_are_in_it(document: &Value) -> Result<()> {
    let total = &document["paths"]["/v1/metrics/views/total"]["get"];
    let parameters = total["parameters"].as_array().context("parameters")?;
    let names: BTreeSet<&str> = parameters.iter().filter_map(|parameter| parameter["name"].as_str()).collect();
    ensure!(names.contains("video_id"), "{names:?}");
    let values = &document["components"]["schemas"]["Values.views"]["properties"];
    ensure!(values.get("views").is_some() && values.get("dwell_ms").is_some(), "{values}");
    for path in [
        "/v1/streams/fraud_alerts",
        "/v1/tables/users/{key}",
        "/v1/reports/engagement",
        "/v1/search/users",
        "/v1/metrics/{metric}",
    ] {
        ensure!(document["paths"].get(path).is_some(), "{path} is not described");
    }
    Ok(())
}

/// A method that a path does not have is answered with 405, which names those that it has.
async fn other_methods_are_refused(document: &Value, url: &str) -> Result<()> {
    let http = reqwest::Client::new();
    for (path, item) in object(&document["paths"])? {
        let known: BTreeSet<String> = object(item)?.keys().map(|method| method.to_uppercase()).collect();
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE"].into_iter().filter(|method| !known.contains(*method)) {
            let request = http.request(Method::from_bytes(method.as_bytes())?, format!("{url}{path}"));
            let response = request.timeout(WITHIN).send().await?;
            ensure!(response.status() == 405, "{method} {path}: {}", response.status());
            let allowed = response.headers().get("allow").context("allow")?.to_str()?.to_owned();
            let allowed: BTreeSet<String> =
                allowed.split(", ").filter(|name| *name != "HEAD").map(str::to_owned).collect();
            ensure!(allowed == known, "{path} has {known:?}, and says {allowed:?}");
        }
    }
    Ok(())
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn object(value: &Value) -> Result<&serde_json::Map<String, Value>> {
    value.as_object().with_context(|| format!("no object: {value}"))
}
