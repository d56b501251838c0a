//! `live_event_ms`: from handing an event to the producer until a client that watches its key has the answer that counts it, under load;
//! with one client, and until the last of 200 has it.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use e2e_tests::Stage;
use e2e_tests::live::Live;
use e2e_tests::scenario::Scenario;
use e2e_tests::views::METRIC;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::figures::{Figures, share};
use crate::load::{Events, Flow, Keys, is_counted};

/// The load, in events per second.
const RATE: u64 = 20_000;
/// How many events are watched, one after the other.
const PROBES: i64 = 200;
/// How many clients watch where there are many.
const CLIENTS: usize = 200;
/// How long the load runs before anything is watched.
const WARM_UP: Duration = Duration::from_secs(5);
const PROBE_DEADLINE: Duration = Duration::from_secs(30);

pub(crate) async fn measure(scenario: &Scenario, figures: &mut Figures) -> Result<()> {
    let stage = Stage::of(scenario).as_users_get_it().start().await?;
    let mut events = Events::new(Keys::Zipf, 11);
    let flow = Flow::start(&stage, RATE, move || events.next())?;
    tokio::time::sleep(WARM_UP).await;

    let one = waits_ms(&stage, "live-1", 1).await?;
    let many = waits_ms(&stage, "live-many", CLIENTS).await?;
    figures.add("live_load", flow.stop()?.rate, "events/s");
    figures.add("live_event_ms_p50", share(&one, 0.5), "ms");
    figures.add("live_event_ms_p99", share(&one, 0.99), "ms");
    figures.add("live_event_to_200_clients_ms_p50", share(&many, 0.5), "ms");
    figures.add("live_event_to_200_clients_ms_p99", share(&many, 0.99), "ms");
    Ok(())
}

/// How long each event about that video took until so many clients had the answer, in milliseconds, the shortest first.
async fn waits_ms(stage: &Stage, video: &str, clients: usize) -> Result<Vec<f64>> {
    let (client, producer) = (stage.client()?, stage.producer()?);
    let (path, parameters) = (format!("/v1/metrics/{METRIC}/total"), [("video_id", video.to_owned())]);
    let (say, mut said) = mpsc::unbounded_channel();
    let mut watching = JoinSet::new();
    for _ in 0..clients {
        let (mut live, say) = (Live::watch(&client, &path, &parameters).await?, say.clone());
        ensure!(live.answer().await?.int("views")? == 0, "nothing of {video} was sent");
        watching.spawn(async move {
            loop {
                let told = async { live.answer().await?.int("views") }.await;
                let is_last = told.is_err();
                if say.send((told, Instant::now())).is_err() || is_last {
                    return;
                }
            }
        });
    }
    let mut events = Events::new(Keys::Uniform, 101);
    let mut waits_ms = Vec::new();
    for probe in 1..=PROBES {
        let mut event = events.about(video);
        while !is_counted(&event) {
            event = events.about(video);
        }
        let sent = Instant::now();
        producer.send(&event)?;
        let (mut have_it, mut last) = (0, sent);
        while have_it < clients {
            let next = tokio::time::timeout(PROBE_DEADLINE, said.recv()).await;
            let (told, at) = next.with_context(|| format!("event {probe} was not told"))?.context("nobody watches")?;
            // Another answer with the same total has another batch view.
            if told? == probe {
                (have_it, last) = (have_it + 1, at);
            }
        }
        waits_ms.push(last.saturating_duration_since(sent).as_secs_f64() * 1e3);
    }
    waits_ms.sort_by(f64::total_cmp);
    Ok(waits_ms)
}
