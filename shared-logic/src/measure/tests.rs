//! The laws: a value may be split and merged in any way.

use proptest::prelude::*;

use super::*;

/// A value that a partial of that kind can have.
fn value(kind: MeasureKind) -> BoxedStrategy<Value> {
    let int = prop_oneof![any::<i64>(), -3_i64..3, Just(i64::MAX), Just(i64::MIN)].prop_map(|x| Value::Int(x.into()));
    // Quarters add up exactly in any order.
    let exact = (-1_000_000_i64..1_000_000).prop_map(|quarters| Value::float(quarters as f64 / 4.0));
    let float = any::<f64>().prop_map(Value::float);
    let nothing = Just(kind.identity());
    match kind {
        MeasureKind::Count => prop_oneof![(0..i64::MAX).prop_map(|x| Value::Int(x.into())), nothing].boxed(),
        MeasureKind::SumInt => prop_oneof![8 => int, 1 => nothing, 1 => Just(Value::Overflow)].boxed(),
        MeasureKind::MinInt | MeasureKind::MaxInt => prop_oneof![8 => int, 1 => nothing].boxed(),
        MeasureKind::SumFloat => prop_oneof![8 => exact, 1 => nothing, 1 => Just(Value::Overflow)].boxed(),
        MeasureKind::MinFloat | MeasureKind::MaxFloat => prop_oneof![8 => float, 1 => nothing].boxed(),
        // As many values as one of them keeps, so that some are left out.
        MeasureKind::Distinct { .. } => sketch(kind, 0..400),
        MeasureKind::Quantile => sketch(kind, i64::MIN..i64::MAX),
        // Fewer than there is room for: beyond that, the order of merging may change what is taken from counts.
        MeasureKind::Top { .. } => sketch(kind, 0..100),
    }
}

/// The sketch of some of those integers.
fn sketch(kind: MeasureKind, of: std::ops::Range<i64>) -> BoxedStrategy<Value> {
    let values = prop::collection::vec(of, 0..60);
    values.prop_map(move |values| folded(kind, values.into_iter().map(Argument::Int))).boxed()
}

fn folded<'a>(kind: MeasureKind, of: impl IntoIterator<Item = Argument<'a>>) -> Value {
    of.into_iter().fold(kind.identity(), |sum, of| kind.merge(sum, kind.of_event(of)))
}

/// Every measure; a sketch so small that it is full soon.
fn kinds() -> Vec<MeasureKind> {
    let small = |kind: MeasureKind| {
        if let MeasureKind::Distinct { .. } = kind { MeasureKind::Distinct { k: 128 } } else { kind }
    };
    MeasureKind::ALL.into_iter().map(small).collect()
}

fn of_any_kind<const N: usize>() -> impl Strategy<Value = (MeasureKind, [Value; N])> {
    prop::sample::select(kinds()).prop_flat_map(|kind| (Just(kind), std::array::from_fn(|_| value(kind))))
}

proptest! {
    #[test]
    fn merging_is_associative_and_commutative((kind, [a, b, c]) in of_any_kind::<3>()) {
        let merge = |a: &Value, b: &Value| kind.merge(a.clone(), b.clone());
        prop_assert_eq!(merge(&merge(&a, &b), &c), merge(&a, &merge(&b, &c)));
        prop_assert_eq!(merge(&a, &b), merge(&b, &a));
    }

    #[test]
    fn the_identity_changes_nothing((kind, [a]) in of_any_kind::<1>()) {
        prop_assert_eq!(kind.merge(a.clone(), kind.identity()), a.clone());
        prop_assert_eq!(kind.merge(kind.identity(), a.clone()), a);
    }

    #[test]
    fn an_overflow_stays_one((kind, [a]) in of_any_kind::<1>()) {
        prop_assert_eq!(kind.merge(a.clone(), Value::Overflow), Value::Overflow);
        prop_assert_eq!(kind.merge(Value::Overflow, a), Value::Overflow);
        prop_assert_eq!(Value::Overflow.finalized(), Value::Overflow);
    }

    #[test]
    fn what_was_merged_into_a_sum_can_be_taken_out_again((kind, [a, b]) in of_any_kind::<2>()) {
        let whole = kind.merge(a.clone(), b.clone());
        let is_sum = matches!(kind, MeasureKind::Count | MeasureKind::SumInt | MeasureKind::SumFloat);
        let left = if whole == Value::Overflow { whole.clone() } else { a };
        prop_assert_eq!(kind.without(whole, b), is_sum.then_some(left));
    }

    #[test]
    fn an_extreme_is_one_of_the_two((kind, [a, b]) in of_any_kind::<2>()) {
        prop_assume!(!kind.is_sketch());
        prop_assume!(!matches!(kind, MeasureKind::Count | MeasureKind::SumInt | MeasureKind::SumFloat));
        let merged = kind.merge(a.clone(), b.clone());
        prop_assert!(merged == a || merged == b);
        prop_assert_eq!(kind.merge(a.clone(), a.clone()), a);
    }

    #[test]
    fn any_way_of_splitting_gives_the_same((kind, values) in of_any_kind::<12>(), split in 0..12_usize) {
        let all = |values: &[Value]| values.iter().fold(kind.identity(), |sum, value| kind.merge(sum, value.clone()));
        let (left, right) = values.split_at(split);
        prop_assert_eq!(kind.merge(all(left), all(right)), all(&values));
    }

    #[test]
    fn a_value_is_read_as_it_was_written((kind, [a, b]) in of_any_kind::<2>()) {
        let mut written = Vec::new();
        [&a, &b].into_iter().for_each(|value| kind.write(&mut written, value.clone()));
        let mut rest = written.as_slice();
        prop_assert_eq!(kind.read(&mut rest), Some(a));
        prop_assert_eq!(kind.read(&mut rest), Some(b));
        prop_assert_eq!(kind.read(&mut rest), None);
    }

    #[test]
    fn a_value_that_is_still_merged_is_read_as_it_was_written((kind, [a, b]) in of_any_kind::<2>(), wide in any::<i128>()) {
        let is_int = kind.value_type() == FieldType::Int && !kind.is_sketch();
        let values = [a, if is_int { Value::Int(wide) } else { b }];
        let mut written = Vec::new();
        values.iter().for_each(|value| kind.write_partial(&mut written, value));
        let mut rest = written.as_slice();
        for value in values {
            prop_assert_eq!(kind.read_partial(&mut rest), Some(value));
        }
        prop_assert_eq!(kind.read_partial(&mut rest), None);
        let mut last = Vec::new();
        kind.write_partial(&mut last, &Value::Int(wide));
        prop_assert_eq!(kind.read_partial(&mut last.as_slice()).is_some(), is_int, "of another type");
        prop_assert_eq!(kind.read_partial(&mut &last[..last.len() - 1]), None, "cut off");
    }

    #[test]
    fn a_column_holds_the_values_and_a_sum_that_does_not_fit_stands_in_parts((kind, values) in of_any_kind::<5>(), wide in any::<i128>()) {
        let cells = kind.cells(&kind.column("m", &values)).expect("its type");
        let expected = values.map(Value::finalized);
        prop_assert_eq!(cells.as_slice(), expected.as_slice());
        let parts = Value::Int(wide >> 60).parts();
        let fits = i64::try_from(wide >> 60).is_ok();
        prop_assert_eq!(parts.iter().copied().map(i128::from).sum::<i128>(), if fits { 0 } else { wide >> 60 });
        prop_assert!(parts.len() <= 17, "{} parts", parts.len());
    }

    #[test]
    fn floats_are_finite_and_zero_is_one_zero(x in any::<f64>()) {
        match Value::float(x) {
            Value::Float(kept) => prop_assert!(kept == x && (kept != 0.0 || kept.is_sign_positive())),
            other => prop_assert!(other == Value::Overflow && !x.is_finite()),
        }
    }
}

