//! A measure: one column of a metric, and the laws by which its partial values merge.
//!
//! Merging is associative and commutative and has an identity, so values can be split over micro-batches, slices, shards
//! and layers in any way. Each measure is a file, which holds all that is particular to it: the value of one event, and how
//! values merge ([`Measure`]). [`MeasureKind`] is the list of them.
//!
//! - [`value`](self): a value while it is being merged;
//! - `arguments`: what a measure is of, for some events;
//! - `count`, `sum`, `extreme`: the measures.

mod arguments;
mod count;
mod extreme;
mod sum;
mod value;

use std::{fmt, mem};

use polars::prelude::{Column, Float64Chunked, Int64Chunked, IntoColumn, PolarsResult};

use crate::schema::FieldType;

pub(crate) use arguments::{Arguments, NO_GROUP};
pub use value::Value;

/// The measures: how partial values merge, and in which number type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MeasureKind {
    /// The number of events.
    Count,
    /// An exact 64-bit sum; of nothing it is 0.
    SumInt,
    /// An f64 sum, approximate to 1e-9 of the sum of absolute values; of nothing it is 0.
    SumFloat,
    /// The smallest integer; of nothing it is null.
    MinInt,
    /// The smallest float; of nothing it is null.
    MinFloat,
    /// The largest integer; of nothing it is null.
    MaxInt,
    /// The largest float; of nothing it is null.
    MaxFloat,
}

impl MeasureKind {
    /// Every measure. A new one is added here and in [`MeasureKind::measure`].
    pub const ALL: [MeasureKind; 7] = [
        MeasureKind::Count,
        MeasureKind::SumInt,
        MeasureKind::SumFloat,
        MeasureKind::MinInt,
        MeasureKind::MinFloat,
        MeasureKind::MaxInt,
        MeasureKind::MaxFloat,
    ];

    fn measure(self) -> &'static dyn Measure {
        match self {
            MeasureKind::Count => &count::Count,
            MeasureKind::SumInt => &sum::SumInt,
            MeasureKind::SumFloat => &sum::SumFloat,
            MeasureKind::MinInt => &extreme::MIN_INT,
            MeasureKind::MinFloat => &extreme::MIN_FLOAT,
            MeasureKind::MaxInt => &extreme::MAX_INT,
            MeasureKind::MaxFloat => &extreme::MAX_FLOAT,
        }
    }

    /// The measure that the catalog writes as `name(argument)`, where the argument is of that type or left out.
    pub fn named(name: &str, argument: Option<FieldType>) -> Option<MeasureKind> {
        let is_it = |kind: &MeasureKind| kind.name() == name && kind.measure().argument() == argument;
        MeasureKind::ALL.into_iter().find(is_it)
    }

    /// The aggregation's name in the catalog.
    pub fn name(self) -> &'static str {
        self.measure().name()
    }

    /// The type of its values, as derived values and JSON see them: int or float.
    pub fn value_type(self) -> FieldType {
        self.measure().value_type()
    }

    /// The value of no event at all.
    pub fn identity(self) -> Value {
        self.measure().identity()
    }

    /// The value of one event, where `of` is the value of the measure's argument, and [`Value::Null`] for a measure without
    /// one. Merging the events' values is what the measure means.
    pub fn of_event(self, of: Value) -> Value {
        self.measure().of_any_event(of)
    }

    /// Merges two values of this measure.
    ///
    /// Both must have come from this kind; a value of the other number type is a programming error and is treated as
    /// [`Value::Overflow`], so that it can never pass for a number.
    pub fn merge(self, a: Value, b: Value) -> Value {
        self.measure().merge_any(a, b)
    }

    /// What is left of a value that a part was merged into, without that part; `None` of a measure from which nothing can be taken
    /// back, such as a minimum.
    pub fn without(self, whole: Value, part: Value) -> Option<Value> {
        self.measure().without(whole, part)
    }

    /// Merges the values of events into those of their groups. `groups` says of each event which of `values` is its group's;
    /// the event is left out where that is [`NO_GROUP`]. `of` are the events' arguments.
    pub(crate) fn fold(self, values: &mut [Value], groups: &[u32], of: &Arguments) {
        self.measure().fold(values, groups, of);
    }

    /// Appends the value as one MessagePack item: a number stands for itself, nil for null, and true for an overflow. What
    /// leaves 64 bits is an overflow.
    pub fn write(self, out: &mut Vec<u8>, value: Value) {
        value.finalized().write(out);
    }

    /// Reads the next item that [`MeasureKind::write`] wrote; `None` if it is not one of this measure.
    pub fn read(self, from: &mut &[u8]) -> Option<Value> {
        Value::read(from).filter(|value| self.has(value))
    }

    /// Appends a value that is still to be merged as one MessagePack item: as [`MeasureKind::write`] does, but integers of more
    /// than 64 bits as they are. Further values may bring such a sum back into range.
    pub fn write_partial(self, out: &mut Vec<u8>, value: &Value) {
        value.write_partial(out);
    }

    /// Reads the next item that [`MeasureKind::write_partial`] wrote; `None` if it is not one of this measure.
    pub fn read_partial(self, from: &mut &[u8]) -> Option<Value> {
        Value::read_partial(from).filter(|value| self.has(value))
    }

    /// Whether the measure can have this value.
    fn has(self, value: &Value) -> bool {
        match value {
            Value::Null | Value::Overflow => true,
            Value::Int(_) => self.value_type() == FieldType::Int,
            Value::Float(_) => self.value_type() == FieldType::Float,
        }
    }

    /// Reads a column of partials: a null cell is an overflow where the measure says so, otherwise nothing was seen.
    ///
    /// # Errors
    /// If the column has another type than the measure's values.
    pub fn cells(self, column: &Column) -> PolarsResult<Vec<Value>> {
        let null = || self.measure().null_cell();
        Ok(match self.value_type() {
            FieldType::Int => {
                column.i64()?.iter().map(|cell| cell.map_or_else(null, |x| Value::Int(x.into()))).collect()
            }
            _ => column.f64()?.iter().map(|cell| cell.map_or_else(null, Value::float)).collect(),
        })
    }

    /// The column of partials with these values, which [`MeasureKind::cells`] reads. An integer that leaves 64 bits becomes an
    /// overflow: a null, or a float that is not finite.
    pub(crate) fn column(self, name: &str, values: &[Value]) -> Column {
        let column = match self.value_type() {
            FieldType::Int => {
                let cell = |value: &Value| match value {
                    Value::Int(x) => i64::try_from(*x).ok(),
                    _ => None,
                };
                values.iter().map(cell).collect::<Int64Chunked>().into_column()
            }
            _ => {
                let cell = |value: &Value| match value {
                    Value::Float(x) => Some(*x),
                    Value::Overflow => Some(f64::INFINITY),
                    _ => None,
                };
                values.iter().map(cell).collect::<Float64Chunked>().into_column()
            }
        };
        column.with_name(name.into())
    }
}

