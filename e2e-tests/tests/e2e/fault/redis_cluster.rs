//! A Redis Cluster under load: a primary is replaced by its replica, which may lack the last writes, and slots move.

use anyhow::{Context, Result, ensure};
use e2e_tests::views::Mix;
use e2e_tests::watch::{lines_with, prints_again, watched};
use e2e_tests::{Layer, Stage, busy_scenario};
use test_kit::RedisCluster;

use super::redis_refuses::WAITING;

const SOME: usize = 1_000;
/// What a worker says whose shard went back.
pub(super) const REFUSED: &str = "going on from what the shard says";

#[test]
fn redis_cluster_failover() {
    busy_scenario("redis_cluster_failover", async |scenario| {
        let mut cluster = RedisCluster::start_in(&scenario.dir().join("cluster")).await?;
        let url = cluster.url();
        // Its worker is not killed: it keeps its partitions also if it is not heard of for a second.
        let stage = Stage::of(scenario).set("redis.url", &url).without_kills().start().await?;
        let (client, load) = (stage.client()?, stage.load(50, Mix::USUAL)?);
        let worker = stage.deployment.process(Layer::Speed)?;
        stage.counts_more(&load, SOME).await?;
        for lags in [false, true] {
            stage.deployment.reconcile().await?;
            cluster.in_step().await?;
            let refused = lines_with(&worker, REFUSED)?;
            watched(&client, &load, async {
                let lost = cluster.busiest().await?;
                if lags {
                    cluster.node(lost).hold_back_replicas().await?;
                    // The replica knows neither these events nor the slices that begin at the new cut.
                    stage.counts_more(&load, SOME).await?;
                    stage.deployment.reconcile().await?;
                }
                cluster.node_mut(lost).kill();
                load.arrive(SOME).await?;
                cluster.replaced(lost).await?;
                if lags {
                    prints_again(&worker, REFUSED, refused).await?;
                }
                let arrived = load.arrive(SOME).await?;
                stage.counted_to_the_cuts().await?;
                stage.deployment.reconcile().await?;
                stage.total_as_of(arrived).await?;
                cluster.node_mut(lost).restart().await
            })
            .await
            .with_context(|| format!("with a replica that lags: {lags}"))?;
        }
        ensure!(worker.ended()?.is_none(), "the worker ended");
        stage.ends_exactly(load).await.map(drop)
    });
}

#[test]
fn redis_cluster_slots_move() {
    busy_scenario("redis_cluster_slots_move", async |scenario| {
        let cluster = RedisCluster::start_in(&scenario.dir().join("cluster")).await?;
        let url = cluster.url();
        let stage = Stage::of(scenario).set("redis.url", &url).start().await?;
        let (client, load) = (stage.client()?, stage.load(50, Mix::USUAL)?);
        let worker = stage.deployment.process(Layer::Speed)?;
        stage.counts_more(&load, SOME).await?;
        stage.deployment.reconcile().await?;
        stage.counts_more(&load, SOME).await?;
        let shards = shards(&cluster).await?;
        ensure!(shards.len() == 4, "a shard for each partition: {shards:?}");
        for shard in &shards[..2] {
            watched(&client, &load, async {
                let from = cluster.primary_of(shard).await?;
                let waiting = lines_with(&worker, WAITING)?;
                let moving = cluster.begin_move(shard, (from + 1) % 3).await?;
                // Some keys of the shard are here and some there, so that no script has all of them.
                let left = moving.some_keys(2).await?;
                ensure!(left > 0, "nothing of {shard} is left to move");
                prints_again(&worker, WAITING, waiting).await?;
                load.arrive(SOME).await?;
                moving.end().await?;
                stage.counts_more(&load, SOME).await
            })
            .await?;
            stage.deployment.reconcile().await?;
        }
        ensure!(worker.ended()?.is_none(), "the worker ended");
        stage.ends_exactly(load).await.map(drop)
    });
}

/// The keys of all shards.
async fn shards(cluster: &RedisCluster) -> Result<Vec<String>> {
    let mut shards = Vec::new();
    for (primary, _) in cluster.primaries().await? {
        shards.extend(cluster.node(primary).ask::<Vec<String>>(&["KEYS", "braid:*:shard"]).await?);
    }
    Ok(shards)
}
