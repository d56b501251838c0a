//! A topic gains partitions, and some of its partitions are silent or never written.

use anyhow::ensure;
use e2e_tests::exactness::total_is_exact;
use e2e_tests::kafka::{end_offsets, grow_topic};
use e2e_tests::oracle::EVER;
use e2e_tests::views::Mix;
use e2e_tests::{Answer, Load, Stage, busy_scenario};

const SOME: usize = 1_000;

#[test]
fn topic_gains_partitions() {
    busy_scenario("topic_gains_partitions", async |scenario| {
        let Some(stage) = Stage::of(scenario).partitions(3).start_on_real_kafka().await? else { return Ok(()) };
        let load = stage.load(200, Mix::NO_COPIES)?;
        stage.counts_more(&load, SOME).await?;
        stage.deployment.reconcile().await?;
        grow_topic(&stage.brokers, &stage.topic, 6).await?;
        let all_counted = async |_: &_| {
            let rows = stage.partitions().await?;
            Ok(rows.len() == 6 && rows.iter().all(|row| row["cursor"].as_i64() > Some(0)))
        };
        stage.poll(&load, "all six partitions to be written and counted", all_counted).await?;
        load.arrive(SOME).await?;
        stage.ends_exactly(load).await?;
        stage.archive_is_whole().map(drop)
    });
}

#[test]
fn silent_partitions() {
    busy_scenario("silent_partitions", async |scenario| {
        let Some(stage) = Stage::of(scenario).partitions(6).start_on_real_kafka().await? else { return Ok(()) };
        // Three partitions fall silent after the first thousand; the last is never written.
        let place = |number: usize| Some(if number < SOME { number % 5 } else { number % 2 } as i32);
        let load = Load::placed(stage.producer()?, stage.views(50, Mix::NO_COPIES), place);
        for _ in 0..3 {
            let arrived = load.arrive(2 * SOME).await?;
            let moved_on = async |answer: &Answer| Ok(answer.complete && answer.as_of_us()? >= Some(arrived));
            stage.poll(&load, "answers to move on", moved_on).await?;
            stage.deployment.reconcile().await?;
            let complete = async |answer: &Answer| Ok(answer.complete);
            stage.poll(&load, "answers to be complete", complete).await?;
        }
        let mut stopped = stage.ends_exactly(load).await?;
        stage.cuts_are_at_the_ends().await?;
        let ends = end_offsets(&stage.brokers, &stage.topic)?;
        ensure!(ends[5] == 0, "the last partition was written: {ends:?}");
        // The last partition is written after a long silence.
        let mut late = stopped.views.batch(SOME);
        late.iter_mut().for_each(|sent| sent.record.partition = Some(5));
        stopped.oracle.observe(&late);
        let arrived = stage.producer()?.send_all(late.iter().map(|sent| &sent.record))?;
        total_is_exact(&stage.total_as_of(arrived).await?, stopped.oracle.total(None, EVER))
    });
}
