//! `total_p99_ms`: how long a total over 60 days of one of 200 keys takes while 5,000 events/s flow, spread over all of it.

use std::time::{Duration, Instant};

use anyhow::Result;
use e2e_tests::redis::Durability;
use e2e_tests::scenario::Scenario;
use e2e_tests::views::{CatalogOptions, DEFAULT_DEDUP_WINDOW, METRIC, NEVER, catalog, video};
use e2e_tests::{Deployment, Kafka, Layer, Producer, Redis};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::figures::Figures;
use crate::load::{Flow, Keys, Load};

const RATE: u64 = 5_000;
const VIDEOS: u32 = 200;
const SIXTY_DAYS_MS: i64 = 60 * 86_400_000;
/// Counted before anybody asks: three minutes of the flow, so that every key has thousands of buckets.
const BEFORE: usize = 900_000;
const QUESTIONS: usize = 2_000;
/// This leaves the machine to the platform between two questions.
const PAUSE: Duration = Duration::from_millis(5);
/// What we aim at, in milliseconds.
const AIM_MS: f64 = 50.0;

pub(crate) async fn measure(scenario: &Scenario, kafka: &Kafka, figures: &mut Figures) -> Result<()> {
    let dir = scenario.dir().join("sixty-days");
    let redis = Redis::start(&dir.join("redis"), Durability::None).await?;
    let topic = scenario.unique_name();
    kafka.create_topic(&topic, 4).await?;
    let options = CatalogOptions { name: &topic, topic: &topic, reconcile: NEVER, dedup_window: DEFAULT_DEDUP_WINDOW };
    let deployment = Deployment::new(&dir.join("braid"), &catalog(&options), &kafka.brokers(), &redis.url())?;
    deployment.start_all(&[Layer::Archive, Layer::Speed, Layer::Serving]).await?;
    let client = deployment.client()?;
    let mut load = Load::new(Keys::Uniform, 13);
    let mut rng = StdRng::seed_from_u64(13);
    let mut next = move || {
        let name = video(rng.random_range(0..VIDEOS));
        load.about_before(&name, rng.random_range(0..SIXTY_DAYS_MS))
    };
    let producer = Producer::new(&kafka.brokers(), &topic)?;
    for _ in 0..BEFORE {
        producer.send(&next())?;
    }
    let arrived = producer.flush()?;
    client.total_as_of(arrived, METRIC, &[]).await?;

    let flow = Flow::start(&kafka.brokers(), &topic, RATE, next);
    let mut rng = StdRng::seed_from_u64(17);
    let mut took_ms = Vec::with_capacity(QUESTIONS);
    for _ in 0..QUESTIONS {
        let parameters = [("video_id", video(rng.random_range(0..VIDEOS)))];
        let asked = Instant::now();
        client.total(METRIC, &parameters).await?;
        took_ms.push(asked.elapsed().as_secs_f64() * 1e3);
        tokio::time::sleep(PAUSE).await;
    }
    let sent = flow.stop()?;
    took_ms.sort_by(f64::total_cmp);
    let at = |share: f64| took_ms[((took_ms.len() - 1) as f64 * share) as usize];
    figures.add("total_load", sent.rate, "events/s");
    figures.add("total_p50_ms", at(0.5), "ms");
    figures.beside("total_p99_ms", at(0.99), "ms", AIM_MS);
    Ok(())
}