#[test]
fn sums_are_judged_when_they_are_final() {
    let sum = |values: &[i64]| {
        values.iter().fold(Value::Int(0), |sum, value| MeasureKind::SumInt.merge(sum, Value::Int((*value).into())))
    };
    assert_eq!(sum(&[i64::MAX, 1]).finalized(), Value::Overflow);
    assert_eq!(sum(&[i64::MIN, -1]).finalized(), Value::Overflow);
    assert_eq!(
        sum(&[i64::MAX, i64::MAX, -i64::MAX]).finalized(),
        Value::Int(i64::MAX.into()),
        "in between it may leave 64 bits"
    );
    assert_eq!(MeasureKind::SumInt.merge(Value::Int(i128::MAX), Value::Int(1)), Value::Overflow);
    assert_eq!(MeasureKind::SumFloat.merge(Value::Float(1e308), Value::Float(1e308)), Value::Overflow);
}

#[test]
fn another_number_type_can_never_pass_for_a_number() {
    for kind in MeasureKind::ALL.into_iter().filter(|kind| !kind.is_sketch()) {
        let (int, float) = (Value::Int(1), Value::Float(1.0));
        assert_eq!(kind.merge(int.clone(), float.clone()), Value::Overflow, "{kind:?}");
        assert_eq!(kind.merge(float.clone(), int.clone()), Value::Overflow, "{kind:?}");
        let other = if kind.value_type() == FieldType::Int { float } else { int };
        assert_eq!(kind.merge(other.clone(), other), Value::Overflow, "{kind:?}");
    }
}

#[test]
fn a_measure_is_named_as_the_catalog_writes_it() {
    for kind in MeasureKind::ALL.into_iter().filter(|kind| !kind.is_sketch()) {
        let argument = (kind != MeasureKind::Count).then_some(kind.value_type());
        assert_eq!(MeasureKind::named(kind.name(), argument), Some(kind));
        assert_eq!(MeasureKind::named(kind.name(), Some(FieldType::Bool)), None, "{kind:?}");
    }
}

#[test]
fn sketches_are_named_by_what_they_are_of() {
    use FieldType::{Bool, Float, Int, String, Timestamp};
    let named =
        |name: &str| [String, Int, Float, Bool, Timestamp].map(|of| MeasureKind::named(name, Some(of)).is_some());
    assert_eq!(named("distinct"), [true, true, false, true, true]);
    assert_eq!(named("top"), [true, true, false, true, true]);
    assert_eq!(named("quantile"), [false, true, true, false, false]);
    assert_eq!(MeasureKind::named("distinct", None), None);
    let calls =
        [MeasureKind::Distinct { k: 256 }, MeasureKind::Quantile, MeasureKind::Top { n: 3 }, MeasureKind::Count];
    assert_eq!(calls.map(|kind| kind.call("x")), ["distinct(x, 256)", "quantile(x)", "top(x, 3)", "count(x)"]);
}

#[test]
fn values_stay_as_small_as_a_wide_integer_makes_them() {
    assert_eq!(size_of::<Value>(), 32, "most values are numbers, and there are very many");
}

#[test]
fn values_are_written_so_that_they_can_be_read_back() {
    for (value, text) in [
        (Value::Int(i64::MIN.into()), "-9223372036854775808"),
        (Value::Float(0.1), "0.1"),
        (Value::Float(1e308), "1e308"),
        (Value::Overflow, "overflow"),
        (Value::Null, "null"),
    ] {
        assert_eq!(value.to_string(), text);
    }
}
