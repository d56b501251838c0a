//! Hostile and careless input among good events: it is archived, counted by reason and shown with its place; and what is
//! good stays exact.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use e2e_tests::answer::rfc3339;
use e2e_tests::kafka::{create_topic_with, end_offsets};
use e2e_tests::scenario::now_us;
use e2e_tests::stage::LAYERS;
use e2e_tests::wait::{DEADLINE, Look, wait_for};
use e2e_tests::{Answer, Archive, Client, Kafka, Stage, scenario};
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use serde_json::{Value, json};

const GOOD: i64 = 500;
/// How soon good events are answered exactly, whatever arrives beside them.
const FRESH: Duration = Duration::from_secs(2);
const MAX_INT: i64 = (1 << 53) - 1;
const MIB: usize = 1 << 20;
const DAY_MS: i64 = 86_400_000;
const FLUSH: Duration = Duration::from_secs(30);

#[test]
fn every_rejection() {
    scenario("every_rejection", async |scenario| {
        let Some(mut stage) = Measurements::start(scenario, "every_rejection", 500_000).await? else { return Ok(()) };
        let now_ms = now_us() / 1000;
        let broken: Vec<(&str, Vec<u8>)> = vec![
            ("empty", Vec::new()),
            ("not_utf8", b"{\"id\": \"\xff\xfe\"}".to_vec()),
            ("not_json", b"{\"id\": \"x\", \"at\": ".to_vec()),
            ("not_object", b"[1, 2, 3]".to_vec()),
            ("missing_field:site", stage.event(json!({"site": null}))),
            ("wrong_type:amount", stage.event(json!({"amount": "ten"}))),
            ("out_of_range:amount", stage.event(json!({"amount": MAX_INT + 1}))),
            ("too_long:site", stage.event(json!({"site": "s".repeat(MIB)}))),
            ("too_old:at", stage.event(json!({"at": now_ms - 401 * DAY_MS}))),
            ("too_far_ahead:at", stage.event(json!({"at": now_ms + 2 * 3_600_000}))),
        ];
        for (_, payload) in &broken {
            stage.good("north", GOOD / 10)?;
            stage.send("north", payload)?;
        }
        // A mebibyte that nothing reads is an event like any other.
        let long = stage.event(json!({"site": "long", "note": "n".repeat(MIB)}));
        stage.send("long", &long)?;
        let short = format!("{}\tnorth", rfc3339(now_ms * 1000)).into_bytes();
        stage.send_line(format!("{now_ms}\tnorth\t7").as_bytes())?;
        stage.send_line(&short)?;
        stage.flush()?;
        stage.fresh("north", |answer| Ok(answer.int("events")? == GOOD && answer.int("amount")? == GOOD)).await?;
        stage.fresh("long", |answer| Ok(answer.int("events")? == 1)).await?;
        let client = stage.client.clone();
        let lines = client.total_as_of(now_us(), "lines", &[]).await?;
        ensure!(lines.int("n")? == 7 && lines.int("lines")? == 1, "{lines:?}");
        stage.stage.deployment.reconcile().await?;
        client.authoritative_total("measurements", &[]).await?;
        stage.exact("north", |answer| Ok(answer.int("events")? == GOOD && answer.int("amount")? == GOOD)).await?;
        stage.exact("long", |answer| Ok(answer.int("events")? == 1)).await?;

        // Archived once each, with its bytes and its reason.
        let archived = stage.archived("measurements")?;
        ensure!(archived.len() == broken.len(), "{} rejected rows: {:?}", archived.len(), archived.keys());
        for (error, payload) in &broken {
            let (place, raw) = archived.get(*error).with_context(|| format!("{error} is not archived"))?;
            ensure!(raw == payload, "{error} is archived with {} other bytes", raw.len());
            stage.is_shown("measurements", error, *place).await?;
        }
        let archived = stage.archived("lines")?;
        let (place, raw) = archived.get("wrong_columns").context("wrong_columns is not archived")?;
        ensure!(archived.len() == 1 && *raw == short, "{archived:?}");
        stage.is_shown("lines", "wrong_columns", *place).await?;
        let archive = Archive::read(&stage.stage.deployment.store(), "measurements")?;
        archive.holds_each_offset_once(&end_offsets(&stage.stage.brokers, &stage.stage.topic)?)?;
        let notes = Archive::rows(&stage.stage.deployment.store(), "measurements", &["note"])?;
        let longest = notes.column("note")?.str()?.iter().flatten().map(str::len).max();
        ensure!(longest == Some(MIB), "the long note is archived with {longest:?} bytes");
        stage.nobody_restarted()
    });
}

