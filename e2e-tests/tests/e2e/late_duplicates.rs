//! Copies sent beyond the window are counted by speed, and corrected by the next reconcile: the answer becomes exact, and
//! smaller by exactly the number of copies.

use anyhow::{Result, ensure};
use e2e_tests::exactness::{every_answer_is_exact, total_is_exact};
use e2e_tests::oracle::{Counts, EVER};
use e2e_tests::redis::Durability;
use e2e_tests::scenario::now_us;
use e2e_tests::views::{CatalogOptions, Event, METRIC, Mix, NEVER, Sent, Views, catalog};
use e2e_tests::{Deployment, Kafka, Layer, Oracle, Producer, Redis, scenario};

const DEDUP_WINDOW: u64 = 1_000;
const COPIES: usize = 387;
const PARTITION: i32 = 0;

#[test]
fn late_duplicates() {
    scenario("late_duplicates", async |scenario| {
        let kafka = Kafka::shared().await?;
        let redis = Redis::start(&scenario.dir().join("redis"), Durability::None).await?;
        let topic = scenario.unique_name();
        kafka.create_topic(&topic, 2).await?;
        let text =
            catalog(&CatalogOptions { name: &topic, topic: &topic, reconcile: NEVER, dedup_window: DEDUP_WINDOW });
        let mut deployment = Deployment::new(&scenario.dir().join("braid"), &text, &kafka.brokers(), &redis.url())?;
        // A killed member's partitions go to its successor soon.
        deployment.set("kafka.session_timeout", "1s");
        deployment.start_all(&[Layer::Archive, Layer::Speed, Layer::Serving]).await?;
        let client = deployment.client()?;

        let now = now_us();
        let mut views = Views::new(scenario.rng(), now, 40, Mix::PLAIN);
        let mut oracle = Oracle::default();
        let producer = Producer::new(&kafka.brokers(), &topic)?;
        let mut send = |sent: &[Sent]| -> Result<(i64, Counts)> {
            oracle.observe(sent);
            let records: Vec<_> = sent.iter().map(|sent| in_one_partition(&sent.record)).collect();
            Ok((producer.send_all(&records)?, oracle.total(None, EVER)))
        };

        let first: Vec<_> = (0..COPIES).map(|rank| views.about(&format!("video-{}", rank % 7))).collect();
        send(&first)?;
        let between = views.batch(usize::try_from(DEDUP_WINDOW)?);
        let (arrived, expected) = send(&between)?;
        total_is_exact(&client.total_as_of(arrived, METRIC, &[]).await?, expected)?;

        // Within the window copies do not count, also for a worker that has just been started; beyond it they do.
        deployment.kill(Layer::Speed);
        deployment.start(Layer::Speed).await?;
        let near: Vec<_> = events(&between[500..]).map(|event| views.copy(event)).collect();
        let (arrived, expected) = send(&near)?;
        total_is_exact(&client.total_as_of(arrived, METRIC, &[]).await?, expected)?;

        let copies: Vec<_> = events(&first).map(|event| views.copy(event)).collect();
        let (arrived, expected) = send(&copies)?;
        let high = client.total_as_of(arrived, METRIC, &[]).await?;
        let too_many = i64::try_from(COPIES)?;
        ensure!(high.int("views")? == expected.views + too_many, "expected {expected:?} and {too_many} more: {high:?}");

        deployment.reconcile().await?;
        let exact = client.authoritative_total(METRIC, &[]).await?;
        total_is_exact(&exact, expected)?;
        ensure!(high.int("views")? - exact.int("views")? == too_many, "{high:?} became {exact:?}");
        every_answer_is_exact(&client, &oracle, now).await
    });
}

fn events(sent: &[Sent]) -> impl Iterator<Item = &Event> {
    sent.iter().filter_map(|sent| sent.event.as_ref())
}

/// The window is counted in records of one partition.
fn in_one_partition(record: &e2e_tests::kafka::Record) -> e2e_tests::kafka::Record {
    e2e_tests::kafka::Record { partition: Some(PARTITION), ..record.clone() }
}
