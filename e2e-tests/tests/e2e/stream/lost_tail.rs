//! The log that lanes read loses its tail, and other records get the offsets of those that are lost (R12). What was decided of those stays.
//! Lanes write nothing more until the archive has named the next incarnation; there they begin, and remember nothing. What was open is never
//! written, and the status counts it.

use anyhow::{Result, ensure};
use e2e_tests::kafka::read_all;
use e2e_tests::streams::written::Written;
use e2e_tests::watch::{lines_with, prints_again};
use e2e_tests::{Kafka, Layer, busy_scenario};
use serde_json::Value;
use test_kit::{DEADLINE, Progress, wait_for};

use super::payments::{Expected, Kind, Mix, Payments, decided, steps_of};

/// How many records stay, …
const KEPT: usize = 300;
/// … how many are lost, …
const LOST: usize = 200;
/// … and how many arrive afterwards: too few to reach what was published, then more.
const FEWER: usize = 80;
const MORE: usize = 400;
/// What a lane prints whose log ends below what was published, …
const BEYOND: &str = "the broker lost data";
/// … and one whose log holds other records there.
const DIFFERS: &str = "holds another record at";

#[test]
fn streams_lost_tail() {
    busy_scenario("streams_lost_tail", async |scenario| {
        let folder = scenario.dir().join("kafka");
        let Some(mut broker) = Kafka::real(scenario.name(), &folder).await? else { return Ok(()) };
        let setup = Payments::setup(scenario, 1).running(&[Layer::Archive, Layer::Speed, Layer::Serving]);
        let stage = setup.start_on(&broker.brokers()).await?;
        // Without copies and late events, what is decided of an incarnation depends on nothing before it.
        let mut payments = Payments::of(stage, 1, Mix::InOrder)?;
        let (brokers, topic) = (payments.stage.brokers.clone(), payments.stage.topic.clone());
        payments.send(KEPT)?;
        payments.are_written().await?;
        broker.stop().await?;
        broker.keep_copy("older")?;
        broker.restart().await?;
        payments.reconnect()?;
        payments.send(LOST)?;
        payments.are_written().await?;
        payments.are_archived().await?;
        let before = of_payments(&payments)?;
        broker.stop().await?;
        broker.lose_tail(&topic, "older")?;
        broker.restart().await?;

        let speed = payments.stage.deployment.process(Layer::Speed)?;
        prints_again(&speed, BEYOND, 0).await?;
        payments.stage.deployment.kill(Layer::Archive);
        payments.reconnect()?;
        payments.send(FEWER)?;
        prints_again(&speed, BEYOND, lines_with(&speed, BEYOND)? + 1).await?;
        payments.send(MORE)?;
        // As often as it likes: the archive does not say yet where the next incarnation begins.
        prints_again(&speed, DIFFERS, 2).await?;
        for (kind, expected) in &before {
            let stream = payments.stream(*kind);
            stream.is_exactly(&stream.read(&brokers)?, expected)?;
        }
        payments.stage.deployment.start(Layer::Archive).await?;
        are_continued(&payments, &before).await?;
        payments.send(KEPT)?;
        are_continued(&payments, &before).await?;
        let never_written = are_counted(&payments).await?;
        payments.is_written(Kind::Revenue).await?;
        // A worker that starts anew goes on there, too.
        payments.stage.deployment.start(Layer::Speed).await?;
        payments.send(KEPT)?;
        are_continued(&payments, &before).await?;
        ensure!(are_counted(&payments).await? == never_written, "what was open then is counted again");
        ensure!(read_all(&brokers, &topic)?.len() == KEPT + FEWER + MORE + 2 * KEPT, "the log holds something else");
        Ok(())
    });
}

/// What the streams over the payments must have written of what their log holds now.
fn of_payments(payments: &Payments) -> Result<Vec<(Kind, Expected)>> {
    let steps = steps_of(Kind::Alerts, &payments.read_by(Kind::Alerts)?)?;
    let kinds = Kind::ALL.into_iter().filter(|kind| kind.from().is_none());
    Ok(kinds.map(|kind| (kind, decided(kind, &steps))).collect())
}

/// Waits until each stream has written what it must of the incarnation that begins where the log lost its tail. What it had written
/// before stands there as it did.
async fn are_continued(payments: &Payments, before: &[(Kind, Expected)]) -> Result<()> {
    let mut steps = steps_of(Kind::Alerts, &payments.read_by(Kind::Alerts)?)?;
    steps.values_mut().for_each(|steps| steps.retain(|step| step.offset >= KEPT as i64));
    let brokers = &payments.stage.brokers;
    for (kind, before) in before {
        let (stream, expected) = (payments.stream(*kind), decided(*kind, &steps));
        wait_for(&format!("stream {} to go on", stream.name), DEADLINE, async || {
            let (new, old): (Vec<Written>, Vec<Written>) =
                stream.read(brokers)?.into_iter().partition(|written| written.log.contains('.'));
            stream.is_exactly(&old, before)?;
            Ok(match stream.is_exactly(&new, &expected) {
                Ok(()) => Progress::Done(()),
                Err(differs) => Progress::NotYet(format!("{differs:#}")),
            })
        })
        .await?;
    }
    Ok(())
}

/// Waits until the status counts what was open of windows and sessions where the log lost its tail, and nothing of the others. Returns these
/// numbers, by stream.
async fn are_counted(payments: &Payments) -> Result<Vec<u64>> {
    let kinds = [Kind::Spent, Kind::Trend, Kind::Visits, Kind::Alerts, Kind::Large];
    wait_for("the status to count what was open", DEADLINE, async || {
        let (code, status) = payments.stage.client()?.get("/v1/status", &[]).await?;
        ensure!(code == 200, "{code}: {status}");
        let streams = status["streams"].as_array().cloned().unwrap_or_default();
        let of = |kind: &Kind| {
            let named = |stream: &&Value| stream["name"] == kind.name();
            streams.iter().find(named).and_then(|stream| stream["never_written"].as_u64())
        };
        let counted: Option<Vec<u64>> = kinds.iter().map(of).collect();
        Ok(match counted {
            Some(counted) if counted[..3].iter().all(|open| *open > 0) && counted[3..] == [0, 0] => {
                Progress::Done(counted)
            }
            counted => Progress::NotYet(format!("{counted:?}: {streams:?}")),
        })
    })
    .await
}
