//! Counters: looked at, merged, written by the script and read back, beside the merge laws.

use std::collections::BTreeMap;

use polars::prelude::*;
use shared_logic::catalog::Catalog;
use shared_logic::contracts::speed_view::script::Reply;
use shared_logic::contracts::speed_view::{Addition, CHUNK_BUCKETS, Expected};
use shared_logic::group_key::{GroupKey, KeyValue};
use shared_logic::measure::{MeasureKind, Value};
use shared_logic::partial::{BUCKET, Partials};
use speed_layer::count::compiled::CompiledMetrics;
use speed_layer::read::micro_batch::MicroBatch;

use super::{Bench, catalog};
use crate::dice::{Dice, first_seed};
use crate::redis::Redis;

/// One partial: key, bucket's index, and the cells of the measures; an integer sum without a value has overflowed.
type Partial = (String, i64, [Option<i64>; 4], [f64; 3]);

fn partials(catalog: &Catalog, rows: &[Partial]) -> Partials {
    let int = |at: usize| rows.iter().map(|row| row.2[at]).collect::<Vec<_>>();
    let float = |at: usize| rows.iter().map(|row| row.3[at]).collect::<Vec<_>>();
    let frame = df!(
        "k" => rows.iter().map(|row| row.0.as_str()).collect::<Vec<_>>(),
        BUCKET => rows.iter().map(|row| row.1 * 60_000_000).collect::<Vec<_>>(),
        "count" => int(0), "sum" => int(1), "floats" => float(0), "least" => int(2), "most" => int(3),
        "lowest" => float(1), "highest" => float(2),
    )
    .expect("nine columns");
    Partials::of_frame(&catalog.sources["s"], &catalog.metrics["m"], &frame, |_| true).expect("their types")
}

fn kinds(catalog: &Catalog) -> Vec<MeasureKind> {
    catalog.metrics["m"].measures.iter().map(|measure| measure.kind).collect()
}

/// What Redis has to hold: as the laws merge, in 64 bits at every step.
#[derive(Default)]
struct Kept(BTreeMap<(GroupKey, i64, usize), Value>);

impl Kept {
    fn add(&mut self, kinds: &[MeasureKind], partials: &Partials) {
        for (key, bucket, values) in partials.rows() {
            for (measure, (kind, value)) in kinds.iter().zip(values).enumerate() {
                let kept = self.0.entry((key.clone(), bucket / 60_000_000, measure)).or_insert_with(|| kind.identity());
                *kept = kind.merge(kept.clone(), value.clone().finalized()).finalized();
            }
        }
    }

    /// Floats to the bit.
    fn equals(&self, read: &BTreeMap<(GroupKey, i64, usize), Value>, kinds: &[MeasureKind]) -> Result<(), String> {
        for (at, kept) in &self.0 {
            let read = read.get(at).cloned().unwrap_or_else(|| kinds[at.2].identity());
            let bits = |value: &Value| if let Value::Float(x) = value { Some(x.to_bits()) } else { None };
            if read != *kept || bits(&read) != bits(kept) {
                return Err(format!("{at:?} holds {read:?}, not {kept:?}"));
            }
        }
        Ok(())
    }
}

impl Bench {
    fn expected(&mut self) -> Expected {
        self.shard().expect("there is a shard").expected()
    }

    /// Applies to the last slice, and again as if the reply was lost.
    fn add_twice(&mut self, catalog: &Catalog, partials: &Partials) {
        let (expected, metric) = (self.expected(), &catalog.metrics["m"]);
        let addition = Addition::new(catalog.definition(metric), metric, partials);
        let merged = [(addition.definition.clone(), self.merged(expected.slice, &addition))];
        let to = expected.cursor + 1;
        let Reply::Done(shard) = self.apply(&expected, to, &merged).expect("redis answers") else { panic!("refused") };
        assert_eq!(shard.cursor, to);
        let again = self.apply(&expected, to, &merged).expect("redis answers");
        assert!(matches!(again, Reply::Refused(_)), "a retry was applied");
    }

