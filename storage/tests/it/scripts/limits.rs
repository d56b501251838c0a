//! What a full Redis, a read-only one and a killed dropper may and may not do.

use shared_logic::contracts::speed_view::script::Reply;
use shared_logic::contracts::speed_view::{ChunkRange, Counters, Instance, Shard, Wanted};
use shared_logic::group_key::GroupKey;
use shared_logic::measure::{MeasureKind, Value};
use test_kit::Redis;

use super::{StoredShard, hash, start_redis};

/// A shard with slices at 0, 10 and 20, its cursor at 30, and a counter in each slice.
fn filled(server: &Redis, name: &str) -> (StoredShard, Vec<String>) {
    let mut stored = StoredShard::new(server, name);
    stored.open(0_i64, &[hash(1)]).expect("opened");
    let mut counters = Vec::new();
    for slice in [0, 10, 20] {
        let expected = stored.shard().expect("there is one").expected();
        stored.apply(&expected, slice + 10, &[]).expect("applied");
        if slice < 20 {
            stored.rotate(10).expect("rotated");
        }
        let counter = stored.keys.counters(expected.instance, slice, &hash(1));
        stored.command::<i64>(&["HSET", &counter, "[]", "0;\u{0}\u{1}"]);
        counters.push(counter);
    }
    assert_eq!(stored.shard().map(|shard| shard.slices), Some(vec![0, 10, 20]));
    (stored, counters)
}

/// What a reader sees: the shard, and the counters of everything together in each of the three slices.
fn read(stored: &mut StoredShard) -> (Shard, Vec<Counters>) {
    let (definition, key) = (hash(1), GroupKey::new(&[]));
    let wanted = [0, 10, 20].map(|slice| Wanted {
        instance: stored.next,
        slice,
        definition: &definition,
        kinds: &[MeasureKind::Count],
        key: &key,
        chunks: ChunkRange { first: 0, last: 0 },
    });
    let reading = stored.read(&wanted).expect("it is read").expect("a shard");
    (reading.state.shard, reading.counters)
}

#[test]
fn counters_of_a_listed_slice_are_not_unlinked() {
    let server = start_redis();
    let (mut stored, counters) = filled(&server, "unlink");
    let own = stored.next;
    for (slice, counter) in [0, 10, 20].into_iter().zip(&counters) {
        assert_eq!(stored.unlink(own, slice, std::slice::from_ref(counter)).expect("redis answers"), 0);
    }
    stored.drop(20).expect("dropped");
    assert_eq!(stored.shard().map(|shard| shard.slices), Some(vec![20]));
    assert_eq!(stored.unlink(own, 0, &counters[..1]).expect("redis answers"), 1);
    // A begin is not listed because another one has its digits.
    assert_eq!(stored.unlink(own, 2, &counters[1..2]).expect("redis answers"), 1);
    assert_eq!(stored.unlink(own, 20, &counters[2..]).expect("redis answers"), 0);
    // Another instance's slice is not listed because it begins where one of this instance does.
    let other = [stored.keys.counters(Instance::new(9), 20, &hash(1))];
    stored.command::<i64>(&["HSET", &other[0], "[]", "0;"]);
    assert_eq!(stored.unlink(Instance::new(9), 20, &other).expect("redis answers"), 1);
    let key = stored.keys.shard();
    stored.command::<i64>(&["DEL", &key]);
    assert_eq!(stored.unlink(own, 20, &counters[2..]).expect("redis answers"), 1, "without a shard nothing is listed");
}

