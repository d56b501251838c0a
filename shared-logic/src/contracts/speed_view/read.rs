//! One look at a shard (R10): its positions and, of the slices asked for, the counters of one group key.

use super::script::{self, UnknownReply};
use super::shard::Shard;
use crate::measure::{MeasureKind, Value};

/// What the read script answered.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// The shard's positions.
    pub shard: Shard,
    /// The latest moment at which the log's end was asked and is by now at or below the cursor; microseconds since 1970 by
    /// the worker's clock, if there was one.
    pub as_of_us: Option<i64>,
    /// Per counter key asked for, what it holds.
    pub counters: Vec<Counters>,
}

/// The counters of one group key in one slice: `(bucket index, measure index, value)`.
pub type Counters = Vec<(i64, usize, Value)>;

/// An answer of the read script that cannot be understood.
pub type UnreadableShard = UnknownReply;

impl Reading {
    /// Reads the answer: `{cursor, slices, definitions, as_of, {field, value, …}, …}` as positions and flat pairs.
    ///
    /// `kinds` are the metric's measures in order.
    ///
    /// # Errors
    /// If a position, a field or a value is not of the form that the scripts write.
    pub fn parse(
        head: [&str; 4],
        counters: &[Vec<(String, String)>],
        kinds: &[MeasureKind],
    ) -> Result<Reading, UnreadableShard> {
        let [cursor, slices, definitions, as_of] = head;
        let counters = counters
            .iter()
            .map(|pairs| pairs.iter().map(|(field, value)| cell(field, value, kinds)).collect())
            .collect::<Result<_, _>>()?;
        Ok(Reading { shard: script::shard(cursor, slices, definitions)?, as_of_us: as_of.parse().ok(), counters })
    }
}

/// One field of a counter hash.
fn cell(field: &str, value: &str, kinds: &[MeasureKind]) -> Result<(i64, usize, Value), UnreadableShard> {
    let parsed = || {
        let (bucket, measure) = field.split_once(':')?;
        let measure: usize = measure.parse().ok()?;
        let value = match kinds.get(measure)? {
            _ if value == "overflow" => Value::Overflow,
            kind if kind.is_int() => Value::Int(value.parse().ok()?),
            _ => Value::float(value.parse().ok()?),
        };
        Some((bucket.parse().ok()?, measure, value))
    };
    parsed().ok_or_else(|| UnknownReply { what: format!("counter {field:?} = {value:?}") })
}
