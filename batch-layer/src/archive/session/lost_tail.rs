//! R12: a log that lost its tail. The archive closes the partition's incarnation at what it holds, and begins the next
//! one at the first offset whose record differs from what was archived there.
//!
//! That offset is found backwards from the end of what is archived, a window at a time, until a whole window fits.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::time::Instant;

use platform::kafka::{Bound, KafkaError, Polled, Topic};
use platform::store::Committed;
use shared_logic::contracts::archive::Facts;
use shared_logic::log::{Check, OffsetRange, PartitionId, Witness};
use tracing::{error, warn};

use super::reading::{POLL_RECORDS, POLL_WAIT, Positions, witness_of};
use super::{Archiver, SessionError, commit};
use crate::archive_rows::witnesses::{self, Archived};

/// How many offsets the first window has; each has twice as many as the one before.
const WINDOW: i64 = 1_000;
/// The most offsets of a window, which bounds the memory that it takes.
const WINDOW_MAX: i64 = 65_536;

/// What the log holds in a window.
#[derive(Debug)]
struct Found {
    records: BTreeMap<i64, Witness>,
    /// Where the window, or before it the log, ends.
    end: i64,
}

impl Archiver {
    /// Where the archive stands, and how the log is compared with it (R12).
    pub(super) fn positions(
        &mut self,
        topic: &Topic,
        facts: &Facts,
        starts: &BTreeMap<i32, i64>,
    ) -> Result<Positions, KafkaError> {
        let mut positions = Positions::default();
        for partition in 0..topic.partitions {
            let id = facts.current(&topic.log, partition);
            let Some(known) = facts.partition(&id) else { continue };
            positions.next.insert(partition, known.next);
            let start = starts.get(&partition).copied().unwrap_or_default();
            if let Some(witness) = known.witness.filter(|witness| witness.offset >= start) {
                let check = Check::new(witness, known.next, self.is_compacted()?);
                positions.checks.insert(partition, check);
            }
            if id.log != topic.log {
                positions.incarnations.insert(partition, id.log);
            }
        }
        Ok(positions)
    }

    pub(super) fn is_compacted(&mut self) -> Result<bool, KafkaError> {
        if self.compacted.is_none() {
            self.compacted = Some(self.runtime.block_on(self.topics.is_compacted(&self.source.topic))?);
        }
        Ok(self.compacted == Some(true))
    }

    /// Begins the next incarnation of every partition whose log differs from what is archived. `differs` names those, each
    /// with an offset at which it does. If another archiver commits first, or the topic was created again, nothing changes,
    /// and the next session looks again.
    pub(super) fn lose_tails(&mut self, topic: &Topic, differs: &BTreeMap<i32, i64>) -> Result<(), SessionError> {
        let starts = self.offsets(topic, Bound::Start)?;
        let mut facts = self.archive.facts();
        for (partition, seen) in differs {
            let id = facts.current(&topic.log, *partition);
            let start = starts.get(partition).copied().unwrap_or_default();
            let (at, before) = self.first_difference(&facts, &id, start, *seen)?;
            if let Some(next) = facts.lose_tail(&id, at, before) {
                error!(%id, %next, at, "the log lost its tail: from here on it holds other records than the archive; the partition continues as another incarnation");
            }
        }
        // R7: what was read again belongs to this log only if the topic still has its id.
        if self.describe()?.is_none_or(|now| now.log != topic.log) {
            warn!(
                topic = self.source.topic,
                log = topic.log,
                "the topic was created again or deleted while it was compared"
            );
            return Ok(());
        }
        let committed = commit::facts(&mut self.archive, facts, None);
        if self.runtime.block_on(committed)? == Committed::Conflict {
            warn!(table = self.archive.path(), "another archiver writes to this archive; comparing again");
        }
        Ok(())
    }

    /// The first offset at which the log differs from what is archived, and the record before it. `seen` is one at
    /// which it does; `start` is where the log starts.
    fn first_difference(
        &mut self,
        facts: &Facts,
        id: &PartitionId,
        start: i64,
        seen: i64,
    ) -> Result<(i64, Option<Witness>), SessionError> {
        let lives = facts.lives(id);
        let lowest = lives.first().map_or(0, |(_, begin, _)| *begin).max(start);
        let next = facts.partition(id).map_or(0, |known| known.next);
        // The archive does not know what it has lost, and a restored log may hold it.
        let losses = lives.iter().filter_map(|(id, ..)| facts.partition(id)).flat_map(|known| &known.lost);
        let lost: Vec<Range<i64>> = losses.map(|lost| lost.from..lost.to).collect();
        let (mut at, mut before, mut to, mut window) = (seen, None, next, WINDOW);
        while to > lowest {
            let from = (to - window).max(lowest);
            let ranges: Vec<OffsetRange> = lives
                .iter()
                .map(|(id, begin, end)| OffsetRange { id: id.clone(), from: from.max(*begin), to: to.min(*end) })
                .filter(|range| range.from < range.to)
                .collect();
            let archived = self.runtime.block_on(witnesses::archived(&self.archive, &ranges))?;
            let archived: BTreeMap<i64, Archived> =
                archived.into_iter().map(|((_, _, offset), archived)| (offset, archived)).collect();
            let found = self.read_again(id, from, to)?;
            match first_differing(&archived, &found, &lost, self.compacted == Some(true)) {
                Some(differs) => {
                    at = at.min(differs);
                    before = last_in_both(&archived, &found, at);
                }
                // Above that offset nothing may lie that can be compared.
                None if from > seen => {}
                None => {
                    before = before.or_else(|| last_in_both(&archived, &found, at));
                    break;
                }
            }
            (to, window) = (from, (window * 2).min(WINDOW_MAX));
        }
        Ok((at, before))
    }

