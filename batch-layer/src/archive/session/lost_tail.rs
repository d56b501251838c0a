//! R12: a log that lost its tail. The archive closes the partition's incarnation at what it holds, and begins the next
//! one at the first offset whose record differs from what was archived there.
//!
//! - `search`: that offset, found in what archive and log hold.

mod search;

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use platform::kafka::{Bound, KafkaError, Polled, Topic};
use platform::store::Committed;
use platform::task::Attempts;
use shared_logic::contracts::archive::{Facts, PartitionFacts};
use shared_logic::log::{Check, PartitionId, Witness};
use tracing::{error, warn};

use self::search::{Found, Search, Sizes};
use super::reading::{POLL_RECORDS, POLL_WAIT, Positions, witness_of};
use super::{Archiver, SessionError, commit};
use crate::archive_rows::lives::Lives;

/// The windows of a search. The larger one bounds the memory that it takes.
const WINDOWS: Sizes = Sizes { first: 1_000, most: 65_536 };

/// How often a lost tail is committed again when others came first. All waits together take less than 5 seconds.
const ATTEMPTS: u32 = 20;
/// The wait before the second try.
const FIRST_WAIT: Duration = Duration::from_millis(10);

/// A partition whose log holds other records than the archive.
struct LostTail {
    id: PartitionId,
    /// What was known of it when it was compared.
    known: Option<PartitionFacts>,
    /// The first offset at which it differs.
    at: i64,
    /// The record before that.
    before: Option<Witness>,
    /// Where the log starts.
    start: i64,
}

/// A partition that goes on as another incarnation.
struct Lost<'a> {
    tail: &'a LostTail,
    next: PartitionId,
    lacks_unread: bool,
}

impl LostTail {
    /// Begins the next incarnation in the facts, unless others have changed what is known of the partition.
    fn lose(&self, facts: &mut Facts) -> Option<Lost<'_>> {
        if facts.partition(&self.id) != self.known.as_ref() {
            return None;
        }
        let next = facts.lose_tail(&self.id, self.at, self.before)?;
        let lacks_unread = facts.lose_unread(&next, self.start);
        Some(Lost { tail: self, next, lacks_unread })
    }
}

impl Lost<'_> {
    fn log(&self) {
        let Lost { tail: LostTail { id, at, start, .. }, next, lacks_unread } = self;
        error!(%id, %next, at, "the log lost its tail: from here on it holds other records than the archive; the partition continues as another incarnation");
        if *lacks_unread {
            error!(%next, from = start, to = at, "nothing is left in the log of what was archived, so records may have been written below it: answers have a gap until `braid lost accept`");
        }
    }
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
    /// with an offset at which it does. If another archiver has gone on with one of them, or the topic was created again, nothing of it
    /// changes, and the next session looks again.
    pub(super) fn lose_tails(&mut self, topic: &Topic, differs: &BTreeMap<i32, i64>) -> Result<(), SessionError> {
        let (starts, ends) = (self.offsets(topic, Bound::Start)?, self.offsets(topic, Bound::End)?);
        let of = |offsets: &BTreeMap<i32, i64>, partition: &i32| offsets.get(partition).copied().unwrap_or_default();
        let facts = self.archive.facts();
        let mut tails = Vec::new();
        for (partition, seen) in differs {
            let id = facts.current(&topic.log, *partition);
            let (start, end) = (of(&starts, partition), of(&ends, partition));
            let (at, before) = self.first_difference(&facts, &id, start..end, *seen)?;
            tails.push(LostTail { known: facts.partition(&id).cloned(), id, at, before, start });
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
        self.lose(&tails)
    }

    /// Commits that these tails are lost, on whatever others commit meanwhile of other partitions.
    fn lose(&mut self, tails: &[LostTail]) -> Result<(), SessionError> {
        let mut attempts = Attempts::new(ATTEMPTS, FIRST_WAIT);
        loop {
            let before = self.archive.facts();
            let mut facts = before.clone();
            let lost: Vec<Lost<'_>> = tails.iter().filter_map(|tail| tail.lose(&mut facts)).collect();
            if facts == before {
                break;
            }
            let committed = commit::facts(&mut self.archive, facts, None);
            if self.runtime.block_on(committed)? != Committed::Conflict {
                lost.iter().for_each(Lost::log);
                return Ok(());
            }
            let Some(wait) = attempts.wait().filter(|_| !self.stop.is_cancelled()) else { break };
            self.pause(wait);
            self.runtime.block_on(self.archive.refresh())?;
        }
        warn!(table = self.archive.path(), "another archiver writes to this archive; comparing again");
        Ok(())
    }

    /// The first offset at which the log differs from what is archived, and the record before it. `seen` is one at
    /// which it does; `log` are the offsets that the log holds.
    fn first_difference(
        &mut self,
        facts: &Facts,
        id: &PartitionId,
        log: Range<i64>,
        seen: i64,
    ) -> Result<(i64, Option<Witness>), SessionError> {
        let lives = Lives::of(facts, id);
        // The end may have been asked of a leader that lags. The log reaches beyond the offset that was seen.
        let end = log.end.max(seen + 1);
        let offsets = lives.begin().max(log.start)..facts.partition(id).map_or(0, |known| known.next).min(end);
        let mut search = Search::new(seen, offsets, lives.lost.clone(), self.is_compacted()?, WINDOWS);
        while let Some(window) = search.window() {
            let archived = self.runtime.block_on(lives.records(&self.archive, &window))?;
            search.compare(&archived, &self.read_again(id, &window)?);
        }
        Ok(search.place())
    }

    /// Reads these offsets of a partition again, as far as the log goes.
    fn read_again(&mut self, id: &PartitionId, window: &Range<i64>) -> Result<Found, SessionError> {
        self.consumer.assign(&BTreeMap::from([(id.partition, window.start)]))?;
        let (mut records, mut end, mut fails) = (BTreeMap::new(), None, false);
        while end.is_none() {
            self.consumer.poll(POLL_WAIT, POLL_RECORDS, |polled| match polled {
                Polled::Record(record) => {
                    if record.offset < window.end {
                        records.insert(record.offset, witness_of(&record));
                    }
                    if record.offset + 1 >= window.end {
                        end = Some(window.end);
                    }
                }
                Polled::End { offset, .. } => end = Some(offset.min(window.end)),
                Polled::OutOfRange { .. } => fails = true,
                Polled::Failed { partition, error } => {
                    warn!(%id, %error, "kafka reports an error");
                    fails |= partition.is_some();
                }
            })?;
            // A connection that breaks is left to the next session, too.
            fails |= self.losses.is_new() || self.consumer.stalled().is_some() || self.stop.is_cancelled();
            if fails {
                return Err(SessionError::NotReadAgain { id: id.clone(), from: window.start, to: window.end });
            }
        }
        Ok(Found { records, end: end.unwrap_or(window.start) })
    }
}