#[test]
fn a_full_redis_refuses_to_count_and_empties_itself() {
    let server = start_redis();
    let (mut stored, counters) = filled(&server, "full");
    let mut other = StoredShard::new(&server, "other");
    // Every script is known before memory runs out.
    other.rotate(10).expect("redis answers");
    let before = stored.shard();
    stored.command::<()>(&["CONFIG", "SET", "maxmemory", "1mb"]);
    let of_full = |error: ::redis::RedisError| {
        assert_eq!(error.code(), Some("OOM"), "{error}");
        assert!(platform::redis::is_back_pressure(&error));
    };
    let expected = before.clone().expect("there is one").expected();
    of_full(stored.apply(&expected, 40_i64, &[]).expect_err("full"));
    of_full(stored.adopt(&[hash(2)]).expect_err("full"));
    of_full(stored.reopen(30, 50, &[hash(1)]).expect_err("full"));
    of_full(other.open(0_i64, &[hash(1)]).expect_err("full"));
    assert_eq!(stored.shard(), before, "a refused script changed something");
    assert_eq!(other.shard(), None);

    assert_eq!(read(&mut stored).1, vec![vec![(0, 0, Value::Int(1))]; 3], "a full Redis is read");
    let Reply::Done(shard) = stored.rotate(10).expect("a full Redis is rotated") else { panic!("refused") };
    assert_eq!(shard.slices, [0, 10, 20, 30]);
    let Reply::Done(shard) = stored.drop(30).expect("a full Redis is emptied") else { panic!("refused") };
    assert_eq!(shard.slices, [30]);
    assert_eq!(stored.unlink(stored.next, 0, &counters).expect("a full Redis is emptied"), 3);

    stored.command::<()>(&["CONFIG", "SET", "maxmemory", "0"]);
    let expected = shard.expected();
    assert!(matches!(stored.apply(&expected, 40_i64, &[]).expect("there is room"), Reply::Done(_)));
}

#[test]
fn a_redis_that_only_reads_is_read() {
    let server = start_redis();
    let (mut stored, _) = filled(&server, "replica");
    let before = stored.shard();
    // A replica whose primary is out of reach.
    stored.command::<()>(&["REPLICAOF", "127.0.0.1", "1"]);
    assert_eq!(Some(read(&mut stored).0), before, "a replica is read");
    let expected = before.clone().expect("there is one").expected();
    let error = stored.apply(&expected, 40_i64, &[]).expect_err("only read");
    assert_eq!(error.code(), Some("READONLY"), "{error}");
    assert!(platform::redis::is_back_pressure(&error));
    stored.command::<()>(&["REPLICAOF", "NO", "ONE"]);
    assert_eq!(stored.shard(), before);
}

/// Nothing of another layout is touched, neither of the first one nor of the ones before this.
#[test]
fn a_shard_of_another_format_is_left_alone() {
    let server = start_redis();
    for format in ["1", "3", "4"] {
        let (mut stored, counters) = filled(&server, &format!("format-{format}"));
        is_left_alone(&mut stored, &counters, format);
    }
}

fn is_left_alone(stored: &mut StoredShard, counters: &[String], format: &str) {
    let key = stored.keys.shard();
    stored.command::<i64>(&["HSET", &key, "format", format]);
    let content = |stored: &mut StoredShard| stored.command::<Vec<String>>(&["HGETALL", &key]);
    let before = content(stored);
    let scripts: [(&str, Vec<&str>); 9] = [
        ("open", vec!["0", "", "0000000000000001"]),
        ("apply", vec!["30", "20", "0000000000000001=0", "0000000000000001", "40", ""]),
        ("rotate", vec!["10"]),
        ("adopt", vec![""]),
        ("reopen", vec!["30", "50", "", "0000000000000001"]),
        ("drop", vec!["30"]),
        ("mark", vec!["0000000000000001", "30"]),
        ("delete", vec!["30"]),
        ("read", vec!["[]"]),
    ];
    for (name, arguments) in scripts {
        let script = match name {
            "open" => &stored.scripts.open,
            "apply" => &stored.scripts.apply,
            "rotate" => &stored.scripts.rotate,
            "adopt" => &stored.scripts.adopt,
            "reopen" => &stored.scripts.reopen,
            "drop" => &stored.scripts.drop,
            "mark" => &stored.scripts.mark,
            "delete" => &stored.scripts.delete,
            _ => &stored.scripts.read,
        };
        let mut invocation = script.key(&key);
        for argument in &arguments {
            invocation.arg(*argument);
        }
        let fields: Vec<String> = invocation.invoke(&mut stored.redis).expect("redis answers");
        assert_eq!(fields, ["format", format], "{name}");
        assert!(shared_logic::contracts::speed_view::script::reply(&fields).is_err());
        assert_eq!(content(stored), before, "{name}");
    }
    assert_eq!(stored.unlink(Instance::new(9), 0, counters).expect("redis answers"), 0, "counters are not ours either");
}
