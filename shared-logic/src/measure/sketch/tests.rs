//! Sketches say what exact counts say, as far as they promise; and others can read them.

use std::collections::{BTreeMap, BTreeSet};

use datasketches::common::NumStdDev;
use datasketches::hash::value::raw_bytes;
use datasketches::theta::{CompactThetaSketch, ThetaSketchBuilder};
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::measure::{Argument, MeasureKind, Value};

fn of<'a>(kind: MeasureKind, events: impl IntoIterator<Item = Argument<'a>>) -> Value {
    events.into_iter().fold(kind.identity(), |sum, of| kind.merge(sum, kind.of_event(of)))
}

fn theta(value: &Value) -> &Theta {
    if let Some(Sketch::Distinct(theta)) = value.sketch() { theta } else { panic!("{value} is no such sketch") }
}

fn bins(value: &Value) -> &Bins {
    if let Some(Sketch::Quantile(bins)) = value.sketch() { bins } else { panic!("{value} is no such sketch") }
}

fn frequent(value: &Value) -> &Frequent {
    if let Some(Sketch::Top(frequent)) = value.sketch() { frequent } else { panic!("{value} is no such sketch") }
}

/// The sketch of the crate `datasketches`, trimmed and ordered, as bytes.
fn by_the_crate<'a>(texts: impl Iterator<Item = &'a str>, lg_k: u8) -> Vec<u8> {
    let mut sketch = ThetaSketchBuilder::default().lg_k(lg_k).build().expect("a size that it has");
    texts.for_each(|text| sketch.update(raw_bytes::from_str(text)));
    sketch.trim();
    sketch.compact(true).serialize()
}

#[test]
fn the_bytes_are_those_that_apache_datasketches_writes() {
    let kind = MeasureKind::Distinct { k: 128 };
    for count in [0, 1, 2, 127, 128, 129, 5_000] {
        let texts: Vec<String> = (0..count).map(|n| "seite/".repeat(n % 7) + &n.to_string()).collect();
        let ours = of(kind, texts.iter().map(|text| Argument::Text(text)));
        let bytes = ours.sketch().expect("a sketch").to_bytes();
        assert_eq!(bytes, by_the_crate(texts.iter().map(String::as_str), 7), "{count} texts");
        let theirs = CompactThetaSketch::deserialize(&bytes).expect("it reads them");
        assert_eq!(theirs.estimate().round() as i64, theta(&ours).estimate(), "{count} texts");
        let (low, high) = theta(&ours).bounds();
        let theirs = [theirs.lower_bound(NumStdDev::Two), theirs.upper_bound(NumStdDev::Two)];
        let is_near = |ours: i64, theirs: f64| (ours as f64 - theirs).abs() <= 1.0;
        assert!(is_near(low, theirs[0]) && is_near(high, theirs[1]), "{count} texts: {low} to {high}, {theirs:?}");
    }
    // An integer is hashed as its eight bytes are.
    let mut sketch = ThetaSketchBuilder::default().lg_k(7).build().expect("a size that it has");
    [5_i64, -1].into_iter().for_each(|x| sketch.update(x));
    let ours = of(kind, [Argument::Int(5), Argument::Int(-1)]);
    assert_eq!(ours.sketch().expect("a sketch").to_bytes(), sketch.compact(true).serialize());
}

#[test]
fn what_is_no_canonical_sketch_is_not_read() {
    let kind = MeasureKind::Distinct { k: 128 };
    for count in [0, 1, 2, 128, 300] {
        let bytes = of(kind, (0..count).map(Argument::Int)).sketch().expect("a sketch").to_bytes();
        assert!(Theta::read(&bytes, 128).is_some(), "{count}");
        assert!((0..bytes.len()).all(|length| Theta::read(&bytes[..length], 128).is_none()), "{count}");
        assert!(Theta::read(&[bytes.as_slice(), &[0; 8]].concat(), 128).is_none(), "{count}");
    }
    let full = of(kind, (0..300).map(Argument::Int)).sketch().expect("a sketch").to_bytes();
    assert!(Theta::read(&full, 127).is_none() && Theta::read(&full, 256).is_none(), "of another size");
    let mut unordered = full.clone();
    unordered[24..40].rotate_left(8);
    assert!(Theta::read(&unordered, 128).is_none());
    assert!(Bins::read(&[2]).is_none() && Bins::read(&[1, 0, 0]).is_none() && Bins::read(&[1, 9, 1, 0, 1]).is_none());
    assert!(Frequent::read(&[2, 0], 9).is_none() && Frequent::read(&[1, 0, 7, 1, 7, 1], 9).is_none());
    assert!(Frequent::read(&[1, 0, 7, 1, 8, 1], 1).is_none(), "more than there is room for");
}

