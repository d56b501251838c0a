//! A topic gains partitions, and so do those that its lanes write: keys move to other lanes, and what is open in two of them is written by both.

use anyhow::ensure;
use e2e_tests::busy_scenario;
use e2e_tests::kafka::grow_topic;
use test_kit::{DEADLINE, Progress, wait_for};

use super::payments::{Kind, Mix, Payments};

const BEFORE: i32 = 2;
const AFTER: i32 = 4;
const SOME: usize = 300;
/// By Kafka's partitioner, some countries lie in the new ones of so many partitions.
const COUNTRIES_AMONG: usize = 5;

#[test]
fn streams_partitions_added() {
    busy_scenario("streams_partitions_added", async |scenario| {
        let Some(mut payments) = Payments::start(scenario, BEFORE, Mix::Usual).await? else { return Ok(()) };
        payments.send(SOME)?;
        payments.are_written().await?;
        // Only what the lanes read: they add partitions to what they write. That of a re-keying map keeps those that it has.
        let (brokers, topic) = (payments.stage.brokers.clone(), payments.stage.topic.clone());
        grow_topic(&brokers, &topic, usize::try_from(AFTER)?).await?;
        payments.has_grown(AFTER)?;
        payments.send(SOME)?;
        payments.are_written().await?;
        payments.send(SOME)?;
        payments.are_written().await?;
        let spent = payments.stream(Kind::Spent).read(&brokers)?;
        let writes = |partition| spent.iter().any(|written| written.partition == partition);
        ensure!((0..AFTER).all(writes), "a lane is silent");
        payments.end_exactly().await
    });
}

/// An operator adds partitions to the topic of a map that keys records anew. Its lanes learn of them and begin anew, so that marks reach the new
/// partitions: without these, nothing over them would ever close.
#[test]
fn streams_rekeyed_topic_grows() {
    busy_scenario("streams_rekeyed_topic_grows", async |scenario| {
        let Some(mut payments) = Payments::start(scenario, BEFORE, Mix::Usual).await? else { return Ok(()) };
        payments.send(SOME)?;
        payments.are_written().await?;
        let brokers = payments.stage.brokers.clone();
        grow_topic(&brokers, &payments.stream(Kind::ByCountry).topic, COUNTRIES_AMONG).await?;
        wait_for("windows in a new partition", DEADLINE, async || {
            payments.send(SOME)?;
            let revenue = payments.is_written(Kind::Revenue).await?;
            let is_new = revenue.iter().any(|written| written.partition >= BEFORE);
            Ok(Progress::when(is_new, format_args!("{} windows", revenue.len())))
        })
        .await
    });
}
