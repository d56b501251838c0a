//! The whole platform is killed and started again on the same data, three times.
//!
//! On a real broker every answer is exact. The in-process broker forgets on exit: there, what was archived stays, and new
//! events count.

use std::path::PathBuf;

use anyhow::{Context, Result};
use e2e_tests::exactness::{every_answer_is_exact, total_is_exact};
use e2e_tests::kafka::create_topic;
use e2e_tests::oracle::EVER;
use e2e_tests::scenario::now_us;
use e2e_tests::views::{CatalogOptions, METRIC, Mix, Views, catalog};
use e2e_tests::{Kafka, Oracle, Producer, Scenario, Traffic, Up, scenario};

const TOPIC: &str = "views";
const RESTARTS: usize = 3;
const BATCH: usize = 3_000;
const EVERY_THREE_SECONDS: &str = "*/3 * * * * *";

#[test]
fn restart_with_a_real_broker() {
    scenario("restart_with_a_real_broker", async |scenario| {
        let folder = scenario.dir().join("kafka");
        let Some(mut kafka) = Kafka::real(scenario.name(), &folder).await? else { return Ok(()) };
        let brokers = kafka.brokers();
        create_topic(&brokers, TOPIC, 4, &[]).await?;
        let catalog = write_catalog(scenario)?;
        let start = async || {
            let log = scenario.dir().join("up.out");
            Up::start(&catalog, &scenario.dir().join("data"), &["--kafka", &brokers], &log).await
        };

        let now = now_us();
        let mut traffic =
            Traffic::new(Producer::new(&brokers, TOPIC)?, Views::new(scenario.rng(), now, 100, Mix::USUAL));

        let mut up = start().await?;
        for restart in 0..RESTARTS {
            // The platform is killed while it works on these …
            traffic.send(BATCH)?;
            up.kill();
            kafka.kill();
            kafka.restart().await?;
            // … and finds these when it starts.
            traffic.producer = Producer::new(&brokers, TOPIC)?;
            let arrived = traffic.send(BATCH)?;
            drop(up);
            up = start().await?;
            up.client.total_as_of(arrived, METRIC, &[]).await.with_context(|| format!("after restart {restart}"))?;
        }
        let arrived = traffic.send(BATCH)?;
        up.client.total_as_of(arrived, METRIC, &[]).await?;
        every_answer_is_exact(&up.client, &traffic.oracle, now).await?;
        up.client.authoritative_total(METRIC, &[]).await?;
        every_answer_is_exact(&up.client, &traffic.oracle, now).await
    });
}

#[test]
fn restart_with_the_in_process_broker() {
    scenario("restart_with_the_in_process_broker", async |scenario| {
        let catalog = write_catalog(scenario)?;
        let now = now_us();
        let mut oracle = Oracle::default();
        for start in 0..=RESTARTS {
            let data = scenario.dir().join("data");
            let up = Up::start(&catalog, &data, &["--kafka", "in-process"], &scenario.dir().join("up.out")).await?;
            // What was archived before stays.
            let before = up.client.total_as_of(now, METRIC, &[]).await?;
            total_is_exact(&before, oracle.total(None, EVER)).with_context(|| format!("at start {start}"))?;
            // Copies of events from an earlier start, so from another log, would be counted until the next reconcile.
            let sent = Views::new(scenario.rng(), now, 100, Mix::USUAL).batch(BATCH);
            oracle.observe(&sent);
            let producer = Producer::new(&up.brokers, TOPIC)?;
            let arrived = producer.send_all(sent.iter().map(|sent| &sent.record))?;
            up.client.total_as_of(arrived, METRIC, &[]).await?;
            every_answer_is_exact(&up.client, &oracle, now).await.with_context(|| format!("at start {start}"))?;
            // Authoritative: all of it is in the batch view, and so in the archive.
            up.client.authoritative_total(METRIC, &[]).await?;
            up.kill();
        }
        Ok(())
    });
}

fn write_catalog(scenario: &Scenario) -> Result<PathBuf> {
    let path = scenario.dir().join("catalog.toml");
    let options = CatalogOptions { name: "restart", reconcile: EVERY_THREE_SECONDS, ..CatalogOptions::of(TOPIC) };
    std::fs::write(&path, catalog(&options))?;
    Ok(path)
}
