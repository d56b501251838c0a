//! How soon answers are exact and fresh again after a fault at 20,000 events/s: `recovery_after_kill9` of a speed worker, and
//! `emptied_redis_to_complete`.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use e2e_tests::scenario::{Scenario, now_us};
use e2e_tests::views::METRIC;
use e2e_tests::{Client, Layer, Stage};
use test_kit::{DEADLINE, Progress, wait_for};

use crate::figures::Figures;
use crate::load::{Events, Flow, Keys};

const RATE: u64 = 20_000;
const WARM_UP: Duration = Duration::from_secs(5);
/// An answer is fresh if it lacks nothing of what arrived before this long ago: a worker asks for the log's end every
/// half a second.
const FRESH_US: i64 = 1_000_000;
const KILLS: usize = 3;
/// What we aim at, in seconds.
const AIM_S: f64 = 3.0;

pub(crate) async fn measure(scenario: &Scenario, figures: &mut Figures) -> Result<()> {
    // A restarted worker is known to its group by name. So it takes its partitions back at once, instead of waiting until the
    // session of the one that was killed has timed out.
    let setup = Stage::of(scenario).as_users_get_it().set("kafka.client.group_instance_id", "worker-1");
    let stage = setup.start().await?;
    let (client, deployment) = (stage.client()?, &stage.deployment);
    let mut events = Events::new(Keys::Zipf, 11);
    let flow = Flow::start(&stage, RATE, move || events.next())?;
    tokio::time::sleep(WARM_UP).await;
    deployment.reconcile().await?;

    let mut slowest: f64 = 0.0;
    for _ in 0..KILLS {
        is_fresh(&client, now_us()).await?;
        let (killed, killed_us) = (Instant::now(), now_us());
        deployment.kill(Layer::Speed);
        // As a supervisor does.
        let _worker = deployment.launch(Layer::Speed, "")?;
        is_fresh(&client, killed_us).await?;
        slowest = slowest.max(killed.elapsed().as_secs_f64());
    }
    let (emptied, emptied_us) = (Instant::now(), now_us());
    stage.redis.command(&["FLUSHALL"]).await?;
    is_fresh(&client, emptied_us).await?;
    let to_complete = emptied.elapsed().as_secs_f64();

    let sent = flow.stop()?;
    let answer = client.total_as_of(sent.arrived_us, METRIC, &[]).await?;
    let views = answer.int("views")?;
    ensure!(views == sent.counted, "{views} views counted of {}: {answer:?}", sent.counted);
    figures.beside("recovery_after_kill9", slowest, "s", AIM_S);
    figures.add("recovery_load", sent.rate, "events/s");
    figures.add("emptied_redis_to_complete", to_complete, "s");
    Ok(())
}

/// Waits for an answer that is complete as of a later moment than `after_us` and as of almost now. That it is exact, the end
/// of the load shows.
async fn is_fresh(client: &Client, after_us: i64) -> Result<()> {
    wait_for("a complete and fresh answer", DEADLINE, async || {
        // While the speed view is being opened again, there may be none.
        let Ok(answer) = client.total(METRIC, &[]).await else { return Ok(Progress::NotYet("no answer".to_owned())) };
        let as_of = answer.as_of_us()?.unwrap_or(i64::MIN);
        let done = answer.complete && as_of > after_us && as_of > now_us() - FRESH_US;
        Ok(Progress::when(done, format_args!("{answer:?}")))
    })
    .await
    .context("recovery")
}
