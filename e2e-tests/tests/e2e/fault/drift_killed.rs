//! A reconcile that is killed between the commits of its views and that of its rows: answers stay exact, those reconciles have no row,
//! and the next one has its own, once.

use anyhow::{Context, Result, ensure};
use e2e_tests::views::{METRIC, Mix};
use e2e_tests::{Stage, scenario};
use serde_json::Value;
use test_kit::DEADLINE;

/// Events of each round. No copies, so that nothing drifts.
const MANY: usize = 1_000;
/// Where the reconcile of a round is killed: before it writes the rows, and with the rows written but not committed.
const ROUNDS: [Option<&str>; 4] =
    [None, Some("reconcile::before_reconciliations"), Some("reconciliations::before_commit"), None];

#[test]
fn reconcile_killed_before_its_row() {
    scenario("reconcile_killed_before_its_row", async |scenario| {
        let stage = Stage::of(scenario).start().await?;
        let mut traffic = stage.traffic(50, Mix::NO_COPIES)?;
        let mut killed_after = Vec::new();
        for fail_point in ROUNDS {
            let arrived = traffic.send(MANY)?;
            stage.total_as_of(arrived).await?;
            stage.archived().await?;
            match fail_point {
                Some(fail_point) => {
                    // It stays there until it is killed.
                    let killed = stage.deployment.launch_reconcile(&format!("{fail_point}=return(60000)"))?;
                    killed.line(&format!("failpoint {fail_point}"), DEADLINE).await?;
                    killed.kill();
                    let answer = stage.authoritative_total().await?;
                    killed_after.push(answer.batch_version().context("no version of the view")?);
                    stage.is_exact(&traffic.oracle).await?;
                }
                None => stage.reconciled_is(&traffic.oracle).await?,
            }
        }
        let rows = rows(&stage).await?;
        let versions: Vec<u64> = rows.iter().filter_map(|row| row["view_version"].as_u64()).collect();
        ensure!(versions.len() == 2 && versions[0] > versions[1], "a row for each that was not killed: {rows:?}");
        ensure!(killed_after.iter().all(|version| !versions.contains(version)), "{killed_after:?}: {rows:?}");
        ensure!(rows[0]["drift"]["unexplained"] == 0 && rows[0]["drift"]["differing"] == 0, "{rows:?}");
        stage.is_exact(&traffic.oracle).await
    });
}

async fn rows(stage: &Stage) -> Result<Vec<Value>> {
    let parameters = [("metric", METRIC.to_owned())];
    let (status, body) = stage.client()?.get("/v1/reconciliations", &parameters).await?;
    ensure!(status == 200, "{status}: {body}");
    body["reconciliations"].as_array().cloned().context("no rows")
}
