//! Each command of an operator is killed right before it writes the pointer, and right after: then either nothing is decided, or all of it. A
//! retirement is killed between what it removes, too. The same command again goes on.

use anyhow::{Context, Result, ensure};
use e2e_tests::exactness::every_answer_is_exact;
use e2e_tests::versions::{Step, Versions, corrected, is_gone};
use e2e_tests::{Traffic, scenario};

use super::{setup, views};

const SOME: usize = 400;
const BEFORE: &str = "versions::before_put";
const AFTER: &str = "versions::after_put";

#[test]
fn version_steps_killed() {
    scenario("version_steps_killed", async |scenario| {
        let Some(stage) = setup(scenario).start_on_real_kafka().await? else { return Ok(()) };
        let (versions, catalog) = (Versions::of(&stage.deployment), corrected(&stage.topic));
        let mut traffic = Traffic::new(stage.producer()?, views(&stage));
        let arrived = traffic.send(SOME)?;
        stage.total_as_of(arrived).await?;
        stage.archived().await?;

        // A catalog that no pointer names is in nobody's way, also not in that of another one under the same name.
        let other = catalog.replace("grain = \"1m\"", "grain = \"5m\"");
        ensure!(other != catalog, "the catalogs are the same");
        killed(versions, Step::Create { version: "v2", catalog: &other }, BEFORE).await?;
        for step in [
            Step::Create { version: "v2", catalog: &catalog },
            Step::Replay { version: "v2", from: "log" },
            Step::Verify("v2"),
        ] {
            killed(versions, step, BEFORE).await?;
            killed(versions, step, AFTER).await?;
            versions.take(step).await.context("once more")?;
        }
        for (step, active) in [(Step::Promote("v2"), "v2"), (Step::RollBack, "v1"), (Step::Promote("v2"), "v2")] {
            let before = versions.active()?;
            killed(versions, step, BEFORE).await?;
            ensure!(versions.active()? == before, "{} is active", versions.active()?);
            killed(versions, step, AFTER).await?;
            versions.is_active(active).await?;
        }
        let said = versions.take(Step::Promote("v2")).await.context("it is the active one already")?;
        ensure!(said.contains("\"was_active\": true"), "{said}");

        let retire = Step::Retire("v1");
        killed(versions, retire, BEFORE).await?;
        killed(versions, retire, AFTER).await?;
        for fail_point in ["retire::after_retiring", "retire::after_groups", "retire::after_shards", BEFORE] {
            killed(versions, retire, fail_point).await?;
        }
        ensure!(versions.recorded("v1")?["stage"] == "retiring", "{}", versions.recorded("v1")?);
        versions.take(retire).await?;
        is_gone(&stage, "v1").await?;
        every_answer_is_exact(&stage.client()?, &traffic.oracle, stage.now_us).await?;
        let arrived = traffic.send(SOME)?;
        stage.total_as_of(arrived).await?;
        stage.stays_exact(&traffic.oracle).await
    });
}

/// Takes a step whose process is killed there, and looks whether it has been decided.
async fn killed(versions: Versions<'_>, step: Step<'_>, fail_point: &str) -> Result<()> {
    let (before, _) = versions.pointer()?;
    versions.kill_at(step, fail_point).await.with_context(|| format!("{} at {fail_point}", step.typed()))?;
    let (after, pointer) = versions.pointer()?;
    let expected = if fail_point == AFTER { before + 1 } else { before };
    ensure!(after == expected, "`{}` killed at {fail_point} went from {before} to {after}: {pointer}", step.typed());
    Ok(())
}
