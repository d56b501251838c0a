//! The progress topic is deleted: nothing says any more what was published, so nothing is written again. Once an operator has positions set
//! from the archives, all streams go on behind what they have written.

use anyhow::{Context, Result, ensure};
use e2e_tests::kafka::delete_topic;
use e2e_tests::streams::written::Stream;
use e2e_tests::watch::{lines_with, prints_again};
use e2e_tests::{Layer, scenario};
use test_kit::{DEADLINE, Progress, wait_for};

use super::payments::{Kind, Mix, Payments};

const SOME: usize = 200;
/// The sources that streams read.
const SOURCES: [&str; 2] = ["payments", "by_country"];
/// What a worker prints that does not know what was published.
const REFUSED: &str = "is not the one that these streams began with";

#[test]
fn streams_progress_lost() {
    scenario("streams_progress_lost", async |scenario| {
        let Some(mut payments) = Payments::start(scenario, 2, Mix::Usual).await? else { return Ok(()) };
        payments.send(SOME)?;
        payments.are_written().await?;
        payments.stage.deployment.kill(Layer::Speed);
        let brokers = payments.stage.brokers.clone();
        let streams = Kind::ALL.map(|kind| payments.stream(kind));
        let count = |stream: &Stream| -> Result<usize> { Ok(stream.read(&brokers)?.len()) };
        let before: Vec<usize> = streams.iter().map(count).collect::<Result<_>>()?;
        for source in SOURCES {
            delete_topic(&brokers, &format!("{}.{source}.v1.progress", payments.stage.topic)).await?;
        }
        // So an operator does who sees that a topic is missing.
        payments.stage.deployment.batch(&["init"])?.success(DEADLINE).await?;
        payments.send(SOME)?;
        let speed = payments.stage.deployment.start(Layer::Speed).await?;
        prints_again(&speed, REFUSED, 0).await?;
        payments.send(SOME)?;
        // Every lane refuses, again and again.
        prints_again(&speed, REFUSED, lines_with(&speed, REFUSED)? + 8).await?;
        let after: Vec<usize> = streams.iter().map(count).collect::<Result<_>>()?;
        ensure!(after == before, "{before:?} were written, and now {after:?}");
        for source in SOURCES {
            is_set(&payments, source).await?;
        }
        payments.are_written().await.context("after positions were set")?;
        payments.send(SOME)?;
        payments.end_exactly().await
    });
}

/// Has positions set, once the archives hold all that was written.
async fn is_set(payments: &Payments, source: &str) -> Result<()> {
    wait_for(&format!("the positions of {source} to be set"), DEADLINE, async || {
        let set = payments.stage.deployment.braid(&["streams", "set-published", source], DEADLINE).await;
        Ok(match set {
            Ok(said) => Progress::when(said.contains("lanes go on there"), said),
            Err(error) => Progress::NotYet(format!("{error:#}")),
        })
    })
    .await
}
