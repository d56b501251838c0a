//! The archive lags behind what speed has counted: its process is frozen. A reconcile that does not wait for it,
//! because its wait is over or because it is stopped, moves the cut no further than to a slice that is archived.
//! Answers stay complete.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e_tests::exactness::total_is_exact;
use e2e_tests::kafka::end_offsets;
use e2e_tests::oracle::EVER;
use e2e_tests::views::{CatalogOptions, METRIC, Mix, catalog};
use e2e_tests::{Layer, Stage, Traffic, scenario};
use test_kit::{DEADLINE, Progress, wait_for};

const SOME: usize = 500;
/// What a reconcile prints while it waits.
const WAITING: &str = "waiting for the archive";
const BEHIND: &str = "the archive is behind";

#[test]
fn reconcile_while_the_archive_lags() {
    scenario("reconcile_while_the_archive_lags", async |scenario| {
        let stage = Stage::of(scenario).set("reconcile.wait", "500ms").start().await?;
        let mut traffic = stage.traffic(20, Mix::USUAL)?;
        let archiver = stage.deployment.process(Layer::Archive)?;
        sent_and_archived(&stage, &mut traffic).await?;
        stage.reconciled_is(&traffic.oracle).await?;
        let first = end_offsets(&stage.brokers, &stage.topic)?;

        // The archive covers no newer slice: the cut stays.
        archiver.suspend()?;
        sent_and_counted(&stage, &mut traffic).await?;
        let second = end_offsets(&stage.brokers, &stage.topic)?;
        reconciles_behind(&stage, &traffic).await.context("while the archive lags")?;
        cuts_are(&stage, &first).await?;

        // It covers the slice of the reconcile before, and not the next one: the cut moves as far as that.
        archiver.resume()?;
        stage.archived().await?;
        archiver.suspend()?;
        sent_and_counted(&stage, &mut traffic).await?;
        reconciles_behind(&stage, &traffic).await.context("while the archive lags again")?;
        cuts_are(&stage, &second).await?;
        stage.is_exact(&traffic.oracle).await?;

        archiver.resume()?;
        stage.archived().await?;
        stage.stays_exact(&traffic.oracle).await?;
        stage.cuts_are_at_the_ends().await
    });
}

#[test]
fn schedule_stopped_while_the_archive_lags() {
    scenario("schedule_stopped_while_the_archive_lags", async |scenario| {
        let setup = Stage::of(scenario).catalog(every_second).set("reconcile.wait", "60s");
        let stage = setup.start().await?;
        let mut traffic = stage.traffic(20, Mix::USUAL)?;
        let archiver = stage.deployment.process(Layer::Archive)?;
        sent_and_archived(&stage, &mut traffic).await?;
        stage.reconciled_is(&traffic.oracle).await?;
        let cut = end_offsets(&stage.brokers, &stage.topic)?;

        archiver.suspend()?;
        sent_and_counted(&stage, &mut traffic).await?;
        let before = version(&stage).await?;
        let schedule = stage.deployment.start(Layer::Schedule).await?;
        schedule.line_with(WAITING, DEADLINE).await?;
        schedule.terminate()?;
        schedule.success(Duration::from_secs(30)).await?;
        ensure!(schedule.output()?.contains(BEHIND), "it did not say that the archive is behind");
        stays_complete_until_newer(&stage, &traffic, before).await?;
        cuts_are(&stage, &cut).await?;
        stage.is_exact(&traffic.oracle).await?;

        archiver.resume()?;
        stage.archived().await?;
        stage.stays_exact(&traffic.oracle).await?;
        stage.cuts_are_at_the_ends().await
    });
}

async fn sent_and_counted(stage: &Stage, traffic: &mut Traffic) -> Result<()> {
    let arrived = traffic.send(SOME)?;
    stage.total_as_of(arrived).await.map(drop)
}

async fn sent_and_archived(stage: &Stage, traffic: &mut Traffic) -> Result<()> {
    sent_and_counted(stage, traffic).await?;
    stage.archived().await
}

/// Reconciles, and every answer stays complete and exact until and when it is made with the new view.
async fn reconciles_behind(stage: &Stage, traffic: &Traffic) -> Result<()> {
    let before = version(stage).await?;
    let reconcile = stage.deployment.launch_reconcile("")?;
    reconcile.success(DEADLINE).await?;
    ensure!(reconcile.output()?.contains(BEHIND), "it did not say that the archive is behind");
    stays_complete_until_newer(stage, traffic, before).await
}

/// Asks until answers are made with a newer version of the batch view than that; each of them is complete and exact.
async fn stays_complete_until_newer(stage: &Stage, traffic: &Traffic, before: Option<u64>) -> Result<()> {
    let (client, expected) = (stage.client()?, traffic.oracle.total(None, EVER));
    wait_for("an answer from a newer view", DEADLINE, async || {
        let answer = client.total(METRIC, &[]).await?;
        total_is_exact(&answer, expected)?;
        Ok(Progress::when(answer.batch_version() > before, format_args!("{answer:?}")))
    })
    .await
}

/// The version of the batch view that answers are made with.
async fn version(stage: &Stage) -> Result<Option<u64>> {
    Ok(stage.client()?.total(METRIC, &[]).await?.batch_version())
}

/// Each partition's cut is where that says, as far as the serving layer knows.
async fn cuts_are(stage: &Stage, expected: &[i64]) -> Result<()> {
    let rows = stage.partitions().await?;
    let cuts: Vec<Option<i64>> = rows.iter().map(|row| row["cuts"][METRIC].as_i64()).collect();
    let same = cuts.iter().copied().eq(expected.iter().copied().map(Some));
    ensure!(same, "the cuts are {cuts:?} instead of {expected:?}");
    Ok(())
}

fn every_second(topic: &str) -> String {
    catalog(&CatalogOptions { reconcile: "* * * * * *", ..CatalogOptions::of(topic) })
}
