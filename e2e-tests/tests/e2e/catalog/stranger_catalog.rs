//! A source and a metric from a file that shares nothing with the sample: events identified by two fields, two group-key
//! columns of which one may be absent, optional fields, floats, `min` and `max`, and a grain of five minutes.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use e2e_tests::kafka::Record;
use e2e_tests::time::rfc3339;
use e2e_tests::{Answer, Client, Stage, scenario};
use rand::Rng;
use rand::rngs::StdRng;
use serde_json::json;

const READINGS: usize = 20_000;
const SITES: [&str; 3] = ["north", "south, by the \"lake\"", "Zürich"];
const FLOORS: i64 = 4;
const MINUTE_US: i64 = 60_000_000;
/// Float sums may differ by this share of the sum of absolute values.
const FLOAT_TOLERANCE: f64 = 1e-9;

/// What one sensor measured. Every site numbers its own readings.
#[derive(Clone)]
struct Reading {
    number: usize,
    at_us: i64,
    site: &'static str,
    floor: Option<i64>,
    celsius: f64,
    humidity: Option<f64>,
    ok: Option<bool>,
}

/// The metric's measures over some of the readings, counted one by one.
#[derive(Debug, Default)]
struct Expected {
    readings: i64,
    celsius: f64,
    celsius_absolute: f64,
    warmest: Option<f64>,
    driest: Option<f64>,
}

#[test]
fn stranger_catalog() {
    scenario("stranger_catalog", async |scenario| {
        let stage = Stage::of(scenario).catalog(catalog).partitions(3).start().await?;
        let client = stage.client()?;
        let mut rng = stage.rng();
        let readings: Vec<_> = (0..READINGS).map(|number| reading(&mut rng, number / 2, stage.now_us)).collect();
        let readings = distinct(readings);
        let (first, second) = readings.split_at(readings.len() / 2);
        let producer = stage.producer()?;

        let arrived = producer.send_all(&records(&mut rng, first))?;
        client.total_as_of(arrived, "climate", &[]).await?;
        every_total_is_right(&client, first).await.context("speed alone")?;
        stage.deployment.reconcile().await?;
        client.authoritative_total("climate", &[]).await?;
        every_total_is_right(&client, first).await.context("batch alone")?;
        let arrived = producer.send_all(&records(&mut rng, second))?;
        client.total_as_of(arrived, "climate", &[]).await?;
        every_total_is_right(&client, &readings).await.context("both layers")?;
        a_key_never_seen_answers_zeros(&client).await?;
        mistakes_are_named(&client).await
    });
}

fn catalog(topic: &str) -> String {
    format!(
        r#"[pipeline]
name = "{topic}"
version = "v1"

[schedule]
reconcile = "0 0 3 * * *"

[sources.sensors]
topic = "{topic}"
partitions = 3
event_id = ["site", "number"]
event_time = "measured"
[sources.sensors.fields]
number = "int"
measured = "timestamp"
site = "string"
floor = "int?"
celsius = "float"
humidity = "float?"
ok = "bool?"

[metrics.climate]
source = "sensors"
where = "ok IS NULL OR ok"
by = ["site", "floor"]
grain = "5m"
[metrics.climate.measures]
readings = "count()"
celsius = "sum(celsius)"
warmest = "max(celsius)"
driest = "min(humidity)"
[metrics.climate.derived]
mean_celsius = "celsius / readings"
"#
    )
}

/// Of the last 30 hours. Two sites often have a reading of the same number at the same time.
fn reading(rng: &mut StdRng, number: usize, now_us: i64) -> Reading {
    Reading {
        number,
        at_us: now_us - number as i64 % 1_800 * MINUTE_US,
        site: SITES[rng.random_range(0..SITES.len())],
        floor: rng.random_bool(0.8).then(|| rng.random_range(-1..FLOORS)),
        celsius: rng.random_range(-40.0..50.0),
        humidity: rng.random_bool(0.5).then(|| rng.random_range(0.0..1.0)),
        ok: [None, Some(true), Some(false)][rng.random_range(0..3)],
    }
}

/// Without those that have site and number of the one before, and with them its time.
fn distinct(mut readings: Vec<Reading>) -> Vec<Reading> {
    readings.dedup_by(|later, first| (later.site, later.number) == (first.site, first.number));
    readings
}

/// A record for each reading, and for some of them another copy.
fn records(rng: &mut StdRng, readings: &[Reading]) -> Vec<Record> {
    let mut records = Vec::new();
    for reading in readings {
        records.push(record(reading));
        if rng.random_bool(0.1) {
            let copy = Reading { celsius: 1_000.0, floor: Some(FLOORS), ..reading.clone() };
            records.push(record(&copy));
        }
    }
    records
}

