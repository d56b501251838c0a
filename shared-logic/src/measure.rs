//! A measure: one column of a metric, and the laws by which its partial values merge.
//!
//! Merging is associative and commutative and has an identity, so values can be split over micro-batches, slices, shards
//! and layers in any way. Integer sums merge in 128 bits and are checked for overflow when they are finalized: where
//! the batch layer holds one half and the speed layer the other, an intermediate excess that cancels out is no overflow.

use std::fmt;

/// How partial values of a measure merge, and in which number type.
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
    /// Whether values are integers.
    pub fn is_int(self) -> bool {
        matches!(self, Self::Count | Self::SumInt | Self::MinInt | Self::MaxInt)
    }

    /// The aggregation's name in the catalog.
    pub fn name(self) -> &'static str {
        match self {
            Self::Count => "count",
            Self::SumInt | Self::SumFloat => "sum",
            Self::MinInt | Self::MinFloat => "min",
            Self::MaxInt | Self::MaxFloat => "max",
        }
    }

    /// The merged value of nothing.
    pub fn identity(self) -> Value {
        match self {
            Self::Count | Self::SumInt => Value::Int(0),
            Self::SumFloat => Value::Float(0.0),
            _ => Value::Null,
        }
    }

    /// Merges two values of this measure.
    ///
    /// Both must have come from this kind; a value of the other number type is a programming error and is treated as
    /// [`Value::Overflow`], so that it can never pass for a number.
    pub fn merge(self, a: Value, b: Value) -> Value {
        use Value::{Float, Int, Null, Overflow};
        match (self, a, b) {
            (_, Overflow, _) | (_, _, Overflow) => Overflow,
            (_, Null, x) | (_, x, Null) => x,
            (Self::Count | Self::SumInt, Int(x), Int(y)) => x.checked_add(y).map_or(Overflow, Int),
            (Self::SumFloat, Float(x), Float(y)) => Value::float(x + y),
            (Self::MinInt, Int(x), Int(y)) => Int(x.min(y)),
            (Self::MaxInt, Int(x), Int(y)) => Int(x.max(y)),
            (Self::MinFloat, Float(x), Float(y)) => Float(x.min(y)),
            (Self::MaxFloat, Float(x), Float(y)) => Float(x.max(y)),
            _ => Overflow,
        }
    }
}

/// A measure's value while it is being merged.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value {
    /// Nothing was seen (`min` and `max` only).
    Null,
    /// An integer. Wider than 64 bits, so that sums are checked for overflow once, when finalized.
    Int(i128),
    /// A finite float.
    Float(f64),
    /// The value left its 64 bits where it was kept.
    Overflow,
}

impl Value {
    /// A float, or [`Value::Overflow`] if it is not finite. Negative zero becomes zero, so that equal values are written
    /// alike.
    pub fn float(x: f64) -> Value {
        if x.is_finite() { Value::Float(x + 0.0) } else { Value::Overflow }
    }

    /// The value as answered: an integer outside 64 bits is an overflow.
    pub fn finalized(self) -> Value {
        match self {
            Value::Int(x) if i64::try_from(x).is_err() => Value::Overflow,
            other => other,
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Null => f.write_str("null"),
            Value::Int(x) => write!(f, "{x}"),
            Value::Float(x) => write!(f, "{x:?}"),
            Value::Overflow => f.write_str("overflow"),
        }
    }
}

#[cfg(test)]
mod tests;
