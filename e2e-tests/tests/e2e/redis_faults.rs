//! What happens to Redis: meanwhile answers are exact or say what they lack, and afterwards they are exact without help.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e_tests::exactness::every_answer_is_exact;
use e2e_tests::redis::Durability;
use e2e_tests::scenario::now_us;
use e2e_tests::stage::LAYERS;
use e2e_tests::views::{METRIC, Mix, Views};
use e2e_tests::wait::{DEADLINE, Look, wait_for};
use e2e_tests::watch::{how_often, said_again, watched};
use e2e_tests::{Kafka, Layer, Load, Process, Producer, Redis, Scenario, Stage, scenario};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

const SOME: usize = 1_000;
/// What a worker says that keeps a micro-batch until Redis takes it.
const WAITING: &str = "redis cannot take a micro-batch now";
const COPY_AGE_US: i64 = 5_000_000;
/// What the drop may take at most, so that a scenario sees it: no grace, and looked for all the time.
const AT_ONCE: [(&str, &str); 2] = [("speed.drop_grace", "0s"), ("speed.drop_every", "100ms")];

#[test]
fn redis_restarted() {
    scenario("redis_restarted", async |scenario| {
        let (mut stage, now) = stage(scenario, Durability::EverySecond).await?;
        stage.deployment.start_all(&LAYERS).await?;
        let (client, load) = (stage.client()?, load(scenario, &stage, now)?);
        for kill in 0..3 {
            let arrived = load.arrive(SOME).await?;
            client.total_as_of(arrived, METRIC, &[]).await?;
            // The last second before the kill is lost, and this rotate with it.
            stage.deployment.reconcile().await?;
            watched(&client, &load, async {
                stage.redis.kill();
                load.arrive(SOME).await?;
                stage.redis.restart().await?;
                let arrived = load.arrive(SOME).await?;
                stage.deployment.reconcile().await?;
                client.total_as_of(arrived, METRIC, &[]).await
            })
            .await
            .with_context(|| format!("kill {kill}"))?;
        }
        ends_exactly(&stage, load, now).await
    });
}

#[test]
fn redis_emptied() {
    scenario("redis_emptied", async |scenario| {
        let (stage, now) = stage(scenario, Durability::None).await?;
        stage.deployment.start_all(&LAYERS).await?;
        let (client, load) = (stage.client()?, load(scenario, &stage, now)?);
        load.arrive(SOME).await?;
        let worker = stage.deployment.launch(Layer::Speed, "")?;
        for with_a_view in [false, true, true] {
            if with_a_view {
                stage.deployment.reconcile().await?;
            }
            let arrived = load.arrive(SOME).await?;
            client.total_as_of(arrived, METRIC, &[]).await?;
            watched(&client, &load, async {
                // Nobody fills it again meanwhile, so that what is answered then is seen.
                worker.suspend()?;
                command(&stage.redis, &["FLUSHALL"]).await?;
                let answer = client.total(METRIC, &[]).await?;
                let gap = answer.gaps.iter().any(|gap| gap["reason"] == "no_shard");
                ensure!(!answer.complete && gap, "nothing is lacking of an empty Redis: {answer:?}");
                worker.resume()?;
                let arrived = load.arrive(SOME).await?;
                stage.deployment.reconcile().await?;
                client.total_as_of(arrived, METRIC, &[]).await
            })
            .await?;
        }
        // And with nothing to slow it down.
        watched(&client, &load, async {
            for _ in 0..5 {
                command(&stage.redis, &["FLUSHALL"]).await?;
                load.arrive(SOME / 5).await?;
            }
            let arrived = load.arrive(SOME).await?;
            client.total_as_of(arrived, METRIC, &[]).await
        })
        .await?;
        ends_exactly(&stage, load, now).await
    });
}

