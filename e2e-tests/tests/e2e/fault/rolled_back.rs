//! A reconcile has counted what it should not have, and is noticed later: an operator rolls the view back, and lets it go on. Answers say
//! that they lack something in between. Then the view is counted anew, though nothing is wrong, and audited.

use anyhow::{Result, ensure};
use e2e_tests::oracle::EVER;
use e2e_tests::views::{METRIC, Mix};
use e2e_tests::{Stage, Traffic, scenario};
use test_kit::DEADLINE;

const SOME: usize = 500;
/// What an answer lacks, if the speed view has dropped what the view does not include any more.
const GAP: &str = "no_slice_at_cut";

#[test]
fn view_rolled_back() {
    scenario("view_rolled_back", async |scenario| {
        let setup = Stage::of(scenario).set("speed.drop_grace", "0s").set("speed.drop_every", "100ms");
        let stage = setup.start().await?;
        let mut traffic = stage.traffic(20, Mix::USUAL)?;
        for _ in 0..3 {
            sent_and_archived(&stage, &mut traffic).await?;
            stage.reconciled_is(&traffic.oracle).await?;
        }
        let only_the_last = |slices: &serde_json::Value| slices.as_array().is_some_and(|slices| slices.len() == 1);
        stage.until_each_partition("without older slices", |row| only_the_last(&row["slices"])).await?;

        let listed = batch(&stage, &["rollback", METRIC, "--list"]).await?;
        ensure!(!listed.contains("not to be had"), "{listed}");
        let told = batch(&stage, &["rollback", METRIC]).await?;
        ensure!(told.contains("views: rolled back to version") && told.contains("batch-layer resume views"), "{told}");
        lacks_something(&stage, &traffic).await?;
        let status = stage.deployment.braid(&["status", "--http", stage.client()?.url()], DEADLINE).await?;
        ensure!(status.contains("paused since"), "{status}");
        let (code, body) = stage.client()?.get("/v1/status", &[]).await?;
        ensure!(code == 200 && body["paused"][METRIC].is_string(), "{code}: {body}");

        // Nothing that goes on changes the view.
        sent_and_archived(&stage, &mut traffic).await?;
        let reconcile = batch(&stage, &["reconcile"]).await?;
        ensure!(reconcile.contains("views: paused since"), "{reconcile}");
        lacks_something(&stage, &traffic).await?;

        batch(&stage, &["resume", METRIC]).await?;
        stage.reconciled_is(&traffic.oracle).await?;
        stage.is_exact(&traffic.oracle).await?;

        sent_and_archived(&stage, &mut traffic).await?;
        let rebuilt = batch(&stage, &["rebuild", METRIC]).await?;
        ensure!(rebuilt.contains("(rebuilt)"), "{rebuilt}");
        stage.stays_exact(&traffic.oracle).await?;
        // It fails if it finds a difference.
        let audit = stage.deployment.braid(&["audit", METRIC], DEADLINE).await?;
        ensure!(audit.contains("the view says what the records say"), "{audit}");
        let rejected = stage.deployment.braid(&["rejected", "list", METRIC, "--limit", "1"], DEADLINE).await?;
        ensure!(rejected.contains("the newest 1 of"), "{rejected}");
        Ok(())
    });
}

async fn sent_and_archived(stage: &Stage, traffic: &mut Traffic) -> Result<()> {
    traffic.send(SOME)?;
    // Whether or not answers are complete.
    stage.until_each_partition("counted to its end", |row| row["speed_lag"] == 0).await?;
    stage.archived().await
}

/// The total is short, says so, and is never too large.
async fn lacks_something(stage: &Stage, traffic: &Traffic) -> Result<()> {
    let answer = stage.client()?.total_with_gap(METRIC, GAP).await?;
    let expected = traffic.oracle.total(None, EVER).views;
    ensure!(answer.int("views")? < expected, "expected less than {expected}: {answer:?}");
    Ok(())
}

/// Runs `batch-layer` to its end, and returns what it printed.
async fn batch(stage: &Stage, arguments: &[&str]) -> Result<String> {
    let process = stage.deployment.batch(arguments)?;
    process.success(DEADLINE).await?;
    process.output()
}
