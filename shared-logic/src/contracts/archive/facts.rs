//! Facts: which logs and partitions exist, where the archive begins each partition and how far it has come, what was
//! lost, and which logs have ended (R6).
//!
//! - `appended`: what an archiver adds with the rows of one commit (R6);
//! - `over`: logs that ended and that nothing asks for any more (R6);
//! - `incarnations`: partitions whose log lost its tail (R12);
//! - `kept_bytes`: of which records only the columns are archived (R11);
//! - `archive_again`: which of these the log still holds, so that they can be archived again under other rules (R11);
//! - `erasures`: events of which nothing may be left;
//! - `imports`: files that were imported, each as a log of its own (R6);
//! - `retired`: days whose rows were taken out, because they are old (`retain`);
//! - `written`: how facts are written down, now and before bytes were kept.

mod appended;
mod archive_again;
mod erasures;
mod imports;
mod incarnations;
mod kept_bytes;
mod over;
mod retired;
mod written;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

pub use appended::{Appended, AppendedTo};
pub use archive_again::{NotHeld, TopicLog, WhyNotHeld};
pub use erasures::{ErasedIn, ErasedPart, Erasure, LeftIn, Unreached};
pub use imports::{Import, ImportedRecords, import_log};
pub use kept_bytes::{ColumnsOnly, Decodable};
use written::Written;

use super::OlderLayout;
use crate::catalog::RulesHash;
use crate::log::{PartitionId, Witness};
use crate::rejection::Reason;

/// What the archive knows of its source's logs, as of one commit.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct Facts {
    /// The logs, in the order in which the archive first saw them.
    pub logs: Vec<LogFacts>,
    /// Records that could not be decoded, by reason.
    pub rejects: BTreeMap<Reason, Rejects>,
    /// The rules of the files that name none, which were written before bytes were kept; `None` if there are no such
    /// files, or no archiver that keeps bytes has started yet.
    pub unnamed_rules: Option<RulesHash>,
    /// What the events of these files tell under other rules; `None` if that is not known, or there are no such files.
    pub older_layout: Option<OlderLayout>,
    /// Whether an archiver that keeps bytes has started.
    pub keeps_bytes: bool,
    /// The first day, in days since 1970, of which the archive holds every row; `None`: it holds those of all days.
    pub retired_before: Option<i64>,
    /// The erasures, in the order in which they were begun.
    pub erasures: Vec<Erasure>,
}

/// One life of a topic, or a file that was imported.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LogFacts {
    /// The topic's id; for a file, its [`import_log`].
    pub log: String,
    /// Whether the log has ended: its topic was deleted. A closed log's cut is its archived end.
    #[serde(default)]
    pub closed: bool,
    /// Whether a reconcile has asked, after the log was closed, how far the speed layer had counted it. Until then its
    /// losses may be incomplete, and readers need its shards.
    #[serde(default)]
    pub settled: bool,
    /// The versions in which the log is over: it is settled, every view of the version includes all of it, and Redis holds nothing
    /// of it any more that the version counted. No process of the version asks for it again. Versions share the archive, but
    /// neither views nor shards.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub over_in: BTreeSet<String>,
    /// The file that the log was imported from; `None`: it is a life of the topic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub import: Option<Import>,
    /// The partitions that the archive has begun.
    pub partitions: BTreeMap<i32, PartitionFacts>,
}

/// What the archive holds of one partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionFacts {
    /// The offset at which the archive begins the partition.
    pub begin: i64,
    /// The first offset that is not archived.
    pub next: i64,
    /// R12: the last record before `next`; `None` if nothing was archived, or before witnesses were kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub witness: Option<Witness>,
    /// R12: whether the log lost its tail, so that another incarnation of this partition goes on.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub closed: bool,
    /// R12: whether a reconcile has recorded, after that, what the speed layer had counted of this incarnation.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub settled: bool,
    /// The largest offset that the partition is known to have reached: what Kafka last said, or what the speed layer
    /// had counted. When the log is closed, the offsets from `next` up to here are lost.
    #[serde(default)]
    pub end: i64,
    /// The ranges that the log lost before they were archived.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lost: Vec<Lost>,
    /// The offset below which rows of retired days may be missing; `None`: none is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retired_below: Option<i64>,
    /// The offset below which events may be erased; `None`: none is. Of a partition that had ended, it says nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub erased_below: Option<i64>,
    /// The ranges of which only the columns are archived, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub columns_only: Vec<ColumnsOnly>,
}

/// Offsets that the log lost before they were archived, `[from, to)`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Lost {
    /// The first lost offset.
    pub from: i64,
    /// The first offset behind the lost ones.
    pub to: i64,
    /// Whether an operator accepted the loss.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub accepted: bool,
}

/// Records rejected for one reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejects {
    /// The number of records.
    pub count: u64,
    /// The last of them.
    pub last: Place,
}

/// The place of one record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Place {
    /// The log's id.
    pub log: String,
    /// The partition.
    pub partition: i32,
    /// The offset.
    pub offset: i64,
    /// Why the record was rejected: `reason` or `reason:field`.
    pub error: String,
}

impl Facts {
    /// The facts of a log.
    pub fn log(&self, log: &str) -> Option<&LogFacts> {
        self.logs.iter().find(|facts| facts.log == log)
    }

    /// The facts of a log; a new log is appended as the last one seen.
    pub fn log_mut(&mut self, log: &str) -> &mut LogFacts {
        let at = self.logs.iter().position(|facts| facts.log == log).unwrap_or_else(|| {
            self.logs.push(LogFacts {
                log: log.to_owned(),
                closed: false,
                settled: false,
                over_in: BTreeSet::new(),
                import: None,
                partitions: BTreeMap::new(),
            });
            self.logs.len() - 1
        });
        &mut self.logs[at]
    }

