//! R11: a source that keeps no bytes of events, and whose rules have changed. As long as the log holds all that the new rules
//! cannot decode, the archiver reads it again and archives it under these rules, before it goes on. Else it refuses them.
//!
//! What was read again is written in files of bounded size, and one commit puts all of them in place of what was archived
//! before. If anything changes meanwhile, or the connection breaks, the files are left behind, as those of a process that is
//! killed: no version of the archive knows of them. The next session begins anew.
//!
//! The log still holds records that the archive has erased. They stay erased: their places are known, so they are not decoded. An
//! erasure that comes while the log is read again is such a change.
//!
//! - `reading_again`: what was read again, and not committed yet.

mod reading_again;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use platform::kafka::Topic;
use platform::task::Attempts;
use shared_logic::catalog::{KeptBytes, Source};
use shared_logic::contracts::archive::{Facts, NotHeld, TopicLog, WhyNotHeld};
use shared_logic::log::OffsetRange;
use tracing::{info, warn};

use self::reading_again::ReadingAgain;
use super::reading::Positions;
use super::{Archiver, Bounds, SessionError, commit};
use crate::archive::replace::{self, ReadAgain, Replacement};
use crate::archive_rows::erased::{self, Places};

/// How often the log says how far a long reading has come.
const PROGRESS_EVERY: Duration = Duration::from_secs(10);
/// How often the replacement is tried again when commits that change nothing of it came first. All waits together take less than 5 seconds.
const ATTEMPTS: u32 = 20;
/// The wait before the second try.
const FIRST_WAIT: Duration = Duration::from_millis(10);

/// What is to be archived again, and what that follows from.
#[derive(Debug, PartialEq)]
struct Wanted {
    /// All offsets that the source's rules cannot decode.
    ranges: Vec<OffsetRange>,
    /// Where the archive stands.
    positions: Positions,
    /// How many commits have erased records.
    erased_parts: usize,
}

impl Wanted {
    /// Where each of their partitions is read from: from the first of them, or from the witness, if that lies before.
    fn begins(&self) -> BTreeMap<i32, i64> {
        let mut begins = BTreeMap::new();
        for OffsetRange { id, from, .. } in &self.ranges {
            let check = self.positions.checks.get(&id.partition);
            let from = check.map_or(*from, |check| check.begins_at().min(*from));
            let begin = begins.entry(id.partition).or_insert(from);
            *begin = from.min(*begin);
        }
        begins
    }

    fn holds(&self, partition: i32, offset: i64) -> bool {
        self.ranges.iter().any(|range| range.id.partition == partition && (range.from..range.to).contains(&offset))
    }

    /// Up to where a partition is read, so that the record before the archive's position is compared (R12).
    fn upto(&self, partition: i32) -> i64 {
        self.positions.next.get(&partition).copied().unwrap_or_default()
    }
}

impl Archiver {
    /// Archives again what the source's rules cannot decode. Returns false if there is nothing of it. Otherwise the session has
    /// to end, whatever came of it.
    ///
    /// # Errors
    /// [`SessionError::RulesChanged`] if the log does not hold all of it.
    pub(super) fn archives_again(&mut self, topic: &Topic, bounds: &Bounds) -> Result<bool, SessionError> {
        if !lacks_bytes(&self.archive.facts(), &self.source) {
            return Ok(false);
        }
        let wanted = self.wanted(topic, bounds)?;
        for partition in wanted.begins().into_keys() {
            let end = bounds.ends.get(&partition).copied().unwrap_or_default();
            self.reaches(topic, &wanted, partition, end)?;
        }
        if let Some(read) = self.read_wanted(topic, bounds, &wanted)? {
            self.replace(topic, bounds, &wanted, &read)?;
        }
        Ok(true)
    }

    fn wanted(&mut self, topic: &Topic, bounds: &Bounds) -> Result<Wanted, SessionError> {
        let facts = self.archive.facts();
        let log = TopicLog { log: &topic.log, starts: &bounds.starts, has_holes: self.is_compacted()? };
        let ranges = facts.held_by(log, &self.source.decoding_rules()).map_err(refused)?;
        let positions = self.positions(topic, &facts, &bounds.starts)?;
        Ok(Wanted { ranges, positions, erased_parts: facts.erased_parts() })
    }

    /// Fails if the partition's log ends before what is archived of it: it is waited for.
    fn reaches(&self, topic: &Topic, wanted: &Wanted, partition: i32, end: i64) -> Result<(), SessionError> {
        let next = wanted.upto(partition);
        if next <= end {
            return Ok(());
        }
        let id = self.archive.facts().current(&topic.log, partition);
        Err(SessionError::BeyondTheEnd { id, next, end })
    }

    /// Which of the wanted records are erased.
    fn erased(&self, wanted: &Wanted) -> Result<Places, SessionError> {
        if wanted.erased_parts == 0 {
            return Ok(Places::default());
        }
        Ok(self.runtime.block_on(erased::places(&self.archive, &wanted.ranges))?)
    }

