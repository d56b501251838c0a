//! Records that one catalog rejects and another accepts: each event counts once under the catalog that accepts it, however often that
//! one comes and goes, whoever archived the record, and whether its copies come before or after.

use anyhow::{Context, Result};
use e2e_tests::kafka::Record;
use e2e_tests::{Deployment, Layer, Producer, Stage, scenario};

use super::{EVENTS, PLAIN, Rules, batch_counts, both_count, change, event, noon_before};

const NUMBERS: Rules = Rules { fields: "status = \"int\"", ..PLAIN };
const TEXTS: Rules = Rules { fields: "status = \"string\"", ..PLAIN };

/// How many events are sent as a number only, as a text only, and as both: copies of one event.
const AS_NUMBER: usize = 30;
const AS_TEXT: usize = 20;
const AS_BOTH: usize = 7;

#[test]
fn rejected_by_a_catalog_that_comes_and_goes() {
    scenario("rejected_by_a_catalog_that_comes_and_goes", async |scenario| {
        let stage = Stage::of(scenario).catalog(|topic| NUMBERS.catalog(topic)).partitions(1).start().await?;
        let (deployment, texts) = (&stage.deployment, TEXTS.catalog(&stage.topic));
        let records = Records { producer: stage.producer()?, at_us: noon_before(stage.now_us) };
        let (of_numbers, of_texts) = (AS_NUMBER + AS_BOTH, AS_TEXT + AS_BOTH);
        records.send()?;
        counted(deployment, records.send()?, of_numbers).await.context("numbers")?;
        for round in 0..2 {
            change(deployment, &texts).await?;
            // Speed has read copies of what was rejected below its cut, and further ones come above it.
            counted(deployment, records.send()?, of_texts).await.with_context(|| format!("texts, {round}"))?;
            change(deployment, &stage.catalog).await?;
            counted(deployment, records.send()?, of_numbers).await.with_context(|| format!("numbers, {round}"))?;
        }
        Ok(())
    });
}

#[test]
fn rejected_by_the_archiver_alone() {
    scenario("rejected_by_the_archiver_alone", async |scenario| {
        let setup = Stage::of(scenario).catalog(|topic| NUMBERS.catalog(topic)).partitions(1);
        let stage = setup.running(&[Layer::Archive]).start().await?;
        let newer = stage.beside("newer", &TEXTS.catalog(&stage.topic))?;
        tokio::try_join!(newer.start(Layer::Speed), newer.start(Layer::Serving))?;
        let records = Records { producer: stage.producer()?, at_us: noon_before(stage.now_us) };
        let of_texts = AS_TEXT + AS_BOTH;
        counted(&newer, records.send()?, of_texts).await.context("archived as rejected")?;
        counted(&newer, records.send()?, of_texts).await.context("and again")?;

        stage.deployment.kill(Layer::Archive);
        newer.start(Layer::Archive).await?;
        counted(&newer, records.send()?, of_texts).await.context("archived as events")
    });
}

struct Records {
    producer: Producer,
    at_us: i64,
}

impl Records {
    /// Sends every record once more. Returns when all had arrived.
    fn send(&self) -> Result<i64> {
        let number = |id: String| event(id, self.at_us, r#","status":200"#);
        let text = |id: String| event(id, self.at_us, r#","status":"ok""#);
        let both = |id: usize| [text(format!("both-{id}")), number(format!("both-{id}"))];
        let mut records: Vec<Record> = (0..AS_NUMBER).map(|id| number(format!("number-{id}"))).collect();
        records.extend((0..AS_TEXT).map(|id| text(format!("text-{id}"))));
        records.extend((0..AS_BOTH).flat_map(both));
        self.producer.send_all(&records)
    }
}

/// So many events are counted, by both layers as of that moment, and then by the batch layer alone.
async fn counted(deployment: &Deployment, moment: i64, expected: usize) -> Result<()> {
    let client = deployment.client()?;
    both_count(&client, moment, EVENTS, &[], expected).await?;
    deployment.reconcile().await?;
    batch_counts(&client, EVENTS, &[], expected).await
}