    /// The facts of a partition, if the archive has begun it.
    pub fn partition(&self, id: &PartitionId) -> Option<&PartitionFacts> {
        self.log(&id.log)?.partitions.get(&id.partition)
    }

    /// Whether the log has ended.
    pub fn is_closed(&self, log: &str) -> bool {
        self.log(log).is_some_and(|facts| facts.closed)
    }

    /// Every partition that the archive has begun, with its log.
    pub fn entries(&self) -> impl Iterator<Item = (&LogFacts, i32, &PartitionFacts)> {
        self.logs.iter().flat_map(|log| log.partitions.iter().map(move |(partition, facts)| (log, *partition, facts)))
    }

    /// Every partition that the archive has begun.
    pub fn partitions(&self) -> impl Iterator<Item = (PartitionId, &PartitionFacts)> {
        self.entries().map(|(log, partition, facts)| (PartitionId::new(log.log.clone(), partition), facts))
    }

    /// The partitions of closed logs with their archived ends, without those that had ended before.
    pub fn closed_partitions(&self) -> impl Iterator<Item = (PartitionId, i64)> {
        let closed = self.logs.iter().filter(|log| log.closed);
        closed.flat_map(|log| {
            let id = |partition: &i32| PartitionId::new(log.log.clone(), *partition);
            let ended_now = log.partitions.iter().filter(|(_, facts)| !facts.closed);
            ended_now.map(move |(partition, facts)| (id(partition), facts.next))
        })
    }

    /// R6: begins a partition, before any of its rows is archived. A partition that is begun already stays as it is.
    pub fn begin(&mut self, id: &PartitionId, offset: i64) {
        let partitions = &mut self.log_mut(&id.log).partitions;
        partitions.entry(id.partition).or_insert(PartitionFacts {
            begin: offset,
            next: offset,
            witness: None,
            closed: false,
            settled: false,
            end: offset,
            lost: Vec::new(),
            retired_below: None,
            erased_below: None,
            columns_only: Vec::new(),
        });
    }

    /// R12: notes the last record before the partition's next offset, or that it is not known.
    pub fn note_witness(&mut self, id: &PartitionId, witness: impl Into<Option<Witness>>) {
        if let Some(facts) = self.log_mut(&id.log).partitions.get_mut(&id.partition) {
            facts.witness = witness.into();
        }
    }

    /// R6: notes that rows up to `next` are archived.
    ///
    /// Changes nothing and returns false if the partition's next offset is not `expected`: another archiver has
    /// written.
    #[must_use]
    pub fn advance(&mut self, id: &PartitionId, expected: i64, next: i64) -> bool {
        match self.log_mut(&id.log).partitions.get_mut(&id.partition) {
            Some(facts) if facts.next == expected && next >= expected && !facts.closed => {
                facts.next = next;
                true
            }
            _ => false,
        }
    }

    /// R6: notes that the log lost the offsets `[next, to)` before they were archived; archiving goes on at `to`.
    pub fn lose(&mut self, id: &PartitionId, to: i64) {
        if let Some(facts) = self.log_mut(&id.log).partitions.get_mut(&id.partition)
            && facts.next < to
        {
            facts.lost.push(Lost { from: facts.next, to, accepted: false });
            facts.next = to;
            // What lies before it is gone from the log, too.
            facts.witness = None;
        }
    }

    /// Accepts every loss known so far, as an operator asked for; returns how many there were.
    pub fn accept_losses(&mut self) -> usize {
        let open = self.partitions_mut().flat_map(|facts| &mut facts.lost).filter(|lost| !lost.accepted);
        open.map(|lost| lost.accepted = true).count()
    }

    pub(super) fn partitions_mut(&mut self) -> impl Iterator<Item = &mut PartitionFacts> {
        self.logs.iter_mut().flat_map(|log| log.partitions.values_mut())
    }

    /// Notes that a partition has reached that offset.
    pub fn see_end(&mut self, id: &PartitionId, end: i64) {
        if let Some(facts) = self.log_mut(&id.log).partitions.get_mut(&id.partition) {
            facts.end = facts.end.max(end);
        }
    }

    /// R6: closes a log whose topic has another id now or is gone for good, so that nothing more of it can be read.
    /// Offsets that it is known to have held and that are not archived are lost.
    pub fn close(&mut self, log: &str) {
        let facts = self.log_mut(log);
        facts.closed = true;
        let open = facts.partitions.values_mut().filter(|partition| !partition.closed);
        for partition in open.filter(|partition| partition.next < partition.end) {
            partition.lost.push(Lost { from: partition.next, to: partition.end, accepted: false });
            partition.next = partition.end;
        }
    }

    /// R6: opens a closed log again: the topic has that log's id after all.
    pub fn reopen(&mut self, log: &str) {
        let facts = self.log_mut(log);
        (facts.closed, facts.settled) = (false, false);
        facts.over_in.clear();
    }

    /// R6: settles a closed log, given the cursors of its shards. Offsets that the speed layer counted and that are not
    /// archived did arrive and can no longer be read: they are lost. An open log stays as it is, since it can still be
    /// archived.
    pub fn settle(&mut self, log: &str, cursors: &BTreeMap<PartitionId, i64>) {
        if !self.is_closed(log) {
            return;
        }
        for (id, cursor) in cursors.iter().filter(|(id, _)| id.log == log) {
            if !self.is_truncated(id) {
                self.see_end(id, *cursor);
            }
        }
        self.close(log);
        self.log_mut(log).settled = true;
    }
}

#[cfg(test)]
mod tests;
