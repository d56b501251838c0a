//! `archive_rows_per_second`: from a full topic to rows committed, beside a bare consumer that reads and drops; what a row takes
//! on disk; and how fast a view is rebuilt from these rows, with and without decoding their bytes again.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use e2e_tests::kafka::end_offsets;
use e2e_tests::scenario::Scenario;
use e2e_tests::views::METRIC;
use e2e_tests::{Archive, Layer, Stage};
use serde_json::Value;
use test_kit::{DEADLINE, Progress, wait_for};

use crate::figures::Figures;
use crate::full_topic::{bare_consumer, fill};
use crate::load::{Events, Keys};
use crate::usage::Usage;

const EVENTS: u64 = 4_000_000;
const PARTITIONS: i32 = 4;

pub(crate) async fn measure(scenario: &Scenario, figures: &mut Figures) -> Result<()> {
    let setup = Stage::of(scenario).as_users_get_it().partitions(PARTITIONS).running(&[Layer::Archive]);
    let stage = setup.start().await?;
    let (deployment, topic) = (&stage.deployment, &stage.topic);
    let log = deployment.store().join("archive").join(METRIC).join("_delta_log");
    wait_for("the archive's begin", DEADLINE, async || Ok(Progress::when(archived(&log)?.is_some(), "no commit")))
        .await?;
    deployment.kill(Layer::Archive);
    let mut events = Events::new(Keys::Zipf, 3);
    fill(&stage, || events.next(), EVENTS)?;
    let ends = end_offsets(&stage.brokers, topic)?;
    let bare = bare_consumer(&stage.brokers, topic, &ends)?;

    let archiver = deployment.launch(Layer::Archive, "")?;
    let end: i64 = ends.iter().sum();
    let before = archived(&log)?.context("nothing is begun")?;
    // What the process needs to start is not part of a rate.
    let mut first = None;
    let mut reached = before;
    let launched = Instant::now();
    while reached < end {
        tokio::time::sleep(Duration::from_millis(10)).await;
        ensure!(launched.elapsed() < Duration::from_secs(300), "the archiver stands at {reached} of {end}");
        reached = archived(&log)?.unwrap_or(before);
        if reached > before && first.is_none() {
            first = Some((reached, Instant::now()));
        }
    }
    let (from, began) = first.context("nothing was archived")?;
    let rate = (end - from) as f64 / began.elapsed().as_secs_f64();
    let usage = Usage::of(archiver.id())?;
    figures.beside("archive_rows_per_second", rate, "rows/s", bare);
    figures.add("archive_cpu_per_row", usage.cpu_seconds * 1e6 / EVENTS as f64, "µs");
    figures.add("archive_peak_memory", usage.peak_mib, "MiB");
    deployment.kill(Layer::Archive);
    let bytes = Archive::bytes(&deployment.store(), METRIC)?;
    figures.add("archive_bytes_per_row", bytes as f64 / EVENTS as f64, "bytes");

    let rebuilt = rebuild(&stage).await?;
    figures.add("rebuild_rows_per_second", rebuilt, "rows/s");
    let source = "[sources.views]\n";
    let other_rules = stage.catalog.replacen(source, &format!("{source}max_age = \"399d\"\n"), 1);
    ensure!(other_rules != stage.catalog, "the catalog has no {source:?}");
    deployment.write_catalog(&other_rules)?;
    figures.beside("rebuild_with_decoding_rows_per_second", rebuild(&stage).await?, "rows/s", rebuilt);
    Ok(())
}

/// Recounts everything, and returns rows per second, the start of the process included.
async fn rebuild(stage: &Stage) -> Result<f64> {
    let began = Instant::now();
    stage.deployment.reconcile().await?;
    Ok(EVENTS as f64 / began.elapsed().as_secs_f64())
}

/// How many rows are archived, by the newest entry of the log: the sum over the partitions; `None` before the first facts.
fn archived(log: &Path) -> Result<Option<i64>> {
    let mut entries: Vec<_> = std::fs::read_dir(log)?.filter_map(|entry| Some(entry.ok()?.path())).collect();
    entries.retain(|entry| entry.extension().is_some_and(|kind| kind == "json"));
    entries.sort();
    for entry in entries.iter().rev() {
        for line in std::fs::read_to_string(entry)?.lines() {
            let action: Value = serde_json::from_str(line)?;
            let note = &action["domainMetadata"];
            if note["domain"] != "braid.archive" {
                continue;
            }
            let facts: Value = serde_json::from_str(note["configuration"].as_str().context("no text")?)?;
            let facts = if facts["facts"].is_object() { &facts["facts"] } else { &facts };
            let partitions = facts["logs"][0]["partitions"].as_object().context("no partitions")?;
            return Ok(Some(partitions.values().filter_map(|partition| partition["next"].as_i64()).sum()));
        }
    }
    Ok(None)
}
