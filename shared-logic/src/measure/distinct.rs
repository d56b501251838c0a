//! `distinct(…)`: how many different values there are.

use std::sync::Arc;

use super::sketch::{Sketch, Theta};
use super::{Argument, Arguments, Measure, Value};
use crate::schema::FieldType;

/// The number of different values, exact up to `k`.
#[derive(Debug)]
pub(super) struct Distinct {
    pub(super) k: u32,
}

impl Distinct {
    fn k(&self) -> usize {
        self.k as usize
    }
}

impl Measure for Distinct {
    fn name(&self) -> &'static str {
        "distinct"
    }

    fn takes(&self) -> &'static [FieldType] {
        &[FieldType::String, FieldType::Int, FieldType::Bool, FieldType::Timestamp]
    }

    fn value_type(&self) -> FieldType {
        FieldType::Int
    }

    fn identity(&self) -> Value {
        value(Theta::of_hashes(Vec::new(), self.k()))
    }

    fn of_event(&self, of: Argument<'_>) -> Value {
        value(Theta::of_hashes(hash(of).into_iter().collect(), self.k()))
    }

    fn merge(&self, a: Value, b: Value) -> Value {
        match (a.sketch(), b.sketch()) {
            (Some(Sketch::Distinct(a)), Some(Sketch::Distinct(b))) => value(a.merged(b, self.k())),
            _ => Value::Overflow,
        }
    }

    fn fold(&self, values: &mut [Value], groups: &[u32], of: &Arguments) {
        let mut hashes = of.by_group(groups, hash);
        hashes.dedup();
        for group in hashes.chunk_by(|a, b| a.0 == b.0) {
            let theta = Theta::of_hashes(group.iter().map(|(_, hash)| *hash).collect(), self.k());
            self.add(values, group[0].0, value(theta));
        }
    }

    fn null_cell(&self) -> Value {
        self.identity()
    }

    fn read_sketch(&self, bytes: &[u8]) -> Option<Sketch> {
        Theta::read(bytes, self.k()).map(Sketch::Distinct)
    }
}

fn value(theta: Theta) -> Value {
    Value::Sketch(Arc::new(Sketch::Distinct(theta)))
}

/// The hash of a value: of the bytes of a text, or of an integer of 64 bits with its lowest byte first. Truth values are 0 and 1.
fn hash(of: Argument<'_>) -> Option<u64> {
    let number = match of {
        Argument::Text(text) => return Some(Theta::hash(text.as_bytes())),
        Argument::Int(x) | Argument::Instant(x) => x,
        Argument::Bool(truth) => truth.into(),
        Argument::Absent | Argument::Float(_) => return None,
    };
    Some(Theta::hash(&number.to_le_bytes()))
}
