//! A stream that is keyed anew, and windows over it: the lanes that write into one partition are not in step, and some have nothing to
//! write.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use e2e_tests::streams::written::Written;
use e2e_tests::time::micros;
use e2e_tests::{Layer, busy_scenario, scenario};
use test_kit::{DEADLINE, Progress, wait_for};

use super::payments::{DAY_MS, Kind, Mix, Payments};

const SOME: usize = 300;
const MINUTE_US: i64 = 60_000_000;
/// How long the first lane that begins a transaction is held up.
const HELD_UP: &str = "streams::before_transaction=1*return(6000)->off";

/// With one front for each partition, all that the lane writes that was held up would be late.
#[test]
fn streams_lanes_out_of_step() {
    busy_scenario("streams_lanes_out_of_step", async |scenario| {
        let setup = Payments::setup(scenario, 3).set("streams.idle_after", "1h");
        let Some(stage) = setup.start_on_real_kafka().await? else { return Ok(()) };
        let mut payments = Payments::of(stage, 3, Mix::InOrder)?;
        payments.send(SOME)?;
        payments.are_written().await?;
        let process = payments.launch(HELD_UP)?;
        payments.send(SOME)?;
        process.line_with("failpoint streams::before_transaction", DEADLINE).await?;
        payments.send(2 * SOME)?;
        payments.are_written().await?;
        let brokers = payments.stage.brokers.clone();
        let behind_us = most_behind_us(&payments.stream(Kind::ByCountry).read(&brokers)?)?;
        ensure!(behind_us > 2 * MINUTE_US, "the lanes were in step, but for {behind_us} µs");
        let revenue = payments.stream(Kind::Revenue).read(&brokers)?;
        ensure!(revenue.iter().all(|written| !written.is_late), "a record is late because others were ahead");
        ensure!(revenue.len() > 20, "{} outputs", revenue.len());
        payments.end_exactly().await
    });
}

/// How far a record's time lies behind that of an earlier record of its partition, at most.
fn most_behind_us(written: &[Written]) -> Result<i64> {
    let (mut ahead_us, mut behind_us): (BTreeMap<i32, i64>, i64) = (BTreeMap::new(), 0);
    for written in written {
        let time_us = micros(written.json()?["output_time"].as_str().unwrap_or_default())?;
        let ahead_us = ahead_us.entry(written.found.partition).or_insert(time_us);
        behind_us = behind_us.max(*ahead_us - time_us);
        *ahead_us = time_us.max(*ahead_us);
    }
    Ok(behind_us)
}

/// A partition without events for a day of the log closes no window of its own, and holds up no window of others once its lane is idle.
#[test]
fn streams_quiet_partition() {
    scenario("streams_quiet_partition", async |scenario| {
        let Some(mut payments) = Payments::start(scenario, 2, Mix::InOrder).await? else { return Ok(()) };
        payments.send(SOME)?;
        payments.are_written().await?;
        let quiet_us = payments.generator().clock_us();
        payments.generator().send_only_to(Some(0));
        payments.generator().pause_for(DAY_MS / SOME as i64);
        payments.send(SOME)?;
        payments.generator().pause_for(0);
        let (revenue, brokers) = (payments.stream(Kind::Revenue), payments.stage.brokers.clone());
        wait_for("windows that end after a lane fell silent", DEADLINE, async || {
            let written = revenue.read(&brokers)?;
            let times =
                written.iter().map(|written| micros(written.json()?["output_time"].as_str().unwrap_or_default()));
            let newest_us = times.collect::<Result<Vec<i64>>>()?.into_iter().max().unwrap_or_default();
            Ok(Progress::when(newest_us > quiet_us + MINUTE_US, format_args!("{newest_us} is the newest one")))
        })
        .await?;
        payments.are_written().await?;
        // The windows of the quiet partition itself are open, however long that lasts.
        let spent = payments.stream(Kind::Spent).read(&brokers)?;
        for written in spent.iter().filter(|written| written.partition == 1) {
            let time_us = micros(written.json()?["output_time"].as_str().unwrap_or_default())?;
            ensure!(time_us < quiet_us, "closed by a clock: {written:?}");
        }
        // A worker that starts anew finds the lane idle, and then it speaks again.
        payments.stage.deployment.start(Layer::Speed).await?;
        payments.generator().send_only_to(None);
        payments.send(SOME)?;
        payments.end_exactly().await
    });
}
