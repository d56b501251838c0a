//! `sum(…)` of integers, exact, and of floats.
//!
//! Integer sums are exact in 128 bits. One that leaves 64 bits is a null cell, or several cells that add up to it ([`Value::parts`]);
//! a float sum that is not finite says so itself.

use super::{Argument, Measure, Value};
use crate::schema::FieldType;

#[derive(Debug)]
pub(super) struct SumInt;

impl Measure for SumInt {
    fn name(&self) -> &'static str {
        "sum"
    }

    fn takes(&self) -> &'static [FieldType] {
        &[FieldType::Int]
    }

    fn value_type(&self) -> FieldType {
        FieldType::Int
    }

    fn identity(&self) -> Value {
        Value::Int(0)
    }

    fn of_event(&self, of: Argument<'_>) -> Value {
        of.number()
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
}

#[derive(Debug)]
pub(super) struct SumFloat;

impl Measure for SumFloat {
    fn name(&self) -> &'static str {
        "sum"
    }

    fn takes(&self) -> &'static [FieldType] {
        &[FieldType::Float]
    }

    fn value_type(&self) -> FieldType {
        FieldType::Float
    }

    fn identity(&self) -> Value {
        Value::Float(0.0)
    }

    fn of_event(&self, of: Argument<'_>) -> Value {
        of.number()
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
}
