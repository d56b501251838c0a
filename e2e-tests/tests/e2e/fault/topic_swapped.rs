//! A topic is deleted, created again and filled beyond its old offsets while archiver and worker are frozen. Kafka's client
//! goes on reading at the old offsets, and what it then reads belongs to another log. Only the topic's id, asked for after the
//! records were read, tells (R7).

use anyhow::{Result, ensure};
use e2e_tests::kafka::{create_topic, delete_topic, end_offsets};
use e2e_tests::views::Mix;
use e2e_tests::{Layer, Stage, Traffic, scenario};
use test_kit::Process;

const PARTITIONS: i32 = 2;
const BEFORE: usize = 200;
const AFTER: usize = 2_000;

#[test]
fn topic_swapped_while_layers_were_frozen() {
    scenario("topic_swapped_while_layers_were_frozen", async |scenario| {
        // Neither layer happens to ask for the topic before it reads on: the archiver by itself, the worker because the group
        // has expelled it.
        let setup = Stage::of(scenario)
            .partitions(PARTITIONS)
            .set("archive.discover_every", "60s")
            .set("kafka.session_timeout", "60s");
        let Some(stage) = setup.start_on_real_kafka().await? else { return Ok(()) };
        let frozen = [stage.deployment.process(Layer::Archive)?, stage.deployment.process(Layer::Speed)?];
        let brokers = &stage.brokers;
        let mut traffic = stage.traffic(50, Mix::NO_COPIES)?;
        let arrived = send(&mut traffic, BEFORE)?;
        stage.total_as_of(arrived).await?;
        stage.deployment.reconcile().await?;
        stage.authoritative_total().await?;
        // What is in the archive and not yet in the view is answered from the old log's shard: another log's records in it
        // would show.
        let arrived = send(&mut traffic, BEFORE)?;
        stage.total_as_of(arrived).await?;
        stage.archived().await?;
        let before = end_offsets(brokers, &stage.topic)?;

        frozen.iter().try_for_each(Process::suspend)?;
        delete_topic(brokers, &stage.topic).await?;
        create_topic(brokers, &stage.topic, PARTITIONS, &[]).await?;
        traffic.producer = stage.producer()?;
        let arrived = send(&mut traffic, AFTER)?;
        let after = end_offsets(brokers, &stage.topic)?;
        ensure!(before.iter().zip(&after).all(|(before, after)| before < after), "{before:?} is not below {after:?}");
        frozen.iter().try_for_each(Process::resume)?;

        stage.total_as_of(arrived).await?;
        stage.stays_exact(&traffic.oracle).await
    });
}

/// Sends to the partitions in turn.
fn send(traffic: &mut Traffic, count: usize) -> Result<i64> {
    let mut sent = traffic.views.batch(count);
    sent.iter_mut().enumerate().for_each(|(at, sent)| sent.record.partition = Some(at as i32 % PARTITIONS));
    traffic.send_these(&sent)
}
