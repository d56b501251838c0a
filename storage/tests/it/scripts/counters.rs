//! Counters: read, merged, written by the script and read back, beside the merge laws.

use std::collections::BTreeMap;

use polars::prelude::*;
use shared_logic::catalog::Catalog;
use shared_logic::contracts::speed_view::script::Reply;
use shared_logic::contracts::speed_view::{Addition, CHUNK_BUCKETS, ChunkRange, Expected, Wanted};
use shared_logic::group_key::{GroupKey, KeyPart, KeyValue, MAX_KEY_BYTES};
use shared_logic::measure::{MeasureKind, Value};
use shared_logic::partial::{BUCKET, Partials};
use shared_logic::time::TimeRange;
use test_kit::{Dice, first_seed};

use super::{StoredShard, catalog, start_redis};

/// The measures of one key in one bucket.
#[derive(Clone)]
pub(super) struct Partial {
    key: String,
    /// In minutes.
    bucket: i64,
    count: Option<i64>,
    /// Nothing: it has overflowed.
    sum: Option<i64>,
    least: Option<i64>,
    most: Option<i64>,
    floats: f64,
    lowest: f64,
    highest: f64,
}

impl Partial {
    /// A partial of one event.
    pub(super) fn of(key: &str, bucket: i64, int: i64, float: f64) -> Partial {
        let (count, sum, least, most) = (Some(1), Some(int), Some(int), Some(int));
        let key = key.to_owned();
        Partial { key, bucket, count, sum, least, most, floats: float, lowest: float, highest: float }
    }

    fn random(dice: &mut Dice) -> Partial {
        Partial {
            count: random_int(dice).map(|n| n & i64::MAX),
            sum: random_int(dice),
            least: random_int(dice),
            most: random_int(dice),
            floats: random_float(dice),
            lowest: random_float(dice),
            highest: random_float(dice),
            key: (*dice.pick(&TEXTS)).to_owned(),
            bucket: dice.between(-2, 2) * dice.between(0, CHUNK_BUCKETS),
        }
    }
}

pub(super) fn partials(catalog: &Catalog, rows: &[Partial]) -> Partials {
    let ints = |of: fn(&Partial) -> Option<i64>| rows.iter().map(of).collect::<Vec<_>>();
    let floats = |of: fn(&Partial) -> f64| rows.iter().map(of).collect::<Vec<_>>();
    let frame = df!(
        "k" => rows.iter().map(|row| row.key.as_str()).collect::<Vec<_>>(),
        BUCKET => rows.iter().map(|row| row.bucket * 60_000_000).collect::<Vec<_>>(),
        "count" => ints(|row| row.count),
        "sum" => ints(|row| row.sum),
        "floats" => floats(|row| row.floats),
        "least" => ints(|row| row.least),
        "most" => ints(|row| row.most),
        "lowest" => floats(|row| row.lowest),
        "highest" => floats(|row| row.highest),
    )
    .expect("nine columns");
    Partials::of_frame(&catalog.sources["s"], &catalog.metrics["m"], &frame, |_| true).expect("their types")
}

pub(super) fn kinds(catalog: &Catalog) -> Vec<MeasureKind> {
    catalog.metrics["m"].measures.iter().map(|measure| measure.kind).collect()
}

/// The value of one measure.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Cell {
    key: GroupKey,
    /// In minutes.
    bucket: i64,
    /// Its place among the metric's measures.
    measure: usize,
}

type Cells = BTreeMap<Cell, Value>;

/// What Redis has to hold: as the laws merge, in 64 bits at every step.
#[derive(Default)]
struct Kept(Cells);

impl Kept {
    fn add(&mut self, kinds: &[MeasureKind], partials: &Partials) {
        for (key, bucket, values) in partials.rows() {
            for (measure, (kind, value)) in kinds.iter().zip(values).enumerate() {
                let cell = Cell { key: key.clone(), bucket: bucket / 60_000_000, measure };
                let kept = self.0.entry(cell).or_insert_with(|| kind.identity());
                *kept = kind.merge(kept.clone(), value.clone().finalized()).finalized();
            }
        }
    }

    /// Floats to the bit.
    fn equals(&self, read: &Cells, kinds: &[MeasureKind]) -> Result<(), String> {
        for (cell, kept) in &self.0 {
            let read = read.get(cell).cloned().unwrap_or_else(|| kinds[cell.measure].identity());
            let bits = |value: &Value| if let Value::Float(x) = value { Some(x.to_bits()) } else { None };
            if read != *kept || bits(&read) != bits(kept) {
                return Err(format!("{cell:?} holds {read:?}, not {kept:?}"));
            }
        }
        Ok(())
    }
}