#[test]
fn redis_replaced_by_an_old_copy() {
    scenario("redis_replaced_by_an_old_copy", async |scenario| {
        let (mut stage, now) = stage(scenario, Durability::None).await?;
        AT_ONCE.iter().for_each(|(key, value)| stage.deployment.set(key, value));
        stage.deployment.start_all(&LAYERS).await?;
        let (client, load) = (stage.client()?, load(scenario, &stage, now)?);
        let dump = folder(&stage.redis).await?.join("dump.rdb");
        let copy = scenario.dir().join("copy.rdb");
        for reconciles_after_the_copy in [true, false] {
            let arrived = load.arrive(SOME).await?;
            client.total_as_of(arrived, METRIC, &[]).await?;
            stage.deployment.reconcile().await?;
            load.arrive(SOME).await?;
            command(&stage.redis, &["SAVE"]).await?;
            let saved = now_us();
            std::fs::copy(&dump, &copy)?;
            watched(&client, &load, async {
                if reconciles_after_the_copy {
                    // Slices that the copy has are dropped, and one is begun that the copy lacks.
                    stage.deployment.reconcile().await?;
                }
                stage.poll(&load, "the copy to be old", async |_| Ok(now_us() - saved >= COPY_AGE_US)).await?;
                stage.redis.kill();
                std::fs::copy(&copy, &dump)?;
                stage.redis.restart().await?;
                let arrived = load.arrive(SOME).await?;
                stage.deployment.reconcile().await?;
                client.total_as_of(arrived, METRIC, &[]).await
            })
            .await
            .with_context(|| format!("with a reconcile after the copy: {reconciles_after_the_copy}"))?;
        }
        ends_exactly(&stage, load, now).await
    });
}

#[test]
fn redis_full() {
    scenario("redis_full", async |scenario| {
        let (mut stage, now) = stage(scenario, Durability::None).await?;
        AT_ONCE.iter().for_each(|(key, value)| stage.deployment.set(key, value));
        stage.deployment.start_all(&[Layer::Archive, Layer::Serving]).await?;
        let worker = stage.deployment.start(Layer::Speed).await?;
        let (client, load) = (stage.client()?, load(scenario, &stage, now)?);
        let arrived = load.arrive(SOME).await?;
        client.total_as_of(arrived, METRIC, &[]).await?;
        for _ in 0..2 {
            watched(&client, &load, async {
                let waiting = how_often(&worker, WAITING)?;
                command(&stage.redis, &["CONFIG", "SET", "maxmemory", "1"]).await?;
                said_again(&worker, WAITING, waiting).await?;
                load.arrive(SOME).await?;
                let before = slices(&stage.redis).await?;
                // A full Redis rotates and drops: that is how it comes to have room again.
                stage.deployment.reconcile().await?;
                wait_for("a full Redis to drop what the view holds", DEADLINE, async || {
                    let now = slices(&stage.redis).await?;
                    let dropped = before.iter().zip(&now).all(|(before, now)| now.len() == 1 && now[0] > before[0]);
                    Ok(if dropped { Look::Done(()) } else { Look::NotYet(format!("{before:?}, then {now:?}")) })
                })
                .await?;
                command(&stage.redis, &["CONFIG", "SET", "maxmemory", "0"]).await?;
                let arrived = load.arrive(SOME).await?;
                client.total_as_of(arrived, METRIC, &[]).await
            })
            .await?;
        }
        ensure!(worker.ended()?.is_none(), "the worker ended");
        ends_exactly(&stage, load, now).await
    });
}

