use super::*;
use crate::catalog::Catalog;
use crate::measure::Value;
use crate::partial::cells;

const CATALOG: &str = r#"
[sources.s]
event_time = "at"
[sources.s.fields]
at = "timestamp"
k = "string"
n = "int?"
x = "float?"
[metrics.m]
source = "s"
by = ["k"]
grain = "1m"
[metrics.m.measures]
events = "count()"
total = "sum(n * 1000)"
least = "min(n)"
most = "max(x)"
floats = "sum(x)"
"#;

fn plan() -> (Catalog, Plan) {
    let catalog = Catalog::parse(CATALOG).expect("a valid catalog");
    let plan = Plan::new(&catalog.sources["s"], &catalog.metrics["m"]);
    (catalog, plan)
}

fn events(rows: &[(i64, &str, Option<i64>, Option<f64>)]) -> LazyFrame {
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
    cells(kind, frame.column(name).expect("a measure")).expect("its type")
}

#[test]
fn buckets_are_whole_also_before_1970() {
    let (_, plan) = plan();
    let frame = plan.partials(events(&[(-1, "a", None, None), (-60_000_000, "a", None, None)])).expect("planned");
    let buckets: Vec<_> = frame.column(BUCKET).expect("there").i64().expect("instants").iter().collect();
    assert_eq!(buckets, [Some(-60_000_000)]);
}

#[test]
fn sums_are_exact_to_64_bits_and_overflow_beyond() {
    let (_, plan) = plan();
    let most = crate::schema::MAX_INT;
    let exact = plan
        .partials(events(&[(0, "a", Some(most), None), (0, "a", Some(-most), None), (0, "a", Some(7), None)]))
        .expect("planned");
    assert_eq!(values(&exact, "total", MeasureKind::SumInt), [Value::Int(7_000)]);
    let beyond = plan.partials(events(&[(0, "a", Some(most), None), (0, "a", Some(most), None)])).expect("planned");
    assert_eq!(values(&beyond, "total", MeasureKind::SumInt), [Value::Overflow]);
    let together = plan.rolled_up(&beyond, |_| false).expect("planned");
    assert_eq!(values(&together, "total", MeasureKind::SumInt), [Value::Overflow]);
    let negative = plan.partials(events(&[(0, "a", Some(-most), None), (0, "b", Some(3), None)])).expect("planned");
    let together = plan.rolled_up(&negative, |_| false).expect("planned");
    assert_eq!(values(&together, "total", MeasureKind::SumInt), [Value::Int((3 - i128::from(most)) * 1_000)]);
    assert_eq!(values(&together, "events", MeasureKind::Count), [Value::Int(2)]);
}

#[test]
fn nothing_sums_to_zero_and_has_no_extreme() {
    let (_, plan) = plan();
    let frame = plan.partials(events(&[(0, "a", None, None)])).expect("planned");
    assert_eq!(values(&frame, "total", MeasureKind::SumInt), [Value::Int(0)]);
    assert_eq!(values(&frame, "floats", MeasureKind::SumFloat), [Value::Float(0.0)]);
    assert_eq!(values(&frame, "least", MeasureKind::MinInt), [Value::Null]);
    assert_eq!(values(&frame, "most", MeasureKind::MaxFloat), [Value::Null]);
}

#[test]
fn a_float_sum_that_is_not_finite_is_an_overflow() {
    let (_, plan) = plan();
    let frame = plan.partials(events(&[(0, "a", None, Some(1e308)), (0, "a", None, Some(1e308))])).expect("planned");
    assert_eq!(values(&frame, "floats", MeasureKind::SumFloat), [Value::Overflow]);
    assert_eq!(values(&frame, "most", MeasureKind::MaxFloat), [Value::Float(1e308)]);
}
