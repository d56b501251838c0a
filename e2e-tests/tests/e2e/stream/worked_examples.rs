//! Examples whose outputs are known, to the letter: late data, a sliding mean, sessions, and a fraud detector.
//!
//! - `detector`: that detector as a program, one payment after the other.

mod detector;

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, ensure};
use e2e_tests::kafka::Record;
use e2e_tests::streams::fraud::RULES;
use e2e_tests::streams::written::{Stream, Written};
use e2e_tests::time::{micros, rfc3339};
use e2e_tests::views::NEVER;
use e2e_tests::{Producer, Stage, scenario};
use rand::Rng;
use rand::rngs::StdRng;
use serde_json::{Value, json};
use test_kit::{DEADLINE, Progress, repetitions, wait_for};

use self::detector::{FraudDetector, Transaction};
use super::payments::LAYERS;

const SECOND_MS: i64 = 1_000;
const MINUTE_MS: i64 = 60 * SECOND_MS;
/// How many transactions are sent in order, and how many bursts of six out of order.
const TRANSACTIONS: usize = 600;
const BURSTS: usize = 1_000;

#[test]
fn streams_worked_examples() {
    scenario("streams_worked_examples", async |scenario| {
        let setup =
            Stage::of(scenario).catalog(catalog).topic("", 1, &[]).topic("-transactions", 1, &[]).running(&LAYERS);
        let Some(stage) = setup.start_on_real_kafka().await? else { return Ok(()) };
        let day = day_before(stage.now_us);
        late_data(&stage, day).await.context("late data")?;
        sessions(&stage, day).await.context("sessions")?;
        sliding_mean(&stage, day).await.context("a sliding mean")?;
        fraud(&stage, day).await.context("fraud")
    });
}

/// 10:00 of the day before, in milliseconds since 1970.
fn day_before(now_us: i64) -> i64 {
    let day_ms = 24 * 60 * MINUTE_MS;
    now_us / 1_000 / day_ms * day_ms - day_ms + 600 * MINUTE_MS
}

/// The window of 10:00:00 to 10:00:05 counts the event of 10:00:02 that arrives at 10:00:07, and closes with the event of 10:00:15.
async fn late_data(stage: &Stage, ten_ms: i64) -> Result<()> {
    let producer = stage.producer()?;
    for (at, arrives) in [(0, 0), (1, 1), (3, 3), (4, 4), (2, 7), (14, 14), (15, 15), (3, 16)] {
        click(&producer, "late", ten_ms + at * SECOND_MS, ten_ms + arrives * SECOND_MS, 0.0)?;
    }
    producer.flush()?;
    let stream = Stream::of(&stage.topic, "counted");
    let written = until(&stage.brokers, &stream, 2).await?;
    let window = written[0].json()?;
    ensure!(written[0].offset == 6, "another event closed the window: {:?}", written[0]);
    ensure!(window["window_start"] == rfc3339(ten_ms * 1_000) && window["n"] == 5, "{window}");
    let late = &written[1];
    ensure!(late.is_late && late.offset == 7 && late.found.payload.ends_with(b"}"), "{late:?}");
    let missed = format!("{}/{}", rfc3339(ten_ms * 1_000), rfc3339((ten_ms + 5 * SECOND_MS) * 1_000));
    ensure!(late.found.header("braid-missed") == Some(missed.as_str()), "{late:?}");
    Ok(())
}

/// Three clicks, a minute without, and five clicks, with a gap of 30 s: sessions of three and of five.
async fn sessions(stage: &Stage, ten_ms: i64) -> Result<()> {
    let producer = stage.producer()?;
    let first_ms = ten_ms + 10 * MINUTE_MS;
    for second in [0, 10, 20, 80, 90, 100, 110, 120] {
        let at_ms = first_ms + second * SECOND_MS;
        click(&producer, "visitor", at_ms, at_ms, 0.0)?;
    }
    click(&producer, "other", first_ms + 10 * MINUTE_MS, first_ms + 10 * MINUTE_MS, 0.0)?;
    producer.flush()?;
    let stream = Stream { has_late: false, ..Stream::of(&stage.topic, "visits") };
    let is_visitor = |written: &&Written| written.json().is_ok_and(|visit| visit["user"] == "visitor");
    let visits = wait_for("two sessions", DEADLINE, async || {
        let written = stream.read(&stage.brokers)?;
        let visits = written.iter().filter(is_visitor).map(Written::json).collect::<Result<Vec<Value>>>()?;
        Ok(if visits.len() == 2 { Progress::Done(visits) } else { Progress::NotYet(format!("{visits:?}")) })
    })
    .await?;
    ensure!(visits[0]["n"] == 3 && visits[1]["n"] == 5, "{visits:?}");
    let end = rfc3339((first_ms + 20 * SECOND_MS) * 1_000);
    ensure!(visits[0]["session_start"] == rfc3339(first_ms * 1_000) && visits[0]["session_end"] == end, "{visits:?}");
    Ok(())
}

