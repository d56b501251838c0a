//! A measure: one column of a metric, and the laws by which its partial values merge.
//!
//! Merging is associative and commutative and has an identity, so values can be split over micro-batches, slices, shards
//! and layers in any way. Each measure is a file, which holds all that is particular to it: the value of one event, and how
//! values merge ([`Measure`]). [`MeasureKind`] is the list of them.
//!
//! - [`value`](self): a value while it is being merged;
//! - `arguments`: what a measure is of, for some events;
//! - `count`, `sum`, `extreme`: the measures that are numbers;
//! - `distinct`, `quantile`, `top`: those that are sketches; `sketch`: the sketches.

mod arguments;
mod count;
mod distinct;
mod extreme;
mod quantile;
mod sketch;
mod sum;
mod top;
mod value;

use std::sync::Arc;
use std::{fmt, mem};

use polars::prelude::{
    BinaryChunked, Column, DataType, Float64Chunked, Int64Chunked, IntoColumn, PolarsError, PolarsResult,
};

use crate::schema::FieldType;

pub use arguments::Argument;
pub(crate) use arguments::{Arguments, NO_GROUP};
pub use sketch::{Bins, Frequent, Item, RELATIVE_ERROR, Ranked, Sketch, Theta};
pub use value::Value;

/// How many different values `distinct(…)` counts exactly, unless the catalog says otherwise.
pub const DISTINCT_K: u32 = 4_096;
/// The least and the most that the catalog may say. Bounds of the estimate are good from here on, and a sketch has half a megabyte at
/// most.
pub const DISTINCT_K_RANGE: std::ops::RangeInclusive<u32> = 128..=65_536;
/// How many values `top(…, n)` may show.
pub const TOP_N_RANGE: std::ops::RangeInclusive<u32> = 1..=100;

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
    /// The number of different values: exact up to `k`, from there on an estimate.
    Distinct {
        /// How many hashes of values are kept; within [`DISTINCT_K_RANGE`].
        k: u32,
    },
    /// How ints or floats are distributed. It is no number; derived values ask it for quantiles.
    Quantile,
    /// The most frequent values. It is no number.
    Top {
        /// How many are shown; within [`TOP_N_RANGE`].
        n: u32,
    },
}

impl MeasureKind {
    /// Every measure, sketches of one size each. A new one is added here and in [`MeasureKind::law`].
    pub const ALL: [MeasureKind; 10] = [
        MeasureKind::Count,
        MeasureKind::SumInt,
        MeasureKind::SumFloat,
        MeasureKind::MinInt,
        MeasureKind::MinFloat,
        MeasureKind::MaxInt,
        MeasureKind::MaxFloat,
        MeasureKind::Distinct { k: DISTINCT_K },
        MeasureKind::Quantile,
        MeasureKind::Top { n: 10 },
    ];

    /// Asks the measure's law.
    fn law<T>(self, ask: impl FnOnce(&dyn Measure) -> T) -> T {
        match self {
            MeasureKind::Count => ask(&count::Count),
            MeasureKind::SumInt => ask(&sum::SumInt),
            MeasureKind::SumFloat => ask(&sum::SumFloat),
            MeasureKind::MinInt => ask(&extreme::MIN_INT),
            MeasureKind::MinFloat => ask(&extreme::MIN_FLOAT),
            MeasureKind::MaxInt => ask(&extreme::MAX_INT),
            MeasureKind::MaxFloat => ask(&extreme::MAX_FLOAT),
            MeasureKind::Distinct { k } => ask(&distinct::Distinct { k }),
            MeasureKind::Quantile => ask(&quantile::Quantile),
            MeasureKind::Top { n } => ask(&top::Top { n }),
        }
    }

    /// The measure that the catalog writes as `name(argument)`, where the argument is of that type or left out.
    pub fn named(name: &str, argument: Option<FieldType>) -> Option<MeasureKind> {
        let takes = |kind: &MeasureKind| {
            let takes = kind.law(|law| law.takes());
            argument.map_or(takes.is_empty(), |argument| takes.contains(&argument))
        };
        MeasureKind::ALL.into_iter().find(|kind| kind.name() == name && takes(kind))
    }

