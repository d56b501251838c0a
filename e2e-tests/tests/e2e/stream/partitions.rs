//! A topic gains partitions, and so do those that its lanes write: keys move to other lanes, and what is open in two of them is written by both.

use anyhow::ensure;
use e2e_tests::busy_scenario;
use e2e_tests::kafka::grow_topic;

use super::payments::{Kind, Mix, Payments};

const BEFORE: i32 = 2;
const AFTER: i32 = 4;
const SOME: usize = 300;

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
