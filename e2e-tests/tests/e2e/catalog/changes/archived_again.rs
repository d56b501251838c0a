//! A source that keeps no bytes of events is declared otherwise: what the log still holds is archived again under the new rules;
//! once the log has lost some of it, they are refused.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use e2e_tests::kafka::{Record, delete_records, end_offsets};
use e2e_tests::{Archive, Deployment, Layer, Stage, scenario};
use test_kit::DEADLINE;

use super::{
    EVENTS, PLAIN, Rules, SOURCE, batch_counts, both_count, change, event, noon_before, operations, until_operations,
};

const OWN: Rules = Rules { source: "raw = \"rejected\"", ..PLAIN };
const STATUS: Rules = Rules { fields: "status = \"int\"", metric: Some(("by_status", "status")), ..OWN };
const STATUS_AT_B: Rules = Rules { event_time: "b", ..STATUS };
/// Everything is read again and written, and then it waits for its end.
const BEFORE_REPLACING: &str = "archive::before_replacing";

#[test]
fn archived_again_while_the_log_holds_everything() {
    scenario("archived_again_while_the_log_holds_everything", async |scenario| {
        let setup = Stage::of(scenario).catalog(|topic| OWN.catalog(topic)).partitions(1);
        let Some(stage) = setup.start_on_real_kafka().await? else { return Ok(()) };
        let (deployment, producer) = (&stage.deployment, stage.producer()?);
        let at_us = noon_before(stage.now_us);
        let events = |first: usize, count: usize, status: &str| -> Vec<Record> {
            (first..first + count).map(|id| event(id, at_us, &format!(r#","status":{status}"#))).collect()
        };
        let ok = [("status", "200".to_owned())];
        producer.send_all(&events(0, 100, "200"))?;
        let arrived = producer.send_all(&events(100, 5, "\"ok\""))?;
        both_count(&deployment.client()?, arrived, EVENTS, &[], 105).await?;
        deployment.reconcile().await?;
        batch_counts(&deployment.client()?, EVENTS, &[], 105).await?;
        stage.archived().await?;

        // The archiver is killed just before it replaces what it has read again: nothing has changed.
        deployment.write_catalog(&STATUS.catalog(&stage.topic))?;
        let killed = deployment.launch(Layer::Archive, &format!("{BEFORE_REPLACING}=return(60000)"))?;
        killed.line(&format!("failpoint {BEFORE_REPLACING}"), DEADLINE).await?;
        killed.kill();
        holds_each_once(&stage)?;
        // A view that is counted meanwhile lacks all events, and answers say so.
        tokio::try_join!(deployment.start(Layer::Speed), deployment.start(Layer::Serving))?;
        deployment.reconcile().await?;
        deployment.client()?.total_with_gap("by_status", "not_decodable").await?;

        deployment.start(Layer::Archive).await?;
        until_operations(&deployment.store(), "ARCHIVE AGAIN", 1).await?;
        deployment.reconcile().await?;
        let client = deployment.client()?;
        batch_counts(&client, "by_status", &ok, 100).await?;
        batch_counts(&client, EVENTS, &[], 100).await?;
        let arrived = producer.send_all(&events(105, 10, "200"))?;
        both_count(&client, arrived, "by_status", &ok, 110).await?;
        stage.archived().await?;
        holds_each_once(&stage)?;

        // The log loses its beginning, so that other rules cannot be applied to it.
        delete_records(&stage.brokers, &stage.topic, &BTreeMap::from([(0, 50)])).await?;
        is_refused(deployment, &STATUS_AT_B.catalog(&stage.topic)).await?;
        tokio::try_join!(deployment.start(Layer::Speed), deployment.start(Layer::Serving))?;
        deployment.reconcile().await?;
        deployment.client()?.total_with_gap(EVENTS, "not_decodable").await?;
        // With the catalog of before, all is as it was.
        change(deployment, &STATUS.catalog(&stage.topic)).await?;
        batch_counts(&deployment.client()?, "by_status", &ok, 110).await?;
        ensure!(operations(&deployment.store(), "ARCHIVE AGAIN")? == 1, "it was archived again once");
        Ok(())
    });
}

fn holds_each_once(stage: &Stage) -> Result<()> {
    let archive = Archive::read(&stage.deployment.store(), SOURCE)?;
    archive.holds_each_offset_once(&end_offsets(&stage.brokers, &stage.topic)?)
}

/// An archiver with that catalog ends, and says why and what to do.
async fn is_refused(deployment: &Deployment, catalog: &str) -> Result<()> {
    deployment.write_catalog(catalog)?;
    let refused = deployment.launch(Layer::Archive, "")?;
    ensure!(!refused.end(DEADLINE).await?.success(), "the archiver ended as if all were well");
    let output = refused.output()?;
    for part in ["raw = \"rejected\"", "the log now starts at offset 50", "braid lost accept"] {
        ensure!(output.contains(part), "{part:?} is missing in {output}");
    }
    Ok(())
}
