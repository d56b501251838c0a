//! The catalog changes what a record is: whichever catalog was there when a record was archived, a metric judges it by the
//! rules of the catalog that defines the metric.
//!
//! - `country`: a field is taken out, the archive is compacted, and the field is put back;
//! - `later`: a field that records always had is declared later, and then another field says when an event happened;
//! - `archived_again`: the archive keeps no bytes, and the log still holds them, or does not;
//! - `judged`: an age limit, a type, `?` and the format change;
//! - `old_archiver`: the archiver still has the old catalog;
//! - `rejected`: records that one catalog rejects and another accepts.

mod archived_again;
mod country;
mod judged;
mod later;
mod old_archiver;
mod rejected;

use std::path::Path;

use anyhow::{Context, Result, ensure};
use e2e_tests::kafka::Record;
use e2e_tests::stage::LAYERS;
use e2e_tests::views::NEVER;
use e2e_tests::{Answer, Archive, Client, Deployment, Producer};
use test_kit::{DEADLINE, Progress, wait_for};

const SOURCE: &str = "events";
/// Counts every event.
const EVENTS: &str = "events";
const DAY_US: i64 = 86_400_000_000;

/// What the catalogs of these scenarios differ in.
#[derive(Clone, Copy)]
struct Rules {
    /// The field that says when an event happened: `a` or `b`.
    event_time: &'static str,
    /// More keys of the source.
    source: &'static str,
    /// Fields besides `id`, `a` and `b`.
    fields: &'static str,
    /// Another metric besides `events`: its name and the one column that it is grouped by.
    metric: Option<(&'static str, &'static str)>,
}

/// Nothing but `id`, `a` and `b`; events happened at `a`.
const PLAIN: Rules = Rules { event_time: "a", source: "", fields: "", metric: None };

impl Rules {
    /// The catalog of a deployment that is named like its topic.
    fn catalog(&self, topic: &str) -> String {
        let Rules { event_time, source, fields, metric } = self;
        let events = metric_of(EVENTS, "");
        let other = metric.map(|(name, by)| metric_of(name, &format!("\"{by}\""))).unwrap_or_default();
        format!(
            r#"[pipeline]
name = "{topic}"
version = "v1"

[schedule]
reconcile = "{NEVER}"

[sources.{SOURCE}]
topic = "{topic}"
partitions = 1
event_id = "id"
event_time = "{event_time}"
{source}
[sources.{SOURCE}.fields]
id = "string"
a = "timestamp"
b = "timestamp"
{fields}
{events}
{other}
"#
        )
    }
}

fn metric_of(name: &str, by: &str) -> String {
    format!(
        "[metrics.{name}]\nsource = \"{SOURCE}\"\nby = [{by}]\ngrain = \"1m\"\n[metrics.{name}.measures]\nn = \"count()\"\n"
    )
}

/// Noon of the day before that moment, in microseconds: far from the ends of a day.
fn noon_before(now_us: i64) -> i64 {
    now_us - now_us.rem_euclid(DAY_US) - DAY_US / 2
}

/// The record of an event that happened at `a_us`; by its field `b`, a day before. `more` are further members of the JSON
/// object, each after a comma.
fn event(id: impl std::fmt::Display, a_us: i64, more: &str) -> Record {
    let (a, b) = (a_us / 1_000, (a_us - DAY_US) / 1_000);
    let payload = format!(r#"{{"id":"{id}","a":{a},"b":{b}{more}}}"#).into_bytes();
    Record { key: id.to_string(), payload, partition: None }
}

/// Starts every layer with another catalog, and reconciles.
async fn change(deployment: &Deployment, catalog: &str) -> Result<()> {
    deployment.write_catalog(catalog)?;
    let [archive, speed, serving] = LAYERS;
    tokio::try_join!(deployment.start(archive), deployment.start(speed), deployment.start(serving))?;
    deployment.reconcile().await
}

/// The metric's count among the events that the parameters ask for.
fn counts(answer: &Answer, expected: usize) -> Result<()> {
    let counted = answer.int("n")?;
    ensure!(answer.complete, "incomplete: {answer:?}");
    ensure!(counted == i64::try_from(expected)?, "{counted} instead of {expected}: {answer:?}");
    Ok(())
}

/// Everything comes from the batch view, and the metric counts so many events.
async fn batch_counts(client: &Client, metric: &str, parameters: &[(&str, String)], expected: usize) -> Result<()> {
    let answer = client.authoritative_total(metric, parameters).await?;
    counts(&answer, expected).with_context(|| format!("{metric} {parameters:?} of the batch view"))
}

/// As of that moment, the metric counts so many events.
async fn both_count(
    client: &Client,
    moment: i64,
    metric: &str,
    parameters: &[(&str, String)],
    expected: usize,
) -> Result<()> {
    let answer = client.total_as_of(moment, metric, parameters).await?;
    counts(&answer, expected).with_context(|| format!("{metric} {parameters:?} of both layers"))
}

/// How many commits of the archive were such an operation.
fn operations(store: &Path, operation: &str) -> Result<usize> {
    Ok(Archive::operations(store, SOURCE)?.iter().filter(|other| *other == operation).count())
}

/// Waits until so many commits of the archive were such an operation.
async fn until_operations(store: &Path, operation: &str, at_least: usize) -> Result<()> {
    wait_for(&format!("{at_least} {operation}"), DEADLINE, async || {
        let done = operations(store, operation)?;
        Ok(Progress::when(done >= at_least, format_args!("{done}")))
    })
    .await
}

/// Sends records one by one, each once the one before is archived, so that each is a file of its own.
async fn file_by_file(deployment: &Deployment, producer: &Producer, records: &[Record]) -> Result<i64> {
    let mut arrived = 0;
    for record in records {
        let before = operations(&deployment.store(), "ARCHIVE")?;
        arrived = producer.send_all([record])?;
        until_operations(&deployment.store(), "ARCHIVE", before + 1).await?;
    }
    Ok(arrived)
}
