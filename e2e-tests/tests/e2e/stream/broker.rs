//! The broker is killed and started again while payments arrive.

use e2e_tests::{Kafka, busy_scenario};

use super::payments::{Mix, Payments};

const PARTITIONS: i32 = 2;
const SOME: usize = 200;

#[test]
fn streams_broker_restarts() {
    busy_scenario("streams_broker_restarts", async |scenario| {
        let folder = scenario.dir().join("kafka");
        let Some(mut broker) = Kafka::real(scenario.name(), &folder).await? else { return Ok(()) };
        let stage = Payments::setup(scenario, PARTITIONS).start_on(&broker.brokers()).await?;
        let mut payments = Payments::of(stage, PARTITIONS, Mix::Usual)?;
        for _ in 0..2 {
            payments.send(SOME)?;
            payments.are_written().await?;
            // Some of these have arrived when it is killed, some are published, and the others arrive afterwards.
            payments.queue(SOME)?;
            broker.kill();
            payments.queue(SOME)?;
            broker.restart().await?;
            payments.flush()?;
            payments.are_written().await?;
        }
        payments.send(SOME)?;
        payments.end_exactly().await
    });
}