    fn counters(
        &mut self,
        catalog: &Catalog,
        slice: i64,
        keys: &[GroupKey],
    ) -> BTreeMap<(GroupKey, i64, usize), Value> {
        let definition = catalog.definition(&catalog.metrics["m"]);
        let counters = [self.keys.counters(slice, &definition)];
        let mut found = BTreeMap::new();
        for key in keys {
            let reading = self.read(&counters, key, &kinds(catalog)).expect("redis answers").expect("there is a shard");
            let cells = reading.counters.into_iter().flatten();
            found.extend(cells.map(|(bucket, measure, value)| ((key.clone(), bucket, measure), value)));
        }
        found
    }
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

fn random_partial(dice: &mut Dice) -> Partial {
    let count = random_int(dice).map(|n| n & i64::MAX);
    let ints = [count, random_int(dice), random_int(dice), random_int(dice)];
    let floats = [random_float(dice), random_float(dice), random_float(dice)];
    ((*dice.pick(&TEXTS)).to_owned(), dice.between(-2, 2) * dice.between(0, CHUNK_BUCKETS), ints, floats)
}

#[test]
fn counters_merge_by_the_laws() {
    let (server, catalog) = (Redis::start(), catalog());
    let (kinds, definition) = (kinds(&catalog), catalog.definition(&catalog.metrics["m"]));
    let keys: Vec<GroupKey> = TEXTS.map(|text| GroupKey::new(&[Some(KeyValue::Text(text.to_owned()))])).into();
    let first = first_seed();
    let mut overflows = 0;
    for seed in first..first + 150 {
        let mut dice = Dice::new(seed);
        let mut bench = Bench::new(server.connect(), &format!("counters-{seed}"));
        bench.open(0, std::slice::from_ref(&definition)).expect("opened");
        let mut kept: BTreeMap<i64, Kept> = BTreeMap::new();
        for _ in 0..dice.between(1, 8) {
            // A plan gives each group key and bucket once.
            let rows = (0..dice.below(9)).map(|_| random_partial(&mut dice)).map(|row| ((row.0.clone(), row.1), row));
            let rows: Vec<Partial> = rows.collect::<BTreeMap<_, _>>().into_values().collect();
            let partials = partials(&catalog, &rows);
            let slice = bench.expected().slice;
            kept.entry(slice).or_default().add(&kinds, &partials);
            bench.add_twice(&catalog, &partials);
            if dice.chance(20) {
                bench.rotate(100).expect("rotated");
            }
        }
        for (slice, kept) in &kept {
            let read = bench.counters(&catalog, *slice, &keys);
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
    let (server, catalog) = (Redis::start(), catalog());
    let (kinds, definition) = (kinds(&catalog), catalog.definition(&catalog.metrics["m"]));
    let key = |text: &str| GroupKey::new(&[Some(KeyValue::Text(text.to_owned()))]);
    let row = |text: &str, sum: i64, float: f64| -> Partial {
        (text.to_owned(), 0, [Some(1), Some(sum), Some(sum), Some(sum)], [float, float, float])
    };
    for sign in [1, -1] {
        let mut bench = Bench::new(server.connect(), &format!("overflow{sign}"));
        bench.open(0, std::slice::from_ref(&definition)).expect("opened");
        let (limit, huge) = (if sign > 0 { i64::MAX } else { i64::MIN }, f64::from(sign) * 1e308);
        let batches = [
            vec![row("up", limit, huge), row("a", 1, 0.5)],
            vec![row("a", 2, 0.5), row("up", i64::from(sign), huge), row("a", 3, 0.5)],
            // It sticks: what would bring it back may belong to another slice.
            vec![row("up", -i64::from(sign), -huge), row("a", 4, 0.5)],
        ];
        for batch in &batches {
            bench.add_twice(&catalog, &partials(&catalog, batch));
        }
        let read = bench.counters(&catalog, 0, &[key("up"), key("a")]);
        let of = |text: &str| (0..7).map(|measure| read[&(key(text), 0, measure)].clone()).collect::<Vec<_>>();
        let int = |n: i64| Value::Int(n.into());
        let (least, most) = (limit.min(-i64::from(sign)), limit.max(-i64::from(sign)));
        let (least, most) = (least.min(i64::from(sign)), most.max(i64::from(sign)));
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
        assert_eq!(bench.expected().cursor, 3);
        assert_eq!(kinds.len(), 7);
    }
}

#[test]
fn a_micro_batch_may_have_more_values_than_lua_can_unpack() {
    let (server, catalog) = (Redis::start(), catalog());
    let definition = catalog.definition(&catalog.metrics["m"]);
    let mut bench = Bench::new(server.connect(), "large");
    bench.open(0, std::slice::from_ref(&definition)).expect("opened");
    let rows: Vec<Partial> = (0..20_000_i64)
        .map(|n| (n.to_string(), n % 3, [Some(1), Some(n), Some(n), Some(n)], [0.5, 0.5, 0.5]))
        .collect();
    bench.add_twice(&catalog, &partials(&catalog, &rows));
    let keys: Vec<GroupKey> = rows.iter().map(|row| GroupKey::new(&[Some(KeyValue::Text(row.0.clone()))])).collect();
    let read = bench.counters(&catalog, 0, &keys);
    for (n, key) in keys.iter().enumerate().skip(1) {
        assert_eq!(read[&(key.clone(), n as i64 % 3, 1)], Value::Int(n as i128));
    }
}

/// Metrics that differ only in what is calculated afterwards share a definition, and so their counters: each event is
/// counted into them once.
#[test]
fn metrics_of_one_definition_count_an_event_once() {
    let derived = "\n[metrics.m.derived]\nratio = \"sum / count\"\n";
    let twin =
        super::CATALOG[super::CATALOG.find("[metrics.m]").expect("it has one")..].replace("metrics.m", "metrics.twin");
    let catalog = Catalog::parse(&format!("{}{derived}{twin}", super::CATALOG)).expect("a valid catalog");
    assert_eq!(catalog.definition(&catalog.metrics["m"]), catalog.definition(&catalog.metrics["twin"]));
    let metrics = CompiledMetrics::new(&catalog, &catalog.sources["s"]);
    let server = Redis::start();
    let mut bench = Bench::new(server.connect(), "twins");
    bench.open(0, &metrics.definitions()).expect("opened");
    let events =
        df!("at" => [0_i64, 1], "k" => ["a", "a"], "n" => [5_i64, 6], "x" => [0.5, 0.25]).expect("four columns");
    let batch = MicroBatch { from: 0, to: 2, events, records: 2, opened: std::time::Instant::now() };
    let [addition] = metrics.aggregate(&batch).expect("planned").try_into().expect("one definition");
    let (expected, merged) = (bench.expected(), bench.merged(0, &addition));
    let reply = bench.apply(&expected, 2, &[(addition.definition, merged)]).expect("redis answers");
    assert!(matches!(reply, Reply::Done(_)));
    let read = bench.counters(&catalog, 0, &[GroupKey::new(&[])]);
    assert_eq!(read[&(GroupKey::new(&[]), 0, 0)], Value::Int(2));
    assert_eq!(read[&(GroupKey::new(&[]), 0, 1)], Value::Int(11));
}
