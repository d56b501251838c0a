//! The harness itself: what the scenarios rely on when they kill a server and start it again.

use anyhow::{Result, ensure};
use e2e_tests::kafka::{Record, create_topic, end_offsets};
use e2e_tests::views::{Mix, Views};
use e2e_tests::{Kafka, Oracle, Producer, scenario};
use rand::SeedableRng;
use rand::rngs::StdRng;
use test_kit::{Durability, Redis};

#[test]
fn a_killed_broker_comes_back_with_its_records() {
    scenario("harness_kafka", async |scenario| {
        let Some(mut broker) = Kafka::real("harness_kafka", &scenario.dir().join("kafka")).await? else {
            return Ok(());
        };
        create_topic(&broker.brokers(), "records", 3, &[]).await?;
        for round in 1..=2 {
            let records = (0..1000).map(|n| Record { key: n.to_string(), payload: vec![0; 100], partition: None });
            Producer::new(&broker.brokers(), "records")?.send_all(&records.collect::<Vec<_>>())?;
            broker.kill();
            broker.restart().await?;
            let ends = end_offsets(&broker.brokers(), "records")?;
            ensure!(ends.len() == 3 && ends.iter().sum::<i64>() == round * 1000, "{ends:?} after round {round}");
        }
        broker.stop().await
    });
}

#[test]
fn a_killed_redis_comes_back_with_its_values_only_where_it_should() {
    scenario("harness_redis", async |scenario| {
        for (durability, kept) in [(Durability::EveryWrite, Some(42)), (Durability::None, None)] {
            let mut redis = Redis::start_in(&scenario.dir().join(format!("{durability:?}")), durability).await?;
            let () = redis::cmd("SET").arg("k").arg(42).query_async(&mut redis.connection().await?).await?;
            redis.kill();
            redis.restart().await?;
            let found: Option<i64> = redis::cmd("GET").arg("k").query_async(&mut redis.connection().await?).await?;
            ensure!(found == kept, "{durability:?} kept {found:?}");
            redis.stop().await?;
        }
        Ok(())
    });
}

#[test]
fn a_seed_decides_all_events_and_the_oracle_counts_them() -> Result<()> {
    let events = |seed| Views::new(StdRng::seed_from_u64(seed), 1_700_000_000_000_000, 100, Mix::USUAL).batch(10_000);
    let payloads = |seed| events(seed).into_iter().map(|sent| sent.record.payload).collect::<Vec<_>>();
    ensure!(payloads(1) == payloads(1) && payloads(1) != payloads(2));

    let mut oracle = Oracle::default();
    oracle.observe(&events(1));
    let once = oracle.total(None, e2e_tests::oracle::EVER);
    ensure!((8_000..9_000).contains(&once.views), "about 9 in 10 of 10,000 events count: {once:?}");
    ensure!((50..200).contains(&oracle.broken), "about 1 in 100 is broken: {}", oracle.broken);
    // A second look at the same events adds nothing.
    oracle.observe(&events(1));
    ensure!(oracle.total(None, e2e_tests::oracle::EVER) == once);
    Ok(())
}