#[test]
fn the_number_of_different_values_is_exact_up_to_k_and_within_its_bounds_beyond() {
    let kind = MeasureKind::Distinct { k: 1_024 };
    let mut outside = 0;
    for round in 0..40_i64 {
        for count in [1_024, 20_000] {
            // Each value twice.
            let values = (0..count).chain(0..count).map(|n| Argument::Int(round * 1_000_000 + n));
            let folded = of_column(kind, values);
            let theta = theta(&folded);
            let (low, high) = theta.bounds();
            if count == 1_024 {
                assert!(theta.is_exact() && [theta.estimate(), low, high] == [count; 3]);
            } else {
                assert!(!theta.is_exact() && low < theta.estimate() && theta.estimate() < high);
                outside += usize::from(!(low..=high).contains(&count));
            }
        }
    }
    assert!(outside <= 6, "{outside} of 40 were outside of bounds that hold in 95 of 100 cases");
}

/// What a report's table holds of a sketch is its number.
#[test]
fn the_bounds_of_a_number_are_those_of_its_sketch() {
    let k = 4_096;
    for values in [0, 1, 4_095, 4_096, 4_097, 5_000, 100_000] {
        let value = of_column(MeasureKind::Distinct { k }, (0..values).map(Argument::Int));
        let (sketch, number) = (theta(&value).bounds(), theta(&value).estimate());
        let (low, high) = Theta::bounds_of(number, k);
        match values {
            0..=4_096 => assert_eq!([low, high, number], [values; 3]),
            // Whether it is counted or estimated does not show in a number that is about `k`.
            4_097 => {}
            _ => assert!(low < number && number < high, "{values}"),
        }
        // The number is rounded.
        assert!((low - sketch.0).abs() <= 2 && (high - sketch.1).abs() <= 2, "{values}: {low} {high} for {sketch:?}");
    }
}

/// As a column is folded, where one value at a time would take long.
fn of_column<'a>(kind: MeasureKind, events: impl Iterator<Item = Argument<'a>>) -> Value {
    use crate::measure::Arguments;
    let ints = events.map(|of| if let Argument::Int(x) = of { Some(x) } else { None });
    let arguments = Arguments::Ints(ints.collect());
    let groups = if let Arguments::Ints(of) = &arguments { vec![0; of.len()] } else { Vec::new() };
    let mut values = vec![kind.identity()];
    kind.fold(&mut values, &groups, &arguments);
    values.remove(0)
}

/// Values of all sizes, of which many are equal.
fn number() -> impl Strategy<Value = f64> {
    let size = prop_oneof![
        1e-9..1e-6_f64,
        0.5..2.0,
        1.0..1e4,
        1e15..1.8e19,
        Just(1.0),
        Just(1e-9),
        Just(18_446_744_073_709_551_616.0)
    ];
    prop_oneof![8 => (size, any::<bool>()).prop_map(|(x, is_negative): (f64, bool)| if is_negative { -x } else { x }), 1 => Just(0.0)]
}

