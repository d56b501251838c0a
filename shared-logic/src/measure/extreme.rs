//! `min(…)` and `max(…)` of integers and of floats.

use super::{Argument, Measure, Value};
use crate::schema::FieldType;

/// The smallest or the largest value.
#[derive(Debug)]
pub(super) struct Extreme {
    name: &'static str,
    of: FieldType,
    ints: fn(i128, i128) -> i128,
    floats: fn(f64, f64) -> f64,
}

pub(super) const MIN_INT: Extreme = min(FieldType::Int);
pub(super) const MIN_FLOAT: Extreme = min(FieldType::Float);
pub(super) const MAX_INT: Extreme = max(FieldType::Int);
pub(super) const MAX_FLOAT: Extreme = max(FieldType::Float);

const fn min(of: FieldType) -> Extreme {
    Extreme { name: "min", of, ints: Ord::min, floats: f64::min }
}

const fn max(of: FieldType) -> Extreme {
    Extreme { name: "max", of, ints: Ord::max, floats: f64::max }
}

impl Measure for Extreme {
    fn name(&self) -> &'static str {
        self.name
    }

    fn takes(&self) -> &'static [FieldType] {
        if self.of == FieldType::Int { &[FieldType::Int] } else { &[FieldType::Float] }
    }

    fn value_type(&self) -> FieldType {
        self.of
    }

    fn identity(&self) -> Value {
        Value::Null
    }

    fn of_event(&self, of: Argument<'_>) -> Value {
        of.number()
    }

    fn merge(&self, a: Value, b: Value) -> Value {
        match (self.of, a, b) {
            (FieldType::Int, Value::Int(x), Value::Int(y)) => Value::Int((self.ints)(x, y)),
            (FieldType::Float, Value::Float(x), Value::Float(y)) => Value::Float((self.floats)(x, y)),
            _ => Value::Overflow,
        }
    }
}
