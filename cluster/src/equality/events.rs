//! Random events: what is wanted of them in memory, and all of them in files.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use polars::prelude::*;
use shared_logic::catalog::Source;
use shared_logic::contracts::archive::{ERROR, LOG, OFFSET, PARTITION};
use shared_logic::dedup::{FirstCopies, Place};
use shared_logic::identity::Identity;
use shared_logic::log::{OffsetRange, PartitionId};
use shared_logic::plan::in_sql::EventTable;
use shared_logic::time::bucket_start;

use super::dice::Dice;
use super::{kind_of, with_instants, write};
use crate::query::{Column as TableColumn, Kind, Table};

const HOUR_US: i64 = 3_600_000_000;
/// How many files events lie in, at most.
const FILES: usize = 4;
/// The column of `n` in a table where another type has taken its name.
const RENAMED: &str = "_n_int";

/// Events, and what is wanted of them.
pub(super) struct Events {
    /// The logs in the order in which they were first seen.
    pub(super) logs: Vec<String>,
    pub(super) ranges: Vec<OffsetRange>,
    pub(super) times: Option<(BTreeSet<i64>, i64)>,
    pub(super) tables: Vec<Table>,
    pub(super) event_tables: Vec<EventTable>,
    /// The events in those ranges and times.
    pub(super) wanted: DataFrame,
    /// Which of them are first copies; all of them where nothing is said.
    pub(super) firsts: Option<Vec<bool>>,
}

#[derive(Clone)]
struct Event {
    log: usize,
    partition: i32,
    offset: i64,
    is_reject: bool,
    file: usize,
    seen_at: i64,
    id: String,
    shop: i64,
    k: Option<String>,
    t: String,
    n: Option<i64>,
    m: i64,
    x: Option<f64>,
    y: f64,
    b: Option<bool>,
    c: bool,
    w: Option<i64>,
}

impl Events {
    /// Throws events of the source, and writes them into files of a folder.
    pub(super) fn throw(dice: &mut Dice, source: &Source, folder: &Path) -> Events {
        let mut logs = vec!["log-a".to_owned(), "log-b.1".to_owned(), "it's".to_owned()];
        let first = dice.below(logs.len());
        logs.rotate_left(first);
        let files = 1 + dice.below(FILES);
        // Some files were written before `x` was declared.
        let old: Vec<bool> = (0..files).map(|_| dice.chance(25)).collect();
        let events = thrown(dice, &old);
        let ranges = ranges(dice, &logs, &events);
        let times = dice.chance(30).then(|| times(dice, &events));
        let is_wanted = |event: &&Event| {
            let of = |range: &&OffsetRange| range.id == PartitionId::new(logs[event.log].as_str(), event.partition);
            let range = ranges.iter().find(of);
            let is_in_range = range.is_some_and(|range| (range.from..range.to).contains(&event.offset));
            let is_at =
                |(starts, length_us): &(BTreeSet<i64>, i64)| starts.contains(&bucket_start(event.seen_at, *length_us));
            !event.is_reject && is_in_range && times.as_ref().is_none_or(is_at)
        };
        let wanted: Vec<Event> = events.iter().filter(is_wanted).cloned().collect();
        let place = |event: &Event| Place { log: event.log as u32, partition: event.partition, offset: event.offset };
        let places: Vec<Place> = wanted.iter().map(place).collect();
        let wanted = fields(&wanted);
        let firsts = (!source.event_id.is_empty()).then(|| {
            let identities = Identity::of_columns(&wanted, &source.event_id, &source.event_time).expect("its columns");
            FirstCopies::of(&identities, &places).mask()
        });
        let (tables, event_tables) = tables(dice, source, (&events, &logs, &old), folder);
        Events { logs, ranges, times, tables, event_tables, wanted, firsts }
    }
}

