//! A shard that is opened again begins with empty counters, whatever was left behind; and an apply that cannot write leaves
//! nothing that is read.

use platform::settings::{Redis as Settings, Secret};
use polars::prelude::*;
use shared_logic::catalog::Catalog;
use shared_logic::contracts::speed_view::script::Reply;
use shared_logic::contracts::speed_view::{
    Addition, ChunkRange, Instance, KnownFields, Refusal, Shard, ShardKeys, State, Wanted,
};
use shared_logic::group_key::{GroupKey, KeyPart, KeyValue};
use shared_logic::log::PartitionId;
use shared_logic::measure::{MeasureKind, Value};
use shared_logic::partial::{BUCKET, Partials};
use storage::{ShardClient, ShardError};
use test_kit::Redis;
use test_kit::catalogs::TINY;

/// One partition's shard, and what a worker adds to it: one event of the key `a`.
struct Counted {
    client: ShardClient,
    keys: ShardKeys,
    addition: [Addition; 1],
    redis: platform::redis::Connection,
    server: Redis,
}

impl Counted {
    async fn new() -> Counted {
        let catalog = Catalog::parse(TINY).expect("a valid catalog");
        let (source, metric) = (&catalog.sources["s"], &catalog.metrics["m"]);
        let frame = df!("k" => ["a"], BUCKET => [0_i64], "n" => [1_i64]).expect("three columns");
        let partials = Partials::of_frame(source, metric, &frame, |_| true).expect("their types");
        let server = Redis::start().await.expect("redis starts");
        let settings = Settings { url: Secret::from(server.url().as_str()), ..Settings::default() };
        Counted {
            client: ShardClient::default(),
            keys: ShardKeys::new(&catalog.deployment, "s", &PartitionId::new("log", 0)),
            addition: [Addition::new(catalog.definition(metric), metric, &partials)],
            redis: platform::redis::connect(&settings).await.expect("redis answers"),
            server,
        }
    }

    async fn open(&mut self, instance: u64) -> Shard {
        let definitions = [self.addition[0].definition.clone()];
        let opened = self.client.open(&mut self.redis, &self.keys, 0_i64, &definitions, Instance::new(instance)).await;
        match opened.expect("redis answers") {
            Reply::Done(shard) => shard,
            Reply::Refused(refusal) => panic!("{refusal:?}"),
        }
    }

    /// Counts the event, as a worker does that knows the shard like this.
    async fn count(&mut self, known: &Shard) -> Result<Reply, ShardError> {
        let expected = known.expected();
        let mut unknown = KnownFields::default();
        let (_, held) = self.client.held(&mut self.redis, &self.keys, &expected, &self.addition, &unknown).await?;
        let merged = self.addition[0].merged(&mut unknown, &held[0]).expect("of the form that workers write");
        let merged = self.addition.iter().zip([merged]);
        self.client.apply(&mut self.redis, &self.keys, &expected, expected.cursor + 1, None, merged).await
    }

    /// What a reader sees of the key `a`.
    async fn read(&mut self, shard: &Shard) -> i128 {
        self.read_if_there(shard).await.expect("a shard")
    }

    async fn read_if_there(&mut self, shard: &Shard) -> Option<i128> {
        let key = GroupKey::new(&[KeyPart::Value(KeyValue::Text("a".to_owned()))]);
        let wanted = [Wanted {
            instance: shard.instance,
            slice: 0,
            definition: &self.addition[0].definition,
            kinds: &[MeasureKind::Count],
            key: &key,
            chunks: ChunkRange { first: 0, last: 0 },
        }];
        let reading = self.client.read(&mut self.redis, &self.keys, &wanted).await;
        let counters = reading.expect("redis answers")?.counters;
        let values = counters.into_iter().flatten().map(|(_, _, value)| match value {
            Value::Int(count) => count,
            other => panic!("a count is {other:?}"),
        });
        Some(values.sum())
    }

    async fn positions(&mut self) -> Option<Shard> {
        self.client.positions(&mut self.redis, &self.keys).await.expect("redis answers")
    }

    async fn sweep(&mut self) -> u64 {
        let mut gone = 0;
        self.client.sweep(&mut self.redis, &self.keys, |keys| gone += keys).await.expect("redis answers");
        gone
    }

    async fn is_gone(&mut self) -> bool {
        self.client.is_gone(&mut self.redis, &self.keys).await.expect("redis answers")
    }

    async fn command(&mut self, words: &[&str]) {
        redis::cmd(words[0]).arg(&words[1..]).query_async::<()>(&mut self.redis).await.expect("redis answers");
    }

