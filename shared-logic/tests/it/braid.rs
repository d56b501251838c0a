//! One definition, two layers, any split: the answers agree.
//!
//! For random catalogs and records, cut at a random offset per partition into batch and speed, and the speed part into
//! slices, micro-batches and restarts, the merged answers equal
//!
//! - one plan over everything, and
//! - a fold over the rows by hand, which shares no code with the crate: its own JSON, its own identities, its own buckets.

mod catalogs;
mod layers;
mod oracle;
mod records;

use shared_logic::group_key::{GroupKey, KeyPart, KeyValue};
use shared_logic::merge::{self, Layer, Merged};
use shared_logic::schema::FieldType;
use shared_logic::time::TimeRange;
use test_kit::{Dice, first_seed, repetitions};

use catalogs::Definition;
use layers::Layers;
use oracle::Row;
use records::Shape;

const QUESTIONS: usize = 25;

/// A key asked for: one part per `by` column.
type Key = Vec<KeyPart>;

#[test]
fn any_split_answers_like_one_plan_and_like_a_fold_by_hand() {
    let first = first_seed();
    let (mut rows, mut duplicates, mut rejected, mut missing, mut shortened) = (0, 0, 0, 0, 0);
    for seed in first..first + repetitions(60, 600) {
        let mut dice = Dice::new(seed);
        let definition = Definition::random(&mut dice);
        let partitions = records::random(&mut dice, &definition, Shape::InsideTheWindow);
        let counted = oracle::decode_all(&definition, &partitions);
        let distinct = oracle::distinct(&definition, &counted);
        rows += distinct.len();
        duplicates += counted.len() - distinct.len();
        rejected += partitions.iter().map(|partition| partition.records.len()).sum::<usize>() - counted.len();

        let layers = Layers::split(&mut dice, &definition, &partitions);
        let everything = Layers::all_batch(&definition, &partitions);
        for _ in 0..QUESTIONS {
            let key = random_key(&mut dice, &definition, &distinct);
            let range = random_range(&mut dice, &definition, &distinct);
            let step_us = definition.metric().grain_us * dice.between(1, 3);
            let of = |range: TimeRange| oracle::fold(&definition, &distinct, &key, range);
            missing += key.iter().filter(|part| **part == KeyPart::Missing).count();
            shortened += key.iter().filter(|part| is_shortened(part)).count();
            let told = || format!("BRAID_SEED={seed}: {key:?} in {range:?}\n{}\n{layers}", definition.text);

            let total = layers.total(&definition, &key, range);
            assert_eq!(total.values, of(range), "{}", told());
            assert_eq!(everything.total(&definition, &key, range).values, of(range), "one plan, {}", told());
            check_layer_totals(&definition, &layers, &counted, &key, range, &total, &told);

            let whole_steps = range.widened(step_us);
            let series = layers.series(&definition, &key, whole_steps, step_us);
            assert_eq!(series.len() as i64, (whole_steps.to_us - whole_steps.from_us) / step_us, "{}", told());
            for (at, (start, point)) in series.into_iter().enumerate() {
                assert_eq!(start, whole_steps.from_us + at as i64 * step_us, "{}", told());
                assert_eq!(
                    point.values,
                    of(TimeRange { from_us: start, to_us: start + step_us }),
                    "at {start}, {}",
                    told()
                );
            }
        }
    }
    assert!(
        rows > 1_000 && duplicates > 100 && rejected > 100,
        "{rows} rows, {duplicates} copies, {rejected} rejected"
    );
    assert!(missing > 20 && shortened > 5, "{missing} absent values and {shortened} long texts were asked for");
}

fn is_shortened(part: &KeyPart) -> bool {
    matches!(part, KeyPart::Value(KeyValue::Text(text)) if text.contains('…'))
}

/// Each layer contributes exactly the events on its side of the cut; merged, they are the answer.
fn check_layer_totals(
    definition: &Definition,
    layers: &Layers,
    counted: &[Row],
    key: &Key,
    range: TimeRange,
    total: &Merged,
    told: &dyn Fn() -> String,
) {
    // Below the cut the first copy stands; above it, the copies of what lies below are gone, too.
    let distinct = oracle::distinct(definition, counted);
    let (below, above): (Vec<Row>, Vec<Row>) =
        distinct.into_iter().partition(|row| row.offset < layers.cut(row.partition));
    assert_eq!(total.batch, oracle::fold(definition, &below, key, range), "batch, {}", told());
    assert_eq!(total.speed, oracle::fold(definition, &above, key, range), "speed, {}", told());
    if definition.measures.iter().any(|measure| measure.sql == "count()") {
        let any = |rows: &[Row]| oracle::matching(definition, rows, key, range).next().is_some();
        let layer = match (any(&below), any(&above)) {
            (true, true) => Layer::Both,
            (false, true) => Layer::Speed,
            (_, false) => Layer::Batch,
        };
        assert_eq!(total.layer, layer, "{}", told());
    }
}

