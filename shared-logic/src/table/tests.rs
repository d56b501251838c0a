use std::collections::{BTreeMap, BTreeSet};

use test_kit::Dice;

use super::*;
use crate::catalog::Catalog;
use crate::decode::Decoder;
use crate::rejection::Reason;

/// A change, and the key that it is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Made {
    key: u8,
    at: Placed,
}

/// What a table says of its keys: by hand, and from the rule as it is written down.
fn by_hand(changes: &[Made]) -> BTreeMap<u8, (Placed, BTreeSet<Placed>)> {
    let mut tables = BTreeMap::new();
    for key in changes.iter().map(|change| change.key).collect::<BTreeSet<u8>>() {
        let mut lasts: BTreeMap<(u32, i32), Placed> = BTreeMap::new();
        for change in changes.iter().filter(|change| change.key == key) {
            let last = lasts.entry((change.at.log, change.at.partition)).or_insert(change.at);
            if change.at.offset > last.offset {
                *last = change.at;
            }
        }
        let mut newest = *lasts.values().next().expect("a change");
        for last in lasts.values() {
            let is_newer = last.timestamp_us > newest.timestamp_us
                || last.timestamp_us == newest.timestamp_us
                    && (last.log, last.partition, last.offset) > (newest.log, newest.partition, newest.offset);
            if is_newer {
                newest = *last;
            }
        }
        let others = lasts.into_values().filter(|last| *last != newest).collect();
        tables.insert(key, (newest, others));
    }
    tables
}

/// What `settle` leaves of changes, as they are.
fn left(changes: &[Made]) -> Vec<Made> {
    let (keys, at): (Vec<u8>, Vec<Placed>) = changes.iter().map(|change| (change.key, change.at)).unzip();
    let settled = settle(&keys, &at);
    settled.decide.into_iter().chain(settled.others).map(|change| changes[change as usize]).collect()
}

fn settled(changes: &[Made]) -> BTreeMap<u8, (Placed, BTreeSet<Placed>)> {
    let (keys, at): (Vec<u8>, Vec<Placed>) = changes.iter().map(|change| (change.key, change.at)).unzip();
    let settled = settle(&keys, &at);
    let decide: Vec<u8> = settled.decide.iter().map(|change| keys[*change as usize]).collect();
    assert!(decide.is_sorted(), "by ascending keys");
    let mut tables: BTreeMap<u8, (Placed, BTreeSet<Placed>)> = BTreeMap::new();
    for change in settled.decide {
        let before = tables.insert(keys[change as usize], (at[change as usize], BTreeSet::new()));
        assert_eq!(before, None, "one change decides");
    }
    for change in settled.others {
        tables.get_mut(&keys[change as usize]).expect("a key with a change").1.insert(at[change as usize]);
    }
    tables
}

/// Changes of few keys in few partitions: keys move when partitions are added, a topic is made again, and timestamps are out of order.
fn history(dice: &mut Dice) -> Vec<Made> {
    let (mut changes, mut offsets) = (Vec::new(), BTreeMap::<(u32, i32), i64>::new());
    let (mut log, mut partitions) = (0, 1 + dice.below(2));
    for step in 0..dice.between(0, 60) {
        if dice.chance(5) {
            partitions += 1;
        }
        if dice.chance(2) {
            log += 1;
        }
        let key = dice.below(5) as u8;
        let partition = usize::from(key) % partitions;
        let offset = offsets.entry((log, partition as i32)).or_default();
        *offset += dice.between(1, 3);
        let timestamp_us = if dice.chance(30) { dice.between(0, 9) } else { step };
        changes.push(Made { key, at: Placed { timestamp_us, log, partition: partition as i32, offset: *offset } });
    }
    changes
}

fn shuffled(mut changes: Vec<Made>, dice: &mut Dice) -> Vec<Made> {
    for at in (1..changes.len()).rev() {
        changes.swap(at, dice.below(at + 1));
    }
    changes
}

#[test]
fn what_changes_leave_is_what_the_rule_says_by_hand() {
    for seed in 1..2_000 {
        let mut dice = Dice::new(seed);
        let changes = history(&mut dice);
        let expected = by_hand(&changes);
        assert_eq!(settled(&changes), expected, "seed {seed}");
        assert_eq!(settled(&shuffled(changes, &mut dice)), expected, "seed {seed}: in any order");
    }
}

#[test]
fn what_increments_leave_is_what_all_changes_leave_together() {
    for seed in 1..2_000 {
        let mut dice = Dice::new(seed);
        let changes = history(&mut dice);
        let expected = by_hand(&changes);
        // Partitions arrive at their own pace, and an increment may be read twice.
        let mut waiting = shuffled(changes, &mut dice);
        let mut state: Vec<Made> = Vec::new();
        while !waiting.is_empty() {
            let increment = waiting.split_off(waiting.len() - dice.between(1, waiting.len() as i64) as usize);
            for _ in 0..=dice.below(2) {
                state = left(&[state.as_slice(), increment.as_slice()].concat());
            }
        }
        assert_eq!(settled(&state), expected, "seed {seed}");
    }
}

