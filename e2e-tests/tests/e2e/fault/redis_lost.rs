//! Redis forgets: all of it, the last second, or everything since an older copy.

use anyhow::{Context, ensure};
use e2e_tests::scenario::now_us;
use e2e_tests::views::{METRIC, Mix};
use e2e_tests::watch::watched;
use e2e_tests::{Layer, Stage, busy_scenario};
use test_kit::Durability;

const SOME: usize = 1_000;
const COPY_AGE_US: i64 = 5_000_000;

#[test]
fn redis_restarted() {
    busy_scenario("redis_restarted", async |scenario| {
        let mut stage = Stage::of(scenario).durability(Durability::EverySecond).start().await?;
        let (client, load) = (stage.client()?, stage.load(50, Mix::USUAL)?);
        for kill in 0..3 {
            stage.counts_more(&load, SOME).await?;
            // The last second before the kill is lost, and this rotate with it.
            stage.deployment.reconcile().await?;
            watched(&client, &load, async {
                stage.redis.kill();
                load.arrive(SOME).await?;
                stage.redis.restart().await?;
                let arrived = load.arrive(SOME).await?;
                stage.counted_to_the_cuts().await?;
                stage.deployment.reconcile().await?;
                stage.total_as_of(arrived).await
            })
            .await
            .with_context(|| format!("kill {kill}"))?;
        }
        stage.ends_exactly(load).await.map(drop)
    });
}

#[test]
fn redis_emptied() {
    busy_scenario("redis_emptied", async |scenario| {
        let stage = Stage::of(scenario).start().await?;
        let (client, load) = (stage.client()?, stage.load(50, Mix::USUAL)?);
        load.arrive(SOME).await?;
        let worker = stage.deployment.launch(Layer::Speed, "")?;
        for with_a_view in [false, true, true] {
            if with_a_view {
                stage.deployment.reconcile().await?;
            }
            stage.counts_more(&load, SOME).await?;
            watched(&client, &load, async {
                // The worker is frozen, so that the emptied Redis is asked before it is filled again.
                worker.suspend()?;
                stage.redis.command(&["FLUSHALL"]).await?;
                let answer = client.total(METRIC, &[]).await?;
                ensure!(!answer.complete && answer.has_gap("no_shard"), "complete on an empty Redis: {answer:?}");
                worker.resume()?;
                let arrived = load.arrive(SOME).await?;
                stage.counted_to_the_cuts().await?;
                stage.deployment.reconcile().await?;
                stage.total_as_of(arrived).await
            })
            .await?;
        }
        // Again without a frozen worker.
        watched(&client, &load, async {
            for _ in 0..5 {
                stage.redis.command(&["FLUSHALL"]).await?;
                load.arrive(SOME / 5).await?;
            }
            stage.counts_more(&load, SOME).await
        })
        .await?;
        stage.ends_exactly(load).await.map(drop)
    });
}

#[test]
fn redis_replaced_by_an_old_copy() {
    busy_scenario("redis_replaced_by_an_old_copy", async |scenario| {
        let setup = Stage::of(scenario).set("speed.drop_grace", "0s").set("speed.drop_every", "100ms");
        let mut stage = setup.start().await?;
        let (client, load) = (stage.client()?, stage.load(50, Mix::USUAL)?);
        let dump = stage.redis.folder().join("dump.rdb");
        let copy = scenario.dir().join("copy.rdb");
        for reconciles_after_the_copy in [true, false] {
            stage.counts_more(&load, SOME).await?;
            stage.deployment.reconcile().await?;
            load.arrive(SOME).await?;
            stage.redis.command(&["SAVE"]).await?;
            let saved = now_us();
            std::fs::copy(&dump, &copy)?;
            watched(&client, &load, async {
                if reconciles_after_the_copy {
                    // Slices that the copy has are dropped, and one is opened that the copy lacks.
                    stage.deployment.reconcile().await?;
                }
                stage.poll(&load, "the copy to be old", async |_| Ok(now_us() - saved >= COPY_AGE_US)).await?;
                stage.redis.kill();
                std::fs::copy(&copy, &dump)?;
                stage.redis.restart().await?;
                let arrived = load.arrive(SOME).await?;
                stage.counted_to_the_cuts().await?;
                stage.deployment.reconcile().await?;
                stage.total_as_of(arrived).await
            })
            .await
            .with_context(|| format!("with a reconcile after the copy: {reconciles_after_the_copy}"))?;
        }
        stage.ends_exactly(load).await.map(drop)
    });
}