#[test]
fn arithmetic_poison() {
    scenario("arithmetic_poison", async |scenario| {
        let Some(mut stage) = Measurements::start(scenario, "arithmetic_poison", 500_000).await? else { return Ok(()) };
        let rejected = [
            ("2^63-1", "\"amount\": 9223372036854775807"),
            ("2^63-1", "\"amount\": 9223372036854775807"),
            ("2^53+1", "\"amount\": 9007199254740993"),
            ("1e400", "\"weight\": 1e400"),
            ("NaN", "\"weight\": NaN"),
            ("NaN as text", "\"weight\": \"NaN\""),
        ];
        for (site, member) in rejected {
            stage.good("north", GOOD / 10)?;
            let payload = stage.event_text(site, member);
            stage.send("north", &payload)?;
        }
        for _ in 0..3 {
            let payload = stage.event_text("huge", "\"weight\": 1e308");
            stage.send("huge", &payload)?;
        }
        for member in ["\"weight\": -0.0", "\"weight\": 0.0"] {
            let payload = stage.event_text("zero", member);
            stage.send("zero", &payload)?;
        }
        // Each is allowed; 1,025 of them leave 64 bits.
        for _ in 0..1_025 {
            let payload = stage.event_text("full", &format!("\"amount\": {MAX_INT}"));
            stage.send("full", &payload)?;
        }
        stage.good("north", GOOD - GOOD / 10 * i64::try_from(rejected.len())?)?;
        stage.flush()?;
        let of_good = |answer: &Answer| Ok(answer.int("events")? == GOOD && answer.int("amount")? == GOOD);
        stage.fresh("north", of_good).await?;
        let client = stage.client.clone();
        client.total_as_of(now_us(), "measurements", &[]).await?;
        for round in ["in the speed view", "in the batch view", "a second time"] {
            stage.exact("north", of_good).await.context(round)?;
            let zero = stage.total("zero").await?;
            ensure!(zero.int("events")? == 2 && zero.float("weight") == Some(0.0), "{round}: {zero:?}");
            let full = stage.total("full").await?;
            ensure!(full.int("events")? == 1_025 && is_overflow(&full, "amount")?, "{round}: {full:?}");
            let huge = stage.total("huge").await?;
            ensure!(huge.int("events")? == 3 && is_overflow(&huge, "weight")?, "{round}: {huge:?}");
            ensure!(huge.float("heaviest") == Some(1e308), "{round}: {huge:?}");
            // What overflows for one key does so for all together; their counts do not.
            let all = client.total("measurements", &[]).await?;
            ensure!(all.complete && all.int("events")? == GOOD + 2 + 1_025 + 3, "{round}: {all:?}");
            ensure!(is_overflow(&all, "amount")? && is_overflow(&all, "weight")?, "{round}: {all:?}");
            for (site, _) in rejected {
                ensure!(stage.total(site).await?.int("events")? == 0, "{round}: {site} was counted");
            }
            stage.stage.deployment.reconcile().await?;
            client.authoritative_total("measurements", &[]).await?;
        }
        // And they do not stand in the way of what comes after.
        stage.good("north", GOOD)?;
        stage.flush()?;
        stage.fresh("north", |answer| Ok(answer.int("events")? == 2 * GOOD)).await?;
        stage.nobody_restarted()
    });
}

