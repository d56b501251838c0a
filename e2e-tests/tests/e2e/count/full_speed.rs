//! A file of 60 MB is sent as fast as `braid send` can, to each broker that `braid up` embeds: not one record is lost.
//!
//! A fifth of the records have the same key, and so lie in one partition, of which the in-process broker keeps 5 MiB.

use std::time::Duration;

use anyhow::{Result, ensure};
use e2e_tests::exactness::every_answer_is_exact;
use e2e_tests::scenario::now_us;
use e2e_tests::traffic::write_file;
use e2e_tests::views::{CatalogOptions, METRIC, Mix, Views, catalog};
use e2e_tests::{Kafka, Scenario, Up, busy_scenario};

const TOPIC: &str = "views";
const BYTES: usize = 60_000_000;
const VIDEOS: u32 = 100;
const SEND_DEADLINE: Duration = Duration::from_secs(240);

#[test]
fn a_file_at_full_speed() {
    busy_scenario("a_file_at_full_speed", async |scenario| {
        if Kafka::can_be_real(scenario.name())? { nothing_is_lost(scenario, "child").await } else { Ok(()) }
    });
}

#[test]
fn a_file_at_full_speed_in_process() {
    busy_scenario("a_file_at_full_speed_in_process", async |scenario| nothing_is_lost(scenario, "in-process").await);
}

async fn nothing_is_lost(scenario: &Scenario, kafka: &str) -> Result<()> {
    let path = |name: &str| scenario.dir().join(name);
    std::fs::write(path("catalog.toml"), catalog(&CatalogOptions::of(TOPIC)))?;
    let now = now_us();
    let oracle =
        write_file(&mut Views::new(scenario.rng(), now, VIDEOS, Mix::NO_COPIES), BYTES, &path("views.ndjson"))?;
    ensure!(oracle.records > 300_000, "{} records", oracle.records);

    let flags = ["--kafka", kafka];
    let up = Up::start(&path("catalog.toml"), &path("data"), &flags, &path("up.out")).await?;
    let send = up.send("views", &path("views.ndjson"), &path("send.out"))?;
    send.success(SEND_DEADLINE).await?;
    up.client.total_as_of(now_us(), METRIC, &[]).await?;
    every_answer_is_exact(&up.client, &oracle, now).await?;
    // Authoritative: all of it is in the batch view, and so in the archive.
    up.client.authoritative_total(METRIC, &[]).await?;
    every_answer_is_exact(&up.client, &oracle, now).await
}
