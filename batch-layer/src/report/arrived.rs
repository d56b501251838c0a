//! What had arrived at a moment: per partition, the first offset whose record has a timestamp of then or later, and where there is none,
//! the log's end, which is asked for after that moment (P2).
//!
//! The end is asked for once for each day that is waited for. Asked for again at each look, it would move on with the log, and a day
//! whose partition has only records of older timestamps would never be written.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use shared_logic::contracts::archive::Facts;
use shared_logic::log::{OffsetRange, Offsets, PartitionId};
use storage::{Archive, Followed, Storage};

use super::ReportError;
use super::outcome::Waiting;
use crate::archive_rows::since::{believed, first_since};
use crate::log_ends::LogEnds;
use crate::stream::TopicEnds;

/// What reports have found out about the days that they wait for, by report and source: of each the last day that it has looked at. A
/// clone shares it.
#[derive(Clone, Default)]
pub(crate) struct Arrivals(Arc<Mutex<BTreeMap<(String, String), Looked>>>);

/// What had arrived, and what of it is archived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Arrived {
    /// Per partition, the first offset that had not arrived. Partitions of which nothing had are not named, nor are imported files.
    pub(super) at: Offsets,
    /// Per partition, the first offset that is not archived by now.
    pub(super) archived: Offsets,
    /// The version of the archive that has last taken erased events out by now; `None`: none has.
    pub(super) erased: Option<u64>,
}

/// An archive, and what is known of what it held at a moment.
struct Looked {
    archive: Followed<Facts>,
    /// Microseconds since 1970.
    at_us: i64,
    arrival: Arrival,
}

/// What is known of what had arrived of a topic at a moment.
#[derive(Debug, Default)]
struct Arrival {
    /// Per partition, the first offset whose record says that it came later.
    later: BTreeMap<PartitionId, i64>,
    /// Per partition, up to where such a record was looked for.
    looked: Offsets,
    /// Where the topic ended when it was asked for.
    ends: Option<TopicEnds>,
}

impl std::fmt::Debug for Arrivals {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Arrivals").finish_non_exhaustive()
    }
}

impl Arrivals {
    /// Forgets what a report has found out: it waits for nothing any more.
    pub(super) fn forget(&self, report: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).retain(|(of, _), _| of != report);
    }

    /// What is known of a source; nothing yet if the report has looked at another moment. If the caller does not put it back, it is
    /// found out again.
    fn take(&self, storage: &Storage, key: &(String, String), at_us: i64) -> Looked {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
        let mut looked = known.unwrap_or_else(|| Looked {
            archive: storage.follow_archive(&key.1),
            at_us,
            arrival: Arrival::default(),
        });
        if looked.at_us != at_us {
            (looked.at_us, looked.arrival) = (at_us, Arrival::default());
        }
        looked
    }

    fn put(&self, key: (String, String), looked: Looked) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(key, looked);
    }
}

/// A report, and what its day is looked for with.
pub(super) struct Looking<'a> {
    pub(super) report: &'a str,
    pub(super) storage: &'a Storage,
    pub(super) arrivals: &'a Arrivals,
    pub(super) ends: &'a dyn LogEnds,
}

impl Looking<'_> {
    /// What had arrived of a source at a moment, which has passed. `since` is what had arrived at an earlier moment, below which nothing
    /// is looked for.
    ///
    /// # Errors
    /// If the archive cannot be read, or Kafka does not answer. The second error says what is waited for.
    pub(super) async fn arrived(
        &self,
        (source, topic): (&str, &str),
        since: Option<&Offsets>,
        at_us: i64,
    ) -> Result<Result<Arrived, Waiting>, ReportError> {
        let key = (self.report.to_owned(), source.to_owned());
        let mut looked = self.arrivals.take(self.storage, &key, at_us);
        let arrived = self.look(&mut looked, (source, topic), since).await;
        self.arrivals.put(key, looked);
        arrived
    }

    async fn look(
        &self,
        looked: &mut Looked,
        (source, topic): (&str, &str),
        since: Option<&Offsets>,
    ) -> Result<Result<Arrived, Waiting>, ReportError> {
        let Looked { archive, at_us, arrival } = looked;
        let newest = archive.newest().await?.filter(|archive| archive.note().is_some());
        let Some(archive) = newest else { return Ok(Err(Waiting::NotArchived { source: source.to_owned() })) };
        let facts = archive.facts();
        arrival.look_for_later(archive, &facts, since, *at_us).await?;
        if arrival.ends.is_none() && (arrival.later.is_empty() || !arrival.open(&facts).is_empty()) {
            // The moment has passed, so that any end that is asked for now lies behind all that had arrived. Where every log has ended,
            // there may be another one that the archive does not know yet.
            let asked = self.ends.ends(topic).await;
            arrival.ends =
                asked.map_err(|source| ReportError::Ends { topic: topic.to_owned(), source: Box::new(source) })?;
            if arrival.ends.is_none() && !arrival.open(&facts).is_empty() {
                return Ok(Err(Waiting::NoTopic { topic: topic.to_owned() }));
            }
        }
        let archived = facts.partitions().map(|(id, known)| (id, known.next)).collect();
        let erased = facts.erased_since(0).map(|part| part.version).max();
        Ok(arrival.arrived(&facts, topic).map(|at| Arrived { at, archived, erased }))
    }
}