    async fn delete_by_hand(&mut self) {
        let key = self.keys.shard();
        self.command(&["DEL", &key]).await;
    }
}

fn done(reply: Result<Reply, ShardError>) -> Shard {
    match reply.expect("redis answers") {
        Reply::Done(shard) => shard,
        Reply::Refused(refusal) => panic!("{refusal:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shard_deleted_by_hand_is_opened_again_without_its_counters() {
    let mut counted = Counted::new().await;
    let first = counted.open(1).await;
    let first = done(counted.count(&first).await);
    assert_eq!(counted.read(&first).await, 1);

    counted.delete_by_hand().await;
    let second = counted.open(2).await;
    assert_eq!(counted.read(&second).await, 0, "the counters of the deleted shard were read");
    let again = done(counted.count(&second).await);
    assert_eq!(counted.read(&again).await, 1, "the event was added to the counters of the deleted shard");

    // A worker that knows the deleted shard counts nothing, although every position is as it expects.
    let zombie = Shard { instance: first.instance, ..again.clone() };
    let refused = counted.count(&zombie).await.expect("redis answers");
    assert_eq!(refused, Reply::Refused(Refusal::Differs(again.clone())));

    assert_eq!(counted.sweep().await, 1, "the counters of the deleted shard");
    assert_eq!(counted.sweep().await, 0);
    assert_eq!(counted.read(&again).await, 1);

    counted.delete_by_hand().await;
    assert!(!counted.is_gone().await, "counters are left");
    assert_eq!(counted.sweep().await, 1, "without a shard no counters are of use");
    assert!(counted.is_gone().await, "their names are gone with them");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_states_of_many_shards_are_read_at_once_and_an_error_names_its_shard() {
    let mut counted = Counted::new().await;
    let opened = counted.open(1).await;
    let shard = done(counted.count(&opened).await);
    let deployment = Catalog::parse(TINY).expect("a valid catalog").deployment;
    let others = [1, 2].map(|partition| ShardKeys::new(&deployment, "s", &PartitionId::new("log", partition)));
    let ([missing, foreign], own) = (others, counted.keys.clone());

    let both = [missing.clone(), own.clone()];
    let states = counted.client.states(&mut counted.redis, &both).await.expect("redis answers");
    let [None, Some(State { shard: read, as_of_us: None, .. })] = states.as_slice() else { panic!("{states:?}") };
    assert_eq!(*read, shard);
    let before = counted.server.calls("hmget").await.expect("redis answers");
    assert_eq!(counted.client.states(&mut counted.redis, &[]).await.expect("nothing is asked"), []);
    assert_eq!(counted.server.calls("hmget").await.expect("redis answers"), before);

    counted.command(&["HSET", &foreign.shard(), "cursor", "1", "format", "2"]).await;
    let both = [own.clone(), foreign.clone()];
    let refused = counted.client.states(&mut counted.redis, &both).await.expect_err("another format");
    assert!(matches!(&refused, ShardError::Unreadable { shard, .. } if *shard == foreign.shard()), "{refused:?}");
    counted.command(&["SET", &missing.shard(), "no hash"]).await;
    let both = [own, missing.clone()];
    let refused = counted.client.states(&mut counted.redis, &both).await.expect_err("another type");
    assert!(matches!(&refused, ShardError::Redis { shard, .. } if *shard == missing.shard()), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_memory_of_a_shard_is_that_of_its_keys_and_of_no_others() {
    let mut counted = Counted::new().await;
    let (client, keys) = (counted.client.clone(), counted.keys.clone());
    assert_eq!(client.memory(&mut counted.redis, &keys).await.expect("redis answers"), 0, "there is no shard");
    let opened = counted.open(1).await;
    let empty = client.memory(&mut counted.redis, &keys).await.expect("redis answers");
    done(counted.count(&opened).await);
    let one = client.memory(&mut counted.redis, &keys).await.expect("redis answers");
    assert!(0 < empty && empty < one, "{empty} and {one}");
    counted.command(&["SET", "braid:other", &"x".repeat(10_000)]).await;
    assert_eq!(client.memory(&mut counted.redis, &keys).await.expect("redis answers"), one);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sweep_looks_at_no_key_that_is_not_the_shards() {
    let mut counted = Counted::new().await;
    let opened = counted.open(1).await;
    done(counted.count(&opened).await);
    counted
        .command(&["EVAL", "for n = 1, 5000 do redis.call('SET', n, n) end return redis.status_reply('OK')", "0"])
        .await;
    counted.delete_by_hand().await;
    assert_eq!(counted.sweep().await, 1);
    for scans in ["scan", "keys"] {
        assert_eq!(counted.server.calls(scans).await.expect("redis answers"), 0, "{scans}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reopened_shard_has_no_counters() {
    let mut counted = Counted::new().await;
    let opened = counted.open(1).await;
    let opened = done(counted.count(&opened).await);
    let definitions = [opened.definitions.keys().next().expect("one definition").clone()];
    let (redis, keys, instance) = (&mut counted.redis, &counted.keys, Instance::new(2));
    let reopened = done(counted.client.reopen(redis, keys, 1, 5, &definitions, instance).await);
    assert_eq!((reopened.slices.as_slice(), reopened.instance), (&[5][..], instance));
    assert_eq!(counted.sweep().await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_apply_that_cannot_write_leaves_nothing_that_is_read() {
    let mut counted = Counted::new().await;
    let opened = counted.open(1).await;
    let opened = done(counted.count(&opened).await);
    // A user who may not write hashes: the check before the first write does not see it.
    counted.command(&["ACL", "SETUSER", "default", "-hset"]).await;
    match counted.count(&opened).await {
        Err(ShardError::Failed { why, .. }) => assert!(!why.is_empty()),
        other => panic!("{other:?}"),
    }
    assert_eq!(counted.positions().await, None, "some counters may be written and others not, so there is no shard");
    counted.command(&["ACL", "SETUSER", "default", "+hset"]).await;
    let again = counted.open(2).await;
    assert_eq!(counted.read(&again).await, 0);
    let again = done(counted.count(&again).await);
    assert_eq!(counted.read(&again).await, 1);

    // Where already the first write fails, nothing has changed.
    counted.command(&["ACL", "SETUSER", "default", "-hdel"]).await;
    assert!(matches!(counted.count(&again).await, Err(ShardError::Failed { .. })));
    assert_eq!(counted.positions().await, Some(again.clone()));
    assert_eq!(counted.read(&again).await, 1);

    // Where the key cannot be removed either, it is no shard all the same.
    counted.command(&["ACL", "SETUSER", "default", "+hdel", "-hset", "-unlink"]).await;
    assert!(matches!(counted.count(&again).await, Err(ShardError::Failed { .. })));
    counted.command(&["ACL", "SETUSER", "default", "+@all"]).await;
    assert_eq!(counted.positions().await, None);
    assert_eq!(counted.sweep().await, 2, "the counters of both instances");
    let last = counted.open(3).await;
    assert_eq!(counted.read(&last).await, 0);
}

/// As where a primary of a cluster is lost while a slot moves: some keys of the shard are gone, and its cursor is there.
#[tokio::test(flavor = "multi_thread")]
async fn a_shard_that_lost_counters_is_opened_again() {
    let mut counted = Counted::new().await;
    let opened = counted.open(1).await;
    let opened = done(counted.count(&opened).await);
    let key = counted.keys.counters(opened.instance, 0, &counted.addition[0].definition);
    counted.command(&["DEL", &key]).await;
    assert_eq!(counted.read_if_there(&opened).await, None, "what is gone is no zero");
    match counted.count(&opened).await {
        Err(ShardError::Failed { why, .. }) => assert!(why.contains("gone"), "{why}"),
        other => panic!("counted on without what was counted before: {other:?}"),
    }
    assert_eq!(counted.positions().await, None);
    let again = counted.open(2).await;
    let again = done(counted.count(&again).await);
    assert_eq!(counted.read(&again).await, 1);
    counted.sweep().await;
    let again = done(counted.count(&again).await);
    assert_eq!(counted.read(&again).await, 2);
}

/// Without an archive, completeness begins where a shard was opened (K5).
#[tokio::test(flavor = "multi_thread")]
async fn a_shard_that_the_log_has_overtaken_still_began_where_it_did() {
    let mut counted = Counted::new().await;
    let opened = counted.open(1).await;
    let cursor = done(counted.count(&opened).await).cursor;
    let (definitions, instance) = ([counted.addition[0].definition.clone()], Instance::new(2));
    let reopened = counted.client.reopen(&mut counted.redis, &counted.keys, cursor, 9, &definitions, instance).await;
    let reopened = done(reopened);
    let own = [counted.keys.clone()];
    let states = counted.client.states(&mut counted.redis, &own).await.expect("redis answers");
    assert_eq!(states, [Some(State { shard: reopened.clone(), as_of_us: None, begin: Some(0) })]);
    let reading = counted.client.read(&mut counted.redis, &counted.keys, &[]).await.expect("redis answers");
    assert_eq!(reading.expect("a shard").state.begin, Some(0));
    assert_eq!((reopened.slices, counted.sweep().await), (vec![9], 1));
}
