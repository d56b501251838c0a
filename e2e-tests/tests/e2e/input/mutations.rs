//! Mutated records, nested JSON, TSV and CSV, 200,000 or a million: each is archived exactly once, either as columns or as its bytes
//! with the reason why it was rejected; and both layers count what an independent reader counts, which shares no code with them.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e_tests::answer::int;
use e2e_tests::kafka::{Record, end_offsets};
use e2e_tests::mutation::mutant;
use e2e_tests::naive::{self, Format, MAX_AGE, MAX_RECORD, Reading};
use e2e_tests::scenario::now_us;
use e2e_tests::time::rfc3339;
use e2e_tests::views::NEVER;
use e2e_tests::{Answer, Archive, Client, Producer, Stage, busy_scenario};
use polars::prelude::DataType;
use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use serde_json::Value;
use test_kit::{Progress, repetitions, wait_for};

/// Source, which is its metric's name too; how it is written; partitions; records in each, before they are multiplied.
const SOURCES: [(&str, Format, i32, usize); 3] =
    [("objects", Format::Json, 4, 30_000), ("lines", Format::Tsv, 2, 20_000), ("rows", Format::Csv, 2, 20_000)];
const SITES: [&str; 6] = ["north", "south", "east", "west", "Zürich", "the \"lake\""];
/// How many of the sites that mutation made up are asked for, beside those that it left alone.
const MADE_UP: usize = 300;
const DAY_MS: i64 = 86_400_000;
/// How long counting may take where the platform is not optimised and shares the machine with the broker.
const CATCH_UP: Duration = Duration::from_secs(400);

/// What one record means; if it is invalid, the reason and its bytes.
type Meant = Result<Reading, (String, Vec<u8>)>;

/// Amounts are added up without the digits above, so that integers of 64 bits leave no overflow behind.
const AMOUNT: i64 = 1_000_000;

/// The measures of some readings.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Counts {
    readings: i64,
    amount: i64,
    largest: Option<i64>,
    smallest: Option<i64>,
    heaviest: Option<f64>,
    lightest: Option<f64>,
}

/// What both layers have to answer about a source.
#[derive(Debug, Default)]
struct Expected {
    all: Counts,
    sites: BTreeMap<String, Counts>,
    /// By `ok`, which may be absent.
    oks: BTreeMap<Option<bool>, Counts>,
}

#[test]
fn mutated_records() {
    busy_scenario("mutated_records", async |scenario| {
        // Nobody is killed here, and the machine is busy: a worker keeps its partitions also if it is not heard of for a second.
        let mut setup = Stage::of(scenario).catalog(catalog).without_kills().set("reconcile.wait", "400s");
        for (source, _, partitions, _) in SOURCES {
            setup = setup.topic(&format!("-{source}"), partitions, &[]);
        }
        let Some(stage) = setup.start_on_real_kafka().await? else { return Ok(()) };
        let (client, topic) = (stage.client()?, &stage.topic);
        let now_ms = now_us() / 1_000;
        let mut meant = BTreeMap::new();
        for (source, format, partitions, records) in SOURCES {
            let producer = Producer::new(&stage.brokers, &format!("{topic}-{source}"))?;
            for partition in 0..partitions {
                let records = records * repetitions(1, 5);
                let sent = send(&producer, stage.rng(), format, partition, records, now_ms)?;
                meant.insert((source, partition), sent);
            }
            producer.flush()?;
        }
        let arrived = now_us();
        println!("sent after {:.1} s", (arrived / 1_000 - now_ms) as f64 / 1e3);

        for (source, _, partitions, _) in SOURCES {
            let of = |partition| meant[&(source, partition)].as_slice();
            // The speed layer recognises copies within a partition, the batch layer all of them.
            let speed = (0..partitions).map(|partition| vec![of(partition)]).collect::<Vec<_>>();
            is_complete(&client, source, arrived).await?;
            is_exact(&client, source, &expected(&speed)).await.context("in the speed view")?;
        }
        stage.deployment.launch_reconcile("")?.success(CATCH_UP).await?;
        for (source, _, partitions, _) in SOURCES {
            let whole = (0..partitions).map(|partition| meant[&(source, partition)].as_slice()).collect();
            client.authoritative_total(source, &[]).await?;
            is_exact(&client, source, &expected(&[whole])).await.context("in the batch view")?;
            let ends = end_offsets(&stage.brokers, &format!("{topic}-{source}"))?;
            Archive::read(&stage.deployment.store(), source)?.holds_each_offset_once(&ends)?;
            is_archived(&stage, source, &meant).with_context(|| format!("the archive of {source}"))?;
            rejects_are_shown(&client, source, &meant).await?;
        }
        stage.ran_without_trouble()
    });
}