impl Arrival {
    /// Looks for records that came later, in what was not looked at before.
    async fn look_for_later(
        &mut self,
        archive: &Archive,
        facts: &Facts,
        since: Option<&Offsets>,
        at_us: i64,
    ) -> Result<(), ReportError> {
        let mut ranges = Vec::new();
        for (log, partition, known) in facts.entries().filter(|(log, ..)| log.import.is_none()) {
            let id = PartitionId::new(log.log.clone(), partition);
            let since = since.and_then(|since| since.get(&id)).unwrap_or(known.begin);
            let from = self.looked.get(&id).unwrap_or(known.begin).max(since).max(known.begin);
            if from < known.next && !self.later.contains_key(&id) {
                ranges.push(OffsetRange { id, from, to: known.next });
            }
        }
        if ranges.is_empty() {
            return Ok(());
        }
        let files = archive.files().await?;
        let found = first_since(archive, &files, ranges.clone(), believed(at_us, platform::clock::now_us())).await?;
        self.later.extend(found);
        ranges.into_iter().for_each(|range| self.looked.set(range.id, range.to));
        Ok(())
    }

    /// The partitions that go on, and of which no record says that it came later.
    fn open(&self, facts: &Facts) -> BTreeSet<PartitionId> {
        let live = facts.entries().filter(|(log, ..)| log.import.is_none());
        let ids = live.map(|(log, partition, _)| PartitionId::new(log.log.clone(), partition));
        ids.filter(|id| !self.later.contains_key(id) && !facts.is_ended(id)).collect()
    }

    /// What had arrived, by all that is known of it.
    fn arrived(&self, facts: &Facts, topic: &str) -> Result<Offsets, Waiting> {
        let mut arrived = Offsets::default();
        for (log, partition, known) in facts.entries().filter(|(log, ..)| log.import.is_none()) {
            let id = PartitionId::new(log.log.clone(), partition);
            match self.later.get(&id) {
                Some(first) => arrived.set(id, *first),
                None if facts.is_ended(&id) => arrived.set(id, known.next),
                None => {}
            }
        }
        if let Some(asked) = &self.ends {
            let open = self.open(facts);
            // A log that the archive has begun behind the one that was asked about has begun after the moment.
            if let Some(other) = open.iter().find(|id| id.topic() != asked.log)
                && !facts.is_closed(&asked.log)
            {
                return Err(Waiting::OtherLog { topic: topic.to_owned(), log: other.log.clone() });
            }
            for (partition, end) in &asked.ends {
                let id = facts.current(&asked.log, *partition);
                if open.contains(&id) || facts.partition(&id).is_none() {
                    arrived.set(id, *end);
                }
            }
        }
        let begin = |id: &PartitionId| facts.partition(id).map_or(0, |known| known.begin);
        Ok(arrived.iter().filter(|(id, at)| *at > begin(id)).map(|(id, at)| (id.clone(), at)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(log: &str, partition: i32) -> PartitionId {
        PartitionId::new(log, partition)
    }

    /// Two partitions of a log, of which ten records are archived.
    fn facts() -> Facts {
        let mut facts = Facts::default();
        for partition in [0, 1] {
            facts.begin(&id("a", partition), 0);
            assert!(facts.advance(&id("a", partition), 0, 10));
        }
        facts
    }

    fn asked(log: &str, ends: [i64; 2]) -> Option<TopicEnds> {
        Some(TopicEnds { log: log.to_owned(), ends: [0, 1].into_iter().zip(ends).collect() })
    }

    fn arrived(arrival: &Arrival, facts: &Facts) -> Vec<(PartitionId, i64)> {
        let arrived = arrival.arrived(facts, "clicks").unwrap_or_else(|waiting| panic!("{waiting}"));
        arrived.iter().map(|(id, at)| (id.clone(), at)).collect()
    }

    #[test]
    fn a_record_that_came_later_says_more_than_the_end_that_was_asked_for() {
        let mut arrival = Arrival { ends: asked("a", [30, 40]), ..Arrival::default() };
        arrival.later.insert(id("a", 0), 7);
        let mut facts = facts();
        assert_eq!(arrival.open(&facts), BTreeSet::from([id("a", 1)]));
        assert_eq!(arrived(&arrival, &facts), [(id("a", 0), 7), (id("a", 1), 40)]);
        assert!(facts.advance(&id("a", 1), 10, 90));
        assert_eq!(arrived(&arrival, &facts)[1], (id("a", 1), 40), "more has come since, and is not waited for");
    }

    #[test]
    fn of_a_log_that_ended_meanwhile_what_is_archived_had_arrived_and_nothing_of_the_next_one() {
        let arrival = Arrival { ends: asked("a", [30, 10]), ..Arrival::default() };
        let mut facts = facts();
        facts.close("a");
        facts.begin(&id("b", 0), 0);
        assert!(facts.advance(&id("b", 0), 0, 5));
        assert_eq!(arrived(&arrival, &facts), [(id("a", 0), 10), (id("a", 1), 10)]);
    }

    #[test]
    fn a_log_that_the_archive_does_not_know_yet_is_waited_for() {
        let arrival = Arrival { ends: asked("b", [3, 4]), ..Arrival::default() };
        let waiting = arrival.arrived(&facts(), "clicks").expect_err("the archive has not seen it");
        assert_eq!(waiting, Waiting::OtherLog { topic: "clicks".to_owned(), log: "a".to_owned() });
    }
}
