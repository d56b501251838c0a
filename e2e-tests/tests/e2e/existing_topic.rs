//! A topic that had three million records before Braid ever saw it: `start = "earliest"` counts them, `start = "latest"`
//! does not; in every layer alike. What Redis holds of them is bounded by keys and buckets, not by records.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e_tests::exactness::every_answer_is_exact;
use e2e_tests::kafka::end_offsets;
use e2e_tests::oracle::EVER;
use e2e_tests::scenario::now_us;
use e2e_tests::stage::LAYERS;
use e2e_tests::views::{CatalogOptions, DEFAULT_DEDUP_WINDOW, Event, METRIC, Mix, NEVER, Views, catalog};
use e2e_tests::wait::{Look, wait_for};
use e2e_tests::{Archive, Deployment, Kafka, Oracle, Producer, Redis, Stage, scenario};

const PAST: usize = 3_000_000;
/// Held in memory at a time.
const SOME: usize = 20_000;
const NEW: usize = 2_000;
const VIDEOS: u32 = 200;
const PARTITIONS: usize = 4;
/// How long counting the past may take where the platform is not optimised and shares the machine with the broker.
const CATCH_UP: Duration = Duration::from_secs(600);
/// What Redis may need for one bucket of one group key, all measures together.
const BYTES_PER_BUCKET: u64 = 256;
/// What it needs besides: itself, and what is on its way.
const BYTES_BESIDE: u64 = 16 << 20;

#[test]
fn existing_topic() {
    scenario("existing_topic", async |scenario| {
        let kafka = Kafka::shared().await?;
        let topic = scenario.unique_name();
        let stage =
            Stage::with_catalog(scenario, &kafka.brokers(), &topic, &starting(&topic, &topic, "latest")).await?;
        kafka.create_topic(&topic, PARTITIONS as i32).await?;
        let now = now_us();
        let mut views = Views::new(scenario.rng(), now, VIDEOS, Mix::USUAL);
        let producer = Producer::new(&stage.brokers, &topic)?;
        let mut whole = Oracle::default();
        let mut last: Vec<Event> = Vec::new();
        for _ in 0..PAST / SOME {
            let sent = views.batch(SOME);
            whole.observe(&sent);
            sent.iter().try_for_each(|sent| producer.send(&sent.record))?;
            last = sent.into_iter().filter_map(|sent| sent.event).collect();
        }
        producer.flush()?;
        println!("{PAST} records sent after {:.1} s", (now_us() - now) as f64 / 1e6);

        from_now_on(&stage, &producer, &mut views, &last, &mut whole).await.context("from now on")?;
        for layer in LAYERS {
            stage.deployment.kill(layer);
        }
        let name = format!("{topic}-earliest");
        let dir = scenario.dir().join("earliest");
        let mut earliest = stage.deployment.beside(&dir, &starting(&name, &topic, "earliest"))?;
        // The archiver has as long for the past as the worker.
        earliest.set("reconcile.wait", &format!("{}s", CATCH_UP.as_secs()));
        let used = redis_bytes(&stage.redis).await?;
        from_its_beginning(&stage, &earliest, &whole, used).await.context("from its beginning")
    });
}

/// A deployment that counts what comes after its start.
async fn from_now_on(
    stage: &Stage,
    producer: &Producer,
    views: &mut Views,
    past: &[Event],
    whole: &mut Oracle,
) -> Result<()> {
    let now = now_us();
    stage.deployment.start_all(&LAYERS).await?;
    let client = stage.client()?;
    let mut oracle = Oracle::default();
    client.total_as_of(now, METRIC, &[]).await?;
    every_answer_is_exact(&client, &oracle, now).await.context("nothing of the past")?;
    let begins = end_offsets(&stage.brokers, &stage.topic)?;

    // A copy of an event of the past is the first that this deployment meets, in every layer.
    let mut new = views.batch(NEW);
    new.extend(past.iter().rev().take(100).map(|event| views.copy(event)));
    oracle.observe(&new);
    whole.observe(&new);
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
}

/// A deployment that counts everything; Redis held `used` bytes before.
async fn from_its_beginning(stage: &Stage, deployment: &Deployment, oracle: &Oracle, used: u64) -> Result<()> {
    let now = now_us();
    deployment.start_all(&LAYERS).await?;
    let client = deployment.client()?;
    let expected = oracle.total(None, EVER);
    // Until all is counted, no answer says more, and none that says that it is as of now says less.
    wait_for("the past to be counted", CATCH_UP, async || {
        let answer = client.total(METRIC, &[]).await?;
        let views = answer.int("views")?;
        ensure!(views <= expected.views, "{expected:?}: {answer:?}");
        let done = answer.complete && answer.as_of_us()? >= Some(now);
        ensure!(!done || views == expected.views, "{expected:?}: {answer:?}");
        Ok(if done { Look::Done(()) } else { Look::NotYet(format!("{expected:?}: {answer:?}")) })
    })
    .await?;
    println!("counted after {:.1} s", (now_us() - now) as f64 / 1e6);
    every_answer_is_exact(&client, oracle, now).await.context("the past in the speed view")?;

    // Every video lies in one partition; all videos together are counted in each.
    let buckets: usize = oracle.videos().iter().map(|video| oracle.buckets(video)).sum();
    let buckets = (buckets + PARTITIONS * oracle.minutes()) as u64;
    let more = redis_bytes(&stage.redis).await?.saturating_sub(used);
    let bound = buckets * BYTES_PER_BUCKET + BYTES_BESIDE;
    println!("{} records in {buckets} buckets take {more} bytes of Redis, at most {bound}", oracle.records);
    ensure!(more < bound, "{buckets} buckets take {more} bytes of Redis, more than {bound}");

    deployment.launch_reconcile("")?.success(CATCH_UP).await?;
    client.authoritative_total(METRIC, &[]).await?;
    every_answer_is_exact(&client, oracle, now).await.context("the past in the batch view")?;
    let archive = Archive::read(&deployment.store(), "views")?;
    archive.holds_each_offset_once(&end_offsets(&stage.brokers, &stage.topic)?)
}

fn starting(name: &str, topic: &str, start: &str) -> String {
    let options = CatalogOptions { name, topic, reconcile: NEVER, dedup_window: DEFAULT_DEDUP_WINDOW };
    catalog(&options).replace("key = \"video_id\"", &format!("key = \"video_id\"\nstart = \"{start}\""))
}

async fn redis_bytes(redis: &Redis) -> Result<u64> {
    let info: String = redis::cmd("INFO").arg("memory").query_async(&mut redis.connection().await?).await?;
    let used = info.lines().find_map(|line| line.strip_prefix("used_memory:")).context("no used_memory")?;
    Ok(used.trim().parse()?)
}