proptest! {
    #[test]
    fn a_quantile_is_within_its_error(values in prop::collection::vec(number(), 1..200), q in 0.0..=1.0) {
        let folded = of(MeasureKind::Quantile, values.iter().map(|x| Argument::Float(*x)));
        let mut sorted = values.clone();
        sorted.sort_by(f64::total_cmp);
        for q in [q, 0.0, 0.5, 1.0] {
            let expected = sorted[(q * (sorted.len() - 1) as f64) as usize];
            let found = bins(&folded).quantile(q).expect("there are values");
            let error = (found - expected).abs() / expected.abs().max(f64::MIN_POSITIVE);
            prop_assert!(found == expected || error <= RELATIVE_ERROR, "{found} for {expected}");
        }
        prop_assert_eq!(bins(&folded).relative_error(), Some(RELATIVE_ERROR));
        prop_assert_eq!(bins(&folded).count(), values.len() as u64);
    }

    /// However events are split, over parts and in whatever order, the bytes are the same.
    #[test]
    fn distinct_and_quantile_follow_from_the_events_alone(
        values in prop::collection::vec(0..600_i64, 0..500),
        ends in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
    ) {
        for kind in [MeasureKind::Distinct { k: 128 }, MeasureKind::Quantile] {
            let mut ends: Vec<usize> = ends.iter().map(|end| end.index(values.len() + 1)).chain([0, values.len()]).collect();
            ends.sort_unstable();
            let parts = ends.windows(2).rev().map(|end| of_column(kind, values[end[0]..end[1]].iter().map(|x| Argument::Int(*x))));
            let merged = parts.fold(kind.identity(), |sum, part| kind.merge(sum, part));
            let one_by_one = of(kind, values.iter().rev().map(|x| Argument::Int(*x)));
            prop_assert_eq!(merged.sketch().map(Sketch::to_bytes), one_by_one.sketch().map(Sketch::to_bytes));
        }
        let counted: BTreeSet<i64> = values.iter().copied().collect();
        let folded = of_column(MeasureKind::Distinct { k: 4_096 }, values.iter().map(|x| Argument::Int(*x)));
        prop_assert_eq!(theta(&folded).estimate(), counted.len() as i64);
    }

    /// Far more different values than there is room for, most of them rare.
    #[test]
    fn bounds_of_frequent_values_hold_however_events_are_split(
        values in prop::collection::vec(prop_oneof![2 => 0..10_i64, 3 => 0..5_000_i64], 0..2_000),
        at in any::<prop::sample::Index>(),
    ) {
        let kind = MeasureKind::Top { n: 5 };
        let mut expected: BTreeMap<i64, u64> = BTreeMap::new();
        values.iter().for_each(|x| *expected.entry(*x).or_default() += 1);
        let split = at.index(values.len() + 1);
        let [left, right] = [&values[..split], &values[split..]].map(|part| of_column(kind, part.iter().map(|x| Argument::Int(*x))));
        let merged = kind.merge(left, right);
        let whole = of_column(kind, values.iter().map(|x| Argument::Int(*x)));
        let error_max = values.len() as u64 / 257;
        for summary in [&merged, &whole].map(frequent) {
            prop_assert_eq!(summary.is_exact(), expected.len() <= 256);
            for Ranked { value, count, at_most } in summary.ranked(1_000) {
                let seen = expected[&value.as_i64().expect("an integer")];
                prop_assert!(count <= seen && seen <= at_most && at_most - count <= error_max, "{count} {seen} {at_most}");
            }
        }
        let (merged, whole) = (merged.sketch().expect("a sketch"), whole.sketch().expect("a sketch"));
        prop_assert!(merged.agrees_with(whole) && whole.agrees_with(merged));
    }
}

#[test]
fn values_beyond_the_bins_are_said_to_be_beyond() {
    let folded = of(MeasureKind::Quantile, [1.0, 1e300].map(Argument::Float));
    assert_eq!(
        (bins(&folded).relative_error(), bins(&folded).quantile(1.0)),
        (None, Some(18_446_744_073_709_551_616.0))
    );
    let small = of(MeasureKind::Quantile, [1e-10, -1e-300].map(Argument::Float));
    assert_eq!((bins(&small).relative_error(), bins(&small).quantile(0.5)), (Some(RELATIVE_ERROR), Some(0.0)));
    assert_eq!(bins(&MeasureKind::Quantile.identity()).quantile(0.5), None);
    let written = folded.sketch().expect("a sketch").to_bytes();
    assert_eq!(Bins::read(&written).as_ref(), Some(bins(&folded)));
}

#[test]
fn frequent_values_of_any_type_are_ranked_and_read_as_they_were_written() {
    let kind = MeasureKind::Top { n: 2 };
    let long = "ü".repeat(400);
    let texts = ["b", "a", "b", "", &long, &long, &long].map(Argument::Text);
    let columns = [
        texts.to_vec(),
        [7, -7, 7, i64::MIN].map(Argument::Int).to_vec(),
        [true, false, true].map(Argument::Bool).to_vec(),
        [1_776_988_800_000_000, 0].map(Argument::Instant).to_vec(),
    ];
    let shown = columns.map(|events| {
        let folded = of(kind, events);
        let written = folded.sketch().expect("a sketch").to_bytes();
        assert_eq!(Frequent::read(&written, 256).as_ref(), Some(frequent(&folded)));
        let ranked = frequent(&folded).ranked(2);
        ranked.into_iter().map(|ranked| (ranked.value, ranked.count)).collect::<Vec<_>>()
    });
    let [texts, ints, bools, instants] = shown;
    assert!(texts[0].0.as_str().is_some_and(|text| text.len() <= 256 && text.starts_with("üü")), "{texts:?}");
    assert_eq!((texts[0].1, &texts[1]), (3, &(json!("b"), 2)));
    assert_eq!(ints, [(json!(7), 2), (json!(i64::MIN), 1)], "of equal counts, the smallest value");
    assert_eq!(bools, [(json!(true), 2), (json!(false), 1)]);
    assert_eq!(instants, [(json!("1970-01-01T00:00:00Z"), 1), (json!("2026-04-24T00:00:00Z"), 1)]);
}

#[test]
fn a_sketch_is_told_from_another_that_says_the_same() {
    let kind = MeasureKind::Distinct { k: 128 };
    let [one, other] = ["a", "b"].map(|text| of(kind, [Argument::Text(text)]).to_string());
    assert!(one.starts_with("1 distinct (sketch ") && one != other, "{one} {other}");
}
