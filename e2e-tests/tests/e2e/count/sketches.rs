//! Measures that are sketches: what they say does not depend on which layer counted an event, nor on how often a process was killed
//! in between. Speed alone, both layers, the batch view, and one that was counted anew say the same.

use anyhow::{Context, Result, ensure};
use e2e_tests::reach::{REACH, Reach, catalog};
use e2e_tests::views::Mix;
use e2e_tests::{Answer, Layer, Stage, Traffic, scenario};
use serde_json::{Map, Value};
use test_kit::DEADLINE;

const SOME: usize = 1_500;
const VIDEOS: u32 = 60;
/// Long enough to be killed there.
const STAY: &str = "return(60000)";

#[test]
fn sketches() {
    scenario("sketches", async |scenario| {
        let stage = Stage::of(scenario).catalog(catalog).start().await?;
        let (mut traffic, mut reach) = (stage.traffic(VIDEOS, Mix::USUAL)?, Reach::default());
        let by_speed = sent(&stage, &mut traffic, &mut reach).await.context("by speed alone")?;
        ensure!(by_speed.provenance.as_ref().is_some_and(|of| of.batch.version.is_none()), "{by_speed:?}");
        let again = after_kills_of_speed(&stage, &mut traffic, &mut reach).await.context("after kills of speed")?;

        stage.archived().await?;
        for fail_point in ["reconcile::before_commit", "reconcile::after_commit"] {
            let killed = stage.deployment.launch_reconcile(&format!("{fail_point}={STAY}"))?;
            killed.line(&format!("failpoint {fail_point}"), DEADLINE).await?;
            killed.kill();
            let answer = told(&stage, &reach).await.with_context(|| format!("killed at {fail_point}"))?;
            says_the_same(&again, &answer).with_context(|| format!("killed at {fail_point}"))?;
        }
        stage.deployment.reconcile().await?;
        let by_batch = stage.client()?.authoritative_total(REACH, &[]).await?;
        says_the_same(&again, &by_batch)?;

        let by_both = sent(&stage, &mut traffic, &mut reach).await.context("by both layers")?;
        stage.archived().await?;
        stage.deployment.reconcile().await?;
        says_the_same(&by_both, &stage.client()?.authoritative_total(REACH, &[]).await?)?;

        let rebuilt = stage.deployment.batch(&["rebuild", REACH])?;
        rebuilt.success(DEADLINE).await?;
        ensure!(rebuilt.output()?.contains("(rebuilt)"), "it was not rebuilt");
        says_the_same(&by_both, &stage.client()?.authoritative_total(REACH, &[]).await?).context("rebuilt")?;
        // It fails if it finds a difference: of sketches, one byte.
        let audit = stage.deployment.braid(&["audit", REACH], DEADLINE).await?;
        ensure!(audit.contains("the view says what the records say"), "{audit}");

        // From the segments that are there.
        stage.deployment.start(Layer::Serving).await?;
        stage.client()?.serves(REACH).await?;
        says_the_same(&by_both, &stage.client()?.authoritative_total(REACH, &[]).await?).context("restarted")?;
        series_adds_up(&stage, &reach).await
    });
}

/// Sends some views; returns the first total that has them, which must be true.
async fn sent(stage: &Stage, traffic: &mut Traffic, reach: &mut Reach) -> Result<Answer> {
    let views = traffic.views.batch(SOME);
    reach.observe(&views);
    let arrived = traffic.send_these(&views)?;
    let answer = stage.client()?.total_as_of(arrived, REACH, &[]).await?;
    reach.is_told_by(&answer)?;
    Ok(answer)
}

/// Workers that are killed before and after they have written say nothing twice.
async fn after_kills_of_speed(stage: &Stage, traffic: &mut Traffic, reach: &mut Reach) -> Result<Answer> {
    for fail_point in ["speed::before_apply", "speed::after_apply"] {
        let worker = stage.deployment.launch(Layer::Speed, &format!("{fail_point}={STAY}"))?;
        let views = traffic.views.batch(SOME);
        reach.observe(&views);
        traffic.send_these(&views)?;
        worker.line(&format!("failpoint {fail_point}"), DEADLINE).await?;
        stage.deployment.kill(Layer::Speed);
    }
    stage.deployment.start(Layer::Speed).await?;
    sent(stage, traffic, reach).await
}

/// The total, which must be true.
async fn told(stage: &Stage, reach: &Reach) -> Result<Answer> {
    let answer = stage.client()?.total_as_of(0, REACH, &[]).await?;
    reach.is_told_by(&answer)?;
    Ok(answer)
}

/// Two answers about the same events say the same, to the last digit of every estimate and bound.
fn says_the_same(before: &Answer, now: &Answer) -> Result<()> {
    let told = |answer: &Answer| -> Result<(Map<String, Value>, Value)> {
        let body: Value = serde_json::from_str(&answer.text)?;
        Ok((answer.values.clone(), body["bounds"].clone()))
    };
    ensure!(told(before)? == told(now)?, "{before:?} became {now:?}");
    Ok(())
}

/// The videos of each hour, and their views, which are numbers, add up to what everything says.
async fn series_adds_up(stage: &Stage, reach: &Reach) -> Result<()> {
    let (client, step) = (stage.client()?, [("step", "1h".to_owned())]);
    let all = client.total(REACH, &[]).await?;
    reach.is_told_by(&all)?;
    let series = client.series(REACH, &step).await?;
    let of =
        |name: &str| series.points.iter().map(|point| point.values[name].as_i64().unwrap_or(0)).collect::<Vec<_>>();
    ensure!(of("views").iter().sum::<i64>() == all.int("views")?, "{series:?}");
    let videos = of("videos");
    let (most, sum) = (videos.iter().max().copied().unwrap_or(0), videos.iter().sum::<i64>());
    ensure!(most <= all.int("videos")? && all.int("videos")? <= sum, "{series:?}");
    ensure!(series.points.iter().all(|point| point.values["frequent"].is_array()), "{series:?}");
    Ok(())
}
