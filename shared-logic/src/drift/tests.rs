//! Both layers count random logs by their own rules, and every difference is explained.

use test_kit::Dice;

use super::*;
use crate::catalog::Catalog;
use crate::dedup::{FirstCopies, OlderCopies, Place, RecentIdentities, Sighting};
use crate::identity::Identity;
use crate::measure::Argument;

const CATALOG: &str = r#"
[sources.s]
event_id = "id"
event_time = "at"
[sources.s.fields]
id = "string"
at = "timestamp"
n = "int"
x = "float"
[metrics.m]
source = "s"
by = ["id"]
grain = "1m"
[metrics.m.measures]
events = "count()"
total = "sum(n)"
size = "sum(x)"
least = "min(n)"
most = "max(n)"
"#;

const GRAIN_US: i64 = 60_000_000;

fn metric() -> Metric {
    Catalog::parse(CATALOG).expect("a valid catalog").metrics["m"].clone()
}

/// The kinds of its measures.
const KINDS: [MeasureKind; 5] =
    [MeasureKind::Count, MeasureKind::SumInt, MeasureKind::SumFloat, MeasureKind::MinInt, MeasureKind::MaxInt];

/// A copy of an event. Copies have the same identity and bucket, and say different things.
#[derive(Debug, Clone, Copy)]
struct Row {
    identity: Identity,
    place: Place,
    bucket: i64,
    n: i64,
}

impl Row {
    fn values(&self) -> Vec<Value> {
        let of = [Argument::Absent, Argument::Int(self.n), Argument::Float(self.n as f64 / 8.0)];
        let of = [of[0], of[1], of[2], of[1], of[1]];
        KINDS.iter().zip(of).map(|(kind, of)| kind.of_event(of)).collect()
    }

    fn total(&self) -> Total {
        Total { events: 1, values: self.values(), sizes: vec![0.0, 0.0, (self.n as f64 / 8.0).abs(), 0.0, 0.0] }
    }
}

fn totals<'a>(rows: impl IntoIterator<Item = &'a Row>) -> Totals {
    let mut totals = Totals::default();
    rows.into_iter().for_each(|row| totals.add_total(&KINDS, row.bucket, row.total()));
    totals
}

fn masked<'a>(rows: &'a [Row], mask: &'a [bool]) -> impl Iterator<Item = &'a Row> {
    rows.iter().zip(mask).filter(|(_, kept)| **kept).map(|(row, _)| row)
}

/// Partitions of two logs.
const PARTITIONS: [(u32, i32); 3] = [(0, 0), (0, 1), (1, 0)];

/// Records in the order in which they arrive.
fn arriving(dice: &mut Dice, wide: bool) -> Vec<Row> {
    let mut next = BTreeMap::from(PARTITIONS.map(|partition| (partition, dice.between(0, 3))));
    let mut row = |dice: &mut Dice| {
        let partition = *dice.pick(&PARTITIONS);
        let offset = next.get_mut(&partition).expect("it is one of them");
        // Holes lie between records.
        *offset += 1 + if dice.chance(20) { dice.between(1, 4) } else { 0 };
        let id = dice.between(1, 25);
        let n = if wide { *dice.pick(&[i64::MAX, i64::MIN, 1, -1]) } else { dice.between(-9, 9) };
        let place = Place { log: partition.0, partition: partition.1, offset: *offset };
        Row { identity: Identity::of([id.to_le_bytes()], 0), place, bucket: id % 4 * GRAIN_US, n }
    };
    (0..dice.between(1, 120)).map(|_| row(dice)).collect()
}

/// What the speed layer counts of all records: each partition from front to back.
fn counted_by_speed(rows: &[Row], window: u64) -> Vec<bool> {
    let mut windows = BTreeMap::from(PARTITIONS.map(|partition| (partition, RecentIdentities::new(window))));
    let mut is_new = |row: &Row| {
        let window = windows.get_mut(&(row.place.log, row.place.partition)).expect("it is one of them");
        window.judge(&[Sighting { identity: row.identity, offset: row.place.offset }]) == [false]
    };
    rows.iter().map(&mut is_new).collect()
}