/// All that is particular to one measure.
trait Measure: fmt::Debug + Sync {
    /// The aggregation's name in the catalog.
    fn name(&self) -> &'static str;

    /// The type of its argument; `None` if it takes none.
    fn argument(&self) -> Option<FieldType>;

    /// The type of its values.
    fn value_type(&self) -> FieldType;

    /// The value of no event.
    fn identity(&self) -> Value;

    /// The value of one event whose argument is not null.
    fn of_event(&self, of: Value) -> Value;

    /// Merges two values; neither is null or an overflow.
    fn merge(&self, a: Value, b: Value) -> Value;

    /// See [`MeasureKind::without`]. What is taken out of an overflow, or is one, leaves an overflow.
    fn without(&self, _whole: Value, _part: Value) -> Option<Value> {
        None
    }

    /// See [`MeasureKind::of_event`].
    fn of_any_event(&self, of: Value) -> Value {
        match of {
            Value::Null if self.argument().is_some() => self.identity(),
            of => self.of_event(of),
        }
    }

    /// See [`MeasureKind::merge`].
    fn merge_any(&self, a: Value, b: Value) -> Value {
        match (a, b) {
            (Value::Overflow, _) | (_, Value::Overflow) => Value::Overflow,
            (Value::Null, x) | (x, Value::Null) => x,
            (a, b) => self.merge(a, b),
        }
    }

    /// See [`MeasureKind::fold`]. Each measure has its own copy of this, so no call per event goes through a table of
    /// functions.
    fn fold(&self, values: &mut [Value], groups: &[u32], of: &Arguments) {
        of.visit(groups, |group, of| {
            if let Some(value) = values.get_mut(group as usize) {
                *value = self.merge_any(mem::replace(value, Value::Null), self.of_any_event(of));
            }
        });
    }

    /// What a null cell in a column of partials stands for.
    fn null_cell(&self) -> Value {
        Value::Null
    }
}

#[cfg(test)]
mod tests;
