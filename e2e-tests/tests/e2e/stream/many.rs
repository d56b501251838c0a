//! One event closes a window of each of many users: lanes write them in many transactions, hold few of them at a time, and go on in the
//! middle of that event where they are killed.

use anyhow::{Result, ensure};
use e2e_tests::kafka::{Record, end_offsets};
use e2e_tests::streams::written::Stream;
use e2e_tests::{Layer, Producer, Stage, busy_scenario};
use serde_json::json;
use test_kit::{DEADLINE, Progress, repetitions, wait_for};

use super::past::catalog;
use super::payments::LAYERS;

const MINUTE_MS: i64 = 60_000;
/// How many windows one event closes.
const MANY: usize = 20_000;
const VERY_MANY: usize = 300_000;
/// How many outputs a transaction holds at most, about, the memory for those that wait, and for those of a transaction: much less than all of
/// them take.
const OUTPUTS_MAX: &str = "500";
const PENDING: &str = "1MiB";
const TRANSACTION: &str = "512KiB";
/// It is killed after so many transactions, some of which may only say how far it is.
const KILLED: &str = "streams::after_commit=12*off->return(60000)";

#[test]
fn streams_one_event_closes_many_windows() {
    busy_scenario("streams_one_event_closes_many_windows", async |scenario| {
        let setup = Stage::of(scenario).catalog(catalog).partitions(1).running(&LAYERS);
        let setup = setup.set("streams.max_outputs", OUTPUTS_MAX).set("streams.pending", PENDING);
        let setup = setup.set("streams.max_transaction", TRANSACTION);
        let Some(stage) = setup.start_on_real_kafka().await? else { return Ok(()) };
        let (producer, counted) = (stage.producer()?, Stream::of(&stage.topic, "counted"));
        let many = repetitions(MANY, VERY_MANY);
        let first_ms = stage.now_us / 1_000 / MINUTE_MS * MINUTE_MS - 60 * MINUTE_MS;
        for user in 0..many {
            click(&producer, &format!("user-{:06}", user * 7_919 % many), first_ms)?;
        }
        producer.flush()?;
        let speed = stage.deployment.launch(Layer::Speed, KILLED)?;
        click(&producer, "last", first_ms + 2 * MINUTE_MS)?;
        producer.flush()?;
        speed.line_with("failpoint streams::after_commit", DEADLINE).await?;
        speed.kill();
        let before = counted.read(&stage.brokers)?.len();
        ensure!(0 < before && before < many, "it was killed where {before} of {many} are written");

        stage.deployment.start(Layer::Speed).await?;
        wait_for("all windows to be written", DEADLINE, async || {
            // Markers of transactions take offsets, too.
            let end = end_offsets(&stage.brokers, &counted.topic)?[0];
            Ok(Progress::when(end > many as i64, format_args!("{end} of {many}")))
        })
        .await?;
        let written = wait_for("each window to be written", DEADLINE, async || {
            let written = counted.read(&stage.brokers)?;
            let len = written.len();
            Ok(if len >= many { Progress::Done(written) } else { Progress::NotYet(format!("{len} of {many}")) })
        })
        .await?;
        ensure!(written.len() == many, "{} were written", written.len());
        for (n, written) in written.iter().enumerate() {
            ensure!((written.offset, written.n as usize) == (many as i64, n), "{n} stands elsewhere: {written:?}");
            let window = written.json()?;
            ensure!(window["user"] == format!("user-{n:06}") && window["n"] == 1, "{window}");
        }
        Ok(())
    });
}

fn click(producer: &Producer, user: &str, at_ms: i64) -> Result<()> {
    let payload = json!({"at": at_ms, "user": user}).to_string().into_bytes();
    producer.send_at(&Record { key: user.to_owned(), payload, partition: None }, at_ms)
}