/// The first copy of each of some rows.
fn standing(rows: &[Row]) -> Vec<Row> {
    let mut first: BTreeMap<Identity, Row> = BTreeMap::new();
    for row in rows {
        let known = first.entry(row.identity).or_insert(*row);
        *known = if row.place < known.place { *row } else { *known };
    }
    first.into_values().collect()
}

/// What batch finds of the new rows, by its rules: of each partition it knows the first and the last copy that are in the index, or the
/// first alone, if an older build has made that, and, where these are not enough, the older ones within the window. The index may be ahead
/// of the older rows.
fn found(
    new: &[Row],
    older: &[Row],
    (ahead, is_of_older_build): (&[Row], bool),
    window: u64,
    begin: impl Fn(Place) -> i64,
) -> Found {
    let (identities, places): (Vec<Identity>, Vec<Place>) = new.iter().map(|row| (row.identity, row.place)).unzip();
    let firsts = FirstCopies::of(&identities, &places);
    let (mut known, mut first) = (OlderCopies::default(), Vec::new());
    for (number, identity) in firsts.identities().iter().enumerate() {
        let indexed = older.iter().chain(ahead).filter(|row| row.identity == *identity);
        let mut copies: Vec<Place> = indexed.map(|row| row.place).collect();
        copies.sort_unstable();
        first.push(copies.iter().copied().find(|place| place.offset < begin(*place)));
        for copies in copies.chunk_by(|a, b| (a.log, a.partition) == (b.log, b.partition)) {
            let last = copies.last().filter(|_| !is_of_older_build);
            for place in copies.first().into_iter().chain(last).copied() {
                if place.offset < begin(place) { known.note(number, place) } else { known.note_above(number, place) }
            }
        }
    }
    let known_from = if is_of_older_build { i64::MAX } else { i64::MIN };
    for number in firsts.unsure(&known, window, &begin, |_| known_from) {
        let identity = firsts.identities()[number];
        let is_near = |place: &Place| begin(*place) - i64::try_from(window).expect("short") <= place.offset;
        let near = older.iter().filter(|row| row.identity == identity).map(|row| row.place).filter(is_near);
        near.for_each(|place| known.note(number, place));
    }
    let all: Vec<Row> = older.iter().chain(new).copied().collect();
    let (identities, places): (Vec<Identity>, Vec<Place>) = all.iter().map(|row| (row.identity, row.place)).unzip();
    let replaced = FirstCopies::of(&identities, &places).replaced(|place| place.offset < begin(place));
    Found {
        seen: totals(masked(new, &firsts.seen(&known, window))),
        standing: totals(masked(new, &firsts.standing(&first))),
        replaced: totals(masked(&all, &replaced)),
    }
}

/// Runs reconciles over random logs, and calls `check` with what was said, what was found, and the rows that the view counts before and
/// after.
fn reconciles(seed: u64, wide: bool, check: impl Fn(&Said, &Found, &[Row], &[Row])) {
    let mut dice = Dice::new(seed);
    let (rows, window) = (arriving(&mut dice, wide), dice.below(30) as u64);
    let counted = counted_by_speed(&rows, window);
    let mut cuts = BTreeMap::from(PARTITIONS.map(|partition| (partition, 0)));
    for _ in 0..dice.between(1, 6) {
        let old = cuts.clone();
        cuts.values_mut().for_each(|cut| *cut += dice.between(0, 60));
        let begin = |place: Place| old[&(place.log, place.partition)];
        let end = |place: Place| cuts[&(place.log, place.partition)];
        let older: Vec<Row> = rows.iter().filter(|row| row.place.offset < begin(row.place)).copied().collect();
        let is_new = |row: &Row| (begin(row.place)..end(row.place)).contains(&row.place.offset);
        let new: Vec<Row> = rows.iter().filter(|row| is_new(row)).copied().collect();
        let mut said = Said::new();
        for (row, _) in rows.iter().zip(&counted).filter(|(row, counted)| is_new(row) && **counted) {
            let values = said.entry(row.bucket).or_insert_with(|| Total::nothing(&KINDS).values);
            for ((kind, value), more) in KINDS.iter().zip(values).zip(row.values()) {
                // As the counters keep it.
                *value = kind.merge(value.clone(), more).finalized();
            }
        }
        let all: Vec<Row> = older.iter().chain(&new).copied().collect();
        // Another metric may have counted the new rows already.
        let ahead = if dice.chance(50) { new.as_slice() } else { &[] };
        let found = found(&new, &older, (ahead, dice.chance(30)), window, begin);
        check(&said, &found, &standing(&older), &standing(&all));
    }
}