#[test]
fn same_identity_again() {
    const WINDOW: i64 = 100;
    scenario("same_identity_again", async |scenario| {
        let Some(stage) = Measurements::start(scenario, "same_identity_again", WINDOW).await? else {
            return Ok(());
        };
        let at = now_us() / 1000;
        let event = |id: &str, site: &str, at: i64, amount: i64| {
            json!({"id": id, "at": at, "site": site, "amount": amount}).to_string().into_bytes()
        };
        // Another payload: the first one stands, at once.
        stage.send_to(0, &event("payload", "payload", at, 1))?;
        stage.send_to(0, &event("payload", "payload", at, 2))?;
        stage.send_to(0, &event("payload", "elsewhere", at, 3))?;
        // Another day: another event.
        stage.send_to(0, &event("day", "day", at, 1))?;
        stage.send_to(0, &event("day", "day", at - DAY_MS, 2))?;
        // The same instant, written in another way: the same event.
        stage.send_to(0, &event("instant", "instant", at, 1))?;
        let same = json!({"id": "instant", "at": rfc3339(at * 1000), "site": "instant", "amount": 2});
        stage.send_to(0, same.to_string().as_bytes())?;
        // Beyond the window, and in another partition: counted until the next reconcile.
        stage.send_to(0, &event("far", "far", at, 1))?;
        stage.send_to(1, &event("partition", "partition", at, 1))?;
        stage.flush()?;
        for n in 0..WINDOW {
            stage.send_to(0, &event(&format!("filler-{n}"), "filler", at, 1))?;
        }
        stage.send_to(0, &event("far", "far", at, 2))?;
        stage.send_to(0, &event("partition", "partition", at, 2))?;
        stage.flush()?;
        let client = stage.client.clone();
        client.total_as_of(now_us(), "measurements", &[]).await?;
        let expected = [
            // site, events and amount in the speed view, and in the batch view
            ("payload", (1, 1), (1, 1)),
            ("elsewhere", (0, 0), (0, 0)),
            ("day", (2, 3), (2, 3)),
            ("instant", (1, 1), (1, 1)),
            ("far", (2, 3), (1, 1)),
            // The smaller partition stands, whichever came first.
            ("partition", (2, 3), (1, 2)),
            ("filler", (WINDOW, WINDOW), (WINDOW, WINDOW)),
        ];
        for (site, speed, _) in expected {
            stage.exact(site, |answer| Ok((answer.int("events")?, answer.int("amount")?) == speed)).await?;
        }
        stage.stage.deployment.reconcile().await?;
        client.authoritative_total("measurements", &[]).await?;
        for (site, _, batch) in expected {
            stage.exact(site, |answer| Ok((answer.int("events")?, answer.int("amount")?) == batch)).await?;
        }
        // Once more after the reconcile: nothing but copies, most of them of events that only the batch view holds.
        for id in ["payload", "far", "partition", "instant"] {
            stage.send_to(0, &event(id, id, at, 9))?;
        }
        stage.flush()?;
        client.total_as_of(now_us(), "measurements", &[]).await?;
        stage.stage.deployment.reconcile().await?;
        client.authoritative_total("measurements", &[]).await?;
        for (site, _, batch) in expected {
            stage.exact(site, |answer| Ok((answer.int("events")?, answer.int("amount")?) == batch)).await?;
        }
        stage.nobody_restarted()
    });
}

/// A JSON source with integers, floats and an unused text, and a TSV source beside it.
struct Measurements {
    stage: Stage,
    client: Client,
    producer: BaseProducer,
    events: u64,
    layers: Vec<e2e_tests::Process>,
}

impl Measurements {
    async fn start(scenario: &e2e_tests::Scenario, name: &str, window: i64) -> Result<Option<Measurements>> {
        let Some(brokers) = Kafka::shared_real(name).await? else { return Ok(None) };
        let topic = scenario.unique_name();
        let stage = Stage::with_catalog(scenario, &brokers, &topic, &catalog(&topic, window)).await?;
        let large = [("max.message.bytes", "4194304")];
        create_topic_with(&brokers, &topic, 2, &large).await?;
        create_topic_with(&brokers, &format!("{topic}-lines"), 1, &[]).await?;
        stage.deployment.start_all(&[]).await?;
        let mut layers = Vec::new();
        for layer in LAYERS {
            layers.push(stage.deployment.start(layer).await?);
        }
        let client = stage.client()?;
        let producer = ClientConfig::new()
            .set("bootstrap.servers", &brokers)
            .set("enable.idempotence", "true")
            .set("message.max.bytes", "4194304")
            .create()?;
        client.total_as_of(now_us(), "measurements", &[]).await?;
        Ok(Some(Measurements { stage, client, producer, events: 0, layers }))
    }

    /// A sound event but for those members; null removes one.
    fn event(&mut self, members: Value) -> Vec<u8> {
        self.events += 1;
        let mut event =
            json!({"id": format!("e-{}", self.events), "at": now_us() / 1000, "site": "north", "amount": 1});
        for (name, value) in members.as_object().into_iter().flatten() {
            event[name] = value.clone();
        }
        event.to_string().into_bytes()
    }

