//! `quantile(…)`: how numbers are distributed. A derived value asks for one of the quantiles.

use std::sync::Arc;

use super::sketch::{Bins, Sketch};
use super::{Argument, Arguments, Measure, Value};
use crate::schema::FieldType;

/// The distribution of integers or floats.
#[derive(Debug)]
pub(super) struct Quantile;

impl Measure for Quantile {
    fn name(&self) -> &'static str {
        "quantile"
    }

    fn takes(&self) -> &'static [FieldType] {
        &[FieldType::Int, FieldType::Float]
    }

    fn value_type(&self) -> FieldType {
        FieldType::Float
    }

    fn identity(&self) -> Value {
        value(Bins::default())
    }

    fn of_event(&self, of: Argument<'_>) -> Value {
        value(Bins::of_bins(bin(of)))
    }

    fn merge(&self, a: Value, b: Value) -> Value {
        match (a.sketch(), b.sketch()) {
            (Some(Sketch::Quantile(a)), Some(Sketch::Quantile(b))) => value(a.merged(b)),
            _ => Value::Overflow,
        }
    }

    fn fold(&self, values: &mut [Value], groups: &[u32], of: &Arguments) {
        for group in of.by_group(groups, bin).chunk_by(|a, b| a.0 == b.0) {
            let bins = Bins::of_bins(group.iter().map(|(_, bin)| *bin));
            self.add(values, group[0].0, value(bins));
        }
    }

    fn null_cell(&self) -> Value {
        self.identity()
    }

    fn read_sketch(&self, bytes: &[u8]) -> Option<Sketch> {
        Bins::read(bytes).map(Sketch::Quantile)
    }
}

fn value(bins: Bins) -> Value {
    Value::Sketch(Arc::new(Sketch::Quantile(bins)))
}

fn bin(of: Argument<'_>) -> Option<i16> {
    match of {
        Argument::Int(x) => Some(Bins::bin(x as f64)),
        Argument::Float(x) => Some(Bins::bin(x)),
        _ => None,
    }
}