#[test]
fn the_newest_of_the_last_changes_decides_by_whatever_way_it_is_asked() {
    let order = LogOrder::new(["a", "b"]);
    let at = |log: &str, partition, offset, timestamp_us| ChangeAt { log: log.into(), partition, offset, timestamp_us };
    let newest = |lasts: &[ChangeAt]| {
        let mut backwards = lasts.to_vec();
        backwards.reverse();
        let newest = decides(lasts, &order).map(|last| lasts[last].clone());
        assert_eq!(decides(&backwards, &order).map(|last| backwards[last].clone()), newest);
        newest
    };
    assert_eq!(newest(&[]), None);
    // The timestamp, before all else.
    assert_eq!(newest(&[at("b", 7, 900, 1), at("a", 0, 0, 2)]), Some(at("a", 0, 0, 2)));
    // Then the log, in the order in which the archive saw them; one that it has not seen is the last.
    assert_eq!(newest(&[at("a", 7, 900, 1), at("b", 0, 0, 1)]), Some(at("b", 0, 0, 1)));
    assert_eq!(newest(&[at("b", 7, 900, 1), at("0", 0, 0, 1)]), Some(at("0", 0, 0, 1)));
    assert_eq!(newest(&[at("1", 0, 0, 1), at("0", 0, 0, 1)]), Some(at("1", 0, 0, 1)));
    // Then the partition.
    assert_eq!(newest(&[at("a", 1, 3, 1), at("a", 0, 900, 1)]), Some(at("a", 1, 3, 1)));
}

#[test]
fn a_change_with_an_older_timestamp_gives_the_row_of_another_partition_back() {
    let made =
        |partition, offset, timestamp_us| Made { key: 1, at: Placed { timestamp_us, log: 0, partition, offset } };
    let (here, there) = (made(0, 5, 100), made(1, 0, 90));
    assert_eq!(settled(&[here, there])[&1].0, here.at);
    let later = made(0, 6, 50);
    assert_eq!(settled(&[left(&[here, there]), vec![later]].concat())[&1].0, there.at);
}

fn decoder(key: &str, format: &str) -> Decoder {
    let text = format!(
        "[sources.s]\nevent_time = \"at\"\n[sources.s.fields]\nat = \"timestamp\"\n\
         [tables.t]\nkey = \"{key}\"\nformat = \"{format}\"\n\
         [tables.t.fields]\nid = \"string?\"\nname = \"string?\"\nn = \"int?\"\nok = \"bool?\"\nx = \"float?\"\nat = \"timestamp?\"\n"
    );
    let text = text.replace(&format!("\n{key} = \"string?\""), &format!("\n{key} = \"string\""));
    let text = text.replace(&format!("\n{key} = \"int?\""), &format!("\n{key} = \"int\""));
    Decoder::new(&Catalog::parse(&text).unwrap_or_else(|mistakes| panic!("{mistakes:?}")).sources["t"])
}

/// What a record does: its key, and the row as text; or why it is no change.
fn change(decoder: &mut Decoder, key: Option<&str>, payload: Option<&str>) -> Result<(String, Option<Row>), String> {
    let change = decoder.change(key.map(str::as_bytes), payload.map(str::as_bytes), Some(5_000));
    let change = change.map_err(|rejected| rejected.reason.to_string())?;
    assert!(change.row.as_ref().is_none_or(|event| event.time_us == 5_000), "the time of a change is its record's own");
    Ok((change.key, change.row.as_ref().map(row_of)))
}

fn text(text: &str) -> Option<RowValue> {
    Some(RowValue::Text(text.into()))
}

#[test]
fn a_record_of_json_is_a_row_or_deletes_one() {
    let mut json = decoder("id", "json");
    let row = Some(vec![text("u-1"), None, Some(RowValue::Int(7)), None, None, Some(RowValue::Instant(9_000))]);
    let payload = r#"{"id":"u-1","n":7,"at":9}"#;
    assert_eq!(change(&mut json, Some("u-1"), Some(payload)), Ok(("u-1".to_owned(), row.clone())));
    assert_eq!(change(&mut json, Some("\"u-1\""), Some(payload)), Ok(("u-1".to_owned(), row)), "a string of JSON");
    assert_eq!(change(&mut json, Some("u-1"), None), Ok(("u-1".to_owned(), None)));
    for key in [None, Some(""), Some("u-2"), Some("\"u-1")] {
        assert_eq!(change(&mut json, key, Some(payload)), Err("wrong_key".to_owned()), "{key:?}");
    }
    assert_eq!(change(&mut json, None, None), Err("wrong_key".to_owned()), "it is not known which row it deletes");
    assert_eq!(
        change(&mut json, None, Some("[]")),
        Err("not_object".to_owned()),
        "what is wrong with the payload comes first"
    );
    assert_eq!(change(&mut json, Some("u-1"), Some("{}")), Err("missing_field".to_owned()));
}