/// The mean over five minutes, every minute, is that of a recount of each window.
async fn sliding_mean(stage: &Stage, ten_ms: i64) -> Result<()> {
    let (producer, mut rng) = (stage.producer()?, stage.rng());
    let first_ms = ten_ms + 30 * MINUTE_MS;
    let mut events: Vec<(i64, f64)> = Vec::new();
    let mut at_ms = first_ms;
    while at_ms < first_ms + 20 * MINUTE_MS {
        let latency = f64::from(rng.random_range(1..4_000_u32)) * 0.25;
        click(&producer, "server", at_ms, at_ms, latency)?;
        events.push((at_ms, latency));
        at_ms += rng.random_range(1..5_000);
    }
    click(&producer, "other", at_ms + 10 * MINUTE_MS, at_ms + 10 * MINUTE_MS, 0.0)?;
    producer.flush()?;
    let mut expected: BTreeMap<i64, f64> = BTreeMap::new();
    let mut start = first_ms - 4 * MINUTE_MS;
    while start < at_ms {
        let inside = events.iter().filter(|(at, _)| (start..start + 5 * MINUTE_MS).contains(at));
        let values: Vec<f64> = inside.map(|(_, latency)| *latency).collect();
        if !values.is_empty() {
            expected.insert(start * 1_000, values.iter().sum::<f64>() / values.len() as f64);
        }
        start += MINUTE_MS;
    }
    let stream = Stream { has_late: false, ..Stream::of(&stage.topic, "latency") };
    wait_for("the means of all windows", DEADLINE, async || {
        let mut means = BTreeMap::new();
        for written in stream.read(&stage.brokers)? {
            let window = written.json()?;
            if window["user"] == "server" {
                let start = micros(window["window_start"].as_str().unwrap_or_default())?;
                let mean = window["latency"].as_f64().context("no mean")?;
                ensure!(means.insert(start, mean).is_none(), "a window was written twice: {window}");
            }
        }
        Ok(Progress::when(means == expected, format_args!("{means:?} instead of {expected:?}")))
    })
    .await
}

/// Any transactions in order give the program's alerts, one for one; and out of order, every burst is found.
async fn fraud(stage: &Stage, ten_ms: i64) -> Result<()> {
    let producer = Producer::new(&stage.brokers, &format!("{}-transactions", stage.topic))?;
    let (mut rng, mut detector) = (stage.rng(), FraudDetector::default());
    let mut at_ms = ten_ms;
    let mut expected: Vec<(String, String)> = Vec::new();
    for number in 0..repetitions(TRANSACTIONS, 10 * TRANSACTIONS) {
        at_ms += rng.random_range(0..6_000);
        let transaction = any(&mut rng, number, at_ms);
        let alerts = detector.process_event(&transaction);
        expected.extend(alerts.into_iter().map(|rule| (transaction.id.clone(), rule.to_owned())));
        send(&producer, &transaction, at_ms)?;
    }
    let in_order = expected.len();
    let rules: BTreeSet<&String> = expected.iter().map(|(_, rule)| rule).collect();
    ensure!(rules.len() == 3, "of three rules the detector has met only {rules:?}");

    let mut bursts: Vec<(i64, Transaction)> = Vec::new();
    let count = repetitions(BURSTS, 5 * BURSTS);
    for burst in 0..count {
        let first_ms = at_ms + rng.random_range(0..60 * MINUTE_MS);
        for n in 0..6 {
            let (id, user) = (format!("burst-{burst}-{n}"), format!("burst-{burst}"));
            let at_ms = first_ms + n * SECOND_MS;
            let transaction = Transaction { id, user, amount: 10.0, place: (51.5, -0.125), at_ms };
            bursts.push((at_ms + rng.random_range(0..=SECOND_MS), transaction));
        }
    }
    bursts.sort_by_key(|(arrives_ms, _)| *arrives_ms);
    for (arrives_ms, transaction) in &bursts {
        send(&producer, transaction, *arrives_ms)?;
    }
    producer.flush()?;
    let alerts = until(&stage.brokers, &Stream::of(&stage.topic, "alerts"), in_order + count).await?;
    ensure!(alerts.iter().all(|alert| !alert.is_late), "nothing is late");
    let alerts = alerts.iter().map(said).collect::<Result<Vec<(String, String)>>>()?;
    ensure!(alerts[..in_order] == expected, "{:?} instead of {expected:?}", &alerts[..in_order]);
    let found: BTreeSet<&str> =
        alerts[in_order..].iter().filter_map(|(id, _)| id.rsplit_once('-')).map(|id| id.0).collect();
    ensure!(found.len() == count, "{} of {count} bursts were found", found.len());
    ensure!(alerts[in_order..].iter().all(|(_, rule)| rule == "high_velocity"), "{alerts:?}");
    Ok(())
}

