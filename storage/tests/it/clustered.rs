//! Shards and rows of tables in a real Redis Cluster, whose primaries are replaced by replicas that lack the last writes, and whose slots move.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use platform::redis::{Connection, is_back_pressure};
use platform::settings::{Redis as Settings, Secret};
use shared_logic::catalog::{DefinitionHash, Deployment};
use shared_logic::contracts::speed_view::script::Reply;
use shared_logic::contracts::speed_view::{Instance, Refusal, Shard, ShardKeys};
use shared_logic::contracts::table_rows::script::{self, Reply as RowsReply};
use shared_logic::contracts::table_rows::{RowsKey, Slot};
use shared_logic::log::PartitionId;
use storage::{ShardClient, ShardError, Sweep, TableRowsClient, TableRowsError, Wish};
use test_kit::{DEADLINE, RedisCluster};

const PARTITIONS: i32 = 8;

async fn connected(cluster: &RedisCluster) -> Connection {
    let settings = Settings { url: Secret::from(cluster.url().as_str()), ..Settings::default() };
    platform::redis::connect(&settings).await.expect("the cluster answers")
}

fn keys() -> Vec<ShardKeys> {
    let deployment = Deployment::new("braid", "v1");
    (0..PARTITIONS).map(|partition| ShardKeys::new(&deployment, "s", &PartitionId::new("log", partition))).collect()
}

/// Moves the cursor of a shard by one, and adds nothing.
async fn moved(
    client: &ShardClient,
    redis: &mut Connection,
    keys: &ShardKeys,
    known: &Shard,
) -> Result<Reply, ShardError> {
    client.apply(redis, keys, &known.expected(), known.cursor + 1, None, std::iter::empty()).await
}

