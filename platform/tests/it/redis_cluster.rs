//! A connection to a real Redis Cluster: looks over several slots, scripts on nodes that do not know them, and the check of all nodes.

use std::net::TcpListener;
use std::time::Instant;

use platform::redis::{Connection, RedisError, check, connect, is_back_pressure, memory};
use platform::settings::{self, Span};
use redis::{RedisResult, Script};
use test_kit::{DEADLINE, Progress, RedisCluster, wait_for};

async fn connected(cluster: &RedisCluster) -> Connection {
    let settings = settings::Redis { url: cluster.url().into(), ..settings::Redis::default() };
    connect(&settings).await.expect("the cluster answers")
}

/// Keys of which each primary holds some.
fn keys() -> Vec<String> {
    (0..40).map(|n| format!("{{tag-{n}}}:key")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_look_over_many_slots_is_answered_in_its_order() {
    let cluster = RedisCluster::start().await.expect("a cluster starts");
    let mut connection = connected(&cluster).await;
    let (keys, mut write) = (keys(), redis::pipe());
    keys.iter().enumerate().for_each(|(n, key)| {
        write.cmd("SET").arg(key).arg(n).ignore();
    });
    // So what belongs to one slot does not stand together.
    keys.iter().for_each(|key| {
        write.cmd("GET").arg(key);
    });
    let written: Vec<usize> = write.query_async(&mut connection).await.expect("written and read");
    assert_eq!(written, (0..keys.len()).collect::<Vec<_>>());
    for (primary, keys) in cluster.primaries().await.expect("they answer") {
        assert!(keys > 0, "node {primary} has no key: a look asks one node only");
    }
    // One command of many is refused, and the others are answered.
    let mut look = redis::pipe();
    look.ignore_errors();
    keys.iter().enumerate().for_each(|(n, key)| {
        look.cmd(if n == 7 { "LLEN" } else { "GET" }).arg(key);
    });
    let read: Vec<RedisResult<usize>> = look.query_async(&mut connection).await.expect("answered");
    for (n, answer) in read.into_iter().enumerate() {
        assert_eq!(answer.ok(), (n != 7).then_some(n));
    }
    let memory = memory(&mut connection).await.expect("it says");
    assert!(memory.used > 0 && memory.most.is_some() && memory.unasked.is_empty(), "{memory:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_runs_on_whichever_node_holds_its_key() {
    let cluster = RedisCluster::start().await.expect("a cluster starts");
    let mut connection = connected(&cluster).await;
    let script = Script::new("return redis.call('INCRBY', KEYS[1], ARGV[1])");
    for (n, key) in keys().iter().enumerate() {
        let sum: usize = script.key(key).arg(n).invoke_async(&mut connection).await.expect("it runs");
        assert_eq!(sum, n, "{key}");
    }
    // A node that has forgotten it.
    for (primary, _) in cluster.primaries().await.expect("they answer") {
        cluster.node(primary).command(&["SCRIPT", "FLUSH"]).await.expect("forgotten");
    }
    let sum: usize = script.key(&keys()[3]).arg(4).invoke_async(&mut connection).await.expect("it runs");
    assert_eq!(sum, 7);
    // A node that has no slot yet, but for the one that moves there.
    let key = "{moves}:key";
    let from = cluster.primary_of(key).await.expect("somebody holds it");
    let to = (from + 1) % 3;
    cluster.node(to).command(&["SCRIPT", "FLUSH"]).await.expect("forgotten");
    let moving = cluster.begin_move(key, to).await.expect("begun");
    let sum: usize = script.key(key).arg(5).invoke_async(&mut connection).await.expect("it runs");
    assert_eq!(sum, 5, "a key that is not there yet is made where the slot moves to");
    let two = Script::new("return redis.call('EXISTS', KEYS[1], KEYS[2])");
    let torn: RedisResult<usize> = two.key(key).key("{moves}:other").invoke_async(&mut connection).await;
    let torn = torn.expect_err("one of both keys is there");
    assert!(is_back_pressure(&torn), "{torn}");
    moving.end().await.expect("moved");
    let begun = Instant::now();
    let there: usize = loop {
        match two.key(key).key("{moves}:other").invoke_async(&mut connection).await {
            Ok(there) => break there,
            Err(error) => assert!(is_back_pressure(&error) && begun.elapsed() < DEADLINE, "{error}"),
        }
    };
    assert_eq!((there, cluster.primary_of(key).await.expect("somebody holds it")), (1, to));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_node_is_checked_and_a_lost_primary_is_back_pressure_until_it_is_replaced() {
    let mut cluster = RedisCluster::start().await.expect("a cluster starts");
    let mut connection = connected(&cluster).await;
    check(&mut connection).await.expect("fit");
    // A replica, which may be the primary tomorrow.
    let replica = cluster.node(4);
    replica.command(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]).await.expect("set");
    // Nodes tell clients of a replica once they have heard how far it is.
    let error = wait_for("the replica to be found unfit", DEADLINE, async || {
        let found = check(&mut connected(&cluster).await).await;
        Ok(found.err().map_or_else(|| Progress::NotYet("fit".to_owned()), Progress::Done))
    });
    let error = error.await.expect("found");
    assert!(matches!(error, RedisError::Evicts { .. }), "{error}");
    replica.command(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]).await.expect("set");

    let (key, script) = ("{lost}:key", Script::new("return redis.call('INCR', KEYS[1])"));
    let first: u64 = script.key(key).invoke_async(&mut connection).await.expect("it runs");
    assert_eq!(first, 1);
    cluster.in_step().await.expect("in step");
    let lost = cluster.primary_of(key).await.expect("somebody holds it");
    cluster.node_mut(lost).kill();
    let begun = Instant::now();
    let sum: u64 = loop {
        match script.key(key).invoke_async(&mut connection).await {
            Ok(sum) => break sum,
            Err(error) => assert!(is_back_pressure(&error) && begun.elapsed() < DEADLINE, "{error}"),
        }
    };
    assert!(sum >= 2, "the replica had the first one: {sum}");
    cluster.replaced(lost).await.expect("replaced");
    check(&mut connection).await.expect("the others are fit");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_away_is_named_and_the_others_are_checked() {
    let mut cluster = RedisCluster::start().await.expect("a cluster starts");
    let away = cluster.node(1).url().trim_start_matches("redis://").to_owned();
    // Its replica goes first, so that nobody takes its place and its slots go on naming it.
    for node in [4, 1] {
        cluster.node_mut(node).kill();
    }
    // The client has no connection to it, and asks the others only.
    let mut connection = connected(&cluster).await;
    let unreachable = check(&mut connection).await.expect("the others are fit");
    assert!(unreachable.iter().any(|node| node.address == away), "{away} is not named: {unreachable:?}");
    assert!(unreachable.len() <= 2, "the others answer: {unreachable:?}");
    let memory = memory(&mut connection).await.expect("the others say");
    assert!(memory.used > 0 && memory.most.is_none(), "what one of them has is not known: {memory:?}");
    assert_eq!(memory.unasked, [away]);
    cluster.node(2).command(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]).await.expect("set");
    let error = check(&mut connection).await.expect_err("one of the others is unfit");
    assert!(matches!(error, RedisError::Evicts { .. }), "{error}");
}

#[tokio::test]
async fn what_is_no_cluster_is_named_without_the_password() {
    let of = |url: &str| settings::Redis { url: url.into(), ..settings::Redis::default() };
    let error = connect(&of("redis-cluster://:hunter2@127.0.0.1:1,127.0.0.1:2")).await.map(drop).expect_err("nobody");
    assert_eq!(error.to_string(), "cannot connect to redis at 127.0.0.1:1,127.0.0.1:2");
    assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
    let error = connect(&of("redis-cluster://:hunter2@a/3")).await.map(drop).expect_err("a database");
    assert!(error.to_string().contains("no other database") && !error.to_string().contains("hunter2"), "{error}");
    let error = connect(&of("redis-cluster://u:hunter2@a,u:hunter2@b")).await.map(drop).expect_err("two logins");
    assert!(error.to_string().contains("once, before the first host"), "{error}");
    assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
}

/// As a host that is off: nothing says that nobody answers there.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_silent_does_not_keep_from_connecting_to_the_others() {
    let cluster = RedisCluster::start().await.expect("a cluster starts");
    let silent = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("{},{}", cluster.url(), silent.local_addr().expect("an address"));
    let connect_timeout = Span::from_secs(3);
    let settings = settings::Redis { url: url.as_str().into(), connect_timeout, ..settings::Redis::default() };
    let mut connection = connect(&settings).await.expect("three nodes answer");
    check(&mut connection).await.expect("fit");
}
