//! The broker is killed and started again under load.

use anyhow::Result;
use e2e_tests::views::{METRIC, Mix};
use e2e_tests::{Kafka, Load, Stage, busy_scenario};

const SOME: usize = 1_000;

#[test]
fn broker_restarts() {
    busy_scenario("broker_restarts", async |scenario| {
        let folder = scenario.dir().join("kafka");
        let Some(mut broker) = Kafka::real(scenario.name(), &folder).await? else { return Ok(()) };
        let stage = Stage::of(scenario).start_on(&broker.brokers()).await?;
        let load = stage.load(100, Mix::USUAL)?;
        for _ in 0..2 {
            is_answered(&stage, &load, "what arrived before the broker was killed").await?;
            broker.kill();
            // Without a broker answers go on, and claim nothing newer than what is known.
            for _ in 0..20 {
                load.check(&stage.client()?.total(METRIC, &[]).await?)?;
            }
            broker.restart().await?;
        }
        is_answered(&stage, &load, "what arrived after the broker was killed").await?;
        stage.ends_exactly(load).await?;
        stage.archive_is_whole().map(drop)
    });
}

/// Waits until some more records have arrived and are answered; every answer until then is held to the load's bounds.
async fn is_answered(stage: &Stage, load: &Load, what: &str) -> Result<()> {
    let arrived = load.arrive(SOME).await?;
    stage.poll(load, what, async |answer| Ok(answer.complete && answer.as_of_us()? >= Some(arrived))).await
}
