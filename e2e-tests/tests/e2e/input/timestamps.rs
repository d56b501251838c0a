//! A record's own timestamp, which its event's age is judged by: the producer's (`CreateTime`) or the broker's
//! (`LogAppendTime`).

use anyhow::Context;
use e2e_tests::scenario::now_us;
use e2e_tests::views::Mix;
use e2e_tests::{Stage, scenario};

const SOME: usize = 1_000;
const DAY_MS: i64 = 86_400_000;

#[test]
fn whose_time_a_record_has() {
    scenario("whose_time_a_record_has", async |scenario| {
        for (kind, is_judged_by_the_broker) in [("CreateTime", false), ("LogAppendTime", true)] {
            let settings = [("message.timestamp.type", kind)];
            let setup = Stage::of(scenario).topic("", 2, &settings);
            let Some(stage) = setup.start_on_real_kafka().await? else { return Ok(()) };
            let mut traffic = stage.traffic(50, Mix::USUAL)?;
            traffic.send(SOME)?;
            // Records that are dated a day ago, of events that happened just now: too far ahead of their records, unless the
            // broker dates them when they arrive.
            let mut fresh = stage.views(50, Mix::PLAIN);
            let dated: Vec<_> = (0..100).map(|_| fresh.about("video-dated")).collect();
            if is_judged_by_the_broker {
                traffic.oracle.observe(&dated);
            }
            let producer = stage.producer()?;
            for sent in &dated {
                producer.send_at(&sent.record, stage.now_us / 1_000 - DAY_MS)?;
            }
            producer.flush()?;
            stage.total_as_of(now_us()).await?;
            stage.stays_exact(&traffic.oracle).await.context(kind)?;
        }
        Ok(())
    });
}
