//! Keys of the shards are deleted or overwritten by hand.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use e2e_tests::scenario::now_us;
use e2e_tests::views::Mix;
use e2e_tests::watch::{lines_with, prints_again, watched};
use e2e_tests::{Layer, Stage, busy_scenario};
use redis::AsyncCommands;
use test_kit::{DEADLINE, Progress, Redis, wait_for};

const SOME: usize = 1_000;
/// What a counting loop prints when it waits before it starts again.
const INTERRUPTED: &str = "counting was interrupted; starting again";
const LOOKED_AT_US: i64 = 2_000_000;
/// With waits of 100, 200, 400, 800 and 1,600 ms, a loop starts no more often in that time, four loops together.
const MOST_STARTS: usize = 4 * 6;

#[test]
fn shard_deleted_by_hand() {
    busy_scenario("shard_deleted_by_hand", async |scenario| {
        let setup = Stage::of(scenario).set("speed.drop_grace", "0s").set("speed.drop_every", "100ms");
        let stage = setup.start().await?;
        let (client, load) = (stage.client()?, stage.load(50, Mix::USUAL)?);
        for with_a_view in [false, true] {
            if with_a_view {
                stage.deployment.reconcile().await?;
            }
            stage.counts_more(&load, SOME).await?;
            // The shard is opened again where the deleted one was, and that one's counters are still there.
            watched(&client, &load, async {
                delete(&stage.redis, "braid:*:shard").await?;
                stage.counts_more(&load, SOME).await
            })
            .await
            .with_context(|| format!("with a view: {with_a_view}"))?;
        }
        stage.deployment.reconcile().await?;
        wait_for("the counters of the deleted shards to go", DEADLINE, async || {
            let (counting, left) = instances(&stage.redis).await?;
            Ok(Progress::when(left.is_subset(&counting), format_args!("{left:?}, of which {counting:?} count")))
        })
        .await?;
        stage.ends_exactly(load).await.map(drop)
    });
}

#[test]
fn counters_overwritten_by_hand() {
    busy_scenario("counters_overwritten_by_hand", async |scenario| {
        let stage = Stage::of(scenario).start().await?;
        let worker = stage.deployment.process(Layer::Speed)?;
        let (client, load) = (stage.client()?, stage.load(50, Mix::USUAL)?);
        stage.counts_more(&load, SOME).await?;
        watched(&client, &load, async {
            let before = lines_with(&worker, INTERRUPTED)?;
            for key in keys(&stage.redis, "braid:*:c:*").await? {
                stage.redis.command(&["SET", &key, "no hash"]).await?;
            }
            // Only an operator can help, so the loops wait longer and longer.
            prints_again(&worker, INTERRUPTED, before).await?;
            let (began, before) = (now_us(), lines_with(&worker, INTERRUPTED)?);
            wait_for("the loops to be looked at", DEADLINE, async || {
                Ok(Progress::when(now_us() - began >= LOOKED_AT_US, "not yet long enough"))
            })
            .await?;
            let starts = lines_with(&worker, INTERRUPTED)? - before;
            ensure!(starts <= MOST_STARTS, "the loops started {starts} times");
            delete(&stage.redis, "braid:*:shard").await?;
            stage.counts_more(&load, SOME).await
        })
        .await?;
        ensure!(worker.ended()?.is_none(), "the worker ended");
        stage.ends_exactly(load).await.map(drop)
    });
}

async fn keys(redis: &Redis, pattern: &str) -> Result<Vec<String>> {
    Ok(redis.connection().await?.keys(pattern).await?)
}

async fn delete(redis: &Redis, pattern: &str) -> Result<()> {
    let found = keys(redis, pattern).await?;
    ensure!(!found.is_empty(), "there is no {pattern}");
    let deleted: usize = redis.connection().await?.del(found).await?;
    ensure!(deleted > 0, "no {pattern} was deleted");
    Ok(())
}

/// The instances of the shards, and those that counters belong to.
async fn instances(redis: &Redis) -> Result<(BTreeSet<String>, BTreeSet<String>)> {
    let mut connection = redis.connection().await?;
    let mut counting = BTreeSet::new();
    for key in keys(redis, "braid:*:shard").await? {
        counting.extend(connection.hget::<_, _, Option<String>>(key, "instance").await?);
    }
    // `…:c:<instance>:<slice>:<definition>`
    let counters = keys(redis, "braid:*:c:*").await?;
    let left = counters.iter().filter_map(|key| key.rsplit(':').nth(2)).map(str::to_owned).collect();
    Ok((counting, left))
}
