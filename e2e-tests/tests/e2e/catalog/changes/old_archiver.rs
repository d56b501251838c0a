//! The archiver still has the old catalog; all others have the new one.

use e2e_tests::kafka::Record;
use e2e_tests::time::rfc3339;
use e2e_tests::{Layer, Stage, scenario};

use super::{
    DAY_US, EVENTS, PLAIN, Rules, batch_counts, both_count, event, file_by_file, noon_before, until_operations,
};

const NEWER: Rules =
    Rules { event_time: "b", fields: "status = \"int\"", metric: Some(("by_status", "status")), ..PLAIN };

#[test]
fn archiver_of_an_old_catalog() {
    scenario("archiver_of_an_old_catalog", async |scenario| {
        let setup = Stage::of(scenario).catalog(|topic| PLAIN.catalog(topic)).partitions(1);
        let setup = setup.set("archive.linger", "10ms").set("archive.checkpoint_every", "4");
        let stage = setup.running(&[Layer::Archive]).start().await?;
        let newer = stage.beside("newer", &NEWER.catalog(&stage.topic))?;
        tokio::try_join!(newer.start(Layer::Speed), newer.start(Layer::Serving))?;
        let (client, producer) = (newer.client()?, stage.producer()?);
        let at_us = noon_before(stage.now_us);
        let events = |first: usize, count: usize| -> Vec<Record> {
            (first..first + count).map(|id| event(id, at_us, r#","status":200"#)).collect()
        };
        let ok = [("status", "200".to_owned())];
        // The day of `b`, by which the newer catalog counts.
        let day = [("from", rfc3339(at_us - DAY_US * 3 / 2)), ("to", rfc3339(at_us - DAY_US / 2))];

        // It compacts by the old catalog, too: before the first reconcile, and between two.
        let arrived = file_by_file(&newer, &producer, &events(0, 16)).await?;
        until_operations(&newer.store(), "COMPACT", 1).await?;
        both_count(&client, arrived, "by_status", &ok, 16).await?;
        newer.reconcile().await?;
        batch_counts(&client, "by_status", &ok, 16).await?;
        batch_counts(&client, EVENTS, &day, 16).await?;
        let arrived = file_by_file(&newer, &producer, &events(16, 16)).await?;
        until_operations(&newer.store(), "COMPACT", 2).await?;
        both_count(&client, arrived, "by_status", &ok, 32).await?;
        newer.reconcile().await?;
        batch_counts(&client, "by_status", &ok, 32).await?;
        batch_counts(&client, EVENTS, &day, 32).await?;

        stage.deployment.kill(Layer::Archive);
        newer.start(Layer::Archive).await?;
        let arrived = file_by_file(&newer, &producer, &events(32, 4)).await?;
        until_operations(&newer.store(), "DECODE", 1).await?;
        both_count(&client, arrived, "by_status", &ok, 36).await?;
        newer.reconcile().await?;
        batch_counts(&client, "by_status", &ok, 36).await?;
        batch_counts(&client, EVENTS, &day, 36).await
    });
}
