//! What windows and sessions aggregate, row by row.

use std::mem;

use super::encoding;
use super::json::Object;
use super::rows::{RowPlan, Rows};
use crate::catalog::{Derived, Measure};
use crate::expression::{Expression, Scalar};
use crate::measure::{Argument, MeasureKind, Value};
use crate::schema::FieldType;

/// The measures, derived values and keys of a stream of windows or sessions.
#[derive(Debug)]
pub(super) struct Aggregates {
    measures: Vec<MeasurePlan>,
    derived: Vec<Derived>,
    /// The columns that are aggregated by.
    by: Vec<(String, FieldType)>,
    /// Which of `by` the outputs are keyed by.
    key: Option<usize>,
}

#[derive(Debug)]
struct MeasurePlan {
    name: String,
    kind: MeasureKind,
    /// The column of its argument in [`Rows`].
    of: Option<usize>,
}

impl Aggregates {
    /// `key` names the column that the outputs are keyed by.
    pub(super) fn new(
        rows: &mut RowPlan,
        by: Vec<(String, FieldType)>,
        key: Option<&str>,
        measures: &[Measure],
        derived: &[Derived],
    ) -> Aggregates {
        let measures = measures.iter().map(|measure| MeasurePlan {
            name: measure.name.clone(),
            kind: measure.kind,
            of: measure.of.as_ref().map(|of| rows.column(of.clone())),
        });
        let key = by.iter().position(|(name, _)| Some(name.as_str()) == key);
        Aggregates { measures: measures.collect(), derived: derived.to_vec(), by, key }
    }

    /// How many measures there are.
    pub(super) fn width(&self) -> usize {
        self.measures.len()
    }

    /// The values of no event.
    pub(super) fn identity(&self) -> impl Iterator<Item = Value> {
        self.measures.iter().map(|measure| measure.kind.identity())
    }

    /// Adds the event in a row.
    pub(super) fn fold(&self, values: &mut [Value], rows: &Rows, row: usize) {
        for (value, measure) in values.iter_mut().zip(&self.measures) {
            let of = measure.of.map_or(Argument::Absent, |of| rows.column(of).argument(row));
            *value = measure.kind.merge(mem::replace(value, Value::Null), measure.kind.of_event(of));
        }
    }

    /// Adds the values of what comes later.
    pub(super) fn merge(&self, values: &mut [Value], later: &[Value]) {
        for ((value, measure), later) in values.iter_mut().zip(&self.measures).zip(later) {
            *value = measure.kind.merge(mem::replace(value, Value::Null), later.clone());
        }
    }

    /// The key of the record of an output.
    pub(super) fn record_key(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.parts(key).nth(self.key?).and_then(|(_, value)| encoding::record_key(&value))
    }

    /// Writes the columns of a key, the measures and the derived values.
    pub(super) fn write(&self, object: &mut Object, key: &[u8], values: &[Value]) {
        for (name, value) in self.parts(key) {
            object.field(name, &value);
        }
        for (measure, value) in self.measures.iter().zip(values) {
            object.number(&measure.name, &value.clone().finalized());
        }
        let value_of = |name: &str| {
            let named = self.measures.iter().zip(values).find(|(measure, _)| measure.name == name);
            named.map_or(Value::Null, |(_, value)| value.clone().finalized())
        };
        for derived in &self.derived {
            object.number(&derived.name, &derived.of.evaluate(&value_of));
        }
    }

    /// Appends values to a snapshot.
    pub(super) fn write_values(&self, out: &mut Vec<u8>, values: &[Value]) {
        for (measure, value) in self.measures.iter().zip(values) {
            measure.kind.write_partial(out, value);
        }
    }

    /// Reads what [`Aggregates::write_values`] wrote; `None` if it is something else.
    pub(super) fn read_values(&self, from: &mut &[u8]) -> Option<Vec<Value>> {
        self.measures.iter().map(|measure| measure.kind.read_partial(from)).collect()
    }

    /// The columns of a key with their values.
    fn parts<'a>(&'a self, mut key: &'a [u8]) -> impl Iterator<Item = (&'a str, Scalar<'a>)> {
        self.by.iter().map_while(move |(name, kind)| Some((name.as_str(), encoding::read(&mut key, *kind)?)))
    }
}

/// The columns of a source as expressions.
pub(super) fn columns<'a>(by: &'a [(String, FieldType)]) -> impl Iterator<Item = Expression> + 'a {
    by.iter().map(|(name, kind)| Expression::column(name, *kind))
}
