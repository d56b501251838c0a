//! What the serving layer says of all layers: the bodies of `/v1/status` and `/v1/metrics`, and the newest row of each metric,
//! stream and search index in `/v1/reconciliations`. `/docs` says what their members mean.

use std::collections::HashSet;

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::{Value, json};
use shared_logic::contracts::archive::{LeftIn, Place};

use crate::serving::{Gap, Reply, Serving};

/// As far as a person is told it.
#[derive(Debug, Deserialize)]
pub(super) struct Report {
    pub(super) status: Status,
    pub(super) metrics: Vec<Metric>,
    /// None of them if they could not be read.
    #[serde(default)]
    pub(super) reconciliations: Vec<Reconciliation>,
}

/// The last reconcile of a metric, or the last check of a stream or of a search index.
#[derive(Debug, Deserialize)]
pub(super) struct Reconciliation {
    /// The metric's name, the stream's or the index's.
    pub(super) metric: String,
    pub(super) drift: Option<Drift>,
    pub(super) stream_check: Option<StreamCheck>,
    pub(super) index_check: Option<IndexCheck>,
}

/// How many documents of an index are not what its table says.
#[derive(Debug, Deserialize)]
pub(super) struct IndexCheck {
    pub(super) missing: u64,
    pub(super) extra: u64,
    pub(super) different: u64,
}

/// How many outputs of a stream are not what its definition decides.
#[derive(Debug, Deserialize)]
pub(super) struct StreamCheck {
    pub(super) missing: u64,
    pub(super) extra: u64,
    pub(super) different: u64,
}

/// By how many events, and in how many buckets without a reason, speed and batch had differed.
#[derive(Debug, Deserialize)]
pub(super) struct Drift {
    pub(super) duplicates: u64,
    pub(super) unexplained: u64,
}

#[derive(Debug, Deserialize)]
pub(super) struct Status {
    pub(super) deployment: Deployment,
    pub(super) braid: String,
    pub(super) sources: Vec<Source>,
    /// Older serving layers do not say it.
    #[serde(default)]
    pub(super) streams: Vec<Stream>,
    /// Older serving layers do not say it.
    #[serde(default)]
    pub(super) tables: Vec<Materialised>,
    /// Serving layers whose catalog has no index do not say it.
    #[serde(default)]
    pub(super) indexes: Vec<Index>,
    pub(super) dependencies: Dependencies,
}