#[test]
fn every_difference_is_copies_beyond_the_window() {
    let mut drifted = 0;
    for seed in 1..400 {
        reconciles(seed, false, |said, found, before, after| {
            let drift = compare(&metric(), said, found);
            assert_eq!(drift.unexplained, 0, "seed {seed}: {drift:?}");
            let sum = |rows: &[Row]| rows.iter().map(|row| i128::from(row.n)).sum::<i128>();
            let said_of = [0, 1].map(|at| said.values().map(|values: &Vec<Value>| integer(&values[at])).sum::<i128>());
            let changed = [after.len() as i128 - before.len() as i128, sum(after) - sum(before)];
            for (at, (changed, said)) in changed.into_iter().zip(said_of).enumerate() {
                let of = &drift.measures[at];
                let number = |value: i128| serde_json::Value::from(i64::try_from(value).expect("small"));
                assert_eq!((&of.speed, &of.batch), (&number(said), &number(changed)), "seed {seed}: {of:?}");
                assert_eq!((&of.difference, &of.difference), (&number(said - changed), &of.duplicates), "seed {seed}");
                assert_eq!((of.unexplained.as_i64(), of.overflowed_buckets), (Some(0), 0), "seed {seed}: {of:?}");
            }
            assert_eq!(drift.measures[0].duplicates, drift.duplicates, "seed {seed}: {drift:?}");
        });
        drifted += u64::from(has_drift(seed));
    }
    assert!(drifted > 100, "only {drifted} of the logs have copies beyond the window");
}

fn integer(value: &Value) -> i128 {
    match value {
        Value::Int(x) => *x,
        other => panic!("{other:?}"),
    }
}

fn has_drift(seed: u64) -> bool {
    let drifts = std::cell::Cell::new(false);
    reconciles(seed, false, |said, found, _, _| {
        drifts.set(drifts.get() || compare(&metric(), said, found).duplicates > 0);
    });
    drifts.get()
}

#[test]
fn what_left_64_bits_is_counted_apart_and_nothing_else_is_unexplained() {
    let overflowed = std::cell::Cell::new(0);
    for seed in 1..200 {
        reconciles(seed, true, |said, found, _, _| {
            let drift = compare(&metric(), said, found);
            assert_eq!(drift.unexplained, 0, "seed {seed}: {drift:?}");
            let buckets = said.values().filter(|values| values[1] == Value::Overflow).count() as u64;
            assert_eq!(drift.measures[1].overflowed_buckets, buckets, "seed {seed}: {drift:?}");
            overflowed.set(overflowed.get() + buckets);
        });
    }
    assert!(overflowed.get() > 100, "only {} buckets left 64 bits", overflowed.get());
}

/// A row of the first bucket.
fn row(id: u64, offset: i64, n: i64) -> Row {
    let place = Place { log: 0, partition: 0, offset };
    Row { identity: Identity(id, 0), place, bucket: 0, n }
}

fn said(rows: &[Row]) -> Said {
    totals(rows).iter().map(|(bucket, total)| (bucket, total.values.clone())).collect()
}

