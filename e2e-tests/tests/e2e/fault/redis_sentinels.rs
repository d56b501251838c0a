//! Sentinels replace a primary under load: one that was killed while its replicas lag, and one that is frozen and comes back.

use anyhow::ensure;
use e2e_tests::views::Mix;
use e2e_tests::watch::{lines_with, prints_again, watched};
use e2e_tests::{Layer, Stage, busy_scenario};
use test_kit::WatchedRedis;

use super::redis_cluster::REFUSED;

const SOME: usize = 1_000;

#[test]
fn redis_sentinel_failover() {
    busy_scenario("redis_sentinel_failover", async |scenario| {
        let mut servers = WatchedRedis::start_in(&scenario.dir().join("servers")).await?;
        let url = servers.url();
        let stage = Stage::of(scenario)
            .set("redis.url", &url)
            // Its worker is not killed: it keeps its partitions also if it is not heard of for a second.
            .without_kills()
            .set("redis.connect_timeout", "1s")
            .set("redis.response_timeout", "1s")
            .start()
            .await?;
        let (client, load) = (stage.client()?, stage.load(50, Mix::USUAL)?);
        let worker = stage.deployment.process(Layer::Speed)?;
        stage.counts_more(&load, SOME).await?;
        stage.deployment.reconcile().await?;
        servers.in_step(0).await?;
        let refused = lines_with(&worker, REFUSED)?;
        let second = watched(&client, &load, async {
            servers.server(0).hold_back_replicas().await?;
            stage.counts_more(&load, SOME).await?;
            servers.server_mut(0).kill();
            let second = servers.replaced(0).await?;
            prints_again(&worker, REFUSED, refused).await?;
            let arrived = load.arrive(SOME).await?;
            stage.counted_to_the_cuts().await?;
            stage.deployment.reconcile().await?;
            stage.total_as_of(arrived).await?;
            Ok(second)
        })
        .await?;
        servers.in_step(second).await?;
        watched(&client, &load, async {
            servers.server(second).suspend()?;
            servers.replaced(second).await?;
            stage.counts_more(&load, SOME).await?;
            // It still takes itself for the primary, and has less than what was counted meanwhile.
            servers.server(second).resume()?;
            let arrived = load.arrive(SOME).await?;
            stage.counted_to_the_cuts().await?;
            stage.deployment.reconcile().await?;
            stage.total_as_of(arrived).await
        })
        .await?;
        ensure!(worker.ended()?.is_none(), "the worker ended");
        stage.ends_exactly(load).await.map(drop)
    });
}