#[test]
fn the_key_of_an_integer_is_its_digits() {
    let mut json = decoder("n", "json");
    for key in ["7", "\"7\"", "07"] {
        let (key, row) = change(&mut json, Some(key), Some(r#"{"n":7}"#)).expect("a change");
        assert_eq!((key.as_str(), row.map(|row| row[2].clone())), ("7", Some(Some(RowValue::Int(7)))));
    }
    assert_eq!(change(&mut json, Some("8"), Some(r#"{"n":7}"#)), Err("wrong_key".to_owned()));
    assert_eq!(change(&mut json, Some("u"), None), Err("wrong_key".to_owned()));
}

#[test]
fn a_record_of_debezium_is_a_change_with_or_without_its_schema() {
    let mut debezium = decoder("id", "debezium");
    let envelope = |op: &str, after: &str| {
        format!(
            r#"{{"before":{{"id":"old","n":1}},"after":{after},"source":{{"ts_ms":1,"op":"x"}},"op":"{op}","ts_ms":2}}"#
        )
    };
    let with_schema =
        |payload: &str| format!(r#"{{"schema":{{"type":"struct","after":{{"n":3}}}},"payload":{payload}}}"#);
    let row = Some(vec![text("u-1"), None, Some(RowValue::Int(7)), Some(RowValue::Bool(true)), None, None]);
    let keys = [
        r#"{"id":"u-1"}"#,
        r#"{"schema":{"type":"struct"},"payload":{"id":"u-1"}}"#,
        r#"{"schema":{"type":"string"},"payload":"u-1"}"#,
        r#""u-1""#,
        "u-1",
    ];
    for key in keys {
        for op in ["c", "u", "r"] {
            let payload = envelope(op, r#"{"n":7,"id":"u-1","ok":true,"more":[]}"#);
            for payload in [with_schema(&payload), payload] {
                let changed = change(&mut debezium, Some(key), Some(&payload));
                assert_eq!(changed, Ok(("u-1".to_owned(), row.clone())), "{key} {payload}");
            }
        }
        let deleted = envelope("d", "null");
        for payload in [Some(with_schema(&deleted)), Some(deleted), None] {
            let changed = change(&mut debezium, Some(key), payload.as_deref());
            assert_eq!(changed, Ok(("u-1".to_owned(), None)), "{key} {payload:?}");
        }
    }
    // A row that several columns identify, another row, and no key.
    for key in [Some(r#"{"id":"u-1","shard":2}"#), Some(r#"{"id":"u-2"}"#), Some("{}"), Some(r#"{"id":null}"#), None] {
        let changed = change(&mut debezium, key, Some(&envelope("c", r#"{"id":"u-1"}"#)));
        assert_eq!(changed, Err("wrong_key".to_owned()), "{key:?}");
    }
}

#[test]
fn what_changes_no_single_row_is_no_change() {
    let mut debezium = decoder("id", "debezium");
    let refused = [
        r#"{"before":null,"op":"t"}"#,
        r#"{"op":"m","message":{"prefix":"p","content":"YQ=="}}"#,
        r#"{"op":"u","after":null}"#,
        r#"{"after":{"id":"u-1"}}"#,
        r#"{"op":7,"after":{"id":"u-1"}}"#,
        r#"{"id":"u-1"}"#,
    ];
    for payload in refused {
        assert_eq!(change(&mut debezium, Some("u-1"), Some(payload)), Err("not_change".to_owned()), "{payload}");
        assert_eq!(change(&mut debezium, None, Some(payload)), Err("not_change".to_owned()), "{payload}");
    }
}

#[test]
fn a_change_without_a_time_is_none() {
    let of = |payload: Option<&'static [u8]>, timestamp_us| {
        let mut json = decoder("id", "json");
        let refused = json.change(Some(b"u-1"), payload, timestamp_us).err();
        refused.map(|rejected| (rejected.reason, rejected.field))
    };
    for payload in [None, Some(&br#"{"id":"u-1"}"#[..])] {
        assert_eq!(of(payload, Some(0)), None);
        assert_eq!(of(payload, None), Some((Reason::MissingField, Some(6))));
        assert_eq!(of(payload, Some(i64::MAX)), Some((Reason::OutOfRange, Some(6))));
    }
}