fn record(reading: &Reading) -> Record {
    let mut payload = json!({
        "number": reading.number, "measured": rfc3339(reading.at_us), "site": reading.site,
        "celsius": reading.celsius, "undeclared": {"kept": true},
    });
    if let Some(floor) = reading.floor {
        payload["floor"] = json!(floor);
    }
    if let Some(humidity) = reading.humidity {
        payload["humidity"] = json!(humidity);
    }
    if let Some(ok) = reading.ok {
        payload["ok"] = json!(ok);
    }
    Record { key: reading.site.to_owned(), payload: payload.to_string().into_bytes(), partition: None }
}

/// What is asked of the floor: nothing, or one that may be absent.
type Floor = Option<Option<i64>>;

async fn every_total_is_right(client: &Client, readings: &[Reading]) -> Result<()> {
    let mut questions: Vec<(Option<&str>, Floor)> = vec![(None, None), (None, Some(Some(2))), (None, Some(None))];
    for site in SITES {
        questions.extend([(Some(site), None), (Some(site), Some(None))]);
        questions.extend((-1..FLOORS).map(|floor| (Some(site), Some(Some(floor)))));
    }
    for (site, floor) in questions {
        let mut parameters = BTreeMap::new();
        parameters.extend(site.map(|site| ("site", site.to_owned())));
        parameters.extend(floor.map(|floor| match floor {
            Some(floor) => ("floor", floor.to_string()),
            None => ("floor.missing", "true".to_owned()),
        }));
        let parameters: Vec<_> = parameters.into_iter().collect();
        let of_the_key = |reading: &&Reading| {
            site.is_none_or(|site| site == reading.site) && floor.is_none_or(|floor| floor == reading.floor)
        };
        let expected = expected(readings.iter().filter(of_the_key));
        let answer = client.total("climate", &parameters).await?;
        total_is_right(&answer, &expected).with_context(|| format!("{site:?} {floor:?}: {expected:?}, {answer:?}"))?;
    }
    Ok(())
}

fn expected<'a>(readings: impl Iterator<Item = &'a Reading>) -> Expected {
    let mut expected = Expected::default();
    for reading in readings.filter(|reading| reading.ok != Some(false)) {
        expected.readings += 1;
        expected.celsius += reading.celsius;
        expected.celsius_absolute += reading.celsius.abs();
        expected.warmest = Some(expected.warmest.map_or(reading.celsius, |warmest| warmest.max(reading.celsius)));
        if let Some(humidity) = reading.humidity {
            expected.driest = Some(expected.driest.map_or(humidity, |driest| driest.min(humidity)));
        }
    }
    expected
}

fn total_is_right(answer: &Answer, expected: &Expected) -> Result<()> {
    ensure!(answer.complete, "incomplete");
    ensure!(answer.int("readings")? == expected.readings, "readings");
    let celsius = answer.float("celsius").context("no celsius")?;
    ensure!((celsius - expected.celsius).abs() <= FLOAT_TOLERANCE * expected.celsius_absolute, "celsius");
    // Both are values that were sent, so they are exact.
    ensure!(answer.float("warmest") == expected.warmest, "warmest");
    ensure!(answer.float("driest") == expected.driest, "driest");
    let mean = answer.float("mean_celsius").context("no mean_celsius")?;
    ensure!((mean - celsius / expected.readings as f64).abs() <= 1e-12 * mean.abs(), "mean_celsius");
    Ok(())
}

async fn a_key_never_seen_answers_zeros(client: &Client) -> Result<()> {
    let answer = client.total("climate", &[("site", "nowhere".to_owned())]).await?;
    ensure!(answer.complete && answer.int("readings")? == 0, "{answer:?}");
    ensure!(answer.float("celsius") == Some(0.0), "the sum of nothing is 0: {answer:?}");
    for name in ["warmest", "driest", "mean_celsius"] {
        ensure!(answer.values[name].is_null(), "{name} of nothing is null: {answer:?}");
    }
    Ok(())
}

async fn mistakes_are_named(client: &Client) -> Result<()> {
    let (status, problem) = client.get("/v1/metrics/weather/total", &[]).await?;
    ensure!(status == 404 && problem.to_string().contains("weather"), "{status} {problem}");
    let (status, problem) = client.get("/v1/metrics/climate/total", &[("stie", "north".to_owned())]).await?;
    ensure!(status == 400 && problem.to_string().contains("stie"), "{status} {problem}");
    let both = [("floor", "1".to_owned()), ("floor.missing", "true".to_owned())];
    let (status, problem) = client.get("/v1/metrics/climate/total", &both).await?;
    ensure!(status == 400 && problem.to_string().contains("floor and floor.missing"), "{status} {problem}");
    let backwards = [("from", "2026-02-02T00:00:00Z".to_owned()), ("to", "2026-02-01T00:00:00Z".to_owned())];
    let (status, problem) = client.get("/v1/metrics/climate/total", &backwards).await?;
    ensure!(status == 400 && problem.to_string().contains("from"), "{status} {problem}");
    Ok(())
}
