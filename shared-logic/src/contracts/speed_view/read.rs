//! One look at a shard (R10): its positions and, of the slices asked for, the counters of one group key.

use super::counters::{self, Counters};
use super::script::{self, UnknownReply};
use super::shard::Shard;
use crate::measure::MeasureKind;

/// What the read script answered.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// The shard's positions.
    pub shard: Shard,
    /// The latest moment at which the log's end was asked and is by now at or below the cursor; microseconds since 1970 by
    /// the worker's clock, if there was one.
    pub as_of_us: Option<i64>,
    /// Per slice asked for, the counters of the group key.
    pub counters: Vec<Counters>,
}

impl Reading {
    /// Reads the answer: `{cursor, slices, definitions, instance, as_of, witnesses, truncated, {chunk, field, …}, …}` as
    /// positions and, per slice, its chunks.
    ///
    /// `kinds` are the metric's measures in order.
    ///
    /// # Errors
    /// If a position or a field is not of the form that the scripts write.
    pub fn parse(
        head: [&str; 7],
        slices: &[Vec<(i64, Vec<u8>)>],
        kinds: &[MeasureKind],
    ) -> Result<Reading, UnknownReply> {
        let [cursor, begins, definitions, instance, as_of, witnesses, truncated] = head;
        let counters = slices.iter().map(|chunks| {
            let mut counters = Counters::new();
            for (chunk, field) in chunks {
                counters::read_chunk(*chunk, field, kinds, &mut counters)?;
            }
            Ok(counters)
        });
        let counters = counters.collect::<Result<_, _>>()?;
        let shard = script::shard(cursor, begins, definitions, instance, witnesses, truncated)?;
        Ok(Reading { shard, as_of_us: as_of.parse().ok(), counters })
    }
}