#[test]
fn what_speed_has_counted_by_no_rule_is_unexplained() {
    let rows = [row(1, 1, 5), row(2, 2, 7), row(3, 3, 9)];
    let found = Found { seen: totals(&rows), standing: totals(&rows[..2]), replaced: Totals::default() };
    let drift = compare(&metric(), &said(&rows), &found);
    assert_eq!((drift.buckets, drift.differing, drift.duplicates, drift.unexplained), (1, 1, 1, 0));
    let of = |drift: &Drift, at: usize| {
        let MeasureDrift { difference, duplicates, unexplained, .. } = &drift.measures[at];
        [difference, duplicates, unexplained].map(serde_json::Value::as_i64)
    };
    assert_eq!((of(&drift, 0), of(&drift, 1)), ([Some(1), Some(1), Some(0)], [Some(9), Some(9), Some(0)]));
    assert_eq!(of(&drift, 4), [None; 3], "nothing is taken back from a maximum");
    let largest = drift.measures[4].largest.clone().expect("9 instead of 7");
    assert_eq!((largest.bucket.as_str(), largest.speed, largest.batch), ("1970-01-01T00:00:00Z", 9.into(), 7.into()));

    // A record that speed has missed, and one that it has counted twice.
    for (rows, missed) in [(vec![rows[0], rows[2]], 7), (vec![rows[0], rows[1], rows[2], rows[2]], -9)] {
        let drift = compare(&metric(), &said(&rows), &found);
        assert_eq!((drift.duplicates, drift.unexplained), (1, 1));
        assert_eq!(of(&drift, 1), [Some(9 - missed), Some(9), Some(-missed)]);
        assert_eq!(drift.measures[1].unexplained_buckets, 1);
    }
    let nothing = compare(&metric(), &Said::new(), &Found::default());
    assert_eq!((nothing.buckets, nothing.differing, nothing.unexplained), (0, 0, 0));
}

#[test]
fn a_bucket_that_speed_alone_has_is_compared() {
    let rows = [row(1, 1, 5)];
    let drift = compare(&metric(), &said(&rows), &Found::default());
    assert_eq!((drift.buckets, drift.differing, drift.unexplained), (1, 1, 1));
    let copies = Found { seen: totals(&rows), ..Found::default() };
    let drift = compare(&metric(), &said(&rows), &copies);
    assert_eq!((drift.differing, drift.duplicates, drift.unexplained), (1, 1, 0));
}

#[test]
fn sketches_are_left_out_and_the_other_measures_compared() {
    let text = CATALOG.replace("total = ", "ids = \"distinct(id)\"\ntotal = ");
    let metric = Catalog::parse(&text).expect("a valid catalog").metrics["m"].clone();
    let kinds: Vec<MeasureKind> = metric.measures.iter().map(|measure| measure.kind).collect();
    let total = |n: i64| {
        let of = |kind: &MeasureKind| match kind {
            MeasureKind::Distinct { .. } => kind.of_event(Argument::Text("a")),
            MeasureKind::SumFloat => kind.of_event(Argument::Float(0.5)),
            kind => kind.of_event(Argument::Int(n)),
        };
        Total { events: 1, values: kinds.iter().map(of).collect(), sizes: vec![0.5; kinds.len()] }
    };
    let mut standing = Totals::default();
    standing.add_total(&kinds, 0, total(7));
    let found = Found { seen: standing.clone(), standing, replaced: Totals::default() };
    let nothing_of_ids = |n: i64| {
        let mut values = total(n).values;
        values[1] = kinds[1].identity();
        Said::from([(0, values)])
    };
    let drift = compare(&metric, &nothing_of_ids(7), &found);
    assert_eq!((drift.buckets, drift.differing, drift.unexplained), (1, 0, 0));
    let names: Vec<&str> = drift.measures.iter().map(|measure| measure.name.as_str()).collect();
    assert_eq!(names, ["events", "total", "size", "least", "most"]);
    let drift = compare(&metric, &nothing_of_ids(8), &found);
    assert_eq!((drift.differing, drift.unexplained, drift.measures[1].differing_buckets), (1, 1, 1));
}
