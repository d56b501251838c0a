//! A topic is deleted with records that only the speed layer had counted. They are in answers as long as its counters are the
//! ones that count, and a gap from the moment on when they no longer are: never silently gone. And the log of a topic that
//! does not come back is closed by an operator.

use anyhow::ensure;
use e2e_tests::kafka::delete_topic;
use e2e_tests::views::{METRIC, Mix};
use e2e_tests::{Layer, Stage, scenario};
use test_kit::DEADLINE;

const SOME: usize = 500;

#[test]
fn topic_deleted() {
    scenario("topic_deleted", async |scenario| {
        let Some(stage) = Stage::of(scenario).partitions(2).start_on_real_kafka().await? else { return Ok(()) };
        let client = stage.client()?;
        let mut traffic = stage.traffic(50, Mix::NO_COPIES)?;
        let arrived = traffic.send(SOME)?;
        stage.total_as_of(arrived).await?;
        stage.reconciled_is(&traffic.oracle).await?;

        // From here on only speed counts.
        stage.deployment.kill(Layer::Archive);
        let lost = traffic.views.batch(SOME);
        let arrived = traffic.deliver(&lost)?;
        let counted = stage.total_as_of(arrived).await?;
        let too_soon = stage.deployment.batch(&["close", "--source", "views"])?;
        ensure!(!too_soon.end(DEADLINE).await?.success(), "a log was closed whose topic exists");
        delete_topic(&stage.brokers, &stage.topic).await?;
        stage.deployment.braid(&["close", "--source", "views"], DEADLINE).await?;
        stage.until_each_partition("closed", |row| row["closed"] == true).await?;
        let answer = client.total(METRIC, &[]).await?;
        ensure!(
            answer.complete && answer.int("views")? == counted.int("views")?,
            "{counted:?} and after the topic was deleted {answer:?}"
        );

        stage.deployment.reconcile().await?;
        client.total_with_gap(METRIC, "lost").await?;
        stage.deployment.accept_losses().await?;
        stage.authoritative_total().await?;
        stage.is_exact(&traffic.oracle).await?;
        stage.until_each_partition("without a shard", |row| row["cursor"].is_null()).await?;

        // It comes back as another log: an archiver creates the topics that it misses when it starts.
        stage.deployment.start(Layer::Archive).await?;
        traffic.producer = stage.producer()?;
        let arrived = traffic.send(SOME)?;
        stage.total_as_of(arrived).await?;
        stage.stays_exact(&traffic.oracle).await
    });
}