    /// Reads everything that is wanted. Returns nothing if the session has to end before.
    fn read_wanted(
        &mut self,
        topic: &Topic,
        bounds: &Bounds,
        wanted: &Wanted,
    ) -> Result<Option<ReadAgain>, SessionError> {
        let erased = self.erased(wanted)?;
        let mut reading = ReadingAgain::new(&self.source, &self.archive.columns()?, topic, wanted, erased);
        self.consumer.assign(reading.starts())?;
        reading.log_progress(&self.source.topic);
        let (mut looked, mut logged) = (Instant::now(), Instant::now());
        while !self.stop.is_cancelled() {
            if reading.waiting.is_empty() {
                reading.poll(&mut self.consumer, &self.source.topic, &mut self.decoder, &self.schemas)?;
            } else if self.learns(&mut reading.waiting) {
                self.consumer.assign(reading.starts())?;
            }
            if self.breaks_off(topic, wanted, &reading)? {
                return Ok(None);
            }
            let is_done = reading.is_done();
            if is_done || reading.is_full(&self.settings) {
                let files = self.runtime.block_on(commit::write(&self.archive, reading.take_rows()))?;
                reading.add_files(files);
            }
            if is_done {
                return Ok(Some(reading.read));
            }
            if looked.elapsed() >= self.settings.discover_every.get() {
                if !self.is_unchanged(topic, bounds, wanted)? {
                    return Ok(None);
                }
                looked = Instant::now();
            }
            if logged.elapsed() >= PROGRESS_EVERY {
                reading.log_progress(&self.source.topic);
                logged = Instant::now();
            }
        }
        Ok(None)
    }

    /// Whether what was read cannot be used, because the log may not be what it was.
    fn breaks_off(&mut self, topic: &Topic, wanted: &Wanted, reading: &ReadingAgain<'_>) -> Result<bool, SessionError> {
        if self.losses.take() || self.consumer.stalled().is_some() {
            warn!(topic = self.source.topic, "a connection to kafka broke or stalls; archiving again from the start");
            self.renew()?;
            self.pause(self.settings.retry_backoff.get());
            return Ok(true);
        }
        if let Some(partition) = reading.out_of_range.first() {
            warn!(
                topic = self.source.topic,
                partition, "kafka says that the log does not hold what is to be archived again"
            );
            self.pause(self.settings.retry_backoff.get());
            return Ok(true);
        }
        for (partition, end) in &reading.ends {
            self.reaches(topic, wanted, *partition, *end)?;
        }
        let differs = !reading.differs.is_empty();
        if differs {
            self.lose_tails(topic, &reading.differs)?;
        }
        Ok(differs)
    }

    /// Whether the topic is still that log (R7), and the archive, at its newest version, as it was.
    fn is_unchanged(&mut self, topic: &Topic, bounds: &Bounds, wanted: &Wanted) -> Result<bool, SessionError> {
        if self.describe()?.is_none_or(|now| now.log != topic.log) {
            warn!(
                topic = self.source.topic,
                log = topic.log,
                "the topic was created again or deleted while it was read again"
            );
            return Ok(false);
        }
        self.runtime.block_on(self.archive.refresh())?;
        let is_same = self.wanted(topic, bounds)? == *wanted;
        if !is_same {
            warn!(
                table = self.archive.path(),
                "another archiver writes to this archive; archiving again from the start"
            );
            self.pause(self.settings.retry_backoff.get());
        }
        Ok(is_same)
    }

    /// Puts what was read again in its place, if nothing has changed.
    fn replace(
        &mut self,
        topic: &Topic,
        bounds: &Bounds,
        wanted: &Wanted,
        read: &ReadAgain,
    ) -> Result<(), SessionError> {
        let mut attempts = Attempts::new(ATTEMPTS, FIRST_WAIT);
        loop {
            // R7: asked after everything was read.
            if !self.is_unchanged(topic, bounds, wanted)? {
                return Ok(());
            }
            let Archiver { runtime, archive, source, stop, .. } = &mut *self;
            let replaced = runtime.block_on(async {
                tokio::select! {
                    replaced = replace::replace(archive, source, &wanted.ranges, read) => replaced.map(Some),
                    () = stop.cancelled() => Ok(None),
                }
            });
            match replaced? {
                Some(Replacement::At(version)) => {
                    let (table, records) = (self.archive.path(), read.digest.records);
                    info!(table, version, records, "archived again, under the source's rules");
                    return Ok(());
                }
                Some(Replacement::Conflict) => {}
                Some(Replacement::OtherRecords) => return self.refuses_other_records(),
                None => return Ok(()),
            }
            let Some(wait) = attempts.wait() else { break };
            self.pause(wait);
        }
        warn!(
            table = self.archive.path(),
            "others commit to this archive all the time; archiving again from the start"
        );
        Ok(())
    }

    /// The log holds the offsets, but other records than were archived.
    fn refuses_other_records(&self) -> Result<(), SessionError> {
        let (facts, rules) = (self.archive.facts(), self.source.decoding_rules());
        match facts.not_decodable(&rules).next() {
            Some((id, range)) => Err(refused(NotHeld { id, range: range.clone(), why: WhyNotHeld::Other })),
            None => Ok(()),
        }
    }
}

/// Whether the archive of a source that keeps no bytes of events holds what its rules cannot decode.
pub(super) fn lacks_bytes(facts: &Facts, source: &Source) -> bool {
    source.kept_bytes == KeptBytes::Rejected && facts.not_decodable(&source.decoding_rules()).next().is_some()
}

fn refused(not_held: NotHeld) -> SessionError {
    let NotHeld { id: partition, range, why } = not_held;
    SessionError::RulesChanged { rules: range.rules, partition, from: range.from, to: range.to, why }
}

#[cfg(test)]
mod tests;
