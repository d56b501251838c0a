//! `count()`: the number of events.

use super::{Argument, Measure, Value, sum};
use crate::schema::FieldType;

#[derive(Debug)]
pub(super) struct Count;

impl Measure for Count {
    fn name(&self) -> &'static str {
        "count"
    }

    fn takes(&self) -> &'static [FieldType] {
        &[]
    }

    fn value_type(&self) -> FieldType {
        FieldType::Int
    }

    fn identity(&self) -> Value {
        Value::Int(0)
    }

    fn of_event(&self, _of: Argument<'_>) -> Value {
        Value::Int(1)
    }

    fn merge(&self, a: Value, b: Value) -> Value {
        sum::SumInt.merge(a, b)
    }

    fn without(&self, whole: Value, part: Value) -> Option<Value> {
        sum::SumInt.without(whole, part)
    }

    fn null_cell(&self) -> Value {
        Value::Overflow
    }
}
