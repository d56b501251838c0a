//! Measures that are sketches: what may be written, and what derived values may ask of them.

use super::fields;
use crate::expression::{Aggregation, Expression, Scope};
use crate::measure::{Argument, MeasureKind, Value};
use crate::schema::FieldType;

fn kind(text: &str) -> MeasureKind {
    match Expression::parse_measure(text, &fields()) {
        Ok(Aggregation::Measure(kind, Some(_))) => kind,
        other => panic!("{text}: {other:?}"),
    }
}

#[test]
fn sketches_are_read_with_their_sizes() {
    assert_eq!(kind("distinct(s)"), MeasureKind::Distinct { k: 4_096 });
    assert_eq!(kind("DISTINCT(lower(s), 65536)"), MeasureKind::Distinct { k: 65_536 });
    assert_eq!(kind("distinct(a + b, 128)"), MeasureKind::Distinct { k: 128 });
    assert_eq!(kind("quantile(x * 2)"), MeasureKind::Quantile);
    assert_eq!(kind("top(s, 10)"), MeasureKind::Top { n: 10 });
    assert_eq!((kind("top(p, 1)"), kind("top(at, 100)")), (MeasureKind::Top { n: 1 }, MeasureKind::Top { n: 100 }));
}

#[test]
fn what_is_no_sketch_is_refused_with_what_to_write() {
    for (text, what) in [
        ("distinct()", "not 0 arguments"),
        ("distinct(x)", "wants values that are equal or not, but `x` is float"),
        ("distinct(s, 127)", "`127` is not up to how many values it is exact here"),
        ("distinct(s, 65537)", "`65537` is not"),
        ("distinct(s, a)", "`a` is not a whole number"),
        ("distinct(s, 4e3)", "`4e3` is not"),
        ("distinct(s, 128, 1)", "not 3 arguments"),
        ("top(s)", "takes a value and how many to show, not 1 arguments"),
        ("top(s, 0)", "`0` is not how many to show here"),
        ("top(s, 101)", "`101` is not"),
        ("top(x, 3)", "but `x` is float"),
        ("quantile(s)", "`quantile` wants int or float, but `s` is string"),
        ("quantile(x, 0.5)", "takes one argument, not 2"),
        ("sum(distinct(s))", "`sum(DISTINCT (s))` is not offered"),
        ("count(quantile(x))", "looks at other rows"),
    ] {
        let refused = Expression::parse_measure(text, &fields()).expect_err(text);
        assert!(refused.what.contains(what), "{text}: {refused}");
        assert!(!refused.fix.is_empty());
    }
    assert!(Expression::parse("quantile(x, 0.5) > 1", &fields()).is_err(), "an event has no quantile");
}

fn scope() -> Scope {
    let numbers = [("n", FieldType::Int), ("pages", FieldType::Int)].map(|(name, kind)| (name.to_owned(), kind));
    let sketches =
        [("latency", MeasureKind::Quantile), ("order", MeasureKind::Quantile), ("urls", MeasureKind::Top { n: 3 })];
    Scope::of_measures(numbers).with_sketches(sketches.map(|(name, kind)| (name.to_owned(), kind)))
}

/// Of 1 to 101.
fn value_of(name: &str) -> Value {
    let of = |kind: MeasureKind| {
        (1..=101).map(Argument::Int).fold(kind.identity(), |sum, of| kind.merge(sum, kind.of_event(of)))
    };
    match name {
        "n" => Value::Int(101),
        "pages" => of(MeasureKind::Distinct { k: 4_096 }),
        "latency" | "order" => of(MeasureKind::Quantile),
        _ => Value::Null,
    }
}

#[test]
fn derived_values_ask_distributions_for_quantiles_and_calculate_with_numbers_of_values() {
    for (text, low, high) in [
        ("quantile(latency, 0.5)", 50.49, 51.51),
        ("quantile(latency, 0)", 0.99, 1.01),
        ("quantile(order, 1.0) / quantile(latency, 0.5)", 1.93, 2.03),
        ("n / pages", 1.0, 1.0),
        ("pages * 0.5", 50.5, 50.5),
    ] {
        let derived = Expression::parse(text, &scope()).unwrap_or_else(|refused| panic!("{text}: {refused}"));
        let value = derived.evaluate(&value_of);
        assert!(matches!(value, Value::Float(x) if (low..=high).contains(&x)), "{text} is {value}");
        assert_eq!(Expression::parse(&derived.to_string(), &scope()).as_ref(), Ok(&derived), "its canonical text");
    }
    let median = Expression::parse("quantile(latency, 0.5)", &scope()).expect("a quantile");
    assert_eq!(
        (median.as_quantile(), median.columns().into_iter().collect::<Vec<_>>()),
        (Some("latency"), vec!["latency"])
    );
    assert_eq!(median.evaluate(&|_| MeasureKind::Quantile.identity()), Value::Null, "of no values");
}

#[test]
fn derived_values_cannot_calculate_with_distributions_and_lists() {
    for (text, what, fix) in [
        ("latency * 2", "`latency` is a distribution, not a number", "quantile(latency, 0.5)"),
        ("urls", "`urls` is a list of values, not a number", "answers show it"),
        ("quantile(n, 0.5)", "`n` is no distribution", "write quantile(latency, 0.5)"),
        ("quantile(urls, 0.5)", "`urls` is a list", ""),
        ("quantile(missing, 0.5)", "unknown measure `missing`", ""),
        ("quantile(latency)", "asked of a measure, with a number", "0.5 is the median"),
        ("quantile(latency, n)", "with a number", ""),
        ("quantile(latency, 1.5)", "1.5 is not from 0 to 1", ""),
        ("quantile(latency, 'x')", "is not a number", ""),
    ] {
        let refused = Expression::parse(text, &scope()).expect_err(text);
        assert!(refused.what.contains(what) && refused.fix.contains(fix), "{text}: {refused}");
    }
}
