//! How a measure stands in the result of a query.
//!
//! A sum of integers comes in two halves, the sums of the higher and of the lower 32 bits of each integer. Neither leaves 64 bits
//! as long as a group has no more than 2^31 rows, and both together are the sum in 128 bits.

use polars::prelude::*;

use crate::expression::quoted;
use crate::measure::{MeasureKind, Value};
use crate::schema::FieldType;

/// A measure in a result.
pub(super) struct Cell<'p> {
    pub(super) kind: MeasureKind,
    pub(super) name: &'p str,
    /// Whether it comes in two halves.
    in_halves: bool,
    /// Whether it comes with the number of cells that say of themselves that they have overflowed. Then the whole has.
    with_lost: bool,
}

impl<'p> Cell<'p> {
    /// Of a query of events.
    pub(super) fn of_events(kind: MeasureKind, name: &'p str) -> Cell<'p> {
        Cell { kind, name, in_halves: kind == MeasureKind::SumInt, with_lost: false }
    }

    /// Of a query of a view's rows. A count is a sum of counts there. A float sum that has overflowed is not finite, and so is the sum
    /// of it and anything else; a minimum hides it.
    pub(super) fn of_rows(kind: MeasureKind, name: &'p str) -> Cell<'p> {
        let in_halves = matches!(kind, MeasureKind::Count | MeasureKind::SumInt);
        let with_lost = in_halves || matches!(kind, MeasureKind::MinFloat | MeasureKind::MaxFloat);
        Cell { kind, name, in_halves, with_lost }
    }

    /// Its columns and their types.
    pub(super) fn columns(&self) -> Vec<(String, FieldType)> {
        let mut columns = if self.in_halves {
            vec![(self.part("high"), FieldType::Int), (self.part("low"), FieldType::Int)]
        } else {
            vec![(self.name.to_owned(), self.kind.value_type())]
        };
        if self.with_lost {
            columns.push((self.part("lost"), FieldType::Int));
        }
        columns
    }

    /// What is selected of a group, where `of` is the column of the measure's argument, or of its cells.
    pub(super) fn selected(&self, of: &str) -> String {
        let finite = format!("braid_finite({of})");
        let mut values = match self.kind {
            _ if self.in_halves => vec![format!("sum({of} >> 32)"), format!("sum({of} & 4294967295)")],
            MeasureKind::Count => vec!["count(*)".to_owned()],
            MeasureKind::MinInt => vec![format!("min({of})")],
            MeasureKind::MaxInt => vec![format!("max({of})")],
            MeasureKind::MinFloat => vec![format!("min({finite})")],
            MeasureKind::MaxFloat => vec![format!("max({finite})")],
            _ => vec![format!("sum({of})")],
        };
        if self.with_lost {
            // A null is an overflow where a sum of integers is null, and nothing where a minimum is.
            let (all, held) = if self.in_halves { ("*", of) } else { (of, finite.as_str()) };
            values.push(format!("count({all}) - count({held})"));
        }
        let columns = values.iter().zip(self.columns());
        columns.map(|(value, (name, _))| format!("{value} AS {}", quoted(&name))).collect::<Vec<_>>().join(", ")
    }

    /// The measure's value in each row of a result.
    pub(super) fn values(&self, result: &DataFrame) -> PolarsResult<Vec<Value>> {
        let ints = |part: &str| result.column(&self.part(part))?.i64();
        let mut values: Vec<Value> = if self.in_halves {
            let halves = ints("high")?.iter().zip(ints("low")?.iter());
            // Nothing was added up where they are null.
            halves.map(|(high, low)| high.zip(low).map_or(Value::Null, whole)).collect()
        } else {
            self.kind.cells(result.column(self.name)?)?
        };
        if self.with_lost {
            let lost = ints("lost")?.iter().map(|lost| lost != Some(0));
            values.iter_mut().zip(lost).filter(|(_, is_lost)| *is_lost).for_each(|(value, _)| *value = Value::Overflow);
        }
        // What no event has a value for is what the measure says of no event.
        Ok(values.into_iter().map(|value| self.kind.merge(self.kind.identity(), value)).collect())
    }

    /// The name of a column beside the one of the measure's name. No name of a measure has a dot.
    fn part(&self, part: &str) -> String {
        format!("{}.{part}", self.name)
    }
}

/// A sum of integers of its two halves.
fn whole((high, low): (i64, i64)) -> Value {
    Value::Int((i128::from(high) << 32) + i128::from(low))
}