/// A transaction of one of a few users, who pay often, sometimes far away, and sometimes a lot.
fn any(rng: &mut StdRng, number: usize, at_ms: i64) -> Transaction {
    const PLACES: [(f64, f64); 3] = [(40.75, -74.0), (51.5, -0.125), (-33.875, 151.25)];
    let place = PLACES[if rng.random_bool(0.05) { rng.random_range(0..PLACES.len()) } else { 0 }];
    let usual = f64::from(rng.random_range(1..400_u32)) * 0.25;
    let amount = if rng.random_bool(0.03) { usual * 40.0 } else { usual };
    let user = format!("user-{}", rng.random_range(0..8));
    Transaction { id: format!("t-{number}"), user, amount, place, at_ms }
}

/// The transaction and the rule of an alert.
fn said(alert: &Written) -> Result<(String, String)> {
    let alert = alert.json()?;
    let text = |name: &str| alert[name].as_str().map(str::to_owned).with_context(|| format!("no {name}: {alert}"));
    Ok((text("transaction_id")?, text("rule")?))
}

/// Waits until a stream has written at least so much, late events included, and returns it in the order of positions.
async fn until(brokers: &str, stream: &Stream, count: usize) -> Result<Vec<Written>> {
    wait_for(&format!("{count} of {}", stream.name), DEADLINE, async || {
        let mut written = stream.read(brokers)?;
        written.sort_by_key(|written| (written.partition, written.offset, written.n));
        Ok(match written.len() {
            len if len >= count => Progress::Done(written),
            len => Progress::NotYet(format!("{len} were written")),
        })
    })
    .await
}

fn click(producer: &Producer, user: &str, at_ms: i64, arrives_ms: i64, latency: f64) -> Result<()> {
    let payload = json!({"at": at_ms, "user": user, "latency": latency}).to_string().into_bytes();
    producer.send_at(&Record { key: user.to_owned(), payload, partition: None }, arrives_ms)
}

fn send(producer: &Producer, transaction: &Transaction, arrives_ms: i64) -> Result<()> {
    let Transaction { id, user, amount, place: (lat, lon), at_ms } = transaction;
    let payload = json!({
        "transaction_id": id, "user_id": user, "amount": amount, "lat": lat, "lon": lon, "at": at_ms,
    });
    let record = Record { key: user.clone(), payload: payload.to_string().into_bytes(), partition: None };
    producer.send_at(&record, arrives_ms)
}

fn catalog(name: &str) -> String {
    format!(
        r#"[pipeline]
name = "{name}"
version = "v1"

[schedule]
reconcile = "{NEVER}"

[sources.clicks]
topic = "{name}"
partitions = 1
event_time = "at"
key = "user"
[sources.clicks.fields]
at = "timestamp"
user = "string"
latency = "float"

[sources.transactions]
topic = "{name}-transactions"
partitions = 1
event_id = "transaction_id"
event_time = "at"
key = "user_id"
[sources.transactions.fields]
transaction_id = "string"
user_id = "string"
amount = "float"
lat = "float"
lon = "float"
at = "timestamp"

[streams.counted]
from = "clicks"
topic = "{name}-counted"
by = ["user"]
window = "5s"
lateness = "10s"
[streams.counted.measures]
n = "count()"

[streams.visits]
from = "clicks"
topic = "{name}-visits"
by = ["user"]
session = "30s"
lateness = "10s"
[streams.visits.measures]
n = "count()"

[streams.latency]
from = "clicks"
topic = "{name}-latency"
by = ["user"]
window = "5m"
slide = "1m"
[streams.latency.measures]
latency = "avg(latency)"

[streams.alerts]
from = "transactions"
topic = "{name}-alerts"
key = "user_id"
history = "1h"
lateness = "5m"
[streams.alerts.detect]
{RULES}
"#
    )
}
