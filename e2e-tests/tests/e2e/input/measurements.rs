//! A deployment of two sources for hostile records: JSON with integers, floats and an unused text; and TSV.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use e2e_tests::scenario::now_us;
use e2e_tests::views::NEVER;
use e2e_tests::{Answer, Archive, Client, Scenario, Stage};
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use serde_json::{Value, json};
use test_kit::{DEADLINE, Progress, wait_for};

/// How many valid events a scenario sends beside the others.
pub(crate) const GOOD: i64 = 500;
/// The JSON source and its metric.
pub(crate) const METRIC: &str = "measurements";
/// How soon valid events are answered exactly, whatever arrives beside them.
const FRESH: Duration = Duration::from_secs(2);
const FLUSH: Duration = Duration::from_secs(30);

/// A rejected record as the archive holds it.
#[derive(Debug)]
pub(crate) struct Rejected {
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) raw: Vec<u8>,
}

/// A JSON source with integers, floats and an unused text, and a TSV source beside it.
pub(crate) struct Measurements {
    pub(crate) stage: Stage,
    pub(crate) client: Client,
    producer: BaseProducer,
    events: u64,
}

impl Measurements {
    /// Measurements that a window of so many records is deduplicated in. Nothing where there is only a stand-in for the broker.
    pub(crate) async fn start(scenario: &Scenario, window: i64) -> Result<Option<Measurements>> {
        let setup = Stage::of(scenario)
            .catalog(|topic| catalog(topic, window))
            .topic("", 2, &[("max.message.bytes", "4194304")])
            .topic("-lines", 1, &[])
            // Nobody is killed here, and answers must be fresh: a worker keeps its partitions also if it is not heard of for a second.
            .without_kills();
        let Some(stage) = setup.start_on_real_kafka().await? else { return Ok(None) };
        let producer = ClientConfig::new()
            .set("bootstrap.servers", &stage.brokers)
            .set("enable.idempotence", "true")
            .set("message.max.bytes", "4194304")
            .create()?;
        let measurements = Measurements { client: stage.client()?, stage, producer, events: 0 };
        measurements.counted().await?;
        Ok(Some(measurements))
    }

    /// Waits until everything that was sent is counted.
    pub(crate) async fn counted(&self) -> Result<()> {
        self.client.total_as_of(now_us(), METRIC, &[]).await.map(drop)
    }

    /// Reconciles, and waits until everything comes from the batch view.
    pub(crate) async fn reconciled(&self) -> Result<()> {
        self.stage.deployment.reconcile().await?;
        self.client.authoritative_total(METRIC, &[]).await.map(drop)
    }

    /// A valid event except for those members; null removes one.
    pub(crate) fn event(&mut self, members: Value) -> Vec<u8> {
        self.events += 1;
        let mut event =
            json!({"id": format!("e-{}", self.events), "at": now_us() / 1000, "site": "north", "amount": 1});
        for (name, value) in members.as_object().into_iter().flatten() {
            event[name] = value.clone();
        }
        event.to_string().into_bytes()
    }