/// Sends mutants into a partition, in order; what they mean is returned by offset.
fn send(
    producer: &Producer,
    mut rng: StdRng,
    format: Format,
    partition: i32,
    records: usize,
    now_ms: i64,
) -> Result<Vec<Meant>> {
    let mut meant = Vec::with_capacity(records);
    let mut before = sound(&mut rng, format, partition, 0, now_ms);
    for number in 1..=records {
        let payload = sound(&mut rng, format, partition, number, now_ms);
        let mutant = mutant(&mut rng, format, &payload, &before);
        before = payload;
        let read = naive::read(format, &mutant, now_ms);
        let record = Record { key: String::new(), payload: mutant, partition: Some(partition) };
        producer.send_at(&record, now_ms)?;
        meant.push(read.map_err(|reason| (reason, record.payload)));
    }
    Ok(meant)
}

/// A reading as a producer would write it.
fn sound(rng: &mut StdRng, format: Format, partition: i32, number: usize, now_ms: i64) -> Vec<u8> {
    let at_ms = now_ms - rng.random_range(0..2 * DAY_MS);
    let at = if rng.random() { at_ms.to_string() } else { rfc3339(at_ms * 1_000) };
    let site = SITES.choose(rng).expect("not empty");
    let (amount, weight, ok) = (rng.random_range(-99..1_000), rng.random_range(-9_999..99_999), rng.random::<bool>());
    let weight = f64::from(weight) / 100.0;
    match format {
        Format::Json => {
            let at = if at.contains('T') { format!("{at:?}") } else { at };
            let site = site.replace('"', "\\\"");
            let more = ["", r#","x":[1,{"y":null}]"#, r#","url":"https://example.org/ä?q=\u00e4\n""#];
            let more = more.choose(rng).expect("not empty");
            format!(
                r#"{{"id":"{partition}-{number}","at":{at},"place":{{"site":"{site}","note":"n"}},"amount":{amount},"scales":[0,{{"weight":{weight}}}],"ok":{ok}{more}}}"#
            )
            .into_bytes()
        }
        Format::Tsv => {
            let end = ["", "\n", "\r\n"].choose(rng).expect("not empty");
            format!("{partition}-{number}\t{at}\t{site}\t{amount}\t{weight}\t{ok}\t{end}").into_bytes()
        }
        Format::Csv => {
            let end = ["", "\n", "\r\n"].choose(rng).expect("not empty");
            let in_quotes = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
            let site = if site.contains('"') || rng.random() { in_quotes(site) } else { site.to_string() };
            let note = ["", "\"two\nlines, or more\""].choose(rng).expect("not empty");
            format!("{partition}-{number},{at},{site},{amount},\"{weight}\",{ok},{note}{end}").into_bytes()
        }
    }
}

/// Counts readings, of several copies only the first. Copies in different parts are different readings.
fn expected(parts: &[Vec<&[Meant]>]) -> Expected {
    let mut expected = Expected::default();
    for part in parts {
        let mut seen = HashSet::new();
        for reading in part.iter().flat_map(|records| records.iter()).flatten() {
            if !seen.insert((reading.id.as_str(), reading.at_us)) {
                continue;
            }
            let of_site = expected.sites.entry(reading.site.clone()).or_default();
            for counts in [&mut expected.all, of_site, expected.oks.entry(reading.ok).or_default()] {
                counts.readings += 1;
                counts.amount += reading.amount.unwrap_or(0) % AMOUNT;
                let amounts = |so_far: Option<i64>| so_far.into_iter().chain(reading.amount);
                counts.largest = amounts(counts.largest).max();
                counts.smallest = amounts(counts.smallest).min();
                let weights = |so_far: Option<f64>| so_far.into_iter().chain(reading.weight);
                counts.heaviest = weights(counts.heaviest).reduce(f64::max);
                counts.lightest = weights(counts.lightest).reduce(f64::min);
            }
        }
    }
    expected
}

async fn is_complete(client: &Client, source: &str, arrived: i64) -> Result<()> {
    wait_for(&format!("{source} to be counted"), CATCH_UP, async || {
        let answer = client.total(source, &[]).await?;
        let done = answer.complete && answer.as_of_us()? >= Some(arrived);
        Ok(Progress::when(done, format_args!("{answer:?}")))
    })
    .await
}

async fn is_exact(client: &Client, source: &str, expected: &Expected) -> Result<()> {
    answers(&client.total(source, &[]).await?, expected.all).with_context(|| source.to_owned())?;
    let made_up = expected.sites.keys().step_by((expected.sites.len() / MADE_UP).max(1));
    let mut asked = 0;
    for site in SITES.iter().map(|site| site.to_string()).chain(made_up.cloned()) {
        let answer = client.total(source, &[("site", site.clone())]).await?;
        answers(&answer, expected.sites[&site]).with_context(|| format!("{source} of {site:?}"))?;
        asked += 1;
    }
    for (ok, counts) in &expected.oks {
        let parameter = ok.map_or(("ok.missing", true), |ok| ("ok", ok));
        let answer = client.total(source, &[(parameter.0, parameter.1.to_string())]).await?;
        answers(&answer, *counts).with_context(|| format!("{source} of {parameter:?}"))?;
    }
    println!("{source}: {:?}, {asked} of {} sites asked for", expected.all, expected.sites.len());
    Ok(())
}

fn answers(answer: &Answer, expected: Counts) -> Result<()> {
    ensure!(answer.complete, "incomplete: {answer:?}");
    let answered = Counts {
        readings: int(&answer.values, "readings")?,
        amount: int(&answer.values, "amount")?,
        largest: answer.values.get("largest").and_then(Value::as_i64),
        smallest: answer.values.get("smallest").and_then(Value::as_i64),
        heaviest: answer.float("heaviest"),
        lightest: answer.float("lightest"),
    };
    ensure!(answered == expected, "answered {answered:?}, expected {expected:?}: {answer:?}");
    Ok(())
}

/// Every row is what its record means; that there is one row for each record was shown before.
fn is_archived(stage: &Stage, source: &str, meant: &BTreeMap<(&str, i32), Vec<Meant>>) -> Result<()> {
    let names = ["_partition", "_offset", "_raw", "_error", "id", "at", "site", "amount", "weight", "ok"];
    let rows = Archive::rows(&stage.deployment.store(), source, &names)?;
    let (partitions, offsets) = (rows.column("_partition")?.i32()?, rows.column("_offset")?.i64()?);
    let (raws, errors) = (rows.column("_raw")?.binary()?, rows.column("_error")?.str()?);
    let (ids, sites) = (rows.column("id")?.str()?, rows.column("site")?.str()?);
    let ats = rows.column("at")?.cast(&DataType::Int64)?;
    let (ats, amounts, weights) = (ats.i64()?, rows.column("amount")?.i64()?, rows.column("weight")?.f64()?);
    let oks = rows.column("ok")?.bool()?;
    let mut rejected = 0;
    for row in 0..rows.height() {
        let (partition, offset) = (partitions.get(row).context("a partition")?, offsets.get(row).context("an offset")?);
        let place = || format!("{partition}/{offset}");
        match &meant[&(source, partition)][usize::try_from(offset)?] {
            Ok(reading) => {
                let (id, at, site) = (ids.get(row), ats.get(row), sites.get(row));
                let archived = (id, at, site, amounts.get(row), weights.get(row), oks.get(row));
                let Reading { id, at_us, site, amount, weight, ok } = reading;
                let expected = (Some(id.as_str()), Some(*at_us), Some(site.as_str()), *amount, *weight, *ok);
                let is_event = errors.get(row).is_none() && raws.get(row).is_some();
                let error = errors.get(row);
                ensure!(is_event && archived == expected, "{}: {expected:?}, not {archived:?} {error:?}", place());
            }
            Err((reason, payload)) => {
                rejected += 1;
                let (error, raw) = (errors.get(row), raws.get(row).unwrap_or_default());
                let text = String::from_utf8_lossy(payload);
                ensure!(error == Some(reason), "{}: {reason}, not {error:?}: {text:?}", place());
                ensure!(raw == payload, "{}: other bytes than {text:?}", place());
            }
        }
    }
    println!("{source}: {rejected} of {} records are archived as bytes", rows.height());
    Ok(())
}

/// The status counts every rejected record by its reason.
async fn rejects_are_shown(client: &Client, source: &str, meant: &BTreeMap<(&str, i32), Vec<Meant>>) -> Result<()> {
    let mut expected: BTreeMap<&str, u64> = BTreeMap::new();
    let records = meant.iter().filter(|((of, _), _)| *of == source).flat_map(|(_, records)| records);
    for (reason, _) in records.filter_map(|meant| meant.as_ref().err()) {
        *expected.entry(reason.split(':').next().unwrap_or_default()).or_default() += 1;
    }
    let (_, status) = client.get("/v1/status", &[]).await?;
    let sources = status["sources"].as_array().context("no sources")?;
    let shown = sources.iter().find(|shown| shown["name"] == source).context("the source is not shown")?;
    let rejects = shown["rejects"].as_array().context("no rejects")?;
    let shown: BTreeMap<&str, u64> =
        rejects.iter().filter_map(|row| Some((row["reason"].as_str()?, row["count"].as_u64()?))).collect();
    println!("{source}: {shown:?}");
    ensure!(shown == expected, "{shown:?}, not {expected:?}");
    Ok(())
}

fn catalog(topic: &str) -> String {
    let mut catalog =
        format!("[pipeline]\nname = \"{topic}\"\nversion = \"v1\"\n\n[schedule]\nreconcile = \"{NEVER}\"\n");
    for (source, format, partitions, _) in SOURCES {
        let fields = naive::fields(format);
        let format = format.name();
        catalog += &format!(
            r#"
[sources.{source}]
topic = "{topic}-{source}"
partitions = {partitions}
event_id = "id"
event_time = "at"
format = "{format}"
max_age = "{MAX_AGE}"
max_record = "{MAX_RECORD}"
[sources.{source}.fields]{fields}
[metrics.{source}]
source = "{source}"
by = ["site", "ok"]
grain = "1h"
[metrics.{source}.measures]
readings = "count()"
amount = "sum(amount % {AMOUNT})"
largest = "max(amount)"
smallest = "min(amount)"
heaviest = "max(weight)"
lightest = "min(weight)"
"#
        );
    }
    catalog
}
