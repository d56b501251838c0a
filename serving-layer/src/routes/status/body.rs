//! The body of `/v1/status`.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use shared_logic::contracts::archive::{ColumnsOnly, LeftIn, Lost, Place};
use shared_logic::log::PartitionId;
use shared_logic::rejection::Reason;
use utoipa::ToSchema;

use super::indexes::IndexStatus;
use super::tables::TableStatus;
use crate::routes::streams::written::StreamStatus;

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Status {
    pub(super) deployment: Deployment,
    /// The version of this program.
    pub(super) braid: &'static str,
    /// Whether records are archived, and a batch layer counts them again (K5). If not, everything is counted of the log alone.
    pub(super) recounted: bool,
    pub(super) sources: Vec<SourceStatus>,
    /// The streams in short; `/v1/streams` says more.
    pub(super) streams: Vec<StreamStatus>,
    /// How far the batch layer has materialised each table. Members are null before the first time.
    pub(super) tables: Vec<TableStatus>,
    /// How far each search index is. Only where the catalog has indexes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) indexes: Vec<IndexStatus>,
    /// The version of each metric's batch view.
    pub(super) views: BTreeMap<String, Option<u64>>,
    /// By metric, the first day, `YYYY-MM-DD`, that its batch view holds. Views that hold every day are not named.
    pub(super) retired_before: BTreeMap<String, String>,
    /// The metrics whose batch views were rolled back and are not reconciled until an operator resumes them, and since when.
    pub(super) paused: BTreeMap<String, String>,
    pub(super) alerts: AlertCounts,
    pub(super) dependencies: Dependencies,
}

/// How many alerts of the active version have which state; `/v1/alerts` says more.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(super) struct AlertCounts {
    pub(super) ok: usize,
    pub(super) pending: usize,
    pub(super) firing: usize,
    pub(super) unknown: usize,
    /// How many notifications the receiver has not taken yet.
    pub(super) undelivered: usize,
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Deployment {
    pub(super) name: String,
    pub(super) version: String,
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Dependencies {
    pub(super) redis: Dependency,
    pub(super) kafka: Dependency,
    pub(super) store: Dependency,
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Dependency {
    /// Whether it could be reached and used.
    pub(super) ok: bool,
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    reasons: BTreeSet<String>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(in crate::routes) struct SourceStatus {
    pub(super) name: String,
    pub(super) topic: String,
    /// The topic's id; null while there is no topic.
    #[schema(required = true)]
    pub(super) log: Option<String>,
    #[schema(required = true, format = DateTime)]
    pub(super) looked_at: Option<String>,
    #[schema(required = true)]
    pub(super) archive_version: Option<u64>,
    /// The first day, `YYYY-MM-DD`, of which the archive holds every row; null if it holds those of all days.
    #[schema(required = true, format = Date)]
    pub(super) retired_before: Option<String>,
    /// In the order in which the archiver found them. Of the logs that are over, and of which nothing is missing, the newest three.
    pub(super) logs: Vec<LogStatus>,
    /// How many older logs are over. Neither they nor their partitions are listed.
    pub(super) logs_not_shown: usize,
    pub(super) partitions: Vec<PartitionStatus>,
    pub(super) rejects: Vec<RejectStatus>,
    /// The erasures of which something is outstanding: those that are not finished first, and of each kind the newest. At most twenty.
    pub(super) erasures: Vec<ErasureStatus>,
    /// Of how many other erasures something is outstanding.
    pub(super) erasures_not_shown: usize,
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct LogStatus {
    pub(super) log: String,
    pub(super) closed: bool,
    /// The file that it was imported from; absent for logs of the topic.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) import: Option<ImportStatus>,
}

/// The file that a log was imported from.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ImportStatus {
    /// Its name, as the operator gave it.
    pub(super) file: String,
    /// When it was imported.
    #[schema(format = DateTime)]
    pub(super) at: String,
    /// How many records it holds.
    pub(super) rows: i64,
    /// How many of them could not be decoded when it was imported.
    pub(super) rejected: u64,
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct PartitionStatus {
    pub(super) log: String,
    pub(super) partition: i32,
    pub(super) closed: bool,
    /// The offset at which the partition's archive starts.
    #[schema(required = true)]
    pub(super) begin: Option<i64>,
    /// The first offset that is not archived.
    #[schema(required = true)]
    pub(super) next: Option<i64>,
    /// The first offset that the speed layer has not counted.
    #[schema(required = true)]
    pub(super) cursor: Option<i64>,
    /// The first offset of each slice of the speed view.
    #[schema(required = true)]
    pub(super) slices: Option<Vec<i64>>,
    #[schema(required = true, format = DateTime)]
    pub(super) as_of: Option<String>,
    /// By metric: the first offset that its batch view does not include.
    pub(super) cuts: BTreeMap<String, Option<i64>>,
    /// The end offset in Kafka.
    #[schema(required = true)]
    pub(super) end: Option<i64>,
    /// The number of offsets from `cursor` to `end`.
    #[schema(required = true)]
    pub(super) speed_lag: Option<i64>,
    /// The number of offsets from `next` to `end`.
    #[schema(required = true)]
    pub(super) archive_lag: Option<i64>,
    /// Offsets that the log lost before they were archived.
    pub(super) lost: Vec<Lost>,
    /// Offsets that were archived without their bytes, and that cannot be decoded under the rules that the source has now.
    pub(super) not_decodable: Vec<ColumnsOnly>,
}

/// An erasure that is not finished, or could not reach everything.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ErasureStatus {
    /// What stands for its condition: the `id` of `batch-layer erase` and `braid erasures`.
    pub(super) id: String,
    /// How many events it has taken out of the archive.
    pub(super) events: u64,
    /// Where events of it may be left. `archive`: it was ended before its end, and has to be called again with the same condition. `answers`: the
    /// next reconciles take them out. `old_files`: no answer counts them, and later reconciles delete files of older versions. Null: nowhere, but
    /// for what it could not reach.
    #[schema(required = true)]
    pub(super) left_in: Option<LeftIn>,
    /// Since when that is so.
    #[schema(required = true, format = DateTime)]
    pub(super) since: Option<String>,
    /// Events of days before this one, `YYYY-MM-DD`, were retired and not found, and a batch view still counts such days; null: there are none.
    #[schema(required = true, format = Date)]
    pub(super) retired_before: Option<String>,
    /// How many records could not be judged, as they were archived without bytes under other rules.
    pub(super) without_bytes: u64,
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RejectStatus {
    pub(super) reason: Reason,
    pub(super) count: u64,
    pub(super) last: Place,
}

/// How far the speed layer has come in a source's log.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Progress {
    /// How many offsets the speed layer has counted, in all partitions.
    pub(crate) done: i64,
    /// How many there are besides; null if Kafka does not say.
    #[schema(required = true)]
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