impl StoredShard {
    pub(super) fn expected(&mut self) -> Expected {
        self.shard().expect("there is a shard").expected()
    }

    /// Applies to the last slice, and again as if the reply was lost.
    pub(super) fn add_twice(&mut self, catalog: &Catalog, partials: &Partials) {
        let (expected, metric) = (self.expected(), &catalog.metrics["m"]);
        let addition = Addition::new(catalog.definition(metric), metric, partials);
        let merged = [(addition.definition.clone(), self.merged(&expected, &addition))];
        let to = expected.cursor + 1;
        let Reply::Done(shard) = self.apply(&expected, to, &merged).expect("redis answers") else { panic!("refused") };
        assert_eq!(shard.cursor, to);
        let again = self.apply(&expected, to, &merged).expect("redis answers");
        assert!(matches!(again, Reply::Refused(_)), "a retry was applied");
    }

    fn counters(&mut self, catalog: &Catalog, slice: i64, keys: &[GroupKey]) -> Cells {
        let metric = &catalog.metrics["m"];
        let (definition, kinds, instance) = (catalog.definition(metric), kinds(catalog), self.expected().instance);
        let chunks = ChunkRange::of(TimeRange::ALL, metric.grain_us, &kinds);
        let wanted = |key| Wanted { instance, slice, definition: &definition, kinds: &kinds, key, chunks };
        let mut found = Cells::new();
        // Some at a time: each is four arguments.
        for keys in keys.chunks(1_000) {
            let wanted: Vec<Wanted<'_>> = keys.iter().map(wanted).collect();
            let reading = self.read(&wanted).expect("redis answers").expect("there is a shard");
            for (key, counters) in keys.iter().zip(reading.counters) {
                let cells = counters.into_iter();
                found.extend(cells.map(|(bucket, measure, value)| (Cell { key: key.clone(), bucket, measure }, value)));
            }
        }
        found
    }
}

pub(super) fn key(text: &str) -> GroupKey {
    GroupKey::new(&[KeyPart::Value(KeyValue::Text(text.to_owned()))])
}

const TEXTS: [&str; 4] = ["a", "\"}:c:0:\"", "ü\n", ""];

fn random_int(dice: &mut Dice) -> Option<i64> {
    match dice.below(12) {
        0 => None,
        1 => Some(i64::MAX),
        2 => Some(i64::MIN),
        3 => Some((1 << 53) + 1),
        4 => Some(-(1 << 53) - 1),
        5 => Some(0),
        6 => Some(i64::MAX / 2),
        _ => Some(dice.between(-1_000_000_007, 1_000_000_009) * dice.between(0, 1_000_000)),
    }
}

fn random_float(dice: &mut Dice) -> f64 {
    match dice.below(12) {
        0 => 1e308,
        1 => -1.7e308,
        2 => -0.0,
        3 => 0.1,
        4 => 5e-324,
        5 => 0.0,
        // One in two thousand is infinite or no number: an overflow.
        6 => f64::from_bits(dice.throw()),
        7 => 1.0 / 3.0,
        _ => dice.between(-1_000_000, 1_000_000) as f64 / 7.0,
    }
}

#[test]
fn counters_merge_by_the_laws() {
    let (server, catalog) = (start_redis(), catalog());
    let (kinds, definition) = (kinds(&catalog), catalog.definition(&catalog.metrics["m"]));
    let keys = TEXTS.map(key);
    let first = first_seed();
    let mut overflows = 0;
    for seed in first..first + 150 {
        let mut dice = Dice::new(seed);
        let mut stored = StoredShard::new(&server, &format!("counters-{seed}"));
        stored.open(0_i64, std::slice::from_ref(&definition)).expect("opened");
        let mut kept: BTreeMap<i64, Kept> = BTreeMap::new();
        for _ in 0..dice.between(1, 8) {
            // A plan gives each group key and bucket once.
            let rows = (0..dice.below(9)).map(|_| Partial::random(&mut dice));
            let rows = rows.map(|row| ((row.key.clone(), row.bucket), row));
            let rows: Vec<Partial> = rows.collect::<BTreeMap<_, _>>().into_values().collect();
            let partials = partials(&catalog, &rows);
            let slice = stored.expected().slice;
            kept.entry(slice).or_default().add(&kinds, &partials);
            stored.add_twice(&catalog, &partials);
            if dice.chance(20) {
                stored.rotate(100).expect("rotated");
            }
        }
        for (slice, kept) in &kept {
            let read = stored.counters(&catalog, *slice, &keys);
            if let Err(what) = kept.equals(&read, &kinds) {
                panic!("BRAID_SEED={seed}: {what}");
            }
            overflows += kept.0.values().filter(|value| **value == Value::Overflow).count();
        }
    }
    assert!(overflows > 100, "only {overflows} overflows");
}

