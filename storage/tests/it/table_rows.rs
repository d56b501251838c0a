//! The rows of tables in a real Redis: the scripts beside the pure functions, and what a reader sees meanwhile.

use std::collections::BTreeMap;

use platform::settings::{Redis as Settings, Secret};
use shared_logic::catalog::Deployment;
use shared_logic::contracts::speed_view::Instance;
use shared_logic::contracts::table_rows::script::{self, Reply};
use shared_logic::contracts::table_rows::{Basis, Held, RowsKey, Slot};
use shared_logic::log::{Content, PartitionId, Position, Witness};
use storage::{TableRowsClient, TableRowsError};
use test_kit::{Dice, Redis, first_seed, repetitions};

const STEPS: usize = 60;
const KEYS: [&str; 4] = ["a", "b", "=", "cursor"];

/// The rows of one partition in Redis, and what they have to be.
struct Stored {
    client: TableRowsClient,
    key: RowsKey,
    redis: platform::redis::Connection,
    slot: Slot,
    rows: BTreeMap<String, Vec<u8>>,
}

fn basis(n: u64) -> Basis {
    format!("{:016x}.{n}", n / 2).parse().expect("a basis")
}

fn key(log: &str) -> RowsKey {
    let deployment = Deployment::new("braid", "v1");
    RowsKey::new(&deployment, "users", &PartitionId::new(log, 0))
}

async fn connect(server: &Redis) -> platform::redis::Connection {
    let settings = Settings { url: Secret::from(server.url().as_str()), ..Settings::default() };
    platform::redis::connect(&settings).await.expect("redis answers")
}

fn witness(dice: &mut Dice, offset: i64) -> Option<Witness> {
    let content = Content { timestamp_us: Some(7), key: None, payload: Some(b"p"), headers: None };
    dice.chance(60).then(|| Witness::of(offset - 1, Some(1), &content))
}

/// Some changes, each of a key of its own.
fn some_rows(dice: &mut Dice) -> BTreeMap<String, Vec<u8>> {
    let keys: Vec<String> = KEYS.iter().filter(|_| dice.chance(50)).map(|key| (*key).to_owned()).collect();
    keys.into_iter().map(|key| (key, vec![dice.between(0, 255) as u8, 0, 255])).collect()
}

fn arguments(rows: &BTreeMap<String, Vec<u8>>) -> Vec<Vec<u8>> {
    script::rows(rows.iter().map(|(key, row)| (key.as_str(), row.as_slice())))
}

impl Stored {
    /// Takes one step in Redis and by the pure function, and compares the reply.
    async fn step(&mut self, dice: &mut Dice) -> String {
        // Few, so that an instance comes again.
        let instance = Instance::new(dice.throw() % 3);
        let other = Instance::new(dice.throw() % 3);
        let (what, reply, expected) = match dice.below(6) {
            0 => {
                let known = dice.chance(60).then_some(self.slot.rows().map_or(other, |held| held.instance));
                let expected = self.slot.begin(known, instance);
                if expected.is_ok() {
                    self.rows.clear();
                }
                (
                    format!("begin {known:?} {instance}"),
                    self.client.begin(&mut self.redis, &self.key, known, instance).await,
                    expected,
                )
            }
            1 | 2 => {
                let instance =
                    if let (Slot::Filling(own), true) = (&self.slot, dice.chance(80)) { *own } else { instance };
                let (expected, rows) = (self.slot.fill(instance, other), some_rows(dice));
                let reply = self.client.fill(&mut self.redis, &self.key, instance, other, arguments(&rows)).await;
                if expected.is_ok() {
                    self.rows.extend(rows);
                }
                (format!("fill {instance} {other}"), reply, expected)
            }
            3 => {
                let instance =
                    if let (Slot::Filling(own), true) = (&self.slot, dice.chance(80)) { *own } else { instance };
                let cursor = dice.between(0, 30);
                let held = Held { cursor, instance, basis: basis(dice.throw() % 3), witness: witness(dice, cursor) };
                (
                    format!("open {held:?}"),
                    self.client.open(&mut self.redis, &self.key, &held).await,
                    self.slot.open(held),
                )
            }
            _ => {
                let known = self.slot.rows().cloned();
                let mut expected = known.unwrap_or(Held { cursor: 3, instance, basis: basis(0), witness: None });
                match dice.below(8) {
                    0 => expected.cursor += dice.between(-2, 2),
                    1 => expected.instance = instance,
                    2 => expected.basis = basis(dice.throw() % 3),
                    3 => expected.witness = witness(dice, expected.cursor),
                    _ => {}
                }
                let offset = expected.cursor + dice.between(-1, 5);
                let to = Position { offset, witness: witness(dice, offset) };
                let (now, rows) = (self.slot.apply(&expected, to), some_rows(dice));
                let reply = self.client.apply(&mut self.redis, &self.key, &expected, to, &arguments(&rows)).await;
                if now.is_ok() {
                    self.rows.extend(rows);
                }
                (format!("apply {expected:?} {to:?}"), reply, now)
            }
        };
        let expected_reply = match expected.clone() {
            Ok(slot) => Reply::Done(slot),
            Err(slot) => Reply::Differs(slot),
        };
        assert_eq!(reply.expect("redis answers"), expected_reply, "{what}");
        self.slot = expected.unwrap_or_else(|slot| slot);
        what
    }

