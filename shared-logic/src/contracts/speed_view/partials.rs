//! Partials as the apply script takes them: the keys of their counters, and one MessagePack array.
//!
//! The array is flat: per metric `operations, rows`, then per row `bucket, value, value, …`. Numbers that count travel as
//! text, because Lua's numbers end at 2^53; a value that would change nothing is nil. The script writes row *n* of all to
//! the *n*-th counter key.

use super::ShardKeys;
use crate::catalog::{DefinitionHash, Metric};
use crate::measure::{MeasureKind, Value};
use crate::partial::Partials;
use crate::time::bucket_index;

/// The arguments of one apply.
#[derive(Debug, Default)]
pub struct Packed {
    /// The counter keys, one per row.
    pub keys: Vec<String>,
    /// The MessagePack array's items, without its header.
    items: Vec<u8>,
    count: u32,
}

/// Packs a metric's partials behind those already packed, for the slice that begins at `slice`.
pub fn pack(
    packed: &mut Packed,
    keys: &ShardKeys,
    slice: i64,
    definition: &DefinitionHash,
    metric: &Metric,
    partials: &Partials,
) {
    let operations: String = metric.measures.iter().map(|measure| operation(measure.kind)).collect();
    packed.text(&operations);
    packed.number(partials.len() as u64);
    // This runs once per row of every micro-batch: what rows share is written once.
    let prefix = keys.counters_prefix(slice, definition);
    let (mut bucket_text, mut bucket_of_text) = (String::new(), None);
    for (key, bucket, values) in partials.rows() {
        packed.keys.push([prefix.as_str(), key.as_str()].concat());
        if bucket_of_text != Some(bucket) {
            bucket_text = bucket_index(bucket, metric.grain_us).to_string();
            bucket_of_text = Some(bucket);
        }
        packed.text(&bucket_text);
        for (measure, value) in metric.measures.iter().zip(values) {
            packed.value(measure.kind, *value);
        }
    }
}

impl Packed {
    /// The array, as the script's last argument.
    pub fn to_msgpack(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.items.len() + 5);
        out.push(0xdd);
        out.extend_from_slice(&self.count.to_be_bytes());
        out.extend_from_slice(&self.items);
        out
    }

    /// Points every counter key at another slice of the same shard.
    pub fn move_to_slice(&mut self, from: i64, to: i64) {
        let (from, to) = (format!("}}:c:{from}:"), format!("}}:c:{to}:"));
        for key in &mut self.keys {
            *key = key.replacen(&from, &to, 1);
        }
    }

    /// The bytes of keys and values, about what Redis receives.
    pub fn bytes(&self) -> usize {
        self.items.len() + self.keys.iter().map(String::len).sum::<usize>()
    }

    fn value(&mut self, kind: MeasureKind, value: Value) {
        match value {
            Value::Null => self.nil(),
            value if value == kind.identity() => self.nil(),
            Value::Int(value) => match i64::try_from(value) {
                Ok(value) => self.text(&value.to_string()),
                Err(_) => self.text(&text(Value::Overflow)),
            },
            value => self.text(&text(value)),
        }
    }

    fn text(&mut self, text: &str) {
        rmp::encode::write_str(&mut self.items, text).expect("a vector takes every byte");
        self.count += 1;
    }

    fn number(&mut self, number: u64) {
        rmp::encode::write_uint(&mut self.items, number).expect("a vector takes every byte");
        self.count += 1;
    }

    fn nil(&mut self) {
        // `false`, since a nil would end a Lua array.
        self.items.push(0xc2);
        self.count += 1;
    }
}

/// A value as it is kept: floats with as many digits as bring them back exactly.
pub(super) fn text(value: Value) -> String {
    value.to_string()
}

/// The letter by which the apply script knows how a measure merges.
fn operation(kind: MeasureKind) -> char {
    match kind {
        MeasureKind::Count | MeasureKind::SumInt => '+',
        MeasureKind::SumFloat => 'f',
        MeasureKind::MinInt => 'l',
        MeasureKind::MaxInt => 'g',
        MeasureKind::MinFloat => '<',
        MeasureKind::MaxFloat => '>',
    }
}
