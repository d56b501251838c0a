//! `streams_windows_per_second`: count and sum by key in windows of a minute, from a full topic to outputs published.

use std::time::Instant;

use anyhow::Result;
use e2e_tests::kafka::end_offsets;
use e2e_tests::scenario::{Scenario, now_us};
use e2e_tests::views::{CatalogOptions, catalog as sample};
use e2e_tests::{Layer, Stage};

use super::archive_begins;
use super::progress::Published;
use crate::figures::Figures;
use crate::full_topic::{bare_consumer, fill};
use crate::load::{Events, Keys};
use crate::usage::Usage;

const EVENTS: u64 = 6_000_000;
const PARTITIONS: i32 = 4;
/// What passes from one event to the next: 20,000 of them happen in a second.
const STEP_US: i64 = 50;

pub(super) async fn measure(scenario: &Scenario, keys: Keys, figures: &mut Figures) -> Result<()> {
    let setup = Stage::of(scenario).as_users_get_it().catalog(catalog).partitions(PARTITIONS);
    let setup = setup.set("streams.progress_every", "200ms").running(&[Layer::Archive]);
    let stage = setup.start().await?;
    archive_begins(&stage, "views").await?;
    stage.deployment.kill(Layer::Archive);
    let (mut events, begin_us) = (Events::new(keys, 3), now_us() - EVENTS as i64 * STEP_US);
    let mut sent = 0;
    let next = || {
        sent += 1;
        events.next_at((begin_us + sent * STEP_US) / 1_000)
    };
    fill(&stage, next, EVENTS)?;
    let ends = end_offsets(&stage.brokers, &stage.topic)?;
    let bare = bare_consumer(&stage.brokers, &stage.topic, &ends)?;

    let mut published = Published::new(&stage, "views")?;
    let began = Instant::now();
    let worker = stage.deployment.launch(Layer::Speed, "")?;
    // The first transaction notes where the lanes begin.
    published.reach(0)?;
    let started = Instant::now();
    published.reach(ends.iter().sum())?;
    let rate = EVENTS as f64 / started.elapsed().as_secs_f64();
    let (name, usage) = (keys.name(), Usage::of(worker.id())?);
    let outputs: i64 = end_offsets(&stage.brokers, &format!("{}-per_minute", stage.topic))?.iter().sum();
    eprintln!("{outputs} outputs in {:.1} s, with the start", began.elapsed().as_secs_f64());
    figures.beside(format!("streams_windows_per_second_{name}"), rate, "events/s", bare);
    figures.add(format!("streams_windows_outputs_{name}"), outputs as f64, "outputs");
    figures.add(format!("streams_windows_cpu_per_event_{name}"), usage.cpu_seconds * 1e6 / EVENTS as f64, "µs");
    figures.add(format!("streams_windows_peak_memory_{name}"), usage.peak_mib, "MiB");
    Ok(())
}

/// The sample source, and windows over it instead of the metric.
fn catalog(name: &str) -> String {
    let sample = sample(&CatalogOptions::of(name));
    let source = sample.split_once("[metrics.views]").map_or(sample.as_str(), |(source, _)| source);
    format!(
        r#"{source}
[streams.per_minute]
from = "views"
topic = "{name}-per_minute"
by = ["video_id"]
window = "1m"
[streams.per_minute.measures]
views = "count()"
dwell_ms = "sum(dwell_ms)"
"#
    )
}
