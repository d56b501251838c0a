//! What a verification must find: a counter that was changed in Redis, and a row that is missing in the archive. It says which key, bucket and
//! measure differ, and where the records lie that were counted there.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use e2e_tests::archive::{Archive, Inner, Place};
use e2e_tests::printed::objects;
use e2e_tests::time::micros;
use e2e_tests::versions::{Step, Versions, corrected, keys};
use e2e_tests::views::Mix;
use e2e_tests::{Stage, Traffic, scenario};
use redis::AsyncCommands;
use serde_json::Value;

use super::setup;

const EVENTS: usize = 500;
const VIDEOS: u32 = 12;
/// The buckets that the values of one field in Redis lie in, and how long one is.
const CHUNK: i64 = 64;
const MINUTE_US: i64 = 60_000_000;
/// The most that a small integer takes one byte for.
const ONE_BYTE_MAX: u8 = 126;
const VERSION: &str = "v2";
/// An event that counts. The place that is named spans the others of its minute.
const FORGOTTEN: Inner = Inner { column: "status", value: 200, time: "occurred_at", bucket_us: MINUTE_US };

/// A counter that was changed by hand.
struct Damaged {
    key: String,
    field: String,
    /// What it was.
    bytes: Vec<u8>,
    video: String,
    /// The first of its buckets, which was changed.
    bucket_us: i64,
}

#[test]
fn version_verified_must_fail() {
    scenario("version_verified_must_fail", async |scenario| {
        let Some(stage) = setup(scenario).start_on_real_kafka().await? else { return Ok(()) };
        let versions = Versions::of(&stage.deployment);
        // Without copies, so that every event counts.
        let mut traffic = Traffic::new(stage.producer()?, stage.views(VIDEOS, Mix::PLAIN));
        let arrived = traffic.send(EVENTS)?;
        stage.total_as_of(arrived).await?;
        versions.take(Step::Create { version: VERSION, catalog: &corrected(&stage.topic) }).await?;
        versions.take(Step::Replay { version: VERSION, from: "log" }).await?;
        ensure!(report(&versions.take(Step::Verify(VERSION)).await?)?["verdict"] == "equal", "it is not equal");
        let proven = versions.recorded(VERSION)?["verified"].clone();

        let damaged = damage(&stage).await?;
        let found = report(&versions.refused(Step::Verify(VERSION)).await?)?;
        let difference = difference_of(&found, &damaged.video, damaged.bucket_us).context("a counter was changed")?;
        ensure!(counts(&difference, "replayed")? == counts(&difference, "recounted")? + 1, "{difference}");
        ensure!(!places(&found)?.is_empty(), "it names no place: {found}");
        // Nothing is noted of what was not proven.
        ensure!(versions.recorded(VERSION)?["verified"] == proven, "{}", versions.recorded(VERSION)?);
        let () = stage.redis.connection().await?.hset(&damaged.key, &damaged.field, &damaged.bytes).await?;
        versions.take(Step::Verify(VERSION)).await.context("the counter is as it was")?;

        lacks_a_row(&stage).await?;
        versions.take(Step::Verify(VERSION)).await.context("the archive itself is whole").map(drop)
    });
}

/// A copy of the archive lacks a row, so the recount counts one event less.
async fn lacks_a_row(stage: &Stage) -> Result<()> {
    let copied = stage.deployment.store().with_file_name("copied");
    let name = stage.deployment.store();
    let name = name.file_name().context("a store without a name")?;
    copy(&stage.deployment.store(), &copied.join(name))?;
    let place = Archive::without_a_row(&copied.join(name), "views", &FORGOTTEN)?;
    let mut beside = stage.beside("copied", &stage.catalog)?;
    beside.set("store.url", &copied.to_string_lossy());
    let found = report(&Versions::of(&beside).refused(Step::Verify(VERSION)).await?)?;
    ensure!(found["verdict"] == "differs", "{found}");
    let differences = differences(&found)?;
    // The one event's minute: its video, and all videos together if these are compared.
    ensure!(!differences.is_empty(), "{found}");
    for difference in &differences {
        let is_count = difference["measure"] == "views";
        let less = counts(difference, "replayed")? - counts(difference, "recounted")?;
        ensure!(if is_count { less == 1 } else { less >= 0 }, "{difference}");
    }
    let holds = |named: &Place| {
        named.log == place.log && named.partition == place.partition && named.offsets.contains(&place.offsets.start)
    };
    ensure!(places(&found)?.iter().any(holds), "it does not name {place:?}: {found}");
    Ok(())
}

