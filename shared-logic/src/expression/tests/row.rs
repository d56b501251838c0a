//! One row at a time: what measures make of it, and texts that Polars treats in its own way.

use std::borrow::Cow;

use polars::prelude::{IntoLazy, df};
use proptest::prelude::*;

use super::{fields, frame, generate, parse};
use crate::expression::{Aggregation, Expression, Scalar};
use crate::measure::{Argument, MeasureKind, Value};
use crate::schema::FieldType;

proptest! {
    /// Events added one by one make the same value as their columns.
    #[test]
    fn a_measure_of_rows_is_the_measure_of_their_columns(
        tree in generate::number(),
        name in prop::sample::select(vec!["count", "sum", "min", "max"]),
        rows in prop::collection::vec(generate::row(), 0..12),
    ) {
        let text = format!("{name}({tree})");
        // What is refused, and why, is checked elsewhere.
        let Ok(Aggregation::Measure(kind, Some(of))) = Expression::parse_measure(&text, &fields()) else { return Ok(()) };
        let columns = frame(&rows).lazy().with_columns([of.to_polars().alias("of")]).collect().expect("it runs");
        let column = columns.column("of").expect("it is there");
        let arguments: Vec<Value> = match kind.value_type() {
            FieldType::Float => column.f64().expect("floats").iter().map(|x| x.map_or(Value::Null, Value::float)).collect(),
            _ => column.i64().expect("integers").iter().map(|x| x.map_or(Value::Null, |x| Value::Int(x.into()))).collect(),
        };
        let argument = |value: &Value| match value {
            Value::Int(x) => i64::try_from(*x).map_or(Argument::Absent, Argument::Int),
            Value::Float(x) => Argument::Float(*x),
            _ => Argument::Absent,
        };
        let merge = |arguments: &mut dyn Iterator<Item = Argument<'_>>| {
            arguments.fold(kind.identity(), |sum, of| kind.merge(sum, kind.of_event(of)))
        };
        let expected = merge(&mut arguments.iter().map(argument)).finalized();

        let scalars: Vec<Scalar<'_>> = rows.iter().map(|row| of.evaluate_row(&|name| row.scalar(name))).collect();
        let merged = merge(&mut scalars.iter().map(Argument::from));
        let values: Vec<Value> = scalars.into_iter().map(Value::from).collect();
        if kind == MeasureKind::SumFloat {
            // The order of additions decides the last digits, and whether a sum leaves the floats on its way.
            let sizes: f64 = values.iter().map(|of| if let Value::Float(x) = of { x.abs() } else { 0.0 }).sum();
            if let (true, Value::Float(a), Value::Float(b)) = (sizes.is_finite(), &merged, &expected) {
                prop_assert!((a - b).abs() <= 1e-9 * sizes, "{text}: {a} is not {b}");
            } else {
                prop_assert!(!sizes.is_finite(), "{text}: {merged} is not {expected}");
            }
        } else {
            prop_assert_eq!(merged.finalized(), expected, "{}", text);
        }
    }
}

/// Where a word begins or ends decides what a `Σ` becomes; Polars looks no farther back than to the last 16 bytes of ASCII.
#[test]
fn letters_are_lowered_and_raised_as_in_columns() {
    let texts =
        ["ΑΣ", "ΑΣΑ", "Σ", "aaaaaaaaaaaaaaaaΣ", "aaaaaaaaaaaaaaaΣ", "aaaaaaaaaaaaaaaaΣΑ", "İSTANBUL ǅ ß", "ŉ ﬁ"];
    let frame = df!("s" => texts).expect("there is one column");
    for function in ["lower(s)", "upper(s)"] {
        let expression = parse(function);
        let column = frame.clone().lazy().select([expression.to_polars().alias("r")]).collect().expect(function);
        let column = column.column("r").and_then(|column| column.str()).expect("it is a string");
        for (text, expected) in texts.into_iter().zip(column.iter()) {
            let value = expression.evaluate_row(&|_| Scalar::String(Cow::Borrowed(text)));
            assert_eq!(
                value,
                expected.map_or(Scalar::Null, |text| Scalar::String(text.into())),
                "{function} of {text}"
            );
        }
    }
}

/// Texts are lent by the row and by the expression; only a function that makes a new one copies.
#[test]
fn a_text_is_not_copied() {
    let row = |name: &str| if name == "url" { Scalar::String(Cow::Borrowed("https://h/a?q")) } else { Scalar::Null };
    for (text, expected) in [("url", "https://h/a?q"), ("url_path(url)", "/a"), ("coalesce(s, 'none')", "none")] {
        let expression = parse(text);
        let value = expression.evaluate_row(&|name| row(name));
        assert!(matches!(value, Scalar::String(Cow::Borrowed(x)) if x == expected), "{text} gave {value:?}");
    }
}
