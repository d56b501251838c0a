use proptest::prelude::*;

use super::*;
use crate::catalog::Catalog;
use crate::measure::{Argument, Value};

const CATALOG: &str = r#"
[sources.s]
event_time = "at"
[sources.s.fields]
at = "timestamp"
k = "string?"
n = "int?"
x = "float?"
[metrics.m]
source = "s"
by = ["k"]
grain = "1m"
[metrics.m.measures]
events = "count()"
total = "sum(n * 1000)"
whole = "sum(n)"
least = "min(n)"
most = "max(x)"
floats = "sum(x)"
texts = "count(k)"
known = "count(n)"
"#;

fn plan() -> (Catalog, Plan) {
    let catalog = Catalog::parse(CATALOG).expect("a valid catalog");
    let plan = Plan::new(&catalog.sources["s"], &catalog.metrics["m"]);
    (catalog, plan)
}

/// An event: its time, `k`, `n` and `x`.
type Row<'a> = (i64, Option<&'a str>, Option<i64>, Option<f64>);

fn events(rows: &[Row<'_>]) -> LazyFrame {
    df!(
        "at" => rows.iter().map(|row| row.0).collect::<Vec<_>>(),
        "k" => rows.iter().map(|row| row.1).collect::<Vec<_>>(),
        "n" => rows.iter().map(|row| row.2).collect::<Vec<_>>(),
        "x" => rows.iter().map(|row| row.3).collect::<Vec<_>>(),
    )
    .expect("four columns")
    .lazy()
}

fn values(frame: &DataFrame, name: &str, kind: MeasureKind) -> Vec<Value> {
    kind.cells(frame.column(name).expect("a measure")).expect("its type")
}

#[test]
fn buckets_are_whole_also_before_1970() {
    let (_, plan) = plan();
    let frame =
        plan.partials(events(&[(-1, Some("a"), None, None), (-60_000_000, Some("a"), None, None)])).expect("planned");
    let buckets: Vec<_> = frame.column(BUCKET).expect("there").i64().expect("instants").iter().collect();
    assert_eq!(buckets, [Some(-60_000_000)]);
}

#[test]
fn sums_are_exact_to_64_bits_and_overflow_beyond() {
    let (_, plan) = plan();
    let most = i64::MAX / 1_000;
    let exact = plan
        .partials(events(&[
            (0, Some("a"), Some(most), None),
            (0, Some("a"), Some(-most), None),
            (0, Some("a"), Some(7), None),
        ]))
        .expect("planned");
    assert_eq!(values(&exact, "total", MeasureKind::SumInt), [Value::Int(7_000)]);
    let beyond =
        plan.partials(events(&[(0, Some("a"), Some(most), None), (0, Some("a"), Some(most), None)])).expect("planned");
    assert_eq!(values(&beyond, "total", MeasureKind::SumInt), [Value::Overflow]);
    let together = plan.roll_up(&beyond, |_| false).expect("planned");
    assert_eq!(values(&together, "total", MeasureKind::SumInt), [Value::Overflow]);
    let negative =
        plan.partials(events(&[(0, Some("a"), Some(-most), None), (0, Some("b"), Some(3), None)])).expect("planned");
    let together = plan.roll_up(&negative, |_| false).expect("planned");
    assert_eq!(values(&together, "total", MeasureKind::SumInt), [Value::Int((3 - i128::from(most)) * 1_000)]);
    assert_eq!(values(&together, "events", MeasureKind::Count), [Value::Int(2)]);
}

#[test]
fn integers_of_64_bits_add_up() {
    let (_, plan) = plan();
    let rows = [i64::MIN, i64::MAX, i64::MAX, 9_007_199_254_740_993].map(|n| (0, Some("a"), Some(n), None));
    let whole = |rows| values(&plan.partials(events(rows)).expect("planned"), "whole", MeasureKind::SumInt);
    assert_eq!(whole(&rows[..1]), [Value::Int(i64::MIN.into())]);
    assert_eq!(whole(&rows[..3]), [Value::Int(i128::from(i64::MAX) - 1)]);
    assert_eq!(whole(&rows[1..3]), [Value::Overflow]);
    assert_eq!(whole(&rows[3..]), [Value::Int(9_007_199_254_740_993)]);
    let least = plan.partials(events(&rows)).expect("planned");
    assert_eq!(values(&least, "least", MeasureKind::MinInt), [Value::Int(i64::MIN.into())]);
}

#[test]
fn nothing_sums_to_zero_and_has_no_extreme() {
    let (_, plan) = plan();
    let frame = plan.partials(events(&[(0, Some("a"), None, None)])).expect("planned");
    assert_eq!(values(&frame, "total", MeasureKind::SumInt), [Value::Int(0)]);
    assert_eq!(values(&frame, "floats", MeasureKind::SumFloat), [Value::Float(0.0)]);
    assert_eq!(values(&frame, "least", MeasureKind::MinInt), [Value::Null]);
    assert_eq!(values(&frame, "most", MeasureKind::MaxFloat), [Value::Null]);
}

#[test]
fn values_of_any_type_are_counted_where_there_are_some() {
    let (_, plan) = plan();
    let rows =
        [(0, Some("a"), Some(1), None), (0, None, None, None), (0, Some("a"), None, None), (0, None, Some(2), None)];
    let together = plan.roll_up(&plan.partials(events(&rows)).expect("planned"), |_| false).expect("planned");
    assert_eq!(values(&together, "texts", MeasureKind::SumInt), [Value::Int(2)]);
    assert_eq!(values(&together, "known", MeasureKind::SumInt), [Value::Int(2)]);
    assert_eq!(values(&together, "events", MeasureKind::Count), [Value::Int(4)]);
}

#[test]
fn a_float_sum_that_is_not_finite_is_an_overflow() {
    let (_, plan) = plan();
    let frame = plan
        .partials(events(&[(0, Some("a"), None, Some(1e308)), (0, Some("a"), None, Some(1e308))]))
        .expect("planned");
    assert_eq!(values(&frame, "floats", MeasureKind::SumFloat), [Value::Overflow]);
    assert_eq!(values(&frame, "most", MeasureKind::MaxFloat), [Value::Float(1e308)]);
}

/// Keys that are shortened are told apart, and whatever else an expression says of the column sees the whole text.
#[test]
fn a_long_text_is_shortened_where_it_is_a_key_and_nowhere_else() {
    let text = CATALOG.replace("by = [\"k\"]", "where = \"ends_with(k, '2')\"\nby = [\"k\"]");
    let text = text.replace("most = \"max(x)\"", "longest = \"max(length(k))\"");
    let catalog = Catalog::parse(&text).expect("a valid catalog");
    let plan = Plan::new(&catalog.sources["s"], &catalog.metrics["m"]);
    let long = |end: &str| "a".repeat(100_000) + end;
    let (one, two, other) = (long("1"), long("2"), long("b2"));
    let rows = [one.as_str(), &two, &two, &other, "2"].map(|k| (0, Some(k), None, None));
    let frame = plan.partials(events(&rows)).expect("planned");
    let keys = frame.column("k").expect("a key").str().expect("texts");
    let longest = values(&frame, "longest", MeasureKind::MaxInt);
    let mut found: Vec<(usize, Value)> = keys.iter().map(|key| key.expect("present").len()).zip(longest).collect();
    found.sort_by_key(|(length, value)| (*length, format!("{value:?}")));
    let limit = group_key::MAX_KEY_BYTES;
    assert_eq!(found, [(1, Value::Int(1)), (limit, Value::Int(100_001)), (limit, Value::Int(100_002))]);
}

/// Integers up to the limits of a field, and quarters, which add up exactly in any order.
fn row() -> impl Strategy<Value = (Option<i64>, Option<f64>)> {
    let thousandth = i64::MAX / 1_000;
    let int = prop_oneof![any::<i64>(), -thousandth..=thousandth, -3_i64..3, Just(i64::MIN), Just(i64::MAX)];
    let float = (-1_000_i64..1_000).prop_map(|quarters| quarters as f64 / 4.0);
    (prop::option::of(int), prop::option::of(float))
}

proptest! {
    /// A measure means the same on columns and one event at a time, which is how operators use it.
    #[test]
    fn columns_and_single_events_give_the_same(rows in prop::collection::vec(row(), 1..40)) {
        let (catalog, plan) = plan();
        let frame = plan.partials(events(&rows.iter().map(|(n, x)| (0, Some("a"), *n, *x)).collect::<Vec<_>>()));
        let frame = frame.expect("planned");
        let int = |x: Option<i64>| x.map_or(Argument::Absent, Argument::Int);
        let float = |x: Option<f64>| x.map_or(Argument::Absent, Argument::Float);
        for measure in &catalog.metrics["m"].measures {
            let argument = |(n, x): &(Option<i64>, Option<f64>)| match measure.name.as_str() {
                "events" => Argument::Absent,
                // A product that leaves 64 bits is null.
                "total" => int(n.and_then(|n| n.checked_mul(1_000))),
                "whole" | "least" => int(*n),
                "texts" => Argument::Int(1),
                "known" => Argument::Int(n.is_some().into()),
                _ => float(*x),
            };
            let of_events = rows.iter().map(|row| measure.kind.of_event(argument(row)));
            let folded = of_events.fold(measure.kind.identity(), |sum, one| measure.kind.merge(sum, one)).finalized();
            prop_assert_eq!(values(&frame, &measure.name, measure.kind), [folded], "{}", measure.name);
        }
    }
}
