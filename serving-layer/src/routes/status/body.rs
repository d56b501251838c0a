//! The body of `/v1/status`; `openapi.json` says what its members mean.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use shared_logic::contracts::archive::{ColumnsOnly, LeftIn, Lost, Place};
use shared_logic::log::PartitionId;
use shared_logic::rejection::Reason;

use super::indexes::IndexStatus;
use super::tables::TableStatus;
use crate::routes::streams::written::StreamStatus;

#[derive(Debug, Serialize)]
pub(crate) struct Status {
    pub(super) deployment: Deployment,
    /// The version of this program.
    pub(super) braid: &'static str,
    /// K5: whether a batch layer counts what is archived again; if not, everything is counted of the log alone.
    pub(super) recounted: bool,
    pub(super) sources: Vec<SourceStatus>,
    pub(super) streams: Vec<StreamStatus>,
    pub(super) tables: Vec<TableStatus>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) indexes: Vec<IndexStatus>,
    /// The version of each metric's batch view.
    pub(super) views: BTreeMap<String, Option<u64>>,
    /// The first day that each view holds that does not hold every day.
    pub(super) retired_before: BTreeMap<String, String>,
    /// The metrics whose views no reconcile changes, each with the moment since when.
    pub(super) paused: BTreeMap<String, String>,
    pub(super) dependencies: Dependencies,
}

#[derive(Debug, Serialize)]
pub(super) struct Deployment {
    pub(super) name: String,
    pub(super) version: String,
}

#[derive(Debug, Serialize)]
pub(super) struct Dependencies {
    pub(super) redis: Dependency,
    pub(super) kafka: Dependency,
    pub(super) store: Dependency,
}

#[derive(Debug, Serialize)]
pub(super) struct Dependency {
    ok: bool,
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    reasons: BTreeSet<String>,
}

#[derive(Debug, Serialize)]
pub(in crate::routes) struct SourceStatus {
    pub(super) name: String,
    pub(super) topic: String,
    pub(super) log: Option<String>,
    pub(super) looked_at: Option<String>,
    pub(super) archive_version: Option<u64>,
    /// The first day of which the archive holds every row.
    pub(super) retired_before: Option<String>,
    pub(super) logs: Vec<LogStatus>,
    /// How many older logs are over, so that there is nothing to say of them.
    pub(super) logs_not_shown: usize,
    pub(super) partitions: Vec<PartitionStatus>,
    pub(super) rejects: Vec<RejectStatus>,
    /// The erasures of which something is outstanding.
    pub(super) erasures: Vec<ErasureStatus>,
    /// How many others there are.
    pub(super) erasures_not_shown: usize,
}

#[derive(Debug, Serialize)]
pub(super) struct LogStatus {
    pub(super) log: String,
    pub(super) closed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) import: Option<ImportStatus>,
}

/// The file that a log was imported from.
#[derive(Debug, Serialize)]
pub(super) struct ImportStatus {
    pub(super) file: String,
    pub(super) at: String,
    pub(super) rows: i64,
    pub(super) rejected: u64,
}

#[derive(Debug, Serialize)]
pub(super) struct PartitionStatus {
    pub(super) log: String,
    pub(super) partition: i32,
    pub(super) closed: bool,
    pub(super) begin: Option<i64>,
    pub(super) next: Option<i64>,
    pub(super) cursor: Option<i64>,
    pub(super) slices: Option<Vec<i64>>,
    pub(super) as_of: Option<String>,
    /// By metric.
    pub(super) cuts: BTreeMap<String, Option<i64>>,
    pub(super) end: Option<i64>,
    pub(super) speed_lag: Option<i64>,
    pub(super) archive_lag: Option<i64>,
    pub(super) lost: Vec<Lost>,
    pub(super) not_decodable: Vec<ColumnsOnly>,
}

/// An erasure that is not finished, or could not reach everything.
#[derive(Debug, Serialize)]
pub(super) struct ErasureStatus {
    /// What stands for its condition.
    pub(super) id: String,
    /// How many events it has taken out of the archive.
    pub(super) events: u64,
    pub(super) left_in: Option<LeftIn>,
    /// Since when that is so.
    pub(super) since: Option<String>,
    /// Events of earlier days were not found, and some view holds such days.
    pub(super) retired_before: Option<String>,
    /// How many records could not be judged.
    pub(super) without_bytes: u64,
}

#[derive(Debug, Serialize)]
pub(super) struct RejectStatus {
    pub(super) reason: Reason,
    pub(super) count: u64,
    pub(super) last: Place,
}

/// How far the speed layer has come in a source's log.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct Progress {
    /// How many offsets it has counted, in all partitions.
    pub(crate) done: i64,
    /// How many there are besides; null if Kafka does not say.
    pub(crate) to_go: Option<i64>,
}

impl Progress {
    /// Both together.
    pub(crate) fn and(self, other: Progress) -> Progress {
        let to_go = self.to_go.zip(other.to_go).map(|(one, other)| one + other);
        Progress { done: self.done + other.done, to_go }
    }
}

impl SourceStatus {
    /// How far the speed layer has come in the log that goes on. Logs that are over are not its.
    pub(crate) fn progress(&self) -> Progress {
        let open = self.partitions.iter().filter(|partition| !partition.closed);
        let each = open.map(|partition| {
            let begin = partition.begin.unwrap_or(0);
            let cursor = partition.cursor.unwrap_or(begin);
            Progress { done: (cursor - begin).max(0), to_go: partition.end.map(|end| (end - cursor).max(0)) }
        });
        each.fold(Progress { done: 0, to_go: Some(0) }, Progress::and)
    }

    /// Its partitions.
    pub(crate) fn ids(&self) -> Vec<PartitionId> {
        self.partitions.iter().map(|partition| PartitionId::new(partition.log.clone(), partition.partition)).collect()
    }
}

impl Dependency {
    /// A dependency is fine if there is no reason against it.
    pub(super) fn new(reasons: impl IntoIterator<Item = String>) -> Dependency {
        let reasons: BTreeSet<String> = reasons.into_iter().collect();
        Dependency { ok: reasons.is_empty(), reasons }
    }
}
