//! Archives and snapshots lie on S3: streams are exact, go on from a snapshot there, and are checked.

use anyhow::{Context, Result, ensure};
use e2e_tests::{Layer, busy_scenario, stage};
use test_kit::{DEADLINE, Progress, wait_for};

use super::checked::{are_checked, outputs};
use super::payments::{Mix, Payments};
use super::snapshots::{SOURCES, least_snapshots, warmed};

const PARTITIONS: i32 = 2;
const SOME: usize = 400;

#[test]
fn streams_on_s3() {
    busy_scenario("streams_on_s3", async |scenario| {
        let setup = Payments::setup(scenario, PARTITIONS).on_s3().running(&stage::LAYERS);
        let Some(stage) = setup.start_on_real_kafka().await? else { return Ok(()) };
        let mut payments = Payments::of(stage, PARTITIONS, Mix::Usual)?;
        payments.send(SOME)?;
        wait_for("a snapshot of every lane", DEADLINE, async || {
            // A lane takes none before there is something new.
            payments.send(1)?;
            let least = least_snapshots(&store(&payments)?, PARTITIONS)?;
            Ok(Progress::when(least >= 1, "some lane has none"))
        })
        .await?;
        // Then it is one of what is published.
        payments.are_written().await?;
        payments.are_published().await?;
        payments.stage.deployment.kill(Layer::Speed);
        payments.send(SOME)?;
        let speed = payments.stage.deployment.start(Layer::Speed).await?;
        payments.are_written().await.context("after a start")?;
        let warmed = warmed(&speed)?;
        ensure!(warmed.is_empty(), "of {SOURCES:?}, lanes have found no snapshot: {warmed:?}");
        are_checked(&payments, outputs).await?;
        payments.end_exactly().await
    });
}

/// The store, as it is now.
fn store(payments: &Payments) -> Result<std::path::PathBuf> {
    if let Some(s3) = &payments.stage.s3 {
        s3.show()?;
    }
    Ok(payments.stage.deployment.store())
}
