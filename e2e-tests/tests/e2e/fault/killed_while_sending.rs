//! `braid up` is killed in the middle of a file, with the Kafka and the Redis that are its children, and started again on the
//! same folder, twice. The file is sent again each time. Its events have ids, so what had arrived before counts once.

use anyhow::{Result, ensure};
use e2e_tests::exactness::every_answer_is_exact;
use e2e_tests::kafka::end_offsets;
use e2e_tests::scenario::now_us;
use e2e_tests::traffic::write_file;
use e2e_tests::views::{CatalogOptions, METRIC, Mix, Views, catalog};
use e2e_tests::{Kafka, Scenario, Up, busy_scenario};
use test_kit::{DEADLINE, Progress, wait_for};

const TOPIC: &str = "views";
const BYTES: usize = 30_000_000;
const VIDEOS: u32 = 100;
const KILLS: usize = 2;
/// How many records arrive before a kill: a tenth of the file.
const ARRIVE: i64 = 20_000;

#[test]
fn killed_while_a_file_is_sent() {
    busy_scenario("killed_while_a_file_is_sent", async |scenario| {
        if Kafka::can_be_real(scenario.name())? { killed(scenario).await } else { Ok(()) }
    });
}

async fn killed(scenario: &Scenario) -> Result<()> {
    let path = |name: &str| scenario.dir().join(name);
    std::fs::write(path("catalog.toml"), catalog(&CatalogOptions::of(TOPIC)))?;
    let now = now_us();
    let oracle = write_file(&mut Views::new(scenario.rng(), now, VIDEOS, Mix::USUAL), BYTES, &path("views.ndjson"))?;
    let start = async || Up::start(&path("catalog.toml"), &path("data"), &["--kafka", "child"], &path("up.out")).await;
    let send = |up: &Up| up.send("views", &path("views.ndjson"), &path("send.out"));

    let mut up = start().await?;
    for _ in 0..KILLS {
        let before = arrived(&up)?;
        let sending = send(&up)?;
        wait_for("a part of the file to arrive", DEADLINE, async || {
            let more = arrived(&up)? - before;
            Ok(Progress::when(more >= ARRIVE, format!("{more} records")))
        })
        .await?;
        up.kill();
        ensure!(sending.ended()?.is_none(), "the whole file was sent before the kill: it has to be longer");
        sending.kill();
        drop(up);
        up = start().await?;
        ensure!(arrived(&up)? >= before + ARRIVE, "records are gone that had been acknowledged");
    }
    send(&up)?.success(DEADLINE).await?;
    up.client.total_as_of(now_us(), METRIC, &[]).await?;
    every_answer_is_exact(&up.client, &oracle, now).await?;
    up.client.authoritative_total(METRIC, &[]).await?;
    every_answer_is_exact(&up.client, &oracle, now).await
}

/// How many records the topic holds.
fn arrived(up: &Up) -> Result<i64> {
    Ok(end_offsets(&up.brokers, TOPIC)?.iter().sum())
}
