//! `produce_to_visible_ms`: from handing an event to the producer until an HTTP answer counts it, under load.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use e2e_tests::Stage;
use e2e_tests::scenario::Scenario;
use e2e_tests::views::METRIC;

use crate::figures::{Figures, share};
use crate::load::{Events, Flow, Keys, is_counted};

/// The load, in events per second.
const RATE: u64 = 20_000;
/// How many events are watched, one after the other.
const PROBES: usize = 400;
/// How long the load runs before anything is watched.
const WARM_UP: Duration = Duration::from_secs(5);
const PROBE_DEADLINE: Duration = Duration::from_secs(30);

pub(crate) async fn measure(scenario: &Scenario, figures: &mut Figures) -> Result<()> {
    let stage = Stage::of(scenario).as_users_get_it().start().await?;
    let mut events = Events::new(Keys::Zipf, 7);
    let flow = Flow::start(&stage, RATE, move || events.next())?;
    tokio::time::sleep(WARM_UP).await;

    let waits_ms = waits_ms(&stage, "probe", PROBES).await?;
    let rate = flow.stop()?.rate;
    figures.add("produce_to_visible_load", rate, "events/s");
    figures.add("produce_to_visible_ms_p50", share(&waits_ms, 0.5), "ms");
    figures.add("produce_to_visible_ms_p99", share(&waits_ms, 0.99), "ms");
    Ok(())
}

/// How long each of so many events took to be counted, in milliseconds, the shortest first. `name` begins those of their videos.
pub(crate) async fn waits_ms(stage: &Stage, name: &str, probes: usize) -> Result<Vec<f64>> {
    let (client, producer) = (stage.client()?, stage.producer()?);
    let mut events = Events::new(Keys::Uniform, 99);
    let mut waits_ms = Vec::with_capacity(probes);
    for probe in 0..probes {
        let video = format!("{name}-{probe}");
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
    waits_ms.sort_by(f64::total_cmp);
    Ok(waits_ms)
}
