//! `produce_to_visible_ms`: from handing an event to the producer until an HTTP answer counts it, under load.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use e2e_tests::redis::Durability;
use e2e_tests::scenario::Scenario;
use e2e_tests::views::{CatalogOptions, DEFAULT_DEDUP_WINDOW, METRIC, NEVER, catalog};
use e2e_tests::{Deployment, Kafka, Layer, Producer, Redis};

use crate::figures::Figures;
use crate::load::{Flow, Keys, Load, is_counted};

/// The load, in events per second.
const RATE: u64 = 20_000;
/// How many events are watched, one after the other.
const PROBES: usize = 400;
/// How long the load runs before anything is watched.
const WARM_UP: Duration = Duration::from_secs(5);
const PROBE_DEADLINE: Duration = Duration::from_secs(30);

pub(crate) async fn measure(scenario: &Scenario, kafka: &Kafka, figures: &mut Figures) -> Result<()> {
    let dir = scenario.dir().join("visible");
    let redis = Redis::start(&dir.join("redis"), Durability::None).await?;
    let topic = scenario.unique_name();
    kafka.create_topic(&topic, 4).await?;
    let options =
        CatalogOptions { name: "visible", topic: &topic, reconcile: NEVER, dedup_window: DEFAULT_DEDUP_WINDOW };
    let mut deployment = Deployment::new(&dir.join("braid"), &catalog(&options), &kafka.brokers(), &redis.url())?;
    // What users get, not what scenarios wait for.
    deployment.set("archive.linger", "2s");
    deployment.set("serving.refresh", "500ms");
    deployment.start_all(&[Layer::Archive, Layer::Speed, Layer::Serving]).await?;
    let client = deployment.client()?;
    let mut load = Load::new(Keys::Zipf, 7);
    let flow = Flow::start(&kafka.brokers(), &topic, RATE, move || load.next());
    tokio::time::sleep(WARM_UP).await;

    let producer = Producer::new(&kafka.brokers(), &topic)?;
    let mut events = Load::new(Keys::Uniform, 99);
    let mut waits_ms = Vec::with_capacity(PROBES);
    for probe in 0..PROBES {
        let video = format!("probe-{probe}");
        let mut event = events.about(&video);
        while !is_counted(&event) {
            event = events.about(&video);
        }
        let sent = Instant::now();
        producer.send(&event)?;
        loop {
            let answer = client.total(METRIC, &[("video_id", video.clone())]).await?;
            if answer.int("views")? == 1 {
                break;
            }
            ensure!(sent.elapsed() < PROBE_DEADLINE, "{video} did not become visible");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        waits_ms.push(sent.elapsed().as_secs_f64() * 1e3);
    }
    let rate = flow.stop()?.rate;
    waits_ms.sort_by(f64::total_cmp);
    let at = |share: f64| waits_ms[((waits_ms.len() - 1) as f64 * share) as usize];
    figures.add("produce_to_visible_load", rate, "events/s");
    figures.add("produce_to_visible_ms_p50", at(0.5), "ms");
    figures.add("produce_to_visible_ms_p99", at(0.99), "ms");
    Ok(())
}
