//! The rule as a table.

use proptest::prelude::*;

use super::*;
use crate::measure::MeasureKind::{Count, MaxInt, SumFloat};
use Value::{Float, Int, Null, Overflow};

const KINDS: [MeasureKind; 3] = [Count, SumFloat, MaxInt];
const RANGE: TimeRange = TimeRange { from_us: 100, to_us: 400 };

fn merged(batch: &[(i64, [Value; 3])], speed: &[SpeedCell]) -> Merged {
    total(&KINDS, batch.iter().map(|(bucket, values)| (*bucket, values.as_slice())), speed.iter().cloned(), RANGE)
}

#[test]
fn an_answer_is_batch_and_speed_together() {
    let nothing = || [Int(0), Float(0.0), Null];
    let one = || [Int(1), Float(0.5), Int(7)];
    // What the case shows, the cells of each layer, the merged values, and the layers that contributed.
    type Row = (&'static str, Vec<(i64, [Value; 3])>, Vec<SpeedCell>, [Value; 3], Layer);
    let table: Vec<Row> = vec![
        ("nothing is authoritative", vec![], vec![], nothing(), Layer::Batch),
        ("batch alone", vec![(100, one())], vec![], one(), Layer::Batch),
        ("speed alone", vec![], vec![(100, 0, Int(2))], [Int(2), Float(0.0), Null], Layer::Speed),
        (
            "both",
            vec![(100, one()), (399, one())],
            vec![(100, 0, Int(2)), (200, 0, Int(3)), (300, 1, Float(0.25)), (300, 2, Int(9))],
            [Int(7), Float(1.25), Int(9)],
            Layer::Both,
        ),
        (
            "the range is half-open",
            vec![(99, one()), (400, one())],
            vec![(99, 0, Int(1)), (400, 0, Int(1))],
            nothing(),
            Layer::Batch,
        ),
        (
            "an overflow in a slice",
            vec![(100, one())],
            vec![(100, 1, Overflow)],
            [Int(1), Overflow, Int(7)],
            Layer::Both,
        ),
        (
            "halves that cancel out are no overflow",
            vec![(100, [Int(i128::from(i64::MAX)), Float(0.0), Null])],
            vec![(100, 0, Int(5)), (200, 0, Int(-6))],
            [Int(i128::from(i64::MAX) - 1), Float(0.0), Null],
            Layer::Both,
        ),
        ("a batch row of nothing is a row", vec![(100, nothing())], vec![], nothing(), Layer::Batch),
    ];
    for (what, batch, speed, values, layer) in table {
        let total = merged(&batch, &speed);
        assert_eq!(total.values, values, "{what}");
        assert_eq!(total.layer, layer, "{what}");
        let together =
            KINDS.iter().zip(&total.batch).zip(&total.speed).map(|((kind, a), b)| kind.merge(a.clone(), b.clone()));
        assert_eq!(together.collect::<Vec<_>>(), values, "{what}: what the layers contributed is the answer");
    }
}

#[test]
fn a_series_has_a_point_for_every_step() {
    let one = || [Int(1), Float(0.5), Int(7)];
    let batch = [(100, one()), (190, one()), (390, one()), (400, one())];
    let speed = [(90, 0, Int(9)), (190, 0, Int(5)), (200, 0, Int(3))];
    let cells = || batch.iter().map(|(bucket, values)| (*bucket, values.as_slice()));
    let points = series(&KINDS, cells(), speed, &[100, 200, 300, 400]);
    let shown: Vec<_> = points.iter().map(|point| (point.values[0].clone(), point.layer)).collect();
    assert_eq!(shown, [(Int(7), Layer::Both), (Int(3), Layer::Speed), (Int(1), Layer::Batch)]);
    // Before 1970, and with a step that is longer than the others.
    let cells = [(-200, 0, Int(1)), (-1, 0, Int(2)), (99, 0, Int(4)), (100, 0, Int(8)), (300, 0, Int(16))];
    let points = series(&KINDS, [], cells, &[-200, -100, 100, 200]);
    let shown: Vec<_> = points.iter().map(|point| point.values[0].clone()).collect();
    assert_eq!(shown, [Int(1), Int(6), Int(8)]);
    for none in [&[100][..], &[]] {
        assert!(series(&KINDS, [], [(100, 0, Int(1))], none).is_empty());
    }
}

proptest! {
    #[test]
    fn a_window_says_what_a_total_over_its_steps_says(
        batch in prop::collection::vec((0..12_i64, 0..9_i64), 0..20),
        speed in prop::collection::vec((0..12_i64, 0..9_i64), 0..20),
        window in 1..15_usize,
    ) {
        let rows: Vec<(i64, [Value; 3])> =
            batch.iter().map(|(at, n)| (at * 10, [Int((*n).into()), Float(*n as f64), Int((*n).into())])).collect();
        let cells: Vec<SpeedCell> = speed.iter().map(|(at, n)| (at * 10 + 5, (*n % 3) as usize, value(*n))).collect();
        let rows = || rows.iter().map(|(bucket, values)| (*bucket, values.as_slice()));
        let boundaries: Vec<i64> = (0..=12).map(|step| step * 10).collect();
        let slid = sliding(&KINDS, rows(), cells.clone(), &boundaries, window);
        let expected = boundaries.windows(window + 1).map(|of| {
            total(&KINDS, rows(), cells.clone(), TimeRange { from_us: of[0], to_us: of[window] })
        });
        prop_assert_eq!(slid, expected.collect::<Vec<_>>());
    }
}

/// A value of the measure that the number names.
fn value(n: i64) -> Value {
    if n % 3 == 1 { Float(n as f64) } else { Int(n.into()) }
}