#[test]
fn redis_read_only() {
    scenario("redis_read_only", async |scenario| {
        let (stage, now) = stage(scenario, Durability::None).await?;
        stage.deployment.start_all(&[Layer::Archive, Layer::Serving]).await?;
        let worker = stage.deployment.start(Layer::Speed).await?;
        let (client, load) = (stage.client()?, load(scenario, &stage, now)?);
        let arrived = load.arrive(SOME).await?;
        client.total_as_of(arrived, METRIC, &[]).await?;
        // A replica of nobody that answers, and a primary that lacks a replica.
        let nobody = TcpListener::bind(("127.0.0.1", 0)).await?;
        let port = nobody.local_addr()?.port().to_string();
        let faults: [(&[&str], &[&str]); 2] = [
            (&["REPLICAOF", "127.0.0.1", &port], &["REPLICAOF", "NO", "ONE"]),
            (&["CONFIG", "SET", "min-replicas-to-write", "1"], &["CONFIG", "SET", "min-replicas-to-write", "0"]),
        ];
        for (begin, end) in faults {
            watched(&client, &load, async {
                let waiting = how_often(&worker, WAITING)?;
                command(&stage.redis, begin).await?;
                said_again(&worker, WAITING, waiting).await?;
                load.arrive(SOME).await?;
                let reconcile = stage.deployment.launch_reconcile("")?;
                let status = reconcile.end(DEADLINE).await?;
                ensure!(!status.success(), "a reconcile rotated a Redis that is read-only");
                command(&stage.redis, end).await?;
                let arrived = load.arrive(SOME).await?;
                client.total_as_of(arrived, METRIC, &[]).await
            })
            .await
            .with_context(|| begin.join(" "))?;
        }
        ensure!(worker.ended()?.is_none(), "the worker ended");
        ends_exactly(&stage, load, now).await
    });
}

#[test]
fn redis_slow() {
    scenario("redis_slow", async |scenario| {
        let (mut stage, now) = stage(scenario, Durability::None).await?;
        let direct = stage.redis.url();
        stage.deployment.start_all(&[Layer::Archive, Layer::Serving]).await?;
        let proxy = Proxy::start(direct.trim_start_matches("redis://").parse()?).await?;
        stage.deployment.set("redis.url", &format!("redis://{}", proxy.address));
        stage.deployment.set("redis.response_timeout", "300ms");
        let worker = stage.deployment.start(Layer::Speed).await?;
        stage.deployment.set("redis.url", &direct);
        let (client, load) = (stage.client()?, load(scenario, &stage, now)?);
        let arrived = load.arrive(SOME).await?;
        client.total_as_of(arrived, METRIC, &[]).await?;
        watched(&client, &load, async {
            for _ in 0..2 {
                // Requests pass at once, so scripts run; replies come when nobody waits for them any more.
                proxy.delay_replies(Duration::from_millis(700));
                let mut waiting = how_often(&worker, WAITING)?;
                for _ in 0..4 {
                    waiting = said_again(&worker, WAITING, waiting).await?;
                }
                // A script was given up and ran; before it is sent again, a new slice is opened.
                stage.deployment.reconcile().await?;
                said_again(&worker, WAITING, waiting).await?;
                proxy.delay_replies(Duration::ZERO);
                let arrived = load.arrive(SOME).await?;
                client.total_as_of(arrived, METRIC, &[]).await?;
            }
            Ok(())
        })
        .await?;
        ensure!(worker.ended()?.is_none(), "the worker ended");
        ends_exactly(&stage, load, now).await
    });
}

