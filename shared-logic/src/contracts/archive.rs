//! The Delta archive: every record that arrived, in `<name>/archive/<source>`.
//!
//! A row is a record: its place, its bytes' meaning as declared columns, and, where it could not be decoded, its bytes and
//! the reason. Each commit carries [`Facts`]: which logs and partitions exist, where the archive begins and how far it has
//! come, what was lost, which logs have ended (R6). They stand in the same commit as the rows, as Delta domain metadata.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::log::PartitionId;
use crate::rejection::Reason;

/// The Delta metadata domain that holds the [`Facts`].
pub const FACTS_DOMAIN: &str = "braid.archive";

/// The partition column: the event's day, or the record's for records that are not events. `YYYY-MM-DD`.
pub const DAY: &str = "_day";
/// The log's id.
pub const LOG: &str = "_log";
/// The partition's number.
pub const PARTITION: &str = "_partition";
/// The record's offset.
pub const OFFSET: &str = "_offset";
/// The record's own timestamp, microseconds UTC; null if it has none.
pub const TIMESTAMP: &str = "_timestamp";
/// The record's key, bytes.
pub const KEY: &str = "_key";
/// The record's headers, a JSON array of `[name, value]`.
pub const HEADERS: &str = "_headers";
/// Undeclared members of a JSON payload, as a JSON object.
pub const EXTRA: &str = "_extra";
/// The payload of a record that could not be decoded.
pub const RAW: &str = "_raw";
/// Why it could not: `reason` or `reason:field`.
pub const ERROR: &str = "_error";

/// Where a source's archive lies below the deployment's root, `<store.url>/<name>`.
pub fn path(source: &str) -> String {
    format!("archive/{source}")
}

/// What the archive knows of its source's logs, as of one commit.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Facts {
    /// The logs in the order in which the archive met them.
    pub logs: Vec<LogFacts>,
    /// Records that could not be decoded, by reason.
    #[serde(default)]
    pub rejects: BTreeMap<Reason, Rejects>,
}

/// One life of a topic.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LogFacts {
    /// The topic's id.
    pub log: String,
    /// Whether it has ended: the topic has another id by now. A closed log's cut is its archived end.
    #[serde(default)]
    pub closed: bool,
    /// Whether it was closed and a reconcile has asked since how far the speed layer had counted it. Only then is it known as
    /// well as it can be what of it is lost, and its shards are needed no more.
    #[serde(default)]
    pub settled: bool,
    /// Its partitions that the archive has begun.
    pub partitions: BTreeMap<i32, PartitionFacts>,
}

/// How far one partition has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionFacts {
    /// Where the archive begins it.
    pub begin: i64,
    /// The first offset that is not archived.
    pub next: i64,
    /// Where the log ended when it was last asked; what a closed log held between `next` and here is lost.
    #[serde(default)]
    pub end: i64,
    /// Ranges that the log lost before they were archived.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lost: Vec<Lost>,
}

/// Offsets that the log lost before they were archived, `[from, to)`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lost {
    /// The first lost offset.
    pub from: i64,
    /// The first offset behind them.
    pub to: i64,
    /// Whether an operator accepted the loss.
    #[serde(default)]
    pub accepted: bool,
}

/// Records rejected for one reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejects {
    /// How many.
    pub count: u64,
    /// Where the last one lies.
    pub last: Place,
}

/// The place of one record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The log's id.
    pub log: String,
    /// The partition.
    pub partition: i32,
    /// The offset.
    pub offset: i64,
    /// `reason` or `reason:field`.
    pub error: String,
}

impl Facts {
    /// What is known of a log.
    pub fn log(&self, log: &str) -> Option<&LogFacts> {
        self.logs.iter().find(|facts| facts.log == log)
    }

    /// What is known of a log; a new one is appended as the last that the archive met.
    pub fn log_mut(&mut self, log: &str) -> &mut LogFacts {
        let at = self.logs.iter().position(|facts| facts.log == log).unwrap_or_else(|| {
            self.logs.push(LogFacts {
                log: log.to_owned(),
                closed: false,
                settled: false,
                partitions: BTreeMap::new(),
            });
            self.logs.len() - 1
        });
        &mut self.logs[at]
    }

    /// What is known of a partition, if the archive has begun it.
    pub fn partition(&self, id: &PartitionId) -> Option<&PartitionFacts> {
        self.log(&id.log)?.partitions.get(&id.partition)
    }

    /// Whether the log has ended.
    pub fn is_closed(&self, log: &str) -> bool {
        self.log(log).is_some_and(|facts| facts.closed)
    }

    /// Whether the log has ended, and all is noted that can be known of its losses.
    pub fn is_settled(&self, log: &str) -> bool {
        self.log(log).is_some_and(|facts| facts.settled)
    }

    /// Every partition that the archive has begun.
    pub fn partitions(&self) -> impl Iterator<Item = (PartitionId, &PartitionFacts)> {
        self.logs.iter().flat_map(|log| {
            log.partitions.iter().map(|(partition, facts)| (PartitionId::new(log.log.clone(), *partition), facts))
        })
    }

    /// The partitions of closed logs, with their archived ends.
    pub fn closed_partitions(&self) -> impl Iterator<Item = (PartitionId, i64)> {
        let closed = self.logs.iter().filter(|log| log.closed);
        closed.flat_map(|log| {
            let id = |partition: &i32| PartitionId::new(log.log.clone(), *partition);
            log.partitions.iter().map(move |(partition, facts)| (id(partition), facts.next))
        })
    }

