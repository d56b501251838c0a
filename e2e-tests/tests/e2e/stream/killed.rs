//! `kill -9` for the speed layer before a transaction, within one, right after its commit, between the pieces of a snapshot and its
//! manifest, and at any moment, or replies that say that a transaction was committed are lost: each output stands in its topic once, and
//! none is missing.

use std::time::Duration;

use anyhow::{Context, Result};
use e2e_tests::kafka::end_offsets;
use e2e_tests::{Layer, busy_scenario};
use rand::Rng;
use rand::seq::SliceRandom;
use test_kit::{DEADLINE, Progress, repetitions, wait_for};

use super::payments::{Mix, Payments};
use super::snapshots::newest_cursor;

/// Where it is killed; nowhere: at a moment drawn from the seed.
const MOMENTS: [Option<&str>; 5] = [
    Some("streams::before_transaction"),
    Some("streams::before_commit"),
    Some("streams::after_commit"),
    Some("streams::between_pieces_and_manifest"),
    None,
];
/// How many kills at each of these there are, and how many passages there may be before.
const USUAL_KILLS: usize = 2;
const MANY_KILLS: usize = 8;
const MOST_PASSAGES_BEFORE: u32 = 4;
const LATEST_KILL_MS: u64 = 2_500;
/// How long it stays at a fail point if it is not killed.
const LONG_ENOUGH_MS: u32 = 60_000;
const SOME: usize = 120;
/// Where a transaction has been committed, and its producer does not learn of it.
const REPLY_LOST: &str = "streams::commit_reply_lost";

#[test]
fn streams_killed() {
    busy_scenario("streams_killed", async |scenario| {
        // A worker that is started again is known to its groups by name, so it takes its partitions back at once.
        let setup = Payments::setup(scenario, 2).set("kafka.client.group_instance_id", "worker-1");
        let Some(stage) = setup.start_on_real_kafka().await? else { return Ok(()) };
        let mut payments = Payments::of(stage, 2, Mix::Usual)?;
        payments.send(SOME)?;
        payments.are_written().await.context("before the first kill")?;
        let mut rng = payments.stage.rng();
        let mut moments = MOMENTS.repeat(repetitions(USUAL_KILLS, MANY_KILLS));
        moments.shuffle(&mut rng);
        for (kill, moment) in moments.into_iter().enumerate() {
            let passages = rng.random_range(0..MOST_PASSAGES_BEFORE);
            let latest = Duration::from_millis(rng.random_range(0..LATEST_KILL_MS));
            kill_at(&mut payments, moment, passages, latest)
                .await
                .with_context(|| format!("kill {kill}, {moment:?}"))?;
        }
        payments.stage.deployment.start(Layer::Speed).await?;
        payments.send(SOME)?;
        payments.end_exactly().await
    });
}

async fn kill_at(payments: &mut Payments, moment: Option<&str>, passages: u32, latest: Duration) -> Result<()> {
    let Some(fail_point) = moment else {
        let process = payments.launch("")?;
        payments.send(SOME)?;
        // Not a wait for anything: the moment is the test.
        tokio::time::sleep(latest).await;
        process.kill();
        return Ok(());
    };
    let process = payments.launch(&format!("{fail_point}={passages}*off->return({LONG_ENOUGH_MS})"))?;
    payments.send(SOME)?;
    // One transaction may take all that was sent, and a snapshot is not taken before there is something new.
    let what = format!("{fail_point} to be passed");
    let passed = wait_for(&what, DEADLINE, async || {
        payments.send(1)?;
        Ok(Progress::when(process.output()?.contains(&format!("failpoint {fail_point}")), "it is not"))
    });
    passed.await?;
    process.kill();
    Ok(())
}

/// T5: transactions are committed, and the replies that say so are lost.
#[test]
fn streams_commit_replies_lost() {
    busy_scenario("streams_commit_replies_lost", async |scenario| {
        let Some(mut payments) = Payments::start(scenario, 2, Mix::Usual).await? else { return Ok(()) };
        payments.send(SOME)?;
        payments.are_written().await.context("before the first reply is lost")?;
        payments.stage.deployment.kill(Layer::Speed);
        let process = payments.launch(&format!("{REPLY_LOST}=30%return"))?;
        for lost in (1..=repetitions(8, 40)).step_by(4) {
            payments.send(SOME)?;
            // What is published may be one transaction, so there has to be more.
            wait_for(&format!("{lost} lost replies"), DEADLINE, async || {
                payments.send(1)?;
                let found = process.output()?.matches(&format!("failpoint {REPLY_LOST}")).count();
                Ok(Progress::when(found >= lost, format_args!("{found}")))
            })
            .await?;
        }
        process.kill();
        payments.stage.deployment.start(Layer::Speed).await?;
        payments.send(SOME)?;
        payments.end_exactly().await
    });
}

/// T6: a snapshot that was kept before the outputs that it includes were published must not be used.
#[test]
fn streams_killed_behind_a_snapshot() {
    busy_scenario("streams_killed_behind_a_snapshot", async |scenario| {
        let Some(mut payments) = Payments::start(scenario, 1, Mix::Usual).await? else { return Ok(()) };
        for _ in 0..repetitions(2, 6) {
            payments.send(SOME)?;
            payments.are_written().await?;
            let process = payments.launch(&format!("streams::before_commit=1*return({LONG_ENOUGH_MS})->off"))?;
            payments.send(SOME)?;
            process.line_with("failpoint streams::before_commit", DEADLINE).await?;
            payments.send(SOME)?;
            let end = end_offsets(&payments.stage.brokers, &payments.stage.topic)?[0];
            wait_for("a snapshot of what is not published", DEADLINE, async || {
                let cursor = newest_cursor(&payments.stage.deployment.store(), "payments")?;
                Ok(Progress::when(cursor == Some(end), format_args!("{cursor:?} of {end}")))
            })
            .await?;
            process.kill();
            payments.stage.deployment.start(Layer::Speed).await?;
        }
        payments.end_exactly().await
    });
}
