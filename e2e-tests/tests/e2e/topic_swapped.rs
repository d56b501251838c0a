//! A topic is deleted, created again and filled beyond its old offsets while archiver and worker are frozen. Kafka's client
//! goes on reading at the old offsets, and what it brings then is another log's: only the topic's id, asked after the
//! records were read, tells (R7).

use anyhow::{Result, ensure};
use e2e_tests::exactness::every_answer_is_exact;
use e2e_tests::kafka::{Record, create_topic, delete_topic, end_offsets};
use e2e_tests::scenario::now_us;
use e2e_tests::views::{METRIC, Mix, Views};
use e2e_tests::{Kafka, Layer, Oracle, Process, Producer, Stage, scenario};

/// Copies are kept out: one of each half would meet in two logs, where speed counts both until the next reconcile.
const SINGLE: Mix = Mix { duplicates: 0.0, late: 0.02, broken: 0.01 };
const PARTITIONS: i32 = 2;
const BEFORE: usize = 200;
const AFTER: usize = 2_000;

#[test]
fn topic_swapped_while_nobody_looked() {
    scenario("topic_swapped_while_nobody_looked", async |scenario| {
        let Some(brokers) = Kafka::shared_real("topic_swapped_while_nobody_looked").await? else { return Ok(()) };
        let mut stage = Stage::new(scenario, &brokers).await?;
        // Neither happens to look at the topic before it reads on: the archiver by itself, the worker because the group has
        // given up on it.
        stage.deployment.set("archive.discover_every", "60s");
        stage.deployment.set("kafka.session_timeout", "60s");
        create_topic(&brokers, &stage.topic, PARTITIONS).await?;
        stage.deployment.start_all(&[Layer::Serving]).await?;
        let frozen = [stage.deployment.start(Layer::Archive).await?, stage.deployment.start(Layer::Speed).await?];
        let client = stage.client()?;
        let now = now_us();
        let mut views = Views::new(scenario.rng(), now, 50, SINGLE);
        let mut oracle = Oracle::default();
        let mut send = |count: usize| -> Result<i64> {
            let sent = views.batch(count);
            oracle.observe(&sent);
            let placed = sent
                .iter()
                .enumerate()
                .map(|(at, sent)| Record { partition: Some(at as i32 % PARTITIONS), ..sent.record.clone() });
            Producer::new(&brokers, &stage.topic)?.send_all(&placed.collect::<Vec<_>>())
        };
        let arrived = send(BEFORE)?;
        client.total_as_of(arrived, METRIC, &[]).await?;
        stage.deployment.reconcile().await?;
        client.authoritative_total(METRIC, &[]).await?;
        // What is in the archive and not yet in the view is answered from the old log's shard: another log's records in it
        // would show.
        let arrived = send(BEFORE)?;
        client.total_as_of(arrived, METRIC, &[]).await?;
        stage.archived().await?;
        let before = end_offsets(&brokers, &stage.topic)?;

        frozen.iter().try_for_each(Process::suspend)?;
        delete_topic(&brokers, &stage.topic).await?;
        create_topic(&brokers, &stage.topic, PARTITIONS).await?;
        let arrived = send(AFTER)?;
        let after = end_offsets(&brokers, &stage.topic)?;
        ensure!(before.iter().zip(&after).all(|(before, after)| before < after), "{before:?} is not below {after:?}");
        frozen.iter().try_for_each(Process::resume)?;

        client.total_as_of(arrived, METRIC, &[]).await?;
        every_answer_is_exact(&client, &oracle, now).await?;
        stage.reconciled_is(&oracle).await?;
        every_answer_is_exact(&client, &oracle, now).await
    });
}