    /// An event whose members are more than JSON values can say.
    fn event_text(&mut self, site: &str, members: &str) -> Vec<u8> {
        self.events += 1;
        format!(r#"{{"id": "e-{}", "at": {}, "site": "{site}", {members}}}"#, self.events, now_us() / 1000).into_bytes()
    }

    fn good(&mut self, site: &str, count: i64) -> Result<()> {
        for _ in 0..count {
            let event = self.event(json!({"site": site}));
            self.send(site, &event)?;
        }
        Ok(())
    }

    fn send(&self, key: &str, payload: &[u8]) -> Result<()> {
        let record = BaseRecord::to(&self.stage.topic).key(key).payload(payload);
        self.producer.send(record).map_err(|(error, _)| error.into())
    }

    fn send_to(&self, partition: i32, payload: &[u8]) -> Result<()> {
        let record = BaseRecord::<(), _>::to(&self.stage.topic).partition(partition).payload(payload);
        self.producer.send(record).map_err(|(error, _)| error.into())
    }

    fn send_line(&self, line: &[u8]) -> Result<()> {
        let topic = format!("{}-lines", self.stage.topic);
        self.producer.send(BaseRecord::<(), _>::to(&topic).payload(line)).map_err(|(error, _)| error.into())
    }

    fn flush(&self) -> Result<()> {
        self.producer.flush(FLUSH)?;
        ensure!(self.producer.in_flight_count() == 0, "records are still on their way");
        Ok(())
    }

    async fn total(&self, site: &str) -> Result<Answer> {
        let answer = self.client.total("measurements", &[("site", site.to_owned())]).await?;
        ensure!(answer.complete, "{site}: {answer:?}");
        Ok(answer)
    }

    /// What was just sent about a site is answered exactly, soon.
    async fn fresh(&self, site: &str, is_exact: impl Fn(&Answer) -> Result<bool>) -> Result<()> {
        let begin = Instant::now();
        wait_for(&format!("{site} to be exact"), DEADLINE, async || {
            let answer = self.total(site).await?;
            Ok(if is_exact(&answer)? { Look::Done(()) } else { Look::NotYet(format!("{answer:?}")) })
        })
        .await?;
        println!("{site} was exact after {} ms", begin.elapsed().as_millis());
        ensure!(begin.elapsed() < FRESH, "{site} was exact after {:?} only", begin.elapsed());
        Ok(())
    }

    async fn exact(&self, site: &str, is_exact: impl Fn(&Answer) -> Result<bool>) -> Result<()> {
        let answer = self.total(site).await?;
        ensure!(is_exact(&answer)?, "{site}: {answer:?}");
        Ok(())
    }

    /// Rejected rows by their reason: where they were, and their bytes.
    fn archived(&self, source: &str) -> Result<BTreeMap<String, (Place, Vec<u8>)>> {
        let columns = ["_partition", "_offset", "_raw", "_error"];
        let rows = Archive::rows(&self.stage.deployment.store(), source, &columns)?;
        let (partitions, offsets) = (rows.column("_partition")?.i32()?, rows.column("_offset")?.i64()?);
        let (raws, errors) = (rows.column("_raw")?.binary()?, rows.column("_error")?.str()?);
        let mut archived = BTreeMap::new();
        for row in 0..rows.height() {
            let Some(error) = errors.get(row) else {
                ensure!(raws.get(row).is_none(), "an event with raw bytes");
                continue;
            };
            let place = (partitions.get(row).context("no partition")?, offsets.get(row).context("no offset")?);
            let raw = raws.get(row).unwrap_or_default().to_vec();
            ensure!(archived.insert(error.to_owned(), (place, raw)).is_none(), "{error} is archived twice");
        }
        Ok(archived)
    }

    /// The status counts one record of that reason, and says where it lies.
    async fn is_shown(&self, source: &str, error: &str, (partition, offset): Place) -> Result<()> {
        let (_, status) = self.client.get("/v1/status", &[]).await?;
        let sources = status["sources"].as_array().context("no sources")?;
        let source = sources.iter().find(|of| of["name"] == source).context("the source is not shown")?;
        let reason = error.split(':').next().unwrap_or_default();
        let rejects = source["rejects"].as_array().into_iter().flatten().find(|rejects| rejects["reason"] == reason);
        let rejects = rejects.with_context(|| format!("{reason} is not shown: {source}"))?;
        ensure!(rejects["count"] == 1, "{rejects}");
        let last = &rejects["last"];
        let is_there = last["partition"] == partition && last["offset"] == offset && last["log"] == source["log"];
        ensure!(is_there && last["error"] == error, "{error} at {partition}/{offset} is shown as {rejects}");
        Ok(())
    }

    /// Every layer is the process that was started, and no lane of a partition had to begin anew.
    fn nobody_restarted(&self) -> Result<()> {
        for process in &self.layers {
            ensure!(process.ended()?.is_none(), "a layer ended");
            let output = process.output()?;
            for trouble in ["was not applied", "a plan failed", "panicked", "archiving stopped", "ERROR"] {
                ensure!(!output.contains(trouble), "a layer said {trouble:?}");
            }
        }
        Ok(())
    }
}

/// Partition and offset.
type Place = (i32, i64);

/// Null, and the answer says why.
fn is_overflow(answer: &Answer, measure: &str) -> Result<bool> {
    let body: Value = serde_json::from_str(&answer.text)?;
    let said = body["overflow"].as_array().into_iter().flatten().any(|said| {
        said["value"] == measure && said["reason"].as_str().is_some_and(|reason| reason.contains("64 bits"))
    });
    Ok(answer.values.get(measure).is_some_and(Value::is_null) && said)
}

fn catalog(topic: &str, window: i64) -> String {
    format!(
        r#"[pipeline]
name = "{topic}"
version = "v1"

[schedule]
reconcile = "0 0 0 29 2 *"

[sources.measurements]
topic = "{topic}"
event_id = "id"
event_time = "at"
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
