//! The values of one measure, eight bytes each.

use std::collections::BTreeMap;

use shared_logic::measure::{MeasureKind, Value};
use shared_logic::schema::FieldType;

/// Stands for a null; an integer of this value is kept aside.
const NULL: i64 = i64::MIN;
/// Stands for a value that is kept aside.
const ASIDE: i64 = i64::MIN + 1;

/// Values in the order of their rows.
#[derive(Debug)]
pub(super) enum Column {
    /// Integers. Overflows, and sums wider than 64 bits that a total may yet bring back, are rare and kept aside by row.
    Int(Vec<i64>, BTreeMap<usize, Value>),
    /// Floats; infinity stands for a null and NaN for an overflow, as values are finite.
    Float(Vec<f64>),
}

impl Column {
    pub(super) fn new(kind: MeasureKind) -> Column {
        match kind.value_type() {
            FieldType::Int => Column::Int(Vec::new(), BTreeMap::new()),
            _ => Column::Float(Vec::new()),
        }
    }

    pub(super) fn push(&mut self, value: Value) {
        match self {
            Column::Int(cells, aside) => match value {
                Value::Null => cells.push(NULL),
                Value::Int(x) if x > i128::from(ASIDE) && x <= i128::from(i64::MAX) => cells.push(x as i64),
                other => {
                    aside.insert(cells.len(), other);
                    cells.push(ASIDE);
                }
            },
            Column::Float(cells) => cells.push(match value {
                Value::Null => f64::INFINITY,
                Value::Float(x) => x,
                Value::Int(_) | Value::Overflow => f64::NAN,
            }),
        }
    }

    pub(super) fn get(&self, row: usize) -> Value {
        match self {
            Column::Int(cells, aside) => match cells[row] {
                NULL => Value::Null,
                ASIDE => aside.get(&row).cloned().unwrap_or(Value::Overflow),
                x => Value::Int(x.into()),
            },
            Column::Float(cells) => match cells[row] {
                x if x.is_nan() => Value::Overflow,
                x if x.is_infinite() => Value::Null,
                x => Value::Float(x),
            },
        }
    }

    pub(super) fn shrink(&mut self) {
        match self {
            Column::Int(cells, _) => cells.shrink_to_fit(),
            Column::Float(cells) => cells.shrink_to_fit(),
        }
    }

    /// Bytes in memory, about.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Column::Int(cells, aside) => cells.capacity() * 8 + aside.len() * 64,
            Column::Float(cells) => cells.capacity() * 8,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_comes_back() {
        let wide = i128::from(i64::MAX) + 1;
        let ints = [0, 7, i128::from(i64::MIN), i128::from(i64::MIN) + 1, i128::from(i64::MAX), wide].map(Value::Int);
        let mut column = Column::new(MeasureKind::SumInt);
        let values: Vec<Value> = ints.into_iter().chain([Value::Null, Value::Overflow]).collect();
        values.iter().for_each(|value| column.push(value.clone()));
        assert_eq!((0..values.len()).map(|row| column.get(row)).collect::<Vec<_>>(), values);

        let mut column = Column::new(MeasureKind::MaxFloat);
        let values = [Value::Float(-1.5), Value::Null, Value::Overflow, Value::Float(f64::MAX)];
        values.iter().for_each(|value| column.push(value.clone()));
        assert_eq!((0..values.len()).map(|row| column.get(row)).collect::<Vec<_>>(), values);
    }
}
