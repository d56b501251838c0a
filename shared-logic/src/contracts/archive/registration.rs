//! Registration: what an archiver's session changes in the facts once it has seen the topic, before it archives any row (R6).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::Facts;
use crate::catalog::Start;
use crate::log::{PartitionId, topic_of};

/// What a registration changed, one fact at a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The topic has another id now, so this log has ended.
    Closed {
        /// The log that ended.
        log: String,
    },
    /// The log had been closed, and the topic has its id after all.
    Reopened {
        /// The topic's log.
        log: String,
    },
    /// The partition is new to the archive.
    Begun {
        /// Which partition.
        id: PartitionId,
        /// The first offset that the archive will hold.
        at: i64,
    },
    /// The log no longer holds offsets that are not archived, `[from, to)`.
    Lost {
        /// Which partition.
        id: PartitionId,
        /// The first lost offset.
        from: i64,
        /// The first offset behind the lost ones.
        to: i64,
    },
}

impl Facts {
    /// R6: registers the topic as it is now: its id `log`, and per partition where that starts and ends. Closes the logs of every other id,
    /// begins the partitions that are new, and notes what the log lost of the partitions `own` before they were archived. Returns what changed.
    ///
    /// A partition begins where it starts. The first log of the topic that the archive ever sees begins where `first` says instead,
    /// so that the past of a topic can be left out; a later one has no past that was left out on purpose.
    pub fn register_topic(
        &mut self,
        log: &str,
        first: Start,
        starts: &BTreeMap<i32, i64>,
        ends: &BTreeMap<i32, i64>,
        own: &BTreeSet<i32>,
    ) -> Vec<Change> {
        let is_first = self.logs.iter().all(|known| known.import.is_some());
        let begins = if is_first && first == Start::Latest { ends } else { starts };
        let mut changes = self.close_all_but(log);
        let closed = self.logs.iter().filter(|known| known.closed && topic_of(&known.log) == log);
        let closed: Vec<String> = closed.map(|known| known.log.clone()).collect();
        for log in closed {
            self.reopen(&log);
            changes.push(Change::Reopened { log });
        }
        for (partition, at) in begins {
            let id = self.current(log, *partition);
            if self.partition(&id).is_none() {
                self.begin(&id, *at);
                changes.push(Change::Begun { id, at: *at });
            }
        }
        for (partition, start) in starts.iter().filter(|(partition, _)| own.contains(partition)) {
            let id = self.current(log, *partition);
            if let Some(from) = self.partition(&id).map(|known| known.next).filter(|next| next < start) {
                self.lose(&id, *start);
                changes.push(Change::Lost { id, from, to: *start });
            }
        }
        changes
    }

    /// The open logs of other ids than that, which end when the topic is registered with it.
    pub fn open_besides(&self, log: &str) -> impl Iterator<Item = &str> {
        let open = self.logs.iter().filter(move |known| !known.closed && topic_of(&known.log) != log);
        open.map(|known| known.log.as_str())
    }

    /// Whether a log of that id was closed, and is opened again when the topic is registered with it.
    pub fn was_closed(&self, log: &str) -> bool {
        self.logs.iter().any(|known| known.closed && topic_of(&known.log) == log)
    }

    fn close_all_but(&mut self, log: &str) -> Vec<Change> {
        let ended: Vec<String> = self.open_besides(log).map(str::to_owned).collect();
        ended.iter().for_each(|log| self.close(log));
        ended.into_iter().map(|log| Change::Closed { log }).collect()
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Change::Closed { log } => write!(f, "log {log} is closed"),
            Change::Reopened { log } => write!(f, "log {log} is open again"),
            Change::Begun { id, at } => write!(f, "{id} begins at {at}"),
            Change::Lost { id, from, to } => write!(f, "{id} lost [{from}, {to})"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(log: &str, partition: i32) -> PartitionId {
        PartitionId::new(log, partition)
    }

    fn registered(facts: &mut Facts, log: &str, partitions: &[(i64, i64)]) -> Vec<Change> {
        let numbered = || (0..).zip(partitions);
        let starts: BTreeMap<i32, i64> = numbered().map(|(partition, (start, _))| (partition, *start)).collect();
        let ends = numbered().map(|(partition, (_, end))| (partition, *end)).collect();
        facts.register_topic(log, Start::Latest, &starts, &ends, &starts.keys().copied().collect())
    }

    #[test]
    fn only_the_first_log_begins_at_its_end() {
        let mut facts = Facts::default();
        assert_eq!(registered(&mut facts, "a", &[(3, 7)]), [Change::Begun { id: id("a", 0), at: 7 }]);
        assert_eq!(registered(&mut facts, "a", &[(3, 9)]), [], "nothing is new");
        let grown = registered(&mut facts, "a", &[(3, 9), (0, 2)]);
        assert_eq!(grown, [Change::Begun { id: id("a", 1), at: 0 }], "a partition that was added has no past");
        let again = registered(&mut facts, "b", &[(1, 4)]);
        let closed = Change::Closed { log: "a".to_owned() };
        assert_eq!(again, [closed, Change::Begun { id: id("b", 0), at: 1 }]);
    }

    #[test]
    fn by_default_a_partition_begins_at_its_start() {
        let (starts, ends) = (BTreeMap::from([(0, 3)]), BTreeMap::from([(0, 7)]));
        let changes = Facts::default().register_topic("a", Start::Earliest, &starts, &ends, &BTreeSet::new());
        assert_eq!(changes, [Change::Begun { id: id("a", 0), at: 3 }]);
    }

    #[test]
    fn what_the_log_lost_before_it_was_archived_is_noted_once() {
        let mut facts = Facts::default();
        registered(&mut facts, "a", &[(0, 0)]);
        assert!(facts.advance(&id("a", 0), 0, 5));
        assert_eq!(registered(&mut facts, "a", &[(5, 9)]), [], "all below 5 is archived");
        assert_eq!(registered(&mut facts, "a", &[(8, 9)]), [Change::Lost { id: id("a", 0), from: 5, to: 8 }]);
        assert_eq!(registered(&mut facts, "a", &[(8, 9)]), []);
        assert_eq!(facts.partition(&id("a", 0)).map(|known| (known.next, known.lost.len())), Some((8, 1)));
    }

    #[test]
    fn what_another_archiver_reads_is_begun_and_not_noted_as_lost() {
        let mut facts = Facts::default();
        let (starts, later) = (BTreeMap::from([(0, 0), (1, 0)]), BTreeMap::from([(0, 4), (1, 5)]));
        let register = |facts: &mut Facts, starts: &BTreeMap<i32, i64>| {
            facts.register_topic("a", Start::Earliest, starts, starts, &[1].into())
        };
        assert_eq!(register(&mut facts, &starts).len(), 2, "both partitions are begun");
        assert_eq!(register(&mut facts, &later), [Change::Lost { id: id("a", 1), from: 0, to: 5 }]);
        assert_eq!(facts.partition(&id("a", 0)).map(|known| known.next), Some(0), "its archiver may have read it");
    }

    #[test]
    fn a_log_that_is_the_topics_again_is_reopened_and_goes_on_where_it_was() {
        let mut facts = Facts::default();
        registered(&mut facts, "a", &[(0, 0)]);
        assert!(facts.advance(&id("a", 0), 0, 5));
        facts.close("a");
        assert_eq!(registered(&mut facts, "a", &[(0, 9)]), [Change::Reopened { log: "a".to_owned() }]);
        assert!(!facts.is_closed("a"));
        assert_eq!(facts.partition(&id("a", 0)).map(|known| known.next), Some(5));
    }
}
