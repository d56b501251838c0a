//! A speed worker is frozen within a transaction, or before it has started a producer; another one takes its partitions and goes on;
//! and the first wakes up: it writes nothing more of what it had decided.

use anyhow::Result;
use e2e_tests::watch::lines_with;
use e2e_tests::{Layer, Scenario, busy_scenario};
use test_kit::{DEADLINE, Process, Progress, wait_for};

use super::payments::{Mix, Payments};

const SOME: usize = 200;
/// How long a thread stays where the worker is frozen. What it does when it wakes up comes first.
const LONG_ENOUGH_MS: u32 = 5_000;
/// How much later it hears that its partitions are another worker's: only Kafka stands between its next transaction and the topics.
const HEARS_LATE_MS: u32 = 3_000;
/// What a worker prints whose lane could not publish, or whose partitions another one has: whichever it notices first.
const ENDED: [&str; 2] = ["a lane was interrupted; it starts again", "partition revoked"];

/// The records are with the broker, and the transaction is not committed.
#[test]
fn streams_zombie() {
    busy_scenario("streams_zombie", async |scenario| wakes_up(scenario, "streams::before_commit").await);
}

/// T4: outputs are decided from what was published then, and others have been published since.
#[test]
fn streams_zombie_without_a_producer() {
    busy_scenario("streams_zombie_without_a_producer", async |scenario| {
        wakes_up(scenario, "streams::before_init").await
    });
}

async fn wakes_up(scenario: &Scenario, fail_point: &str) -> Result<()> {
    let Some(mut payments) = Payments::start(scenario, 2, Mix::Usual).await? else { return Ok(()) };
    payments.send(SOME)?;
    payments.are_written().await?;
    let other = payments.stage.beside("other", &payments.stage.catalog)?;
    // As soon as there is something to publish.
    let hears_late = format!("speed::before_revoked=return({HEARS_LATE_MS})");
    let zombie = payments.launch(&format!("{fail_point}=1*return({LONG_ENOUGH_MS})->off;{hears_late}"))?;
    payments.send(SOME)?;
    zombie.line_with(&format!("failpoint {fail_point}"), DEADLINE).await?;
    zombie.suspend()?;
    let before = ended(&zombie)?;
    other.start(Layer::Speed).await?;
    payments.send(SOME)?;
    payments.are_written().await?;
    zombie.resume()?;
    wait_for("the lanes of the first worker to end", DEADLINE, async || {
        let lines = ended(&zombie)?;
        Ok(Progress::when(lines > before, format_args!("{lines} lines, as before")))
    })
    .await?;
    // Both are at work.
    payments.send(SOME)?;
    payments.are_written().await?;
    // Once more, wherever it is.
    zombie.suspend()?;
    payments.send(SOME)?;
    payments.are_written().await?;
    zombie.resume()?;
    payments.send(SOME)?;
    payments.are_written().await?;
    other.kill(Layer::Speed);
    payments.send(SOME)?;
    payments.end_exactly().await
}

/// On how many lines a worker has said that a lane ended.
fn ended(worker: &Process) -> Result<usize> {
    ENDED.iter().map(|line| lines_with(worker, line)).sum()
}