    /// Reads the offsets `[from, to)` of a partition again, as far as the log goes.
    fn read_again(&mut self, id: &PartitionId, from: i64, to: i64) -> Result<Found, SessionError> {
        self.consumer.assign(&BTreeMap::from([(id.partition, from)]))?;
        let (mut records, mut end, mut fails, asked) = (BTreeMap::new(), None, false, Instant::now());
        while end.is_none() {
            self.consumer.poll(POLL_WAIT, POLL_RECORDS, |polled| match polled {
                Polled::Record(record) => {
                    if record.offset < to {
                        records.insert(record.offset, witness_of(&record));
                    }
                    if record.offset + 1 >= to {
                        end = Some(to);
                    }
                }
                Polled::End { offset, .. } => end = Some(offset.min(to)),
                Polled::OutOfRange { .. } => fails = true,
                Polled::Failed { error, .. } => warn!(%id, %error, "kafka reports an error"),
            })?;
            // A connection that breaks is left to the next session, too.
            fails |= self.losses.is_new() || self.stop.is_cancelled();
            if fails || asked.elapsed() >= self.kafka.stalled_after.get() {
                return Err(SessionError::NotReadAgain { id: id.clone(), from, to });
            }
        }
        Ok(Found { records, end: end.unwrap_or(from) })
    }
}

/// The first offset at which the log holds something else than the archive, those that the archive has `lost` aside. Where a
/// topic is compacted, records vanish.
fn first_differing(
    archived: &BTreeMap<i64, Archived>,
    found: &Found,
    lost: &[Range<i64>],
    has_holes: bool,
) -> Option<i64> {
    let is_known = |offset: &i64| !lost.iter().any(|lost| lost.contains(offset));
    let offsets: BTreeSet<i64> = archived.keys().chain(found.records.keys()).copied().filter(is_known).collect();
    let differs = |offset: &i64| match (archived.get(offset), found.records.get(offset)) {
        (Some(archived), Some(record)) => !archived.is_same(record),
        (Some(_), None) => !has_holes,
        (None, found) => found.is_some(),
    };
    offsets.into_iter().take_while(|offset| *offset < found.end).find(differs)
}

/// The last record below that offset that both the archive and the log hold.
fn last_in_both(archived: &BTreeMap<i64, Archived>, found: &Found, at: i64) -> Option<Witness> {
    let is_archived = |record: &Witness| archived.get(&record.offset).is_some_and(|archived| archived.is_same(record));
    found.records.range(..at).rev().map(|(_, record)| *record).find(is_archived)
}

#[cfg(test)]
mod tests {
    use shared_logic::log::Content;

    use super::*;

    /// Records by offset. All have the same time.
    fn records(payloads: &[(i64, &str)]) -> BTreeMap<i64, Witness> {
        let record = |(offset, payload): &(i64, &str)| {
            let (timestamp_us, payload) = (Some(5), Some(payload.as_bytes()));
            let content = Content { timestamp_us, key: None, payload, headers: None };
            (*offset, Witness::of(*offset, Some(7), &content))
        };
        payloads.iter().map(record).collect()
    }

    /// The same as the archive holds them.
    fn archived(payloads: &[(i64, &str)]) -> BTreeMap<i64, Archived> {
        let row = |(offset, record): (i64, Witness)| {
            (offset, Archived { offset, timestamp_us: record.timestamp_us, hash: Some(record.short_hash()) })
        };
        records(payloads).into_iter().map(row).collect()
    }

    #[test]
    fn the_first_other_record_and_the_last_one_before_it_are_found_without_any_bytes() {
        let rows = archived(&[(3, "a"), (4, "b"), (6, "c"), (7, "d")]);
        let log = |payloads: &[(i64, &str)], end| Found { records: records(payloads), end };
        let last = |found: &Found, at| last_in_both(&rows, found, at).map(|record| record.offset);
        for (found, has_holes, differs, before) in [
            (log(&[(3, "a"), (4, "b"), (6, "c"), (7, "d")], 8), false, None, Some(7)),
            (log(&[(3, "a"), (4, "b"), (6, "c"), (7, "x")], 8), false, Some(7), Some(6)),
            (log(&[(3, "a"), (4, "b"), (5, "x")], 8), false, Some(5), Some(4)),
            (log(&[(3, "a"), (6, "c"), (7, "x")], 8), false, Some(4), Some(3)),
            (log(&[(3, "a"), (6, "c"), (7, "x")], 8), true, Some(7), Some(6)),
            // A compacted topic may have lost the records between.
            (log(&[(3, "a"), (7, "x")], 8), true, Some(7), Some(3)),
            (log(&[(3, "x")], 4), false, Some(3), None),
            (log(&[(3, "a"), (4, "b")], 5), false, None, Some(4)),
        ] {
            assert_eq!(first_differing(&rows, &found, &[], has_holes), differs, "{found:?}");
            assert_eq!(last(&found, differs.unwrap_or(8)), before, "{found:?}");
        }
    }

    #[test]
    fn an_offset_that_the_archive_has_lost_is_neither_a_difference_nor_a_witness() {
        let rows = archived(&[(3, "a"), (5, "c")]);
        let found = Found { records: records(&[(3, "a"), (4, "b"), (5, "x")]), end: 6 };
        assert_eq!(first_differing(&rows, &found, &[1..2, 4..5], false), Some(5));
        assert_eq!(last_in_both(&rows, &found, 5), found.records.get(&3).copied());
    }
}