#[derive(Debug, Deserialize)]
pub(super) struct Deployment {
    pub(super) name: String,
    pub(super) version: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Dependencies {
    pub(super) redis: Dependency,
    pub(super) kafka: Dependency,
    pub(super) store: Dependency,
}

/// Why something cannot be reached; nothing if it can.
#[derive(Debug, Deserialize)]
pub(super) struct Dependency {
    #[serde(default)]
    pub(super) reasons: Vec<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Source {
    pub(super) name: String,
    pub(super) topic: String,
    pub(super) log: Option<String>,
    #[serde(default)]
    pub(super) logs_not_shown: u64,
    pub(super) partitions: Vec<Partition>,
    pub(super) rejects: Vec<Reject>,
    /// Older serving layers do not say it.
    #[serde(default)]
    pub(super) erasures: Vec<Erasure>,
    #[serde(default)]
    pub(super) erasures_not_shown: u64,
}

/// An erasure of which something is outstanding.
#[derive(Debug, Deserialize)]
pub(super) struct Erasure {
    pub(super) id: String,
    pub(super) events: u64,
    pub(super) left_in: Option<LeftIn>,
    pub(super) since: Option<String>,
    pub(super) retired_before: Option<String>,
    pub(super) without_bytes: u64,
}

#[derive(Debug, Deserialize)]
pub(super) struct Partition {
    pub(super) log: String,
    pub(super) partition: i32,
    pub(super) closed: bool,
    pub(super) next: Option<i64>,
    pub(super) cursor: Option<i64>,
    pub(super) end: Option<i64>,
    pub(super) speed_lag: Option<i64>,
    pub(super) archive_lag: Option<i64>,
    pub(super) lost: Vec<Range>,
    pub(super) not_decodable: Vec<Range>,
}

/// Offsets that answers lack.
#[derive(Debug, Deserialize)]
pub(super) struct Range {
    pub(super) from: i64,
    pub(super) to: i64,
    pub(super) accepted: bool,
}

#[derive(Debug, Deserialize)]
pub(super) struct Reject {
    pub(super) reason: String,
    pub(super) count: u64,
    pub(super) last: Place,
}

/// A stream in short.
#[derive(Debug, Deserialize)]
pub(super) struct Stream {
    pub(super) name: String,
    pub(super) from: String,
    /// How many offsets of its source are not decided.
    pub(super) behind: Option<i64>,
    pub(super) published_at: Option<String>,
    /// Whether it is written at all, and why it is not, or why that is not known.
    pub(super) written: Option<bool>,
    pub(super) why: Option<String>,
    /// What stops it, in some partition at least.
    #[serde(default)]
    pub(super) stopped: Vec<String>,
    pub(super) warnings: Vec<String>,
}

/// How far a table is materialised; nothing before the first time.
#[derive(Debug, Deserialize)]
pub(super) struct Materialised {
    pub(super) name: String,
    pub(super) rows: Option<u64>,
    pub(super) materialised_at: Option<String>,
    /// Whether its rows are those of the catalog's definition.
    pub(super) current: Option<bool>,
    /// How many offsets are archived and not materialised.
    pub(super) behind: Option<i64>,
}

/// How far a search index is.
#[derive(Debug, Deserialize)]
pub(super) struct Index {
    pub(super) index: String,
    /// The build that searches ask.
    pub(super) serving: Option<u64>,
    pub(super) builds: Vec<Build>,
    pub(super) records_behind: Option<i64>,
    pub(super) refused: Option<Refused>,
    pub(super) error: Option<String>,
}

/// A build of a search index.
#[derive(Debug, Deserialize)]
pub(super) struct Build {
    pub(super) number: u64,
    pub(super) stage: String,
    pub(super) rows: u64,
    pub(super) loaded: u64,
}

/// How many documents of an index the search server has refused.
#[derive(Debug, Deserialize)]
pub(super) struct Refused {
    pub(super) count: u64,
}

#[derive(Debug, Deserialize)]
pub(super) struct Metric {
    pub(super) name: String,
    pub(super) source: String,
    pub(super) cut: Option<Cut>,
    pub(super) freshness: Freshness,
}

#[derive(Debug, Deserialize)]
pub(super) struct Cut {
    pub(super) version: u64,
    pub(super) age_ms: u64,
    pub(super) is_current: bool,
    /// Older serving layers do not say it.
    #[serde(default)]
    pub(super) pause: Option<Pause>,
}

/// A view that was rolled back.
#[derive(Debug, Deserialize)]
pub(super) struct Pause {
    pub(super) since: String,
    pub(super) rolled_back_to: u64,
}

#[derive(Debug, Deserialize)]
pub(super) struct Freshness {
    pub(super) lag_ms: Option<u64>,
    pub(super) complete: bool,
    #[serde(default)]
    pub(super) gaps: Vec<Gap>,
    pub(super) error: Option<String>,
}

/// Asks for all of it: `{"status": …, "metrics": […], "reconciliations": […]}`.
///
/// # Errors
/// If there is no answer to one of the first two. Without the third, a status is worth as much.
pub(super) async fn ask(serving: &Serving) -> Result<Value> {
    let status = body(serving, &["v1", "status"]).await?;
    let mut metrics = body(serving, &["v1", "metrics"]).await?;
    let reconciliations = reconciliations(serving).await.unwrap_or_default();
    let metrics = metrics.get_mut("metrics").map(Value::take);
    Ok(json!({"status": status, "metrics": metrics, "reconciliations": reconciliations}))
}

/// The newest row of each metric, of each stream, and of each search index.
async fn reconciliations(serving: &Serving) -> Result<Vec<Value>> {
    let mut url = serving.url(&["v1", "reconciliations"])?;
    url.set_query(Some("limit=1000"));
    let Reply::Answer(body) = serving.get(&url).await? else { return Ok(Vec::new()) };
    let mut body: Value = serde_json::from_str(&body)?;
    let rows = body.get_mut("reconciliations").and_then(Value::as_array_mut).map(std::mem::take).unwrap_or_default();
    let mut seen = HashSet::new();
    Ok(rows
        .into_iter()
        .filter(|row| {
            seen.insert((row["metric"].to_string(), row["stream_check"].is_object(), row["index_check"].is_object()))
        })
        .collect())
}

async fn body(serving: &Serving, path: &[&str]) -> Result<Value> {
    let body =
        serving.answer(path).await.context("cannot ask the serving layer (`braid status --tables` needs none)")?;
    serde_json::from_str(&body).with_context(|| format!("/{} is no JSON", path.join("/")))
}

impl Report {
    /// What is told of all that.
    ///
    /// # Errors
    /// If they have another form than a serving layer's.
    pub(super) fn parse(both: &Value) -> Result<Report> {
        Report::deserialize(both).context("this is no status of a serving layer; --output json shows it")
    }
}
