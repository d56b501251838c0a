//! The topic of a stream is missing, or is deleted while lanes write: the lanes of its source wait until it is there, and go on behind
//! what was published.

use std::fs;

use anyhow::{Result, ensure};
use e2e_tests::kafka::delete_topic;
use e2e_tests::streams::Said;
use e2e_tests::{Layer, scenario};
use test_kit::{DEADLINE, Progress, wait_for};

use super::payments::{Kind, Mix, Payments};

const PARTITIONS: i32 = 2;
const SOME: usize = 300;

#[test]
fn streams_output_missing() {
    scenario("streams_output_missing", async |scenario| {
        // An archiver that starts creates what is missing, as `init` does.
        let setup = Payments::setup(scenario, PARTITIONS).running(&[]);
        let Some(stage) = setup.start_on_real_kafka().await? else { return Ok(()) };
        let mut payments = Payments::of(stage, PARTITIONS, Mix::Usual)?;
        let (spent, brokers) = (payments.stream(Kind::Spent), payments.stage.brokers.clone());
        let waits = format!("topic {} does not", spent.topic);
        delete_topic(&brokers, &spent.topic).await?;
        let speed = payments.stage.deployment.start(Layer::Speed).await?;
        payments.send(SOME)?;
        speed.line_with(&waits, DEADLINE).await?;
        ensure!(payments.stream(Kind::Alerts).read(&brokers)?.is_empty(), "a lane of the same source did not wait");
        payments.stage.deployment.batch(&["init"])?.success(DEADLINE).await?;
        payments.stage.deployment.start(Layer::Archive).await?;
        payments.are_written().await?;
        payments.end_exactly().await
    });
}

#[test]
fn streams_output_deleted() {
    scenario("streams_output_deleted", async |scenario| {
        let Some(mut payments) = Payments::start(scenario, PARTITIONS, Mix::Usual).await? else { return Ok(()) };
        let (spent, brokers) = (payments.stream(Kind::Spent), payments.stage.brokers.clone());
        let waits = format!("topic {} does not", spent.topic);
        payments.send(SOME)?;
        payments.are_written().await?;
        let speed = payments.stage.deployment.process(Layer::Speed)?;
        // What was written goes with it.
        delete_topic(&brokers, &spent.topic).await?;
        payments.send(SOME)?;
        speed.line_with(&waits, DEADLINE).await?;
        // A lane says why it does not go on where everybody can read it, until it goes on.
        let note = payments.stage.deployment.store().join("archive/payments/_lanes/stopped/v1/lane-0.json");
        let stands = async |stands: bool| {
            let is_so = async || {
                let said = fs::read_to_string(&note).unwrap_or_default();
                Ok(Progress::when(said.contains(&waits) == stands, said))
            };
            wait_for("the note of a lane that stands, or its end", DEADLINE, is_so).await
        };
        stands(true).await?;
        payments.stage.deployment.batch(&["init"])?.success(DEADLINE).await?;
        stands(false).await?;
        payments.send(SOME)?;
        for kind in Kind::ALL.into_iter().filter(|kind| *kind != Kind::Spent) {
            payments.is_written(kind).await?;
        }
        let rest = || -> Result<_> {
            let (written, mut expected) = (spent.read(&brokers)?, payments.expected(Kind::Spent)?);
            for (partition, decided) in &mut expected {
                let outputs = written.iter().filter(|written| !written.is_late && written.partition == *partition);
                let first = outputs.map(|written| (written.offset, written.n)).min();
                // Late events stand in a topic of their own, which was not deleted.
                let is_kept =
                    |said: &Said, place: (i64, u32)| matches!(said, Said::Late { .. }) || first <= Some(place);
                decided.retain(|decided| is_kept(&decided.said, (decided.offset, decided.n)));
            }
            Ok(expected)
        };
        spent.becomes(&brokers, rest).await.map(drop)
    });
}