/// Events of some partitions of all logs, with copies.
fn thrown(dice: &mut Dice, old: &[bool]) -> Vec<Event> {
    let (mut events, mut next): (Vec<Event>, BTreeMap<(usize, i32), i64>) = (Vec::new(), BTreeMap::new());
    for _ in 0..dice.below(70) {
        let (log, partition) = (dice.below(3), dice.below(3) as i32);
        let offset = next.entry((log, partition)).or_insert(0);
        *offset += dice.between(1, 3);
        let file = dice.below(old.len());
        let mut event = Event {
            log,
            partition,
            offset: *offset,
            is_reject: dice.chance(5),
            file,
            seen_at: instant(dice),
            id: format!("e{}", dice.below(20)),
            shop: dice.between(0, 2),
            k: optional(dice, text),
            t: text(dice),
            n: optional(dice, int),
            m: int(dice),
            x: optional(dice, float).filter(|_| !old[file]),
            y: float(dice),
            b: optional(dice, |dice| dice.chance(50)),
            c: dice.chance(50),
            w: optional(dice, instant),
        };
        if dice.chance(40) && !events.is_empty() {
            let copied: &Event = dice.pick(&events);
            (event.id, event.shop, event.seen_at) = (copied.id.clone(), copied.shop, copied.seen_at);
        }
        events.push(event);
    }
    events
}

fn optional<T>(dice: &mut Dice, throw: impl Fn(&mut Dice) -> T) -> Option<T> {
    let value = throw(dice);
    (!dice.chance(25)).then_some(value)
}

fn text(dice: &mut Dice) -> String {
    const TEXTS: [&str; 14] = [
        "",
        "a",
        "A",
        "b",
        "B",
        "ü",
        "Ü",
        "ΑΣ",
        "Σ",
        "ß",
        "İ",
        "it's",
        "https://a.example/p?q#r",
        "😀 \u{0} \"quoted\" \\",
    ];
    match dice.below(16) {
        // Longer than a key may be, and different at the end only.
        14 => "ö".repeat(5_000) + "1",
        15 => "ö".repeat(5_000) + "2",
        short => TEXTS[short].to_owned(),
    }
}

fn int(dice: &mut Dice) -> i64 {
    const INTS: [i64; 12] = [0, 1, -1, 2, -3, 7, 60, i64::MAX, i64::MIN, i64::MAX - 1, i64::MIN + 1, 1 << 32];
    if dice.chance(60) { *dice.pick(&INTS) } else { dice.between(-1_000, 1_000) }
}

fn float(dice: &mut Dice) -> f64 {
    const FLOATS: [f64; 9] = [0.0, -0.0, 0.5, -1.5, 2.0, 1e15, -1e15, 1e-9, 90.0];
    if dice.chance(50) { *dice.pick(&FLOATS) } else { dice.between(-8_000, 8_000) as f64 / 8.0 }
}

/// Around 1970, and at times elsewhere.
fn instant(dice: &mut Dice) -> i64 {
    const FAR: [i64; 3] = [-62_135_596_800_000_000, 253_402_300_799_999_999, 1_796_000_000_123_456];
    match dice.below(20) {
        0 => *dice.pick(&FAR),
        1..5 => dice.between(-2, 2) * HOUR_US,
        5 => -1,
        _ => dice.between(-3 * HOUR_US, 3 * HOUR_US),
    }
}

/// What of each partition is wanted.
fn ranges(dice: &mut Dice, logs: &[String], events: &[Event]) -> Vec<OffsetRange> {
    let mut last: BTreeMap<(usize, i32), i64> = BTreeMap::new();
    for event in events {
        last.insert((event.log, event.partition), event.offset);
    }
    let mut ranges = Vec::new();
    for ((log, partition), last) in last {
        if dice.chance(85) {
            let from = if dice.chance(70) { i64::MIN } else { dice.between(0, last) };
            let to = if dice.chance(70) { last + 1 } else { dice.between(1, last + 1) };
            let id = PartitionId::new(logs[log].as_str(), partition);
            ranges.extend(Some(OffsetRange { id, from, to }).filter(|range| range.from < range.to));
        }
    }
    ranges
}

/// Some of the hours in which something has happened, and others.
fn times(dice: &mut Dice, events: &[Event]) -> (BTreeSet<i64>, i64) {
    let mut starts: BTreeSet<i64> = [bucket_start(instant(dice), HOUR_US)].into();
    for event in events {
        if dice.chance(30) {
            starts.insert(bucket_start(event.seen_at, HOUR_US));
        }
    }
    (starts, HOUR_US)
}