    /// What a reader sees is what there has to be.
    async fn compare(&mut self) {
        let read = self.client.read(&mut self.redis, std::slice::from_ref(&self.key), &KEYS).await.expect("read");
        let [(slot, rows)] = read.as_slice() else { panic!("one partition: {read:?}") };
        let expected: Vec<Option<Vec<u8>>> = KEYS.iter().map(|key| self.rows.get(*key).cloned()).collect();
        assert_eq!((slot, rows), (&self.slot, &expected));
    }
}

#[tokio::test]
async fn scripts_do_what_the_pure_functions_say() {
    let server = Redis::start().await.expect("redis starts");
    let redis = connect(&server).await;
    let first = first_seed();
    for seed in first..first + repetitions(40, 400) {
        let mut dice = Dice::new(seed);
        let key = key(&format!("walk-{seed}"));
        let (client, rows) = (TableRowsClient::default(), BTreeMap::new());
        let mut stored = Stored { client, key, redis: redis.clone(), slot: Slot::Missing, rows };
        println!("BRAID_SEED={seed}");
        for _ in 0..STEPS {
            println!("{}", stored.step(&mut dice).await);
            stored.compare().await;
        }
    }
}

#[tokio::test]
async fn a_redis_that_is_emptied_has_no_rows_and_takes_no_changes_of_before() {
    let server = Redis::start().await.expect("redis starts");
    let (client, mut redis, key) = (TableRowsClient::default(), connect(&server).await, key("log"));
    let instance = Instance::new(1);
    let held = Held { cursor: 7, instance, basis: basis(1), witness: None };
    client.begin(&mut redis, &key, None, Instance::new(2)).await.expect("redis answers");
    let rows = script::rows([("a", &[1][..])]);
    client.fill(&mut redis, &key, Instance::new(2), instance, rows.clone()).await.expect("redis answers");
    let too_early = client.fill(&mut redis, &key, Instance::new(3), instance, rows).await.expect("redis answers");
    assert_eq!(too_early, Reply::Differs(Slot::Filling(instance)), "a step that needs one that Redis does not have");
    let while_filling = client.read(&mut redis, std::slice::from_ref(&key), &["a"]).await.expect("read");
    assert_eq!(while_filling[0].0, Slot::Filling(instance), "nobody takes that for rows");
    client.open(&mut redis, &key, &held).await.expect("redis answers");
    server.command(&["FLUSHALL"]).await.expect("emptied");
    let to = Position { offset: 9, witness: None };
    let reply = client.apply(&mut redis, &key, &held, to, &script::rows([("a", &[2][..])])).await;
    assert_eq!(reply.expect("redis answers"), Reply::Differs(Slot::Missing));
    assert_eq!(client.read(&mut redis, &[key], &["a"]).await.expect("read"), [(Slot::Missing, vec![None])]);
}

#[tokio::test]
async fn many_rows_are_written_at_once_and_read_as_of_one_cursor() {
    let server = Redis::start().await.expect("redis starts");
    let (client, mut redis, key) = (TableRowsClient::default(), connect(&server).await, key("log"));
    let instance = Instance::new(1);
    let held = Held { cursor: 0, instance, basis: basis(1), witness: None };
    client.begin(&mut redis, &key, None, instance).await.expect("redis answers");
    client.open(&mut redis, &key, &held).await.expect("redis answers");
    let names: Vec<String> = (0..20_000).map(|n| format!("key-{n}")).collect();
    let rows = script::rows(names.iter().map(|name| (name.as_str(), name.as_bytes())));
    let to = Position { offset: 20_000, witness: None };
    let reply = client.apply(&mut redis, &key, &held, to, &rows).await.expect("redis answers");
    let Reply::Done(slot) = reply else { panic!("{reply:?}") };
    assert_eq!(slot.rows().map(|held| held.cursor), Some(20_000));
    let asked: Vec<&str> = names.iter().step_by(7).map(String::as_str).collect();
    let read = client.read(&mut redis, &[key], &asked).await.expect("read");
    assert_eq!(read[0].0, slot);
    assert!(read[0].1.iter().zip(&asked).all(|(row, name)| row.as_deref() == Some(name.as_bytes())));
}

#[tokio::test]
async fn rows_of_another_format_are_named_and_stay() {
    let server = Redis::start().await.expect("redis starts");
    let (client, mut redis, key) = (TableRowsClient::default(), connect(&server).await, key("log"));
    let mut write = ::redis::cmd("HSET");
    write.arg(key.as_str()).arg(&["format", "9", "cursor", "3"]);
    write.query_async::<()>(&mut redis).await.expect("written");
    assert!(matches!(client.slot(&mut redis, &key).await, Err(TableRowsError::Unreadable { .. })));
    let began = client.begin(&mut redis, &key, None, Instance::new(1)).await;
    assert!(matches!(began, Err(TableRowsError::Unreadable { .. })), "{began:?}");
}
