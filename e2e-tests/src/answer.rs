//! Asking the serving layer over HTTP, and the shape of what it answers.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use serde_json::{Map, Value};
use test_kit::{DEADLINE, Progress, wait_for};

use crate::oracle::Counts;
use crate::time::{micros, rfc3339};

const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// An answer to `total` or `series`.
#[derive(Clone, Deserialize)]
pub struct Answer {
    /// The version of the deployment that answers.
    #[serde(default)]
    pub version: String,
    /// The columns that were asked for.
    pub key: Map<String, Value>,
    /// From when on it speaks, RFC 3339; `None`: from the first event on.
    pub from: Option<String>,
    /// Merged measures and derived values; a total has them.
    #[serde(default)]
    pub values: Map<String, Value>,
    /// One point per step; a series has them.
    #[serde(default)]
    pub points: Vec<Point>,
    /// Whether nothing that arrived before `as_of` is missing.
    pub complete: bool,
    /// What is missing, if anything.
    pub gaps: Vec<Value>,
    /// Whether speed adds nothing.
    pub authoritative: bool,
    /// RFC 3339.
    pub as_of: Option<String>,
    /// Which layer gave how much; a total has it.
    pub provenance: Option<Provenance>,
    /// The body as it was sent.
    #[serde(skip)]
    pub text: String,
}

/// One point of a series.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Point {
    /// Where the step begins, RFC 3339.
    pub start: String,
    /// Merged measures and derived values of the step.
    pub values: Map<String, Value>,
    /// `batch`, `speed` or `both`.
    pub layer: String,
}

/// Which layer gave how much.
#[derive(Debug, Clone, Deserialize)]
pub struct Provenance {
    /// The batch view's part.
    pub batch: BatchPart,
    /// The speed view's part.
    pub speed: SpeedPart,
}

/// The batch view's part of a total.
#[derive(Debug, Clone, Deserialize)]
pub struct BatchPart {
    /// Measures of the batch view.
    pub values: Map<String, Value>,
    /// The view's version; none before the first reconcile.
    pub version: Option<u64>,
}

/// The speed view's part of a total.
#[derive(Debug, Clone, Deserialize)]
pub struct SpeedPart {
    /// Measures of the speed view.
    pub values: Map<String, Value>,
}

/// The body as it was sent.
impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

impl Answer {
    /// An integer value of a total.
    pub fn int(&self, measure: &str) -> Result<i64> {
        int(&self.values, measure)
    }

    /// A float value of a total; nothing where it is null.
    pub fn float(&self, measure: &str) -> Option<f64> {
        self.values.get(measure)?.as_f64()
    }

    /// The sample metric's measures.
    pub fn counts(&self) -> Result<Counts> {
        counts(&self.values)
    }

    /// Whether it says that something may be missing for that reason.
    pub fn has_gap(&self, reason: &str) -> bool {
        self.gaps.iter().any(|gap| gap["reason"] == reason)
    }

    /// The version of the batch view that the answer was made with.
    pub fn batch_version(&self) -> Option<u64> {
        self.provenance.as_ref()?.batch.version
    }

    /// Microseconds since 1970 up to which nothing is missing, if the answer says so.
    pub fn as_of_us(&self) -> Result<Option<i64>> {
        self.as_of.as_deref().map(micros).transpose()
    }
}

/// An integer among values.
pub fn int(values: &Map<String, Value>, measure: &str) -> Result<i64> {
    values.get(measure).and_then(Value::as_i64).with_context(|| format!("no integer {measure:?} in {values:?}"))
}

/// The sample metric's measures among values.
pub fn counts(values: &Map<String, Value>) -> Result<Counts> {
    Ok(Counts { views: int(values, "views")?, dwell_ms: int(values, "dwell_ms")? })
}

/// Query parameters by name.
pub type Parameters<'a> = [(&'a str, String)];

/// Asks one serving layer.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    base: String,
    /// The version of the deployment that is asked for; none: the active one.
    version: Option<String>,
}

impl Client {
    /// A client of the serving layer at `address`, `host:port` or `http://host:port`.
    pub fn new(address: &str) -> Client {
        let base = if address.starts_with("http") { address.to_owned() } else { format!("http://{address}") };
        Client { http: reqwest::Client::new(), base: base.trim_end_matches('/').to_owned(), version: None }
    }

