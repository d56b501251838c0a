//! A version is created, replayed from the log, and another from the archive; both say the same, are verified, promoted, rolled back and
//! retired, while events flow and clients ask: no request fails, and every answer is exact for the version that it names.

use anyhow::{Context, Result, ensure};
use e2e_tests::exactness::every_answer_is_exact;
use e2e_tests::load::Counted;
use e2e_tests::versions::{Polls, Step, Still, Versions, corrected, is_gone};
use e2e_tests::{Load, Oracle, Stage, busy_scenario};

use super::{sends_still, setup, views};

const SOME: usize = 500;
/// What each version counts.
const COUNTED: [(&str, Counted); 3] =
    [("v1", Counted::EveryStatus), ("v2", Counted::Status200), ("v3", Counted::Status200)];
/// How many answers of each version are seen at least.
const ANSWERS: usize = 20;

#[test]
fn version_life() {
    busy_scenario("version_life", async |scenario| {
        let Some(stage) = setup(scenario).without_kills().start_on_real_kafka().await? else { return Ok(()) };
        let (sent, views, still) = sends_still(&stage, views(&stage)).await?;
        let load = Load::after(sent, stage.producer()?, views);
        let polls = Polls::new(stage.client()?, &load, still.clone(), &COUNTED);
        polls.during(come(&stage, &polls, &load)).await?;
        let answers = polls.answers();
        ensure!(polls.turns() == ["v1", "v2", "v1", "v2"], "answers were of {:?}", polls.turns());
        ensure!(answers.len() == 3 && answers.values().all(|given| *given >= ANSWERS), "{answers:?}");

        // Nothing flows: all three say what was sent, of every key, and the two that were replayed the same.
        let stopped = load.stop().await?;
        for version in ["v1", "v2", "v3"] {
            let expected = if version == "v1" { &stopped.every_status } else { &stopped.oracle };
            is_exact(&stage, version, stopped.arrived_us, expected).await?;
        }
        go(&stage, Load::after(stopped.sent, stage.producer()?, stopped.views), still).await
    });
}

/// Versions are created, replayed each in its own way, and one of them is promoted, rolled back and promoted again.
async fn come(stage: &Stage, polls: &Polls<'_>, load: &Load) -> Result<()> {
    let (versions, catalog) = (Versions::of(&stage.deployment), corrected(&stage.topic));
    for (version, from) in [("v2", "log"), ("v3", "archive")] {
        versions.take(Step::Create { version, catalog: &catalog }).await?;
        versions.take(Step::Replay { version, from }).await?;
        polls.ask_for(version).await?;
        versions.take(Step::Verify(version)).await.with_context(|| format!("replayed from the {from}"))?;
        ensure!(versions.recorded(version)?["verified"].is_object(), "{}", versions.recorded(version)?);
    }
    polls.ask_for("v1").await?;
    for (step, active) in [(Step::Promote("v2"), "v2"), (Step::RollBack, "v1"), (Step::Promote("v2"), "v2")] {
        load.arrive(SOME).await?;
        versions.take(step).await?;
        versions.is_active(active).await?;
        ensure!(versions.active()? == active, "the pointer names {}", versions.active()?);
    }
    load.arrive(SOME).await.map(drop)
}

/// The others are retired, while one goes on alone.
async fn go(stage: &Stage, load: Load, still: Still) -> Result<()> {
    let versions = Versions::of(&stage.deployment);
    let refused = versions.refused(Step::Retire("v2")).await?;
    ensure!(refused.contains("active"), "{refused}");
    let polls = Polls::new(stage.client()?, &load, still, &COUNTED);
    polls
        .during(async {
            polls.ask_for("v2").await?;
            for version in ["v3", "v1"] {
                versions.take(Step::Retire(version)).await?;
                is_gone(stage, version).await?;
            }
            load.arrive(SOME).await
        })
        .await?;
    ensure!(polls.turns() == ["v2"], "answers were of {:?}", polls.turns());
    // A version that is verified is reconciled, and stays exact.
    stage.ends_exactly(load).await?;
    stage.archive_is_whole()?;
    stage.ran_without_trouble()
}

/// Everything that a version answers is complete and exactly that.
async fn is_exact(stage: &Stage, version: &str, arrived_us: i64, expected: &Oracle) -> Result<()> {
    let client = stage.client()?.of_version(version);
    client.total_as_of(arrived_us, e2e_tests::views::METRIC, &[]).await?;
    every_answer_is_exact(&client, expected, stage.now_us).await.with_context(|| version.to_owned())
}
