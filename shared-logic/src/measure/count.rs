//! `count()`: the number of events.

use super::{Measure, Value, sum};
use crate::schema::FieldType;

#[derive(Debug)]
pub(super) struct Count;

impl Measure for Count {
    fn name(&self) -> &'static str {
        "count"
    }

    fn argument(&self) -> Option<FieldType> {
        None
    }

    fn value_type(&self) -> FieldType {
        FieldType::Int
    }

    fn identity(&self) -> Value {
        Value::Int(0)
    }

    fn of_event(&self, _of: Value) -> Value {
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