    /// The same, which asks for that version of the deployment whichever is active.
    pub fn of_version(&self, version: &str) -> Client {
        Client { version: Some(version.to_owned()), ..self.clone() }
    }

    /// The serving layer's URL.
    pub fn url(&self) -> &str {
        &self.base
    }

    /// `GET /v1/metrics/<metric>/total`
    pub async fn total(&self, metric: &str, parameters: &Parameters<'_>) -> Result<Answer> {
        self.answer(&format!("/v1/metrics/{metric}/total"), parameters).await
    }

    /// `GET /v1/metrics/<metric>/series`
    pub async fn series(&self, metric: &str, parameters: &Parameters<'_>) -> Result<Answer> {
        self.answer(&format!("/v1/metrics/{metric}/series"), parameters).await
    }

    /// Status and body of any request.
    pub async fn get(&self, path: &str, parameters: &Parameters<'_>) -> Result<(u16, Value)> {
        let (status, text) = self.fetch(path, parameters).await?;
        Ok((status, serde_json::from_str(&text).with_context(|| format!("{path} answered {status} with {text:?}"))?))
    }

    /// Waits for a complete total that misses nothing of what arrived before `moment` (microseconds since 1970), and
    /// returns the first: whatever it says, it must be right.
    pub async fn total_as_of(&self, moment: i64, metric: &str, parameters: &Parameters<'_>) -> Result<Answer> {
        wait_for(&format!("a complete total of {metric} as of {}", rfc3339(moment)), DEADLINE, async || {
            let answer = match self.total(metric, parameters).await {
                Ok(answer) => answer,
                Err(error) => return Ok(Progress::NotYet(format!("{error:#}"))),
            };
            if answer.complete && answer.as_of_us()? >= Some(moment) {
                return Ok(Progress::Done(answer));
            }
            Ok(Progress::NotYet(format!("{answer:?}")))
        })
        .await
    }

    /// Waits until it answers about a metric at all, and knows its topic. It says that it is ready before it has read either of its view and that.
    pub async fn serves(&self, metric: &str) -> Result<()> {
        wait_for(&format!("answers about {metric}"), DEADLINE, async || {
            let (status, body) = self.get(&format!("/v1/metrics/{metric}/total"), &[]).await?;
            let knows = status == 200 && !body["gaps"].to_string().contains("topic_unknown");
            Ok(Progress::when(knows, format_args!("{status}: {body}")))
        })
        .await
    }

    /// Waits for a complete total to which only the batch layer gave.
    pub async fn authoritative_total(&self, metric: &str, parameters: &Parameters<'_>) -> Result<Answer> {
        wait_for(&format!("an authoritative total of {metric}"), DEADLINE, async || {
            let answer = self.total(metric, parameters).await?;
            if answer.complete && answer.authoritative {
                return Ok(Progress::Done(answer));
            }
            Ok(Progress::NotYet(format!("{answer:?}")))
        })
        .await
    }

    /// Waits for a total over everything that has a gap for that reason. It must not call itself complete.
    pub async fn total_with_gap(&self, metric: &str, reason: &str) -> Result<Answer> {
        let answer = wait_for(&format!("a gap: {reason}"), DEADLINE, async || {
            let answer = self.total(metric, &[]).await?;
            Ok(if answer.has_gap(reason) { Progress::Done(answer) } else { Progress::NotYet(format!("{answer:?}")) })
        })
        .await?;
        ensure!(!answer.complete, "a gap and complete: {answer:?}");
        Ok(answer)
    }

    async fn answer(&self, path: &str, parameters: &Parameters<'_>) -> Result<Answer> {
        let (status, text) = self.fetch(path, parameters).await?;
        ensure!(status == 200, "{path} {parameters:?} answered {status}: {text}");
        match serde_json::from_str::<Answer>(&text) {
            Ok(answer) => Ok(Answer { text, ..answer }),
            Err(error) => bail!("{path} {parameters:?} answered another shape ({error}): {text}"),
        }
    }

    async fn fetch(&self, path: &str, parameters: &Parameters<'_>) -> Result<(u16, String)> {
        let url = format!("{}{path}", self.base);
        let version = self.version.as_ref().map(|version| ("version", version));
        let request = self.http.get(&url).query(parameters).query(version.as_slice()).timeout(REQUEST_TIMEOUT);
        let response = request.send().await.with_context(|| url.clone())?;
        Ok((response.status().as_u16(), response.text().await?))
    }
}
