//! A topic that had a million records, or three, before Braid ever saw it: `start = "earliest"` counts them, `start = "latest"`
//! does not; in every layer alike. What Redis holds of them is bounded by keys and buckets, not by records.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e_tests::exactness::every_answer_is_exact;
use e2e_tests::kafka::end_offsets;
use e2e_tests::oracle::EVER;
use e2e_tests::scenario::now_us;
use e2e_tests::stage::LAYERS;
use e2e_tests::views::{CatalogOptions, Event, METRIC, Mix, catalog};
use e2e_tests::{Archive, Deployment, Layer, Oracle, Stage, Traffic, busy_scenario};
use test_kit::{DEADLINE, Progress, Redis, repetitions, wait_for};

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
    busy_scenario("existing_topic", async |scenario| {
        let latest = |topic: &str| starting(topic, topic, "latest");
        let stage = Stage::of(scenario).catalog(latest).partitions(PARTITIONS as i32).not_started().start().await?;
        let mut traffic = stage.traffic(VIDEOS, Mix::USUAL)?;
        let mut last: Vec<Event> = Vec::new();
        let past = repetitions(1_000_000, 3_000_000);
        for _ in 0..past / SOME {
            let sent = traffic.views.batch(SOME);
            traffic.queue(&sent)?;
            last = sent.into_iter().filter_map(|sent| sent.event).collect();
        }
        let arrived = traffic.flush()?;
        println!("{past} records sent after {:.1} s", (arrived - stage.now_us) as f64 / 1e6);

        from_now_on(&stage, &mut traffic, &last).await.context("from now on")?;
        for layer in LAYERS {
            stage.deployment.kill(layer);
        }
        let name = format!("{}-earliest", stage.topic);
        let mut earliest = stage.beside("earliest", &starting(&name, &stage.topic, "earliest"))?;
        // The archiver has as long for the past as the worker.
        earliest.set("reconcile.wait", &format!("{}s", CATCH_UP.as_secs()));
        let used = redis_bytes(&stage.redis).await?;
        from_the_start(&stage, &earliest, &traffic.oracle, used).await.context("from its start")
    });
}

/// A deployment that counts what comes after its start.
async fn from_now_on(stage: &Stage, traffic: &mut Traffic, past: &[Event]) -> Result<()> {
    let now = now_us();
    // The worker stops before it opens its shards, having read what the archive says. Only then the archive learns of the topic.
    stage.deployment.batch(&["init"])?.success(DEADLINE).await?;
    let worker = stage.deployment.launch(Layer::Speed, "speed::before_opening=4*return(3000)->off")?;
    worker.line("failpoint speed::before_opening", DEADLINE).await?;
    for layer in LAYERS.into_iter().filter(|layer| *layer != Layer::Speed) {
        stage.deployment.start(layer).await?;
    }
    let mut expected = Oracle::default();
    stage.total_as_of(now).await?;
    stage.is_exact(&expected).await.context("nothing of the past")?;
    let starts = end_offsets(&stage.brokers, &stage.topic)?;

    // The deployment has not met the copied events of the past in any layer, so it counts the copies.
    let mut new = traffic.views.batch(NEW);
    new.extend(past.iter().rev().take(100).map(|event| traffic.views.copy(event)));
    expected.observe(&new);
    let arrived = traffic.send_these(&new)?;
    stage.total_as_of(arrived).await?;
    stage.stays_exact(&expected).await.context("what is new")?;
    let archive = Archive::read(&stage.deployment.store(), METRIC)?;
    ensure!(archive.rows == new.len(), "{} rows of {}", archive.rows, new.len());
    for ((_, partition), offsets) in &archive.offsets {
        let start = starts[usize::try_from(*partition)?];
        ensure!(offsets.first() >= Some(&start), "partition {partition} from before {start}");
    }
    Ok(())
}

/// A deployment that counts everything; Redis held `used` bytes before.
async fn from_the_start(stage: &Stage, deployment: &Deployment, oracle: &Oracle, used: u64) -> Result<()> {
    let now = now_us();
    deployment.start_all(&LAYERS).await?;
    let client = deployment.client()?;
    client.serves(METRIC).await?;
    let expected = oracle.total(None, EVER);
    // Until everything is counted, no answer counts more, and none that is complete as of now counts less.
    wait_for("the past to be counted", CATCH_UP, async || {
        let answer = client.total(METRIC, &[]).await?;
        let views = answer.int("views")?;
        ensure!(views <= expected.views, "{expected:?}: {answer:?}");
        let done = answer.complete && answer.as_of_us()? >= Some(now);
        ensure!(!done || views == expected.views, "{expected:?}: {answer:?}");
        Ok(Progress::when(done, format_args!("{expected:?}: {answer:?}")))
    })
    .await?;
    println!("counted after {:.1} s", (now_us() - now) as f64 / 1e6);
    every_answer_is_exact(&client, oracle, stage.now_us).await.context("the past in the speed view")?;

    // Every video lies in one partition; all videos together are counted in each.
    let buckets: usize = oracle.videos().iter().map(|video| oracle.buckets(video)).sum();
    let buckets = (buckets + PARTITIONS * oracle.minutes()) as u64;
    let more = redis_bytes(&stage.redis).await?.saturating_sub(used);
    let bound = buckets * BYTES_PER_BUCKET + BYTES_BESIDE;
    println!("{} records in {buckets} buckets take {more} bytes of Redis, at most {bound}", oracle.records);
    ensure!(more < bound, "{buckets} buckets take {more} bytes of Redis, more than {bound}");

    deployment.launch_reconcile("")?.success(CATCH_UP).await?;
    client.authoritative_total(METRIC, &[]).await?;
    every_answer_is_exact(&client, oracle, stage.now_us).await.context("the past in the batch view")?;
    let archive = Archive::read(&deployment.store(), METRIC)?;
    archive.holds_each_offset_once(&end_offsets(&stage.brokers, &stage.topic)?)
}

fn starting(name: &str, topic: &str, start: &str) -> String {
    let text = catalog(&CatalogOptions { name, ..CatalogOptions::of(topic) });
    text.replace("key = \"video_id\"", &format!("key = \"video_id\"\nstart = \"{start}\""))
}

async fn redis_bytes(redis: &Redis) -> Result<u64> {
    let info: String = redis::cmd("INFO").arg("memory").query_async(&mut redis.connection().await?).await?;
    let used = info.lines().find_map(|line| line.strip_prefix("used_memory:")).context("no used_memory")?;
    Ok(used.trim().parse()?)
}