    /// An event whose members are more than JSON values can say.
    pub(crate) fn event_text(&mut self, site: &str, members: &str) -> Vec<u8> {
        self.events += 1;
        format!(r#"{{"id": "e-{}", "at": {}, "site": "{site}", {members}}}"#, self.events, now_us() / 1000).into_bytes()
    }

    /// Sends so many valid events, each with the amount 1.
    pub(crate) fn good(&mut self, site: &str, count: i64) -> Result<()> {
        for _ in 0..count {
            let event = self.event(json!({"site": site}));
            self.send(site, &event)?;
        }
        Ok(())
    }

    pub(crate) fn send(&self, key: &str, payload: &[u8]) -> Result<()> {
        let record = BaseRecord::to(&self.stage.topic).key(key).payload(payload);
        self.producer.send(record).map_err(|(error, _)| error.into())
    }

    pub(crate) fn send_to(&self, partition: i32, payload: &[u8]) -> Result<()> {
        let record = BaseRecord::<(), _>::to(&self.stage.topic).partition(partition).payload(payload);
        self.producer.send(record).map_err(|(error, _)| error.into())
    }

    pub(crate) fn send_line(&self, line: &[u8]) -> Result<()> {
        let topic = format!("{}-lines", self.stage.topic);
        self.producer.send(BaseRecord::<(), _>::to(&topic).payload(line)).map_err(|(error, _)| error.into())
    }

    /// Waits until everything has arrived.
    pub(crate) fn flush(&self) -> Result<()> {
        self.producer.flush(FLUSH)?;
        ensure!(self.producer.in_flight_count() == 0, "records are still on their way");
        Ok(())
    }

    /// The total of a site, which must be complete.
    pub(crate) async fn total(&self, site: &str) -> Result<Answer> {
        let answer = self.client.total(METRIC, &[("site", site.to_owned())]).await?;
        ensure!(answer.complete, "{site}: {answer:?}");
        Ok(answer)
    }

    /// What was just sent about a site is answered exactly, and soon.
    pub(crate) async fn fresh(&self, site: &str, is_exact: impl Fn(&Answer) -> Result<bool>) -> Result<()> {
        let begin = Instant::now();
        wait_for(&format!("{site} to be exact"), DEADLINE, async || {
            let answer = self.total(site).await?;
            Ok(Progress::when(is_exact(&answer)?, format_args!("{answer:?}")))
        })
        .await?;
        println!("{site} was exact after {} ms", begin.elapsed().as_millis());
        ensure!(begin.elapsed() < FRESH, "{site} was exact after {:?} only", begin.elapsed());
        Ok(())
    }

    /// An answer about a site is exact.
    pub(crate) async fn exact(&self, site: &str, is_exact: impl Fn(&Answer) -> Result<bool>) -> Result<()> {
        let answer = self.total(site).await?;
        ensure!(is_exact(&answer)?, "{site}: {answer:?}");
        Ok(())
    }

    /// Rejected rows by their reason.
    pub(crate) fn archived(&self, source: &str) -> Result<BTreeMap<String, Rejected>> {
        let columns = ["_partition", "_offset", "_raw", "_error"];
        let rows = Archive::rows(&self.stage.deployment.store(), source, &columns)?;
        let (partitions, offsets) = (rows.column("_partition")?.i32()?, rows.column("_offset")?.i64()?);
        let (raws, errors) = (rows.column("_raw")?.binary()?, rows.column("_error")?.str()?);
        let mut archived = BTreeMap::new();
        for row in 0..rows.height() {
            let Some(error) = errors.get(row) else {
                ensure!(raws.get(row).is_some(), "an event without its bytes");
                continue;
            };
            let rejected = Rejected {
                partition: partitions.get(row).context("no partition")?,
                offset: offsets.get(row).context("no offset")?,
                raw: raws.get(row).unwrap_or_default().to_vec(),
            };
            ensure!(archived.insert(error.to_owned(), rejected).is_none(), "{error} is archived twice");
        }
        Ok(archived)
    }

    /// The status counts one record of that reason, and says where it lies.
    pub(crate) async fn is_shown(&self, source: &str, error: &str, rejected: &Rejected) -> Result<()> {
        let (_, status) = self.client.get("/v1/status", &[]).await?;
        let sources = status["sources"].as_array().context("no sources")?;
        let source = sources.iter().find(|of| of["name"] == source).context("the source is not shown")?;
        let reason = error.split(':').next().unwrap_or_default();
        let rejects = source["rejects"].as_array().into_iter().flatten().find(|rejects| rejects["reason"] == reason);
        let rejects = rejects.with_context(|| format!("{reason} is not shown: {source}"))?;
        ensure!(rejects["count"] == 1, "{rejects}");
        let last = &rejects["last"];
        let Rejected { partition, offset, .. } = rejected;
        let is_there = last["partition"] == *partition && last["offset"] == *offset && last["log"] == source["log"];
        ensure!(is_there && last["error"] == error, "{error} at {partition}/{offset} is shown as {rejects}");
        Ok(())
    }
}

fn catalog(topic: &str, window: i64) -> String {
    format!(
        r#"[pipeline]
name = "{topic}"
version = "v1"

[schedule]
reconcile = "{NEVER}"

[sources.measurements]
topic = "{topic}"
event_id = "id"
event_time = "at"
max_record = "2MiB"
dedup_window = {window}
[sources.measurements.fields]
id = "string"
at = "timestamp"
site = "string"
amount = "int?"
weight = "float?"
note = "string?"

[sources.lines]
topic = "{topic}-lines"
event_time = "at"
format = "tsv"
[sources.lines.fields]
at = "timestamp"
site = "string"
n = "int"

[metrics.measurements]
source = "measurements"
by = ["site"]
grain = "1m"
[metrics.measurements.measures]
events = "count()"
amount = "sum(amount)"
weight = "sum(weight)"
heaviest = "max(weight)"

[metrics.lines]
source = "lines"
by = ["site"]
grain = "1m"
[metrics.lines.measures]
lines = "count()"
n = "sum(n)"
"#
    )
}
