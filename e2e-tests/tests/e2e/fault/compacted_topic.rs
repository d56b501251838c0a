//! A compacted topic is refused, unless compaction comes long after the records have been read.

use anyhow::ensure;
use e2e_tests::kafka::{create_topic, delete_topic};
use e2e_tests::scenario::now_us;
use e2e_tests::stage::LAYERS;
use e2e_tests::views::Mix;
use e2e_tests::{Stage, scenario};
use test_kit::DEADLINE;

const PARTITIONS: i32 = 2;
const SOME: usize = 1_000;
const MANY: usize = 10_000;

#[test]
fn compacted_topic() {
    scenario("compacted_topic", async |scenario| {
        let setup = Stage::of(scenario).topic("", PARTITIONS, &[("cleanup.policy", "compact")]).not_started();
        let Some(stage) = setup.start_on_real_kafka().await? else { return Ok(()) };
        for command in ["init", "archive"] {
            let refused = stage.deployment.batch(&[command])?;
            let status = refused.end(DEADLINE).await?;
            let output = refused.output()?;
            ensure!(!status.success(), "{command} took a compacted topic: {output}");
            let names_the_remedy = output.contains("compact") && output.contains("min.compaction.lag.ms");
            ensure!(names_the_remedy, "{command} printed: {output}");
        }
        delete_topic(&stage.brokers, &stage.topic).await?;
        let three_days = "259200000";
        let settings = [
            ("cleanup.policy", "compact"),
            ("min.compaction.lag.ms", three_days),
            // Without the lag the cleaner would compact at once.
            ("segment.bytes", "1048576"),
            ("min.cleanable.dirty.ratio", "0.0"),
        ];
        create_topic(&stage.brokers, &stage.topic, PARTITIONS, &settings).await?;
        stage.deployment.start_all(&LAYERS).await?;
        // Few keys, so nearly every record has a younger one.
        let mut traffic = stage.traffic(20, Mix::USUAL)?;
        for _ in 0..2 {
            let arrived = traffic.send(MANY)?;
            stage.total_as_of(arrived).await?;
            stage.is_exact(&traffic.oracle).await?;
            stage.reconciled_is(&traffic.oracle).await?;
        }
        // A shard that is opened again reads the same records as the first time.
        let arrived = traffic.send(SOME)?;
        stage.total_as_of(arrived).await?;
        stage.redis.command(&["FLUSHALL"]).await?;
        stage.total_as_of(now_us()).await?;
        stage.stays_exact(&traffic.oracle).await
    });
}
