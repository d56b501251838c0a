//! `streams_lookups_per_second`: a map that looks the user of each event up among 100,000, from a full topic to outputs published, beside the
//! same map without the lookup.

use std::time::Instant;

use anyhow::Result;
use e2e_tests::kafka::{Record, end_offsets};
use e2e_tests::scenario::Scenario;
use e2e_tests::views::{CatalogOptions, catalog as sample};
use e2e_tests::{Layer, Producer, Stage};

use super::archive_begins;
use super::progress::Published;
use crate::figures::Figures;
use crate::full_topic::fill;
use crate::load::{Events, Keys};
use crate::usage::Usage;

const EVENTS: u64 = 2_000_000;
const PARTITIONS: i32 = 4;
/// As many as events name.
const USERS: u32 = 100_000;
/// What the map has besides where it looks something up.
const LOOKUP: &str = r#"lookup.users = { on = "user_id", take = ["name", "plan"] }"#;

pub(super) async fn measure(scenario: &Scenario, figures: &mut Figures) -> Result<()> {
    let plain = mapped(scenario, "").await?;
    let looking = mapped(scenario, LOOKUP).await?;
    figures.beside("streams_lookups_per_second", looking.per_second, "lookups/s", plain.per_second);
    figures.add("streams_lookups_cpu_per_event", looking.worker.cpu_seconds * 1e6 / EVENTS as f64, "µs");
    figures.add("streams_lookups_redis_cpu_per_event", looking.redis_cpu_seconds * 1e6 / EVENTS as f64, "µs");
    figures.add("streams_lookups_peak_memory", looking.worker.peak_mib, "MiB");
    Ok(())
}

/// What a map took.
struct Mapped {
    per_second: f64,
    worker: Usage,
    /// With what it took to keep the table.
    redis_cpu_seconds: f64,
}

/// Maps all events. What lanes publish first is left out: before that they wait for the table.
async fn mapped(scenario: &Scenario, lookup: &str) -> Result<Mapped> {
    let setup = Stage::of(scenario).as_users_get_it().catalog(|name| catalog(name, lookup)).partitions(PARTITIONS);
    let setup = setup.topic("-users", PARTITIONS, &[]).set("streams.progress_every", "200ms");
    let stage = setup.running(&[Layer::Archive]).start().await?;
    archive_begins(&stage, "views").await?;
    archive_begins(&stage, "users").await?;
    stage.deployment.kill(Layer::Archive);
    send_users(&stage)?;
    let mut events = Events::new(Keys::Zipf, 5);
    fill(&stage, || events.next(), EVENTS)?;
    let end: i64 = end_offsets(&stage.brokers, &stage.topic)?.iter().sum();

    let mut published = Published::new(&stage, "views")?;
    let worker = stage.deployment.launch(Layer::Speed, "")?;
    published.reach(1)?;
    let (from, began) = (published.sum(), Instant::now());
    published.reach(end)?;
    let per_second = (end - from) as f64 / began.elapsed().as_secs_f64();
    let redis_cpu_seconds = Usage::of(stage.redis.id()?)?.cpu_seconds;
    Ok(Mapped { per_second, worker: Usage::of(worker.id())?, redis_cpu_seconds })
}

fn send_users(stage: &Stage) -> Result<()> {
    let users = Producer::new(&stage.brokers, &format!("{}-users", stage.topic))?;
    for user in 0..USERS {
        let (key, plan) = (format!("u{user}"), ["free", "pro", "team"][user as usize % 3]);
        let payload = format!(r#"{{"id":"{key}","name":"name {user}","plan":"{plan}"}}"#).into_bytes();
        users.send(&Record { key, payload, partition: None })?;
    }
    users.flush().map(drop)
}

/// The sample source, and a map over it instead of the metric.
fn catalog(name: &str, lookup: &str) -> String {
    let sample = sample(&CatalogOptions::of(name));
    let source = sample.split_once("[metrics.views]").map_or(sample.as_str(), |(source, _)| source);
    format!(
        r#"{source}
[tables.users]
topic = "{name}-users"
key = "id"
[tables.users.fields]
id = "string"
name = "string?"
plan = "string?"

[streams.rich]
from = "views"
topic = "{name}-rich"
where = "dwell_ms >= 0"
{lookup}
"#
    )
}
