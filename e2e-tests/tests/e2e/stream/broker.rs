//! The broker is killed and started again while payments arrive.

use e2e_tests::{Kafka, busy_scenario};
use test_kit::repetitions;

use super::payments::{Mix, Payments};

const PARTITIONS: i32 = 2;
const SOME: usize = 200;

#[test]
fn streams_broker_restarts() {
    busy_scenario("streams_broker_restarts", async |scenario| {
        let folder = scenario.dir().join("kafka");
        let Some(mut broker) = Kafka::real(scenario.name(), &folder).await? else { return Ok(()) };
        // What is asked while it is away is soon asked again.
        let setup = Payments::setup(scenario, PARTITIONS).set("kafka.request_timeout", "5s");
        let stage = setup.start_on(&broker.brokers()).await?;
        let mut payments = Payments::of(stage, PARTITIONS, Mix::Usual)?;
        for _ in 0..repetitions(2, 4) {
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
