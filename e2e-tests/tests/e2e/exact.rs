//! 200,000 events, some of them copies, late or broken: every answer equals the expected counts for every key, before any
//! reconcile, while several run, and after.

use anyhow::{Result, ensure};
use e2e_tests::exactness::every_answer_is_exact;
use e2e_tests::kafka::end_offsets;
use e2e_tests::process::Process;
use e2e_tests::redis::Durability;
use e2e_tests::scenario::now_us;
use e2e_tests::views::{CatalogOptions, DEFAULT_DEDUP_WINDOW, METRIC, Mix, NEVER, Views, catalog};
use e2e_tests::{Archive, Client, Deployment, Kafka, Layer, Oracle, Producer, Redis, scenario};

const BEFORE_RECONCILES: usize = 100_000;
const RECONCILES: usize = 4;
const BEFORE_EACH_RECONCILE: usize = 25_000;
const VIDEOS: u32 = 300;
const PARTITIONS: i32 = 4;

#[test]
fn exact() {
    scenario("exact", async |scenario| {
        let kafka = Kafka::shared().await?;
        let redis = Redis::start(&scenario.dir().join("redis"), Durability::None).await?;
        let topic = scenario.unique_name();
        kafka.create_topic(&topic, PARTITIONS).await?;
        let text = catalog(&CatalogOptions {
            name: &topic,
            topic: &topic,
            reconcile: NEVER,
            dedup_window: DEFAULT_DEDUP_WINDOW,
        });
        let deployment = Deployment::new(&scenario.dir().join("braid"), &text, &kafka.brokers(), &redis.url())?;
        deployment.start_all(&[Layer::Archive, Layer::Speed, Layer::Serving]).await?;

        let now = now_us();
        let mut views = Views::new(scenario.rng(), now, VIDEOS, Mix::USUAL);
        let mut oracle = Oracle::default();
        let producer = Producer::new(&kafka.brokers(), &topic)?;
        let client = deployment.client()?;

        let mut send = |count, oracle: &mut Oracle| -> Result<i64> {
            let sent = views.batch(count);
            oracle.observe(&sent);
            producer.send_all(sent.iter().map(|sent| &sent.record))
        };

        let arrived = send(BEFORE_RECONCILES, &mut oracle)?;
        let answer = client.total_as_of(arrived, METRIC, &[]).await?;
        ensure!(!answer.authoritative, "nothing was reconciled: {answer:?}");
        every_answer_is_exact(&client, &oracle, now).await?;

        for _ in 0..RECONCILES {
            let arrived = send(BEFORE_EACH_RECONCILE, &mut oracle)?;
            client.total_as_of(arrived, METRIC, &[]).await?;
            let reconcile = deployment.launch_reconcile("")?;
            exact_until_it_ends(&reconcile, &client, &oracle, now).await?;
        }

        let answer = client.authoritative_total(METRIC, &[]).await?;
        ensure!(answer.batch_version().is_some(), "authoritative without a batch view: {answer:?}");
        every_answer_is_exact(&client, &oracle, now).await?;

        let archive = Archive::read(&deployment.store(), "views")?;
        archive.holds_each_offset_once(&end_offsets(&kafka.brokers(), &topic)?)?;
        ensure!(archive.rows as u64 == oracle.records, "{} rows of {} records", archive.rows, oracle.records);
        ensure!(archive.rejected as u64 == oracle.broken, "{} rejected of {}", archive.rejected, oracle.broken);
        Ok(())
    });
}

/// Asks for everything again and again while the reconcile runs, and once more when it has ended.
async fn exact_until_it_ends(reconcile: &Process, client: &Client, expected: &Oracle, now: i64) -> Result<()> {
    loop {
        let ended = reconcile.ended()?;
        every_answer_is_exact(client, expected, now).await?;
        if let Some(status) = ended {
            ensure!(status.success(), "the reconcile ended with {status}");
            return Ok(());
        }
    }
}
