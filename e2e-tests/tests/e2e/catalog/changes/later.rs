//! A field that records always had is declared later, and then another field says when an event happened.

use e2e_tests::kafka::Record;
use e2e_tests::time::rfc3339;
use e2e_tests::{Stage, scenario};

use super::{DAY_US, EVENTS, PLAIN, Rules, batch_counts, both_count, change, event, noon_before};

const STATUS: Rules = Rules { fields: "status = \"int\"", metric: Some(("by_status", "status")), ..PLAIN };
/// An event's `b` lies a day before its `a`.
const STATUS_AT_B: Rules = Rules { event_time: "b", ..STATUS };

#[test]
fn field_declared_later_and_another_event_time() {
    scenario("field_declared_later_and_another_event_time", async |scenario| {
        let stage = Stage::of(scenario).catalog(|topic| PLAIN.catalog(topic)).partitions(1).start().await?;
        let (deployment, producer) = (&stage.deployment, stage.producer()?);
        let at_us = noon_before(stage.now_us);
        let events = |first: usize, count: usize| -> Vec<Record> {
            (first..first + count).map(|id| event(id, at_us, r#","status":200"#)).collect()
        };
        let day_of_a = [("from", rfc3339(at_us - DAY_US / 2)), ("to", rfc3339(at_us + DAY_US / 2))];
        let day_of_b = [("from", rfc3339(at_us - DAY_US * 3 / 2)), ("to", rfc3339(at_us - DAY_US / 2))];
        let of_status = |status: i64| [("status", status.to_string())];
        let arrived = producer.send_all(&events(0, 100))?;
        both_count(&deployment.client()?, arrived, EVENTS, &[], 100).await?;
        deployment.reconcile().await?;
        batch_counts(&deployment.client()?, EVENTS, &day_of_a, 100).await?;
        batch_counts(&deployment.client()?, EVENTS, &day_of_b, 0).await?;

        change(deployment, &STATUS.catalog(&stage.topic)).await?;
        let client = deployment.client()?;
        batch_counts(&client, "by_status", &of_status(200), 100).await?;
        batch_counts(&client, "by_status", &of_status(0), 0).await?;
        let arrived = producer.send_all(&events(100, 10))?;
        both_count(&client, arrived, "by_status", &of_status(200), 110).await?;

        change(deployment, &STATUS_AT_B.catalog(&stage.topic)).await?;
        let client = deployment.client()?;
        batch_counts(&client, EVENTS, &day_of_a, 0).await?;
        batch_counts(&client, EVENTS, &day_of_b, 110).await?;
        let arrived = producer.send_all(&events(110, 10))?;
        both_count(&client, arrived, EVENTS, &day_of_b, 120).await?;
        deployment.reconcile().await?;
        batch_counts(&client, EVENTS, &day_of_a, 0).await?;
        batch_counts(&client, EVENTS, &day_of_b, 120).await
    });
}
