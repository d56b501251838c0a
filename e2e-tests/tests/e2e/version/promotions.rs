//! Promotions at once, and one that a serving process hears of late: one step follows on the other, and every answer is exact for the version
//! that it names.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use e2e_tests::load::Counted;
use e2e_tests::versions::{Polls, Step, Versions, corrected};
use e2e_tests::views::METRIC;
use e2e_tests::{Deployment, Layer, Load, busy_scenario};
use test_kit::{DEADLINE, Progress, wait_for};

use super::{sends_still, setup, views};

const SOME: usize = 300;
const COUNTED: [(&str, Counted); 3] =
    [("v1", Counted::EveryStatus), ("v2", Counted::Status200), ("v3", Counted::Status200)];
/// How rarely the one serving process reads the pointer, and how long it may take to notice at most.
const RARELY: &str = "5s";
const BOUND: Duration = Duration::from_secs(5 + 5);
/// A command stays there before it writes the pointer, until it is frozen. Then another one writes one.
const HELD: &str = "versions::before_put=1*return(3000)->off";
const IS_HELD: &str = "failpoint versions::before_put";

#[test]
fn version_promotions_race() {
    busy_scenario("version_promotions_race", async |scenario| {
        let Some(stage) = setup(scenario).start_on_real_kafka().await? else { return Ok(()) };
        let (sent, views, still) = sends_still(&stage, views(&stage)).await?;
        let load = Load::after(sent, stage.producer()?, views);
        let (versions, catalog) = (Versions::of(&stage.deployment), corrected(&stage.topic));
        for version in ["v2", "v3"] {
            versions.take(Step::Create { version, catalog: &catalog }).await?;
            versions.take(Step::Replay { version, from: "log" }).await?;
            versions.take(Step::Verify(version)).await?;
        }
        let mut late = stage.beside("late", &stage.catalog)?;
        late.set("versions.refresh", RARELY);
        late.start(Layer::Serving).await?;
        late.client()?.serves(METRIC).await?;

        let polls = Polls::new(stage.client()?, &load, still.clone(), &COUNTED);
        let late_polls = Polls::new(late.client()?, &load, still, &COUNTED);
        polls
            .during(late_polls.during(async {
                is_heard_late(versions, &late, &late_polls).await?;
                load.arrive(SOME).await?;
                race(versions, &late).await?;
                load.arrive(SOME).await.map(drop)
            }))
            .await?;
        let turns = polls.turns();
        ensure!(turns == ["v1", "v2", "v1", "v3", "v1", "v3", "v1"], "answers were of {turns:?}");
        println!("{:?}, and of the late one {:?}: {:?}", polls.answers(), late_polls.turns(), late_polls.answers());
        let stopped = load.stop().await?;
        stage.total_as_of(stopped.arrived_us).await?;
        stage.is_exact(&stopped.every_status).await
    });
}

/// A serving process answers of the version before for as long as it has not heard of a promotion, and then of the new one.
async fn is_heard_late(versions: Versions<'_>, late: &Deployment, polls: &Polls<'_>) -> Result<()> {
    wait_for("an answer of the late process", DEADLINE, async || {
        Ok(Progress::when(polls.turns() == ["v1"], format_args!("{:?}", polls.turns())))
    })
    .await?;
    // It has just read the pointer, so it does not for a while.
    let read_at = Versions::of(late).told().await?["read_at"].take();
    wait_for("the late process to read the pointer", DEADLINE, async || {
        let told = Versions::of(late).told().await?;
        Ok(Progress::when(told["read_at"] != read_at, format_args!("{told}")))
    })
    .await?;
    versions.take(Step::Promote("v2")).await?;
    let promoted = Instant::now();
    versions.is_active("v2").await?;
    ensure!(polls.turns() == ["v1"], "it has heard at once: {:?}", polls.turns());
    Versions::of(late).is_active("v2").await?;
    let took = promoted.elapsed();
    ensure!(took < BOUND, "it has heard after {took:?}");
    Ok(())
}

/// Two steps at once: the one that is held back is taken on what the other one has left, or refused.
async fn race(versions: Versions<'_>, late: &Deployment) -> Result<()> {
    let held = versions.comes_to(IS_HELD, Step::Promote("v3"), HELD).await?;
    held.suspend()?;
    versions.take(Step::RollBack).await?;
    versions.is_active("v1").await?;
    held.resume()?;
    held.success(DEADLINE).await?;
    versions.is_active("v3").await?;
    let chain = [("v1", "v2"), ("v2", "v1"), ("v1", "v3")].map(|(from, to)| (from.to_owned(), to.to_owned()));
    ensure!(versions.promotions()? == chain, "{:?}", versions.promotions()?);

    // What is promoted meanwhile is not removed, and what is removed is not promoted.
    versions.take(Step::RollBack).await?;
    versions.is_active("v1").await?;
    // What is removed waits for processes that have heard of it within their bound, which is the same for all of a deployment; not for this one.
    Versions::of(late).is_active("v1").await?;
    let held = versions.comes_to(IS_HELD, Step::Promote("v2"), HELD).await?;
    held.suspend()?;
    versions.take(Step::Retire("v2")).await?;
    held.resume()?;
    let status = held.end(DEADLINE).await?;
    let said = held.output()?;
    ensure!(status.code() == Some(1) && said.contains("version v2 is reti"), "{status}: {said}");
    ensure!(versions.active()? == "v1", "{} is active", versions.active()?);
    let number = versions.pointer()?.0;
    let held = versions.comes_to(IS_HELD, Step::Retire("v3"), HELD).await?;
    held.suspend()?;
    versions.take(Step::Promote("v3")).await?;
    versions.is_active("v3").await?;
    held.resume()?;
    let status = held.end(DEADLINE).await?;
    ensure!(status.code() == Some(1), "a version was retired that had become the active one: {}", held.output()?);
    versions.take(Step::RollBack).await?;
    ensure!(versions.pointer()?.0 == number + 2, "one promotion and one roll-back: {:?}", versions.pointer()?);
    versions.is_active("v1").await
}