    /// Whether its values are sketches.
    pub fn is_sketch(self) -> bool {
        matches!(self, MeasureKind::Distinct { .. } | MeasureKind::Quantile | MeasureKind::Top { .. })
    }

    /// Whether it is a number by itself, so that derived values can calculate with it.
    pub fn is_number(self) -> bool {
        !matches!(self, MeasureKind::Quantile | MeasureKind::Top { .. })
    }

    /// For how many partials of numbers a sketch counts, where the memory of many is bounded; for none, what is none.
    pub fn weight(self) -> usize {
        match self {
            // A sketch that is full, for one that holds a few hundred values.
            MeasureKind::Distinct { k } => (k / 128) as usize,
            MeasureKind::Quantile => 16,
            MeasureKind::Top { n } => top::Top { n }.room() / 32,
            _ => 0,
        }
    }

    /// The measure of an expression, as the catalog writes it.
    pub fn call(self, of: &str) -> String {
        match self {
            MeasureKind::Distinct { k: size } | MeasureKind::Top { n: size } => {
                format!("{}({of}, {size})", self.name())
            }
            _ => format!("{}({of})", self.name()),
        }
    }

    /// The aggregation's name in the catalog.
    pub fn name(self) -> &'static str {
        self.law(|law| law.name())
    }

    /// The type of its values, as derived values and JSON see them: int or float. Of a sketch, the type of what it is asked for: how
    /// many values there are, a quantile, or values, which are no number.
    pub fn value_type(self) -> FieldType {
        self.law(|law| law.value_type())
    }

    /// The type of its column in a batch view, and in memory.
    pub fn column_type(self) -> DataType {
        if self.is_sketch() { DataType::Binary } else { self.value_type().column_type() }
    }

    /// The value of no event at all.
    pub fn identity(self) -> Value {
        self.law(|law| law.identity())
    }

    /// The value of one event, where `of` is the measure's argument. Merging the events' values is what the measure means.
    pub fn of_event(self, of: Argument<'_>) -> Value {
        self.law(|law| law.of_any_event(of))
    }

    /// Merges two values of this measure.
    ///
    /// Both must have come from this kind; a value of the other number type is a programming error and is treated as
    /// [`Value::Overflow`], so that it can never pass for a number.
    pub fn merge(self, a: Value, b: Value) -> Value {
        self.law(|law| law.merge_any(a, b))
    }

    /// What is left of a value that a part was merged into, without that part; `None` of a measure from which nothing can be taken
    /// back, such as a minimum.
    pub fn without(self, whole: Value, part: Value) -> Option<Value> {
        self.law(|law| law.without(whole, part))
    }

    /// Merges the values of events into those of their groups. `groups` says of each event which of `values` is its group's;
    /// the event is left out where that is [`NO_GROUP`]. `of` are the events' arguments.
    pub(crate) fn fold(self, values: &mut [Value], groups: &[u32], of: &Arguments) {
        self.law(|law| law.fold(values, groups, of));
    }

    /// Appends the value as one MessagePack item: a number stands for itself, a sketch is its bytes, nil stands for null, and true for
    /// an overflow. What leaves 64 bits is an overflow.
    pub fn write(self, out: &mut Vec<u8>, value: Value) {
        value.finalized().write(out);
    }

    /// Reads the next item that [`MeasureKind::write`] wrote; `None` if it is not one of this measure.
    pub fn read(self, from: &mut &[u8]) -> Option<Value> {
        if self.is_sketch() { self.read_sketch(from) } else { Value::read(from).filter(|value| self.has(value)) }
    }

    /// Appends a value that is still to be merged as one MessagePack item: as [`MeasureKind::write`] does, but integers of more
    /// than 64 bits as they are. Further values may bring such a sum back into range.
    pub fn write_partial(self, out: &mut Vec<u8>, value: &Value) {
        value.write_partial(out);
    }

    /// Reads the next item that [`MeasureKind::write_partial`] wrote; `None` if it is not one of this measure.
    pub fn read_partial(self, from: &mut &[u8]) -> Option<Value> {
        if self.is_sketch() {
            self.read_sketch(from)
        } else {
            Value::read_partial(from).filter(|value| self.has(value))
        }
    }

    fn read_sketch(self, from: &mut &[u8]) -> Option<Value> {
        Value::read_sketch(from, |bytes| self.law(|law| law.read_sketch(bytes)))
    }

    /// Whether the measure, which is a number, can have this value.
    fn has(self, value: &Value) -> bool {
        match value {
            Value::Null | Value::Overflow => true,
            Value::Sketch(_) => false,
            Value::Int(_) => self.value_type() == FieldType::Int,
            Value::Float(_) => self.value_type() == FieldType::Float,
        }
    }

    /// Reads a column of partials: a null cell is an overflow where the measure says so, otherwise nothing was seen.
    ///
    /// # Errors
    /// If the column has another type than the measure's values, or holds bytes that are none of its sketches.
    pub fn cells(self, column: &Column) -> PolarsResult<Vec<Value>> {
        let null = || self.law(|law| law.null_cell());
        match self.column_type() {
            DataType::Binary => {
                let cell = |cell: Option<&[u8]>| {
                    let Some(bytes) = cell else { return Ok(null()) };
                    let sketch = self.law(|law| law.read_sketch(bytes));
                    sketch.map(|sketch| Value::Sketch(Arc::new(sketch))).ok_or_else(|| self.unreadable(column))
                };
                column.binary()?.iter().map(cell).collect()
            }
            DataType::Int64 => {
                Ok(column.i64()?.iter().map(|cell| cell.map_or_else(null, |x| Value::Int(x.into()))).collect())
            }
            _ => Ok(column.f64()?.iter().map(|cell| cell.map_or_else(null, Value::float)).collect()),
        }
    }

    fn unreadable(self, column: &Column) -> PolarsError {
        PolarsError::ComputeError(format!("column `{}` holds bytes that are no {}", column.name(), self.name()).into())
    }

    /// The column of partials with these values, which [`MeasureKind::cells`] reads. An integer that leaves 64 bits becomes an
    /// overflow: a null, or a float that is not finite.
    pub(crate) fn column(self, name: &str, values: &[Value]) -> Column {
        let column = match self.column_type() {
            DataType::Binary => {
                let cell = |value: &Value| value.sketch().map(Sketch::to_bytes);
                values.iter().map(cell).collect::<BinaryChunked>().into_column()
            }
            DataType::Int64 => {
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

    /// The types that its argument may have; none if it takes none.
    fn takes(&self) -> &'static [FieldType];

    /// The type of its values.
    fn value_type(&self) -> FieldType;

    /// The value of no event.
    fn identity(&self) -> Value;

    /// The value of one event whose argument is not absent.
    fn of_event(&self, of: Argument<'_>) -> Value;

    /// Merges two values; neither is null or an overflow.
    fn merge(&self, a: Value, b: Value) -> Value;

    /// See [`MeasureKind::without`]. What is taken out of an overflow, or is one, leaves an overflow.
    fn without(&self, _whole: Value, _part: Value) -> Option<Value> {
        None
    }

    /// See [`MeasureKind::of_event`].
    fn of_any_event(&self, of: Argument<'_>) -> Value {
        match of {
            Argument::Absent if !self.takes().is_empty() => self.identity(),
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
            self.add(values, group, self.of_any_event(of));
        });
    }

    /// Merges a value into that of a group.
    fn add(&self, values: &mut [Value], group: u32, value: Value) {
        if let Some(held) = values.get_mut(group as usize) {
            *held = self.merge_any(mem::replace(held, Value::Null), value);
        }
    }

    /// The sketch with these bytes; `None` if they are none that this measure writes.
    fn read_sketch(&self, _bytes: &[u8]) -> Option<Sketch> {
        None
    }

    /// What a null cell in a column of partials stands for.
    fn null_cell(&self) -> Value {
        Value::Null
    }
}

#[cfg(test)]
mod tests;
