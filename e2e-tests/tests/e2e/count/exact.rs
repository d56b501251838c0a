//! 200,000 events, some of them copies, late or broken: every answer equals the expected counts for every key, before any
//! reconcile, while several run, and after. The tables lie in a folder; or on S3, where two archivers write and another engine reads them in the end.

use anyhow::{Result, ensure};
use e2e_tests::observer::Besides;
use e2e_tests::views::Mix;
use e2e_tests::{Oracle, Stage, Traffic, busy_scenario};
use test_kit::Process;

const BEFORE_RECONCILES: usize = 100_000;
const RECONCILES: usize = 4;
const BEFORE_EACH_RECONCILE: usize = 25_000;
const VIDEOS: u32 = 300;

#[test]
fn exact() {
    busy_scenario("exact", async |scenario| is_exact_throughout(&Stage::of(scenario).start().await?).await.map(drop));
}

#[test]
fn exact_on_s3() {
    busy_scenario("exact_on_s3", async |scenario| {
        let stage = Stage::of(scenario).on_s3().start().await?;
        let _second = stage.second_archiver().await?;
        let traffic = is_exact_throughout(&stage).await?;
        stage.second_observer_agrees(scenario, Besides::default(), &traffic.oracle).await
    });
}

async fn is_exact_throughout(stage: &Stage) -> Result<Traffic> {
    let mut traffic = stage.traffic(VIDEOS, Mix::USUAL)?;
    let arrived = traffic.send(BEFORE_RECONCILES)?;
    let answer = stage.total_as_of(arrived).await?;
    ensure!(!answer.authoritative, "nothing was reconciled: {answer:?}");
    stage.is_exact(&traffic.oracle).await?;

    for _ in 0..RECONCILES {
        let arrived = traffic.send(BEFORE_EACH_RECONCILE)?;
        stage.total_as_of(arrived).await?;
        let reconcile = stage.deployment.launch_reconcile("")?;
        exact_until_it_ends(stage, &reconcile, &traffic.oracle).await?;
    }

    let answer = stage.authoritative_total().await?;
    ensure!(answer.batch_version().is_some(), "authoritative without a batch view: {answer:?}");
    let expected = &traffic.oracle;
    stage.is_exact(expected).await?;
    let archive = stage.archive_is_whole()?;
    ensure!(archive.rows as u64 == expected.records, "{} rows of {} records", archive.rows, expected.records);
    ensure!(archive.rejected as u64 == expected.broken, "{} rejected of {}", archive.rejected, expected.broken);
    Ok(traffic)
}

/// Asks for everything again and again while the reconcile runs, and once more when it has ended.
async fn exact_until_it_ends(stage: &Stage, reconcile: &Process, expected: &Oracle) -> Result<()> {
    loop {
        let ended = reconcile.ended()?;
        stage.is_exact(expected).await?;
        if let Some(status) = ended {
            ensure!(status.success(), "the reconcile ended with {status}");
            return Ok(());
        }
    }
}
