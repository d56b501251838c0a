//! A topic with a past before Braid first starts: taken up from its beginning, or from now on.

use anyhow::{Context, Result, ensure};
use e2e_tests::exactness::every_answer_is_exact;
use e2e_tests::kafka::end_offsets;
use e2e_tests::scenario::now_us;
use e2e_tests::stage::LAYERS;
use e2e_tests::views::{CatalogOptions, DEFAULT_DEDUP_WINDOW, METRIC, Mix, NEVER, Sent, Views, catalog};
use e2e_tests::{Archive, Kafka, Oracle, Producer, Scenario, Stage, scenario};

const PAST: usize = 300_000;
const NEW: usize = 2_000;
const VIDEOS: u32 = 200;
/// What Redis may need for the whole past: a counter per key and minute, and these are at most videos × minutes.
const REDIS_BYTES_MAX: u64 = 256 << 20;

#[test]
fn existing_topic_from_its_beginning() {
    scenario("existing_topic_from_its_beginning", async |scenario| {
        let (stage, mut views, past) = topic_with_a_past(scenario, "earliest").await?;
        let now = now_us();
        let mut oracle = Oracle::default();
        oracle.observe(&past);
        let producer = Producer::new(&stage.brokers, &stage.topic)?;
        stage.deployment.start_all(&LAYERS).await?;
        let client = stage.client()?;
        client.total_as_of(now, METRIC, &[]).await?;
        every_answer_is_exact(&client, &oracle, now).await.context("the past in the speed view")?;
        let used = redis_bytes(&stage).await?;
        println!("{PAST} records of the past: Redis uses {used} bytes");
        ensure!(used < REDIS_BYTES_MAX, "Redis uses {used} bytes");
        let new = views.batch(NEW);
        oracle.observe(&new);
        let arrived = producer.send_all(new.iter().map(|sent| &sent.record))?;
        client.total_as_of(arrived, METRIC, &[]).await?;
        stage.reconciled_is(&oracle).await?;
        every_answer_is_exact(&client, &oracle, now).await.context("the past in the batch view")?;
        let archive = Archive::read(&stage.deployment.store(), "views")?;
        archive.holds_each_offset_once(&end_offsets(&stage.brokers, &stage.topic)?)
    });
}

#[test]
fn existing_topic_from_now_on() {
    scenario("existing_topic_from_now_on", async |scenario| {
        let (stage, mut views, past) = topic_with_a_past(scenario, "latest").await?;
        let now = now_us();
        let producer = Producer::new(&stage.brokers, &stage.topic)?;
        stage.deployment.start_all(&LAYERS).await?;
        let client = stage.client()?;
        let mut oracle = Oracle::default();
        client.total_as_of(now, METRIC, &[]).await?;
        every_answer_is_exact(&client, &oracle, now).await.context("nothing of the past")?;
        let begins = end_offsets(&stage.brokers, &stage.topic)?;

        // A copy of an event of the past is the first that Braid meets, in every layer.
        let mut new = views.batch(NEW);
        let of_the_past = past.iter().rev().filter_map(|sent| sent.event.as_ref()).take(100);
        new.extend(of_the_past.map(|event| views.copy(event)));
        oracle.observe(&new);
        let arrived = producer.send_all(new.iter().map(|sent| &sent.record))?;
        client.total_as_of(arrived, METRIC, &[]).await?;
        every_answer_is_exact(&client, &oracle, now).await.context("what is new in the speed view")?;
        stage.reconciled_is(&oracle).await?;
        every_answer_is_exact(&client, &oracle, now).await.context("what is new in the batch view")?;
        let archive = Archive::read(&stage.deployment.store(), "views")?;
        ensure!(archive.rows == new.len(), "{} rows of {}", archive.rows, new.len());
        for ((_, partition), offsets) in &archive.offsets {
            let begin = begins[usize::try_from(*partition)?];
            ensure!(offsets.first() >= Some(&begin), "partition {partition} from before {begin}");
        }
        Ok(())
    });
}

/// A stage whose topic has records that no layer has seen, and the events in them.
async fn topic_with_a_past(scenario: &Scenario, start: &str) -> Result<(Stage, Views, Vec<Sent>)> {
    let kafka = Kafka::shared().await?;
    let topic = scenario.unique_name();
    let options = CatalogOptions { name: &topic, topic: &topic, reconcile: NEVER, dedup_window: DEFAULT_DEDUP_WINDOW };
    let catalog = catalog(&options).replace("key = \"video_id\"", &format!("key = \"video_id\"\nstart = \"{start}\""));
    let stage = Stage::with_catalog(scenario, &kafka.brokers(), &topic, &catalog).await?;
    kafka.create_topic(&topic, 4).await?;
    let mut views = Views::new(scenario.rng(), now_us(), VIDEOS, Mix::USUAL);
    let past = views.batch(PAST);
    Producer::new(&stage.brokers, &topic)?.send_all(past.iter().map(|sent| &sent.record))?;
    Ok((stage, views, past))
}

async fn redis_bytes(stage: &Stage) -> Result<u64> {
    let info: String = redis::cmd("INFO").arg("memory").query_async(&mut stage.redis.connection().await?).await?;
    let used = info.lines().find_map(|line| line.strip_prefix("used_memory:")).context("no used_memory")?;
    Ok(used.trim().parse()?)
}
