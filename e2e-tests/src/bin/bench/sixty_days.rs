//! `total_p99_ms`: how long a total over 60 days of one of 200 keys takes while 5,000 events/s flow, spread over all of it.

use std::time::{Duration, Instant};

use anyhow::Result;
use e2e_tests::Stage;
use e2e_tests::scenario::Scenario;
use e2e_tests::views::{METRIC, video};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::figures::{Figures, share};
use crate::load::{Events, Flow, Keys};

const RATE: u64 = 5_000;
const VIDEOS: u32 = 200;
const SIXTY_DAYS_MS: i64 = 60 * 86_400_000;
/// Counted before the first question: three minutes of the flow, so that every key has thousands of buckets.
const BEFORE: usize = 900_000;
const QUESTIONS: usize = 2_000;
/// This leaves the machine to the platform between two questions.
const PAUSE: Duration = Duration::from_millis(5);
/// What we aim at, in milliseconds.
const AIM_MS: f64 = 50.0;

pub(crate) async fn measure(scenario: &Scenario, figures: &mut Figures) -> Result<()> {
    let stage = Stage::of(scenario).as_users_get_it().start().await?;
    let client = stage.client()?;
    let mut events = Events::new(Keys::Uniform, 13);
    let mut rng = StdRng::seed_from_u64(13);
    let mut next = move || {
        let name = video(rng.random_range(0..VIDEOS));
        events.about_before(&name, rng.random_range(0..SIXTY_DAYS_MS))
    };
    let producer = stage.producer()?;
    for _ in 0..BEFORE {
        producer.send(&next())?;
    }
    let arrived = producer.flush()?;
    stage.total_as_of(arrived).await?;

    let flow = Flow::start(&stage, RATE, next)?;
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
    figures.add("total_load", sent.rate, "events/s");
    figures.add("total_p50_ms", share(&took_ms, 0.5), "ms");
    figures.beside("total_p99_ms", share(&took_ms, 0.99), "ms", AIM_MS);
    Ok(())
}
