//! A topic is deleted with records that only the speed layer had counted. They are in answers as long as its counters are the
//! ones that count, and a gap from the moment on when they no longer are: never silently gone. And the log of a topic that
//! does not come back is closed by an operator.

use anyhow::{Context, Result, ensure};
use e2e_tests::exactness::every_answer_is_exact;
use e2e_tests::kafka::delete_topic;
use e2e_tests::scenario::now_us;
use e2e_tests::views::{METRIC, Mix, Views};
use e2e_tests::wait::{DEADLINE, Look, wait_for};
use e2e_tests::{Layer, Oracle, Producer, Stage, scenario};
use serde_json::Value;

/// Copies are kept out: one of each half would meet in two logs, where speed counts both until the next reconcile.
const SINGLE: Mix = Mix { duplicates: 0.0, late: 0.02, broken: 0.01 };
const PARTITIONS: i32 = 2;
const SOME: usize = 500;

#[test]
fn topic_deleted() {
    scenario("topic_deleted", async |scenario| {
        let Some(stage) = Stage::on_real_kafka(scenario, PARTITIONS).await? else { return Ok(()) };
        let client = stage.client()?;
        let now = now_us();
        let mut views = Views::new(scenario.rng(), now, 50, SINGLE);
        let mut oracle = Oracle::default();
        let mut send = |oracle: Option<&mut Oracle>| -> Result<i64> {
            let sent = views.batch(SOME);
            oracle.into_iter().for_each(|oracle| oracle.observe(&sent));
            Producer::new(&stage.brokers, &stage.topic)?.send_all(sent.iter().map(|sent| &sent.record))
        };
        let arrived = send(Some(&mut oracle))?;
        client.total_as_of(arrived, METRIC, &[]).await?;
        stage.reconciled_is(&oracle).await?;

        // From here on only speed counts.
        stage.deployment.kill(Layer::Archive);
        let arrived = send(None)?;
        let counted = client.total_as_of(arrived, METRIC, &[]).await?;
        let too_soon = stage.deployment.batch(&["close", "--source", "views"])?;
        ensure!(!too_soon.end(DEADLINE).await?.success(), "a log was closed whose topic exists");
        delete_topic(&stage.brokers, &stage.topic).await?;
        let close = stage.deployment.batch(&["close", "--source", "views"])?;
        close.success(DEADLINE).await?;
        until_each_partition(&stage, "closed", |row| row["closed"] == true).await?;
        let answer = client.total(METRIC, &[]).await?;
        ensure!(
            answer.complete && answer.int("views")? == counted.int("views")?,
            "{counted:?} and after the topic was deleted {answer:?}"
        );

        stage.deployment.reconcile().await?;
        client.total_with_gap(METRIC, "lost").await?;
        stage.deployment.batch(&["lost", "accept", "--source", "views"])?.success(DEADLINE).await?;
        client.authoritative_total(METRIC, &[]).await?;
        every_answer_is_exact(&client, &oracle, now).await?;
        until_each_partition(&stage, "without a shard", |row| row["cursor"].is_null()).await?;

        // It comes back after all, as another log: an archiver creates the topics that it misses when it starts.
        stage.deployment.start(Layer::Archive).await?;
        let arrived = send(Some(&mut oracle))?;
        client.total_as_of(arrived, METRIC, &[]).await?;
        stage.stays_exact(&oracle, now).await
    });
}

async fn until_each_partition(stage: &Stage, what: &str, is_so: impl Fn(&Value) -> bool) -> Result<()> {
    wait_for(&format!("each partition to be {what}"), DEADLINE, async || {
        let status = stage.status().await?;
        let rows = status["partitions"].as_array().context("no partitions")?;
        Ok(if rows.iter().all(&is_so) { Look::Done(()) } else { Look::NotYet(status.to_string()) })
    })
    .await
}
