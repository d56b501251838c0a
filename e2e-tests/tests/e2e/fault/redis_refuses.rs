//! Redis takes no writes: it is full, read-only, or refused because it evicts.

use anyhow::{Context, Result, ensure};
use e2e_tests::views::Mix;
use e2e_tests::watch::{lines_with, prints_again, watched};
use e2e_tests::{Layer, Stage, busy_scenario};
use test_kit::{DEADLINE, Progress, Redis, wait_for};
use tokio::net::TcpListener;

const SOME: usize = 1_000;
/// What a worker prints that keeps a micro-batch until Redis takes it.
pub(super) const WAITING: &str = "redis cannot take a micro-batch now";

#[test]
fn redis_full() {
    busy_scenario("redis_full", async |scenario| {
        let setup = Stage::of(scenario).set("speed.drop_grace", "0s").set("speed.drop_every", "100ms");
        let stage = setup.start().await?;
        let worker = stage.deployment.process(Layer::Speed)?;
        let (client, load) = (stage.client()?, stage.load(50, Mix::USUAL)?);
        stage.counts_more(&load, SOME).await?;
        for _ in 0..2 {
            watched(&client, &load, async {
                let waiting = lines_with(&worker, WAITING)?;
                stage.redis.command(&["CONFIG", "SET", "maxmemory", "1"]).await?;
                prints_again(&worker, WAITING, waiting).await?;
                load.arrive(SOME).await?;
                let before = slices(&stage.redis).await?;
                // A full Redis rotates and drops: that is how it comes to have room again.
                stage.deployment.reconcile().await?;
                wait_for("a full Redis to drop what the view holds", DEADLINE, async || {
                    let now = slices(&stage.redis).await?;
                    let dropped = before.iter().zip(&now).all(|(before, now)| now.len() == 1 && now[0] > before[0]);
                    Ok(Progress::when(dropped, format_args!("{before:?}, then {now:?}")))
                })
                .await?;
                stage.redis.command(&["CONFIG", "SET", "maxmemory", "0"]).await?;
                stage.counts_more(&load, SOME).await
            })
            .await?;
        }
        ensure!(worker.ended()?.is_none(), "the worker ended");
        stage.ends_exactly(load).await.map(drop)
    });
}

#[test]
fn redis_read_only() {
    busy_scenario("redis_read_only", async |scenario| {
        let stage = Stage::of(scenario).start().await?;
        let worker = stage.deployment.process(Layer::Speed)?;
        let (client, load) = (stage.client()?, stage.load(50, Mix::USUAL)?);
        stage.counts_more(&load, SOME).await?;
        // A replica whose primary does not answer, and a primary that lacks a replica.
        let silent = TcpListener::bind(("127.0.0.1", 0)).await?;
        let port = silent.local_addr()?.port().to_string();
        let faults: [(&[&str], &[&str]); 2] = [
            (&["REPLICAOF", "127.0.0.1", &port], &["REPLICAOF", "NO", "ONE"]),
            (&["CONFIG", "SET", "min-replicas-to-write", "1"], &["CONFIG", "SET", "min-replicas-to-write", "0"]),
        ];
        for (begin, end) in faults {
            watched(&client, &load, async {
                let waiting = lines_with(&worker, WAITING)?;
                stage.redis.command(begin).await?;
                prints_again(&worker, WAITING, waiting).await?;
                load.arrive(SOME).await?;
                let reconcile = stage.deployment.launch_reconcile("")?;
                let status = reconcile.end(DEADLINE).await?;
                ensure!(!status.success(), "a reconcile rotated a Redis that is read-only");
                stage.redis.command(end).await?;
                stage.counts_more(&load, SOME).await
            })
            .await
            .with_context(|| begin.join(" "))?;
        }
        ensure!(worker.ended()?.is_none(), "the worker ended");
        stage.ends_exactly(load).await.map(drop)
    });
}

#[test]
fn redis_that_evicts() {
    busy_scenario("redis_that_evicts", async |scenario| {
        let stage = Stage::of(scenario).running(&[Layer::Archive]).start().await?;
        stage.redis.command(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]).await?;
        let refused = stage.deployment.launch(Layer::Speed, "")?;
        let status = refused.end(DEADLINE).await?;
        ensure!(!status.success(), "it counted into a Redis that evicts");
        let output = refused.output()?;
        for part in ["allkeys-lru", "CONFIG SET maxmemory-policy noeviction"] {
            ensure!(output.contains(part), "it did not name {part:?}: {output}");
        }
        // Readers do not use it either, and say why.
        stage.deployment.start(Layer::Serving).await?;
        let client = stage.client()?;
        wait_for("totals to be refused", DEADLINE, async || {
            let (code, body) = client.get("/v1/metrics/views/total", &[]).await?;
            // Until the archive has begun, there is nothing that Redis is asked for.
            let is_refused = code == 503 && body.to_string().contains("allkeys-lru");
            let is_starting = body["type"] == "urn:braid:problem:starting";
            ensure!(is_refused || is_starting || code == 200 && body["complete"] == false, "{code}: {body}");
            Ok(Progress::when(is_refused, format_args!("{body}")))
        })
        .await?;
        // The fix is the one that was named.
        stage.redis.command(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]).await?;
        stage.deployment.start(Layer::Speed).await?;
        let load = stage.load(50, Mix::USUAL)?;
        load.arrive(SOME).await?;
        stage.ends_exactly(load).await.map(drop)
    });
}

/// Where the slices of every shard begin.
async fn slices(redis: &Redis) -> Result<Vec<Vec<i64>>> {
    let mut connection = redis.connection().await?;
    let mut keys: Vec<String> = redis::cmd("KEYS").arg("braid:*").query_async(&mut connection).await?;
    keys.sort();
    let mut all = Vec::new();
    for key in keys {
        let begins: redis::RedisResult<Option<String>> =
            redis::cmd("HGET").arg(&key).arg("slices").query_async(&mut connection).await;
        if let Some(begins) = begins? {
            all.push(begins.split(',').map(str::parse).collect::<Result<_, _>>()?);
        }
    }
    Ok(all)
}