/// The fields of events in memory.
fn fields(events: &[Event]) -> DataFrame {
    df!(
        "seen_at" => events.iter().map(|event| event.seen_at).collect::<Vec<_>>(),
        "id" => events.iter().map(|event| event.id.as_str()).collect::<Vec<_>>(),
        "shop" => events.iter().map(|event| event.shop).collect::<Vec<_>>(),
        "k" => events.iter().map(|event| event.k.as_deref()).collect::<Vec<_>>(),
        "t" => events.iter().map(|event| event.t.as_str()).collect::<Vec<_>>(),
        "n" => events.iter().map(|event| event.n).collect::<Vec<_>>(),
        "m" => events.iter().map(|event| event.m).collect::<Vec<_>>(),
        "x" => events.iter().map(|event| event.x).collect::<Vec<_>>(),
        "y" => events.iter().map(|event| event.y).collect::<Vec<_>>(),
        "b" => events.iter().map(|event| event.b).collect::<Vec<_>>(),
        "c" => events.iter().map(|event| event.c).collect::<Vec<_>>(),
        "w" => events.iter().map(|event| event.w).collect::<Vec<_>>(),
    )
    .expect("columns of one length")
}

/// The files in one or two tables, one of which may have another column for `n`.
fn tables(
    dice: &mut Dice,
    source: &Source,
    (events, logs, old): (&[Event], &[String], &[bool]),
    folder: &Path,
) -> (Vec<Table>, Vec<EventTable>) {
    let renames = dice.chance(30);
    let is_second: Vec<bool> = old.iter().map(|_| dice.chance(40)).collect();
    let (mut tables, mut event_tables) = (Vec::new(), Vec::new());
    for (name, second) in [("archive", false), ("decoded", true)] {
        let renames = renames && !second;
        let numbers: Vec<usize> = (0..old.len()).filter(|file| is_second[*file] == second).collect();
        if numbers.is_empty() {
            continue;
        }
        let files = numbers.iter().map(|file| {
            let events: Vec<&Event> = events.iter().filter(|event| event.file == *file).collect();
            let path = folder.join(format!("{file} of {name}.parquet"));
            write(records(&events, logs, old[*file], renames), &path)
        });
        let files = files.collect();
        let own = [(LOG, Kind::Text), (PARTITION, Kind::Int32), (OFFSET, Kind::Int), (ERROR, Kind::Text)];
        let own = own.map(|(name, kind)| TableColumn { name: name.to_owned(), kind });
        let column = |name: &str| if renames && name == "n" { RENAMED.to_owned() } else { name.to_owned() };
        let of_fields =
            source.fields.iter().map(|field| TableColumn { name: column(&field.name), kind: kind_of(field.kind) });
        tables.push(Table { name: name.to_owned(), columns: own.into_iter().chain(of_fields).collect(), files });
        let columns = source.fields.iter().map(|field| (column(&field.name).into(), field.name.clone())).collect();
        event_tables.push(EventTable { name: name.to_owned(), columns });
    }
    (tables, event_tables)
}

/// The rows of a file.
fn records(events: &[&Event], logs: &[String], is_old: bool, renames: bool) -> DataFrame {
    let owned: Vec<Event> = events.iter().map(|event| (*event).clone()).collect();
    let mut rows = fields(&owned);
    let own = df!(
        LOG => events.iter().map(|event| logs[event.log].as_str()).collect::<Vec<_>>(),
        PARTITION => events.iter().map(|event| event.partition).collect::<Vec<i32>>(),
        OFFSET => events.iter().map(|event| event.offset).collect::<Vec<_>>(),
        ERROR => events.iter().map(|event| event.is_reject.then_some("no_json")).collect::<Vec<_>>(),
    )
    .expect("columns of one length");
    for column in own.columns() {
        rows.with_column(column.clone()).expect("as many");
    }
    if is_old {
        rows.drop_in_place("x").expect("there");
    }
    if renames {
        rows.rename("n", RENAMED.into()).expect("there");
    }
    with_instants(rows, ["seen_at", "w"].into_iter())
}
