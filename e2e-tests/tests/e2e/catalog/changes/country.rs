//! A field and its metric are taken out of the catalog and put back, and meanwhile the archive is compacted.

use e2e_tests::kafka::Record;
use e2e_tests::{Stage, scenario};

use super::{
    EVENTS, PLAIN, Rules, batch_counts, both_count, change, event, file_by_file, noon_before, until_operations,
};

const COUNTRIES: Rules = Rules { fields: "country = \"string\"", metric: Some(("by_country", "country")), ..PLAIN };

#[test]
fn field_taken_out_and_put_back() {
    scenario("field_taken_out_and_put_back", async |scenario| {
        let setup = Stage::of(scenario).catalog(|topic| COUNTRIES.catalog(topic)).partitions(1);
        let setup = setup.set("archive.linger", "10ms").set("archive.checkpoint_every", "4");
        let stage = setup.start().await?;
        let (deployment, producer) = (&stage.deployment, stage.producer()?);
        let at_us = noon_before(stage.now_us);
        let events = |first: usize, count: usize, country: &str| -> Vec<Record> {
            let more = format!(r#","country":"{country}""#);
            (first..first + count).map(|id| event(id, at_us, &more)).collect()
        };
        let germany = [("country", "DE".to_owned())];
        let arrived = file_by_file(deployment, &producer, &events(0, 10, "DE")).await?;
        both_count(&deployment.client()?, arrived, "by_country", &germany, 10).await?;
        deployment.reconcile().await?;
        batch_counts(&deployment.client()?, "by_country", &germany, 10).await?;

        // Without the field. The archiver decodes the small files anew, and merges them with its own.
        change(deployment, &PLAIN.catalog(&stage.topic)).await?;
        batch_counts(&deployment.client()?, EVENTS, &[], 10).await?;
        let arrived = file_by_file(deployment, &producer, &events(10, 8, "FR")).await?;
        both_count(&deployment.client()?, arrived, EVENTS, &[], 18).await?;
        until_operations(&deployment.store(), "DECODE", 10).await?;
        until_operations(&deployment.store(), "COMPACT", 1).await?;

        change(deployment, &stage.catalog).await?;
        batch_counts(&deployment.client()?, "by_country", &germany, 10).await?;
        let arrived = producer.send_all(&events(18, 13, "DE"))?;
        both_count(&deployment.client()?, arrived, "by_country", &germany, 23).await?;
        deployment.reconcile().await?;
        batch_counts(&deployment.client()?, "by_country", &germany, 23).await?;
        batch_counts(&deployment.client()?, EVENTS, &[], 31).await
    });
}
