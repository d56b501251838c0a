//! `sum(…)` of integers, exact, and of floats.
//!
//! Integer sums are exact: each integer is split into two 32-bit halves whose sums cannot leave 64 bits below 2^31 rows, and
//! the halves are put together in 128 bits. A sum that leaves 64 bits is a null cell, or several cells that add up to it
//! ([`Measure::parts`]); a float sum that is not finite says so itself.

use polars::prelude::*;

use super::{Measure, Value};
use crate::schema::FieldType;

const HALF: i64 = 1 << 32;

#[derive(Debug)]
pub(super) struct SumInt;

impl Measure for SumInt {
    fn name(&self) -> &'static str {
        "sum"
    }

    fn argument(&self) -> Option<FieldType> {
        Some(FieldType::Int)
    }

    fn value_type(&self) -> FieldType {
        FieldType::Int
    }

    fn identity(&self) -> Value {
        Value::Int(0)
    }

    fn of_event(&self, of: Value) -> Value {
        of
    }

    fn merge(&self, a: Value, b: Value) -> Value {
        match (a, b) {
            (Value::Int(x), Value::Int(y)) => x.checked_add(y).map_or(Value::Overflow, Value::Int),
            _ => Value::Overflow,
        }
    }

    fn without(&self, whole: Value, part: Value) -> Option<Value> {
        Some(match (whole, part) {
            (Value::Int(x), Value::Int(y)) => x.checked_sub(y).map_or(Value::Overflow, Value::Int),
            _ => Value::Overflow,
        })
    }

    fn null_cell(&self) -> Value {
        Value::Overflow
    }

    fn aggregate(&self, of: Expr, to: &str) -> Vec<Expr> {
        let [high, low] = halves(of);
        vec![high.sum().alias(high_name(to)), low.sum().alias(to)]
    }

    /// A null sum is an overflow and stays one: its group becomes null.
    fn roll_up(&self, of: Expr, to: &str) -> Vec<Expr> {
        let null = lit(NULL).cast(DataType::Int64);
        let [high, low] = halves(of.clone());
        let high = when(of.is_null().any(true)).then(null).otherwise(high.sum());
        vec![high.alias(high_name(to)), low.sum().alias(to)]
    }

    fn finish(&self, frame: &DataFrame, to: &str) -> PolarsResult<Column> {
        let fitting: Int64Chunked = sums(frame, to)?.map(|sum| i64::try_from(sum?).ok()).collect();
        Ok(fitting.into_series().into())
    }

    fn parts(&self, frame: &DataFrame, to: &str) -> PolarsResult<Vec<(usize, Vec<i64>)>> {
        let wide = sums(frame, to)?.enumerate().filter_map(|(row, sum)| Some((row, sum?)));
        Ok(wide.filter(|(_, sum)| i64::try_from(*sum).is_err()).map(|(row, sum)| (row, split(sum))).collect())
    }
}

#[derive(Debug)]
pub(super) struct SumFloat;

impl Measure for SumFloat {
    fn name(&self) -> &'static str {
        "sum"
    }

    fn argument(&self) -> Option<FieldType> {
        Some(FieldType::Float)
    }

    fn value_type(&self) -> FieldType {
        FieldType::Float
    }

    fn identity(&self) -> Value {
        Value::Float(0.0)
    }

    fn of_event(&self, of: Value) -> Value {
        of
    }

    fn merge(&self, a: Value, b: Value) -> Value {
        match (a, b) {
            (Value::Float(x), Value::Float(y)) => Value::float(x + y),
            _ => Value::Overflow,
        }
    }

    fn without(&self, whole: Value, part: Value) -> Option<Value> {
        Some(match (whole, part) {
            (Value::Float(x), Value::Float(y)) => Value::float(x - y),
            _ => Value::Overflow,
        })
    }

    fn aggregate(&self, of: Expr, to: &str) -> Vec<Expr> {
        vec![of.sum().alias(to)]
    }
}

fn high_name(to: &str) -> String {
    format!("{to}_high")
}

/// An integer as `high · 2^32 + low`; exact whatever the sign of a remainder is.
fn halves(of: Expr) -> [Expr; 2] {
    let low = of.clone() % lit(HALF);
    [(of - low.clone()) / lit(HALF), low]
}

/// `high · 2^32 + low` of each row; nothing where either is null.
fn sums(frame: &DataFrame, to: &str) -> PolarsResult<impl Iterator<Item = Option<i128>>> {
    let (high, low) = (frame.column(&high_name(to))?.i64()?, frame.column(to)?.i64()?);
    let whole = |(high, low): (Option<i64>, Option<i64>)| Some(i128::from(high?) * i128::from(HALF) + i128::from(low?));
    Ok(high.iter().zip(low.iter()).map(whole))
}

/// Integers of 64 bits that add up to the sum, as few as possible.
fn split(mut sum: i128) -> Vec<i64> {
    let mut parts = Vec::new();
    while sum != 0 {
        let part = i64::try_from(sum).unwrap_or(if sum > 0 { i64::MAX } else { i64::MIN });
        parts.push(part);
        sum -= i128::from(part);
    }
    parts
}