    /// R6: begins a partition, before any of its rows; nothing if it is begun already.
    pub fn begin(&mut self, id: &PartitionId, offset: i64) {
        let partitions = &mut self.log_mut(&id.log).partitions;
        partitions.entry(id.partition).or_insert(PartitionFacts {
            begin: offset,
            next: offset,
            end: offset,
            lost: Vec::new(),
        });
    }

    /// R6: notes that rows up to `next` are archived.
    ///
    /// Gives false, and changes nothing, if the archive does not stand at `expected`: another archiver was here.
    #[must_use]
    pub fn advance(&mut self, id: &PartitionId, expected: i64, next: i64) -> bool {
        match self.log_mut(&id.log).partitions.get_mut(&id.partition) {
            Some(facts) if facts.next == expected && next >= expected => {
                facts.next = next;
                true
            }
            _ => false,
        }
    }

    /// R6: notes that the log lost `[next, to)` before it was archived; archiving goes on at `to`.
    pub fn lose(&mut self, id: &PartitionId, to: i64) {
        if let Some(facts) = self.log_mut(&id.log).partitions.get_mut(&id.partition)
            && facts.next < to
        {
            facts.lost.push(Lost { from: facts.next, to, accepted: false });
            facts.next = to;
        }
    }

    /// An operator accepts every loss known so far; gives how many there were.
    pub fn accept_losses(&mut self) -> usize {
        let partitions = self.logs.iter_mut().flat_map(|log| log.partitions.values_mut());
        let open = partitions.flat_map(|facts| &mut facts.lost).filter(|lost| !lost.accepted);
        open.map(|lost| lost.accepted = true).count()
    }

    /// Notes where a partition's log ended when it was asked.
    pub fn see_end(&mut self, id: &PartitionId, end: i64) {
        if let Some(facts) = self.log_mut(&id.log).partitions.get_mut(&id.partition) {
            facts.end = facts.end.max(end);
        }
    }

    /// R6: the topic has another id by now, or is gone for good, and nothing more of this log can be read. What it is known to
    /// have held beyond what is archived is lost.
    pub fn close(&mut self, log: &str) {
        let facts = self.log_mut(log);
        facts.closed = true;
        for partition in facts.partitions.values_mut().filter(|partition| partition.next < partition.end) {
            partition.lost.push(Lost { from: partition.next, to: partition.end, accepted: false });
            partition.next = partition.end;
        }
    }

    /// R6: takes back that a log was closed: the topic is that log after all.
    pub fn reopen(&mut self, log: &str) {
        let facts = self.log_mut(log);
        (facts.closed, facts.settled) = (false, false);
    }

    /// R6: settles a closed log, given the cursors of its shards. What the speed layer counted beyond what is archived had
    /// arrived and can be read no more: it is lost. Nothing happens to an open log, since that can still be archived.
    pub fn settle(&mut self, log: &str, cursors: &BTreeMap<PartitionId, i64>) {
        if !self.is_closed(log) {
            return;
        }
        for (id, cursor) in cursors.iter().filter(|(id, _)| id.log == log) {
            self.see_end(id, *cursor);
        }
        self.close(log);
        self.log_mut(log).settled = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lost(facts: &Facts, id: &PartitionId) -> Vec<(i64, i64, bool)> {
        let known = facts.partition(id).expect("begun");
        known.lost.iter().map(|lost| (lost.from, lost.to, lost.accepted)).collect()
    }

    #[test]
    fn what_a_closed_log_is_known_to_have_held_is_archived_or_lost() {
        let (seen, counted) = (PartitionId::new("log", 0), PartitionId::new("log", 1));
        let mut facts = Facts::default();
        for id in [&seen, &counted] {
            facts.begin(id, 0);
            assert!(facts.advance(id, 0, 10));
            facts.see_end(id, 10);
        }
        facts.see_end(&seen, 12);
        let cursors = |of_seen, of_counted| BTreeMap::from([(seen.clone(), of_seen), (counted.clone(), of_counted)]);
        facts.settle("log", &cursors(12, 15));
        assert_eq!(lost(&facts, &counted), [], "it can still be archived");
        facts.close("log");
        assert_eq!((lost(&facts, &seen), lost(&facts, &counted)), (vec![(10, 12, false)], vec![]));
        assert!(!facts.is_settled("log"));
        facts.settle("log", &cursors(12, 15));
        facts.settle("log", &cursors(3, 15));
        assert!(facts.is_settled("log"));
        assert_eq!((lost(&facts, &seen), lost(&facts, &counted)), (vec![(10, 12, false)], vec![(10, 15, false)]));
        assert_eq!(facts.accept_losses(), 2);
        // Written by a worker that slept between the question and the write.
        facts.settle("log", &cursors(12, 16));
        assert_eq!(lost(&facts, &counted), [(10, 15, true), (15, 16, false)]);
        assert_eq!(facts.closed_partitions().collect::<Vec<_>>(), [(seen, 12), (counted, 16)]);
    }

    #[test]
    fn a_log_that_is_there_again_is_neither_closed_nor_settled() {
        let mut facts = Facts::default();
        facts.begin(&PartitionId::new("log", 0), 0);
        facts.close("log");
        facts.settle("log", &BTreeMap::new());
        facts.reopen("log");
        assert!(!facts.is_closed("log") && !facts.is_settled("log"));
        assert_eq!(facts.closed_partitions().count(), 0);
    }
}