fn done(reply: Reply) -> Shard {
    match reply {
        Reply::Done(shard) => shard,
        Reply::Refused(refusal) => panic!("{refusal:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_lags_is_a_shard_that_went_back() {
    let mut cluster = RedisCluster::start().await.expect("a cluster starts");
    let (client, mut redis, all) = (ShardClient::default(), connected(&cluster).await, keys());
    for (n, keys) in all.iter().enumerate() {
        let opened = client.open(&mut redis, keys, n as i64, &[], Instance::new(1)).await.expect("opened");
        done(opened);
    }
    let states = client.states(&mut redis, &all).await.expect("read");
    let cursors: Vec<i64> = states.into_iter().flatten().map(|state| state.shard.cursor).collect();
    assert_eq!(
        cursors,
        (0..i64::from(PARTITIONS)).collect::<Vec<_>>(),
        "each shard in the order in which it was asked"
    );

    // The replica gets the first step, and not the second one.
    let keys = &all[3];
    let opened = client.positions(&mut redis, keys).await.expect("read").expect("a shard");
    let first = done(moved(&client, &mut redis, keys, &opened).await.expect("moved"));
    cluster.in_step().await.expect("in step");
    let life = client.life(&mut redis, keys, &[]).await.expect("it says");
    let lost = cluster.primary_of(&keys.shard()).await.expect("somebody holds it");
    cluster.node(lost).hold_back_replicas().await.expect("held back");
    let second = done(moved(&client, &mut redis, keys, &first).await.expect("moved"));
    cluster.node_mut(lost).kill();

    let begun = Instant::now();
    let refused = loop {
        match moved(&client, &mut redis, keys, &second).await {
            Ok(reply) => break reply,
            Err(ShardError::Redis { source, .. }) if is_back_pressure(&source) && begun.elapsed() < DEADLINE => {}
            Err(error) => panic!("{error:?}"),
        }
    };
    assert_eq!(refused, Reply::Refused(Refusal::Differs(first.clone())), "the worker is told where to go on");
    assert_ne!(client.life(&mut redis, keys, &[]).await.expect("it says"), life, "who reads in steps begins again");
    let again = done(moved(&client, &mut redis, keys, &first).await.expect("moved"));
    assert_eq!(again, second);
    let states = client.states(&mut redis, &all).await.expect("read");
    assert_eq!(states.into_iter().flatten().count(), all.len(), "no shard is missing");
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_whose_filling_lost_a_step_are_not_opened() {
    let mut cluster = RedisCluster::start().await.expect("a cluster starts");
    let (client, mut redis) = (TableRowsClient::default(), connected(&cluster).await);
    let key = RowsKey::new(&Deployment::new("braid", "v1"), "users", &PartitionId::new("log", 0));
    let [begun, first, second] = [1, 2, 3].map(Instance::new);
    let rows = |name: &str| script::rows([(name, &[1][..])]);
    client.begin(&mut redis, &key, None, begun).await.expect("begun");
    client.fill(&mut redis, &key, begun, first, rows("a")).await.expect("filled");
    cluster.in_step().await.expect("in step");
    let lost = cluster.primary_of(key.as_str()).await.expect("somebody holds it");
    cluster.node(lost).hold_back_replicas().await.expect("held back");
    client.fill(&mut redis, &key, first, second, rows("b")).await.expect("filled");
    cluster.node_mut(lost).kill();
    let third = Instance::new(4);
    let waits = Instant::now();
    let reply = loop {
        match client.fill(&mut redis, &key, second, third, rows("c")).await {
            Ok(reply) => break reply,
            Err(TableRowsError::Redis { source, .. }) if is_back_pressure(&source) && waits.elapsed() < DEADLINE => {}
            Err(error) => panic!("{error:?}"),
        }
    };
    assert_eq!(reply, RowsReply::Differs(Slot::Filling(first)), "the row b is missing, and nobody notices");
}

#[tokio::test(flavor = "multi_thread")]
async fn counters_that_move_while_they_are_read_in_steps_are_read_whole_or_not_at_all() {
    const FIELDS: usize = 3_000;
    let cluster = RedisCluster::start().await.expect("a cluster starts");
    let (client, mut redis, keys) = (ShardClient::default(), connected(&cluster).await, keys().remove(0));
    let definition: DefinitionHash = "00000000000000aa".parse().expect("16 digits");
    let opened = client.open(&mut redis, &keys, 0_i64, std::slice::from_ref(&definition), Instance::new(1)).await;
    let counters = keys.counters(done(opened.expect("opened")).instance, 0, &definition);
    let mut write = redis::cmd("HSET");
    write.arg(&counters);
    for n in 0..FIELDS {
        write.arg(format!("[\"key-{n}\"]")).arg("0;");
    }
    write.query_async::<()>(&mut redis).await.expect("written");
    let from = cluster.primary_of(&keys.shard()).await.expect("somebody holds it");
    let to = (from + 1) % 3;
    let has_begun = AtomicBool::new(false);
    // The counters leave after the first step. The shard stays.
    let move_counters = async || {
        cluster.begin_move(&keys.shard(), to).await.map(|_| ()).expect("begun");
        let url = cluster.node(to).url();
        let port = url.rsplit(':').next().expect("a port");
        let words = ["MIGRATE", "127.0.0.1", port, "", "0", "5000", "KEYS", &counters];
        let _: String = cluster.node(from).ask(&words).await.expect("moved");
    };
    let is_wanted = |_: &str| {
        if !has_begun.swap(true, Ordering::SeqCst) {
            tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(move_counters()));
        }
        true
    };
    let wish = Wish { definition: &definition, from: 0, is_wanted: &is_wanted };
    match client.read_in_steps(&mut redis, &keys, wish).await {
        Err(ShardError::Redis { source, .. }) => assert!(is_back_pressure(&source), "{source}"),
        Ok(Sweep::Of(_, slices)) => assert_eq!(slices[&0].len(), FIELDS, "another server goes on elsewhere"),
        other => panic!("{other:?}"),
    }
    assert!(has_begun.load(Ordering::SeqCst));
}
