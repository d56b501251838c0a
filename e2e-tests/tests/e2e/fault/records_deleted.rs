//! Records are deleted from the log before they are archived: a gap, until an operator accepts the loss.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use e2e_tests::kafka::{Found, delete_records, end_offsets, read_all};
use e2e_tests::views::{METRIC, Mix};
use e2e_tests::{Layer, Scenario, Stage, scenario};

const SOME: usize = 1_000;

#[test]
fn records_deleted_that_speed_had_counted() {
    scenario("records_deleted_that_speed_had_counted", async |scenario| {
        records_deleted(scenario, &[Layer::Archive]).await
    });
}

#[test]
fn records_deleted_before_any_layer_read_them() {
    scenario("records_deleted_before_any_layer_read_them", async |scenario| {
        records_deleted(scenario, &[Layer::Archive, Layer::Speed]).await
    });
}

/// Records vanish while those layers are away.
async fn records_deleted(scenario: &Scenario, away: &[Layer]) -> Result<()> {
    let Some(stage) = Stage::of(scenario).partitions(2).start_on_real_kafka().await? else { return Ok(()) };
    let client = stage.client()?;
    let mut traffic = stage.traffic(50, Mix::NO_COPIES)?;
    let arrived = traffic.send(SOME)?;
    stage.total_as_of(arrived).await?;
    stage.deployment.reconcile().await?;
    stage.authoritative_total().await?;
    let before = end_offsets(&stage.brokers, &stage.topic)?;

    away.iter().rev().for_each(|layer| stage.deployment.kill(*layer));
    let more = traffic.views.batch(SOME);
    let arrived = traffic.deliver(&more)?;
    if !away.contains(&Layer::Speed) {
        stage.total_as_of(arrived).await?;
    }
    // Some beyond what is archived of the one partition, and some below what is archived of the other.
    let below = BTreeMap::from([(0, before[0] + 100), (1, before[1] - 50)]);
    delete_records(&stage.brokers, &stage.topic, &below).await?;
    for layer in away {
        stage.deployment.start(*layer).await?;
    }
    client.total_with_gap(METRIC, "lost").await?;
    // A reconcile recounts what is left, and does not hide what is lost.
    stage.deployment.reconcile().await?;
    client.total_with_gap(METRIC, "lost").await?;
    let rows = stage.partitions().await?;
    let lost: Vec<_> = rows.iter().flat_map(|row| row["lost"].as_array()).flatten().collect();
    ensure!(lost.len() == 1, "one range is lost: {rows:?}");
    ensure!(lost[0]["from"] == before[0] && lost[0]["to"] == before[0] + 100, "another range is lost: {rows:?}");

    stage.deployment.accept_losses().await?;
    // Whether answers are complete is for the next reconcile.
    let is_read = |row: &serde_json::Value| row["speed_lag"] == 0 && row["archive_lag"] == 0;
    stage.until_each_partition("counted and archived", is_read).await?;
    // What was archived before the fault counts, and what the log still holds of the rest.
    let left = read_all(&stage.brokers, &stage.topic)?;
    let rest: Vec<&Found> = left.iter().filter(|found| found.offset >= before[found.partition as usize]).collect();
    ensure!(!rest.is_empty(), "nothing is left");
    for found in rest {
        let sent = more.iter().find(|sent| sent.record.payload == found.payload);
        traffic.oracle.observe([sent.context("a record that was never sent")?]);
    }
    stage.reconciled_is(&traffic.oracle).await?;
    stage.is_exact(&traffic.oracle).await?;
    // And it goes on.
    let arrived = traffic.send(SOME)?;
    stage.total_as_of(arrived).await?;
    stage.is_exact(&traffic.oracle).await
}