/// Adds one to the views of some video in the first bucket of its field, in a shard of the version.
async fn damage(stage: &Stage) -> Result<Damaged> {
    let mut connection = stage.redis.connection().await?;
    for key in keys(&stage.redis, &format!("braid:{{{}/{VERSION}/*:c:*", stage.topic)).await? {
        let fields: Vec<(String, Vec<u8>)> = connection.hgetall(&key).await?;
        for (field, bytes) in fields {
            // `["video-3"]`, which is the field of a key; those of its other chunks have a number before it.
            let Some(video) = field.strip_prefix("[\"").and_then(|field| field.strip_suffix("\"]")) else { continue };
            // The key's chunks, its own first, up to a semicolon; then for each bucket its place in the chunk, and its values.
            let Some(at) = bytes.iter().position(|byte| *byte == b';') else { continue };
            let chunks = String::from_utf8(bytes[..at].to_vec())?;
            let own: i64 = chunks.split(',').next().unwrap_or_default().parse()?;
            let (place, views) = (bytes[at + 1], bytes[at + 2]);
            if views == 0 || views > ONE_BYTE_MAX {
                continue;
            }
            let mut changed = bytes.clone();
            changed[at + 2] += 1;
            let () = connection.hset(&key, &field, &changed).await?;
            let bucket_us = (own * CHUNK + i64::from(place)) * MINUTE_US;
            let video = video.to_owned();
            return Ok(Damaged { key, field, bytes, video, bucket_us });
        }
    }
    anyhow::bail!("no counter was found")
}

/// The report that a command printed among what it logs.
fn report(output: &str) -> Result<Value> {
    objects(output)?.pop().with_context(|| format!("no report: {output}"))
}

/// All differences that a report shows.
fn differences(report: &Value) -> Result<Vec<Value>> {
    all(report, "differences")
}

/// All elements of an array that each metric of a report has.
fn all(report: &Value, name: &str) -> Result<Vec<Value>> {
    let metrics = report["metrics"].as_array().with_context(|| format!("no metrics: {report}"))?;
    let arrays = metrics.iter().map(|metric| {
        let array = metric[name].as_array().with_context(|| format!("no {name}: {metric}"))?;
        Ok(array.clone())
    });
    Ok(arrays.collect::<Result<Vec<_>>>()?.concat())
}

/// The difference in the views of a video in a minute. No other video differs.
fn difference_of(report: &Value, video: &str, bucket_us: i64) -> Result<Value> {
    ensure!(report["verdict"] == "differs", "{report}");
    let differences = differences(report)?;
    for difference in &differences {
        ensure!(difference["key"].to_string().contains(video), "{video} was changed alone: {difference}");
    }
    let is_it = |difference: &&Value| {
        let bucket = difference["bucket"].as_str().map(micros);
        difference["measure"] == "views" && bucket.is_some_and(|bucket| bucket.is_ok_and(|us| us == bucket_us))
    };
    differences.iter().find(is_it).cloned().with_context(|| format!("no difference at {bucket_us}: {report}"))
}

/// What one side counts; null where it has nothing there.
fn counts(difference: &Value, side: &str) -> Result<i64> {
    if difference.get(side).is_some_and(Value::is_null) {
        return Ok(0);
    }
    difference[side].as_i64().with_context(|| format!("no number {side}: {difference}"))
}

/// The places that a report names.
fn places(report: &Value) -> Result<Vec<Place>> {
    let read = |place: &Value| -> Option<Place> {
        let offsets = place["offsets"][0].as_i64()?..place["offsets"][1].as_i64()?;
        Some(Place { log: place["log"].as_str()?.to_owned(), partition: place["partition"].as_i64()?, offsets })
    };
    all(report, "places")?.iter().map(|place| read(place).with_context(|| format!("no place: {place}"))).collect()
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (path, to) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            copy(&path, &to)?;
        } else {
            fs::copy(&path, &to)?;
        }
    }
    Ok(())
}