#[test]
fn redis_that_evicts() {
    scenario("redis_that_evicts", async |scenario| {
        let (stage, now) = stage(scenario, Durability::None).await?;
        stage.deployment.start_all(&[Layer::Archive]).await?;
        command(&stage.redis, &["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]).await?;
        let refused = stage.deployment.launch(Layer::Speed, "")?;
        let status = refused.end(DEADLINE).await?;
        ensure!(!status.success(), "it counted into a Redis that evicts");
        names_policy_and_fix(&refused)?;
        // Readers do not use it either, and say why.
        stage.deployment.start(Layer::Serving).await?;
        let client = stage.client()?;
        let (code, problem) = client.get("/v1/metrics/views/total", &[]).await?;
        ensure!(code == 503 && problem.to_string().contains("allkeys-lru"), "{code}: {problem}");
        // The fix is the one that was named.
        command(&stage.redis, &["CONFIG", "SET", "maxmemory-policy", "noeviction"]).await?;
        stage.deployment.start(Layer::Speed).await?;
        let load = load(scenario, &stage, now)?;
        load.arrive(SOME).await?;
        ends_exactly(&stage, load, now).await
    });
}

fn names_policy_and_fix(refused: &Process) -> Result<()> {
    let said = refused.output()?;
    for part in ["allkeys-lru", "CONFIG SET maxmemory-policy noeviction"] {
        ensure!(said.contains(part), "it did not name {part:?}: {said}");
    }
    Ok(())
}

/// Without the fault and without load, everything is as it was sent, before a reconcile and after it.
async fn ends_exactly(stage: &Stage, load: Load, now: i64) -> Result<()> {
    let client = stage.client()?;
    let stopped = load.stop().await?;
    client.total_as_of(stopped.arrived_us, METRIC, &[]).await?;
    every_answer_is_exact(&client, &stopped.oracle, now).await.context("before the reconcile")?;
    stage.reconciled_is(&stopped.oracle).await?;
    every_answer_is_exact(&client, &stopped.oracle, now).await.context("after the reconcile")
}

/// A stage with a topic, and the moment before which its events happen.
async fn stage(scenario: &Scenario, durability: Durability) -> Result<(Stage, i64)> {
    let kafka = Kafka::shared().await?;
    let mut stage = Stage::new(scenario, &kafka.brokers()).await?;
    kafka.create_topic(&stage.topic, 4).await?;
    if durability != Durability::None {
        stage.redis = Redis::start(&scenario.dir().join("durable-redis"), durability).await?;
        stage.deployment.set("redis.url", &stage.redis.url());
    }
    Ok((stage, now_us()))
}

/// Where Redis keeps its data.
async fn folder(redis: &Redis) -> Result<PathBuf> {
    let (_, folder): (String, String) =
        redis::cmd("CONFIG").arg("GET").arg("dir").query_async(&mut redis.connection().await?).await?;
    Ok(PathBuf::from(folder))
}

fn load(scenario: &Scenario, stage: &Stage, now: i64) -> Result<Load> {
    let views = Views::new(scenario.rng(), now, 50, Mix::USUAL);
    Ok(Load::start(Producer::new(&stage.brokers, &stage.topic)?, views))
}

async fn command(redis: &Redis, words: &[&str]) -> Result<()> {
    let mut command = redis::cmd(words[0]);
    command.arg(&words[1..]);
    let said: redis::Value = command.query_async(&mut redis.connection().await?).await?;
    ensure!(said == redis::Value::Okay, "{words:?}: {said:?}");
    Ok(())
}

/// The begins of every shard's slices.
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

/// Passes bytes on, and replies late if told to.
struct Proxy {
    address: SocketAddr,
    delay_ms: Arc<AtomicU64>,
    serving: tokio::task::JoinHandle<()>,
}

impl Proxy {
    async fn start(to: SocketAddr) -> Result<Proxy> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let delay_ms = Arc::new(AtomicU64::new(0));
        let delay = Arc::clone(&delay_ms);
        let serving = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let Ok(server) = TcpStream::connect(to).await else { continue };
                let (requests, to_client) = client.into_split();
                let (replies, to_server) = server.into_split();
                connections.spawn(pass_on(requests, to_server, Arc::default()));
                connections.spawn(pass_on(replies, to_client, Arc::clone(&delay)));
            }
        });
        Ok(Proxy { address, delay_ms, serving })
    }

    fn delay_replies(&self, by: Duration) {
        self.delay_ms.store(by.as_millis() as u64, Ordering::SeqCst);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// Until one side closes.
async fn pass_on(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, delay_ms: Arc<AtomicU64>) {
    let mut bytes = vec![0; 65_536];
    while let Ok(read @ 1..) = from.read(&mut bytes).await {
        tokio::time::sleep(Duration::from_millis(delay_ms.load(Ordering::SeqCst))).await;
        if to.write_all(&bytes[..read]).await.is_err() {
            return;
        }
    }
}