/// One row of one key that leaves 64 bits must not keep the rows behind it from being counted, nor the cursor.
#[test]
fn an_overflow_half_way_is_kept_and_the_rest_is_counted() {
    let (server, catalog) = (start_redis(), catalog());
    let (kinds, definition) = (kinds(&catalog), catalog.definition(&catalog.metrics["m"]));
    let row = |text: &str, int: i64, float: f64| Partial::of(text, 0, int, float);
    for (sign, limit, least, most) in [(1, i64::MAX, -1, i64::MAX), (-1, i64::MIN, i64::MIN, 1)] {
        let mut stored = StoredShard::new(&server, &format!("overflow{sign}"));
        stored.open(0_i64, std::slice::from_ref(&definition)).expect("opened");
        let huge = sign as f64 * 1e308;
        let batches = [
            vec![row("up", limit, huge), row("a", 1, 0.5)],
            vec![row("a", 2, 0.5), row("up", sign, huge), row("a", 3, 0.5)],
            // An overflow stays: what would bring it back may belong to another slice.
            vec![row("up", -sign, -huge), row("a", 4, 0.5)],
        ];
        for batch in &batches {
            stored.add_twice(&catalog, &partials(&catalog, batch));
        }
        let read = stored.counters(&catalog, 0, &[key("up"), key("a")]);
        let cell = |text, measure| read[&Cell { key: key(text), bucket: 0, measure }].clone();
        let of = |text| (0..7).map(|measure| cell(text, measure)).collect::<Vec<_>>();
        let int = |n: i64| Value::Int(n.into());
        let up = [
            int(3),
            Value::Overflow,
            Value::Overflow,
            int(least),
            int(most),
            Value::Float(-1e308),
            Value::Float(1e308),
        ];
        assert_eq!(of("up"), up, "sign {sign}");
        let a = [int(4), int(10), Value::Float(2.0), int(1), int(4), Value::Float(0.5), Value::Float(0.5)];
        assert_eq!(of("a"), a, "sign {sign}");
        assert_eq!(stored.expected().cursor, 3);
        assert_eq!(kinds.len(), 7);
    }
}

#[test]
fn a_micro_batch_may_have_more_values_than_lua_can_unpack() {
    let (server, catalog) = (start_redis(), catalog());
    let definition = catalog.definition(&catalog.metrics["m"]);
    let mut stored = StoredShard::new(&server, "large");
    stored.open(0_i64, std::slice::from_ref(&definition)).expect("opened");
    let rows: Vec<Partial> = (0..20_000).map(|n| Partial::of(&n.to_string(), n % 3, n, 0.5)).collect();
    stored.add_twice(&catalog, &partials(&catalog, &rows));
    let keys: Vec<GroupKey> = rows.iter().map(|row| key(&row.key)).collect();
    let read = stored.counters(&catalog, 0, &keys);
    for (n, key) in keys.into_iter().enumerate().skip(1) {
        assert_eq!(read[&Cell { key, bucket: n as i64 % 3, measure: 1 }], Value::Int(n as i128));
    }
}

#[test]
fn a_long_key_may_have_more_chunks_than_are_read_at_once() {
    let (server, catalog) = (start_redis(), catalog());
    let definition = catalog.definition(&catalog.metrics["m"]);
    let mut stored = StoredShard::new(&server, "chunks");
    stored.open(0_i64, std::slice::from_ref(&definition)).expect("opened");
    let long = "k".repeat(MAX_KEY_BYTES / 8);
    let rows: Vec<Partial> = (0..4_100).map(|n| Partial::of(&long, n * CHUNK_BUCKETS, n, 0.5)).collect();
    stored.add_twice(&catalog, &partials(&catalog, &rows));
    let read = stored.counters(&catalog, 0, &[key(&long)]);
    for n in 0..4_100 {
        let cell = Cell { key: key(&long), bucket: n * CHUNK_BUCKETS, measure: 1 };
        assert_eq!(read[&cell], Value::Int(n.into()), "chunk {n}");
    }
}
