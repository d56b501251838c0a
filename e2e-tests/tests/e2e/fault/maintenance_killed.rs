//! Maintenance that is killed before or after it commits merged files, beside an archiver and workers: no event is lost or counted twice,
//! and the next pass goes on.

use anyhow::ensure;
use e2e_tests::observer::Besides;
use e2e_tests::views::Mix;
use e2e_tests::{Stage, scenario};
use test_kit::DEADLINE;

/// Events of each round, some of which are copies or late by up to three days.
const MANY: usize = 1_000;
const FAIL_POINTS: [&str; 2] = ["maintain::before_merging", "maintain::after_merging"];
/// After so many rounds at most, a day has files to be merged.
const ROUNDS_MAX: usize = 12;

#[test]
fn maintenance_killed() {
    scenario("maintenance_killed", async |scenario| {
        let stage = Stage::of(scenario).start().await?;
        let mut traffic = stage.traffic(50, Mix::USUAL)?;
        for fail_point in FAIL_POINTS {
            let mut is_due = false;
            for _ in 0..ROUNDS_MAX {
                let arrived = traffic.send(MANY)?;
                stage.total_as_of(arrived).await?;
                stage.archived().await?;
                stage.reconciled_is(&traffic.oracle).await?;
                let planned = stage.deployment.maintain(&["--dry-run", "views"]).await?;
                is_due = planned.lines().any(|line| line.starts_with("archive/views: ") && line.contains("merged"));
                if is_due {
                    break;
                }
            }
            ensure!(is_due, "the archive has no files to be merged");
            // It stays there until it is killed.
            let killed = stage.deployment.launch_maintain(&format!("{fail_point}=return(60000)"))?;
            killed.line(&format!("failpoint {fail_point}"), DEADLINE).await?;
            killed.kill();
            stage.reconciled_is(&traffic.oracle).await?;
        }
        stage.deployment.maintain(&[]).await?;
        let left = stage.deployment.maintain(&["--dry-run"]).await?;
        ensure!(!left.contains("would be merged"), "a pass leaves nothing to merge: {left}");
        stage.reconciled_is(&traffic.oracle).await?;
        stage.is_exact(&traffic.oracle).await?;
        stage.second_observer_agrees(scenario, Besides::default(), &traffic.oracle).await
    });
}