/// Copies farther apart than the window are counted by speed, one by one, and only until the cut has passed them.
#[test]
fn copies_beyond_the_window_are_overcounted_until_the_cut_passes() {
    let first = first_seed();
    let mut over = 0;
    for seed in first..first + repetitions(40, 400) {
        let mut dice = Dice::new(seed);
        let definition = Definition::counting(&mut dice);
        let partitions = records::random(&mut dice, &definition, Shape::BeyondTheWindow);
        let counted = oracle::decode_all(&definition, &partitions);
        let layers = Layers::split(&mut dice, &definition, &partitions);
        let late = oracle::copies_beyond(&definition, &counted);
        let expected = late.iter().filter(|row| row.offset >= layers.cut(row.partition)).count() as i128;
        let exact = oracle::distinct(&definition, &counted).len() as i128;
        let total = layers.total(&definition, &Vec::new(), TimeRange::ALL);
        assert_eq!(total.values, [oracle::int(exact + expected)], "BRAID_SEED={seed}\n{layers}");
        let everything = Layers::all_batch(&definition, &partitions).total(&definition, &Vec::new(), TimeRange::ALL);
        assert_eq!(everything.values, [oracle::int(exact)], "BRAID_SEED={seed}: below the cut it is exact");
        over += expected;
    }
    assert!(over > 20, "only {over} copies were overcounted");
}

/// The key of some row, of none, or of everything, with some columns left out.
fn random_key(dice: &mut Dice, definition: &Definition, rows: &[Row]) -> Key {
    let by = &definition.metric().by;
    let mut key: Key = match rows {
        [] => by.iter().map(|_| KeyPart::All).collect(),
        rows => {
            let row = dice.pick(rows);
            by.iter().map(|column| asked(row, column)).collect()
        }
    };
    let summed = dice.below(1 << by.len());
    for (at, part) in key.iter_mut().enumerate() {
        if summed >> at & 1 == 1 {
            *part = KeyPart::All;
        } else if let KeyPart::Value(value) = part
            && dice.chance(3)
        {
            match value {
                KeyValue::Text(text) => text.push('?'),
                KeyValue::Int(int) => *int += 1_000_000,
                KeyValue::Bool(_) => {}
                KeyValue::Timestamp(us) => *us += 1,
            }
        }
    }
    key
}

/// What a query asks for that gives a row's value: a text is given whole, and read as the parameter of a query.
fn asked(row: &Row, column: &str) -> KeyPart {
    match row.text(column) {
        Some(text) => KeyPart::Value(KeyValue::parse(FieldType::String, text).expect("any text is one")),
        None => row.key_part(column),
    }
}

/// Whole buckets around some rows, or everything between the first and the last.
fn random_range(dice: &mut Dice, definition: &Definition, rows: &[Row]) -> TimeRange {
    let grain_us = definition.metric().grain_us;
    let times: Vec<i64> = rows.iter().map(|row| row.at_us).collect();
    let (Some(first), Some(last)) = (times.iter().min(), times.iter().max()) else {
        return TimeRange { from_us: 0, to_us: grain_us };
    };
    let around =
        |dice: &mut Dice| if dice.chance(30) { (*first, *last) } else { (*dice.pick(&times), *dice.pick(&times)) };
    let (a, b) = around(dice);
    // Not more points than a query may have.
    let to_us = (a.max(b) + 1).min(a.min(b) + grain_us * 2_000);
    TimeRange { from_us: a.min(b), to_us }.widened(grain_us)
}

impl Layers {
    fn total(&self, definition: &Definition, key: &Key, range: TimeRange) -> Merged {
        let (kinds, batch, speed) =
            (definition.kinds(), self.batch_rows(definition, key), self.speed_cells(definition, &GroupKey::new(key)));
        merge::total(&kinds, batch.iter().map(|(bucket, values)| (*bucket, values.as_slice())), speed, range)
    }

    fn series(&self, definition: &Definition, key: &Key, range: TimeRange, step_us: i64) -> Vec<(i64, Merged)> {
        let (kinds, batch, speed) =
            (definition.kinds(), self.batch_rows(definition, key), self.speed_cells(definition, &GroupKey::new(key)));
        let boundaries: Vec<i64> = (range.from_us..=range.to_us).step_by(step_us as usize).collect();
        let batch = batch.iter().map(|(bucket, values)| (*bucket, values.as_slice()));
        boundaries.iter().copied().zip(merge::series(&kinds, batch, speed, &boundaries)).collect()
    }
}
