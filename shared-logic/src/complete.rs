//! Completeness is an equality of offsets (R9), checked on every read.
//!
//! For every partition that the archive, the cut or the topic names, the shard must have a slice that begins exactly at
//! the cut, and must have counted the reader's definition since that offset. Then the batch view has everything below
//! the cut, the slices have everything from the cut on, and nothing is in both. Whatever breaks the equality is a
//! [`Gap`] with its reason. A gap concerns every range, because a late event can belong to any bucket; only days that are retired
//! concern no range that begins later.
//!
//! Without an archive (K5) nothing is below a cut: of every partition that the topic names, the slices must hold everything since the log's start
//! when the shard was first opened, which the shard remembers.
//!
//! The slices of a log that lost its tail are never added, not even to an answer with gaps (R12).
//!
//! - `erased`: whether an answer may count what was erased;
//! - `standing`: what a snapshot needs and lacks; computed once, it judges any number of looks at the shards;
//! - `held`: the range of event time that a view holds.

mod erased;
mod held;
mod standing;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::catalog::{DecodingRules, DefinitionHash, RulesHash};
use crate::contracts::archive::Facts;
use crate::contracts::batch_view::Note;
use crate::contracts::speed_view::Shard;
use crate::log::PartitionId;
use crate::time::format_day;

pub use held::{HeldRange, held};
pub use standing::Standing;

/// What a reader knows besides the shards, all of it from one snapshot (R10).
#[derive(Debug, Clone, Copy)]
pub struct Evidence<'a> {
    /// The definition that the reader asks for.
    pub definition: &'a DefinitionHash,
    /// The rules by which that definition's source decodes records.
    pub rules: &'a DecodingRules,
    /// The newest view's note, whatever definition it counts.
    pub view: Option<&'a Note>,
    /// The archive's facts; `None` if there is no archive yet.
    pub archive: Option<&'a Facts>,
    /// The version of the archive to which the facts belong.
    pub archive_version: u64,
    /// The topic as Kafka last described it; `None` if it never did.
    pub topic: Option<&'a TopicState>,
    /// K5: whether nothing is archived, so that there is no view and everything is counted of the log.
    pub log_only: bool,
}

/// The shards that were read for an answer, by partition; `None` for a partition without one.
pub type Shards = BTreeMap<PartitionId, Option<Shard>>;

/// A topic as Kafka described it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicState {
    /// Its log and the number of its partitions; `None` if it did not exist.
    pub log: Option<(String, i32)>,
    /// When Kafka was asked, microseconds since 1970.
    pub at_us: i64,
}

/// Whether an answer is complete.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// Why the answer is not complete; empty if it is.
    pub gaps: Vec<Gap>,
    /// Per partition the offset from which slices count. Partitions of settled logs that the view includes whole are
    /// not named, and neither are those whose log lost its tail.
    pub from: Arc<BTreeMap<PartitionId, i64>>,
}

/// Something that arrived is in neither view, or cannot be proven to be in exactly one; or something may be in one that was erased.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// The partition that it concerns; `None`: the whole source.
    pub partition: Option<PartitionId>,
    /// Why.
    pub why: Why,
}

/// Why an answer cannot be proven complete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// Kafka has not described the topic since the reader started.
    TopicUnknown,
    /// The view was computed from a newer archive than the reader knows.
    ArchiveTooOld,
    /// The archive has not begun the partition.
    NotArchived,
    /// The speed layer has not opened a shard.
    NoShard,
    /// R12: the log lost its tail. What speed had counted of it is not added until a reconcile has judged it.
    LogTruncated,
    /// The view does not include a file that was imported.
    ImportNotCounted,
    /// Events were erased that the view was counted with, or that slices from its cut on hold.
    ErasureNotApplied,
    /// No slice begins at the cut: the next reconcile aligns it.
    NoSliceAtCut {
        /// The cut.
        cut: i64,
    },
    /// The definition was not counted, or only since a later offset than the cut.
    NotCountedSince {
        /// The cut.
        cut: i64,
        /// Since when it was counted.
        since: Option<i64>,
    },
    /// The log lost these offsets before they were archived, `[from, to)`.
    Lost {
        /// The first lost offset.
        from: i64,
        /// The first offset behind them.
        to: i64,
    },
    /// The range reaches back before the first day that the view, or the archive of a stream, holds. This gap alone depends on the range.
    Retired {
        /// The first day that it holds, in days since 1970.
        before: i64,
    },
    /// The archive has only the columns of these offsets, `[from, to)`, and they were decoded under other rules than
    /// the reader's.
    NotDecodable {
        /// The first offset.
        from: i64,
        /// The first offset after them.
        to: i64,
    },
    /// K5: nothing is archived, and the shard does not hold what it has counted since the log's start when it was first opened, or has not
    /// counted the definition since then.
    NotFromBegin {
        /// That start; `None` if it is not known.
        begin: Option<i64>,
        /// Since when it is counted; `None`: it is not.
        since: Option<i64>,
    },
}

/// The view, if it can be used: it counts that definition, and all that the archive has archived again under its rules (R11).
///
/// `archive` are the facts of the archive at the version that the view names, or a newer one.
pub fn own_view<'a>(
    view: Option<&'a Note>,
    definition: &DefinitionHash,
    rules: &RulesHash,
    archive: Option<&Facts>,
) -> Option<&'a Note> {
    let lacks = |note: &Note| archive.is_some_and(|facts| facts.archived_again_since(note.archive_version, rules));
    view.filter(|note| note.definition == *definition && !lacks(note))
}

/// R12: whether anything that a shard has counted may be added to an answer.
pub fn counts(shard: &Shard) -> bool {
    shard.truncated.is_none()
}

impl Why {
    /// The reason as a word for programs.
    pub fn name(&self) -> &'static str {
        match self {
            Why::TopicUnknown => "topic_unknown",
            Why::ArchiveTooOld => "archive_look_too_old",
            Why::NotArchived => "not_archived",
            Why::NoShard => "no_shard",
            Why::LogTruncated => "log_truncated",
            Why::ImportNotCounted => "import_not_counted",
            Why::ErasureNotApplied => "erasure_not_applied",
            Why::NoSliceAtCut { .. } => "no_slice_at_cut",
            Why::NotCountedSince { .. } => "not_counted_since",
            Why::Lost { .. } => "lost",
            Why::Retired { .. } => "retired",
            Why::NotDecodable { .. } => "not_decodable",
            Why::NotFromBegin { .. } => "not_from_begin",
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Why::TopicUnknown => f.write_str("the topic's partitions could not be asked for yet; is Kafka reachable?"),
            Why::ArchiveTooOld => f.write_str("the view is newer than what is known of the archive; ask again"),
            Why::NotArchived => {
                f.write_str("the archive has not begun this partition; is `batch-layer archive` running?")
            }
            Why::NoShard => f.write_str("the speed layer has no counters of this partition; is `speed-layer` running?"),
            Why::LogTruncated => f.write_str(
                "the log lost records that had been read, and went on from an older copy; the next reconcile finds out which",
            ),
            Why::ImportNotCounted => f.write_str("imported rows wait for the next reconcile"),
            Why::ErasureNotApplied => f.write_str(
                "events that were erased may still be counted; the next reconcile of the metric leaves them out, unless its view is paused",
            ),
            Why::NoSliceAtCut { cut } => {
                write!(f, "no slice of the speed view begins at the cut {cut}; the next reconcile of the metric aligns them")
            }
            Why::NotCountedSince { cut, since: Some(since) } => write!(
                f,
                "the speed view counts this definition since offset {since}, the cut is {cut}; the next reconcile aligns them"
            ),
            Why::NotCountedSince { cut, since: None } => {
                write!(
                    f,
                    "the speed view does not count this definition from the cut {cut} on; restart `speed-layer` with this catalog"
                )
            }
            Why::Lost { from, to } => write!(
                f,
                "the log lost offsets {from} to {to} before they were archived; `braid lost accept` accepts the loss"
            ),
            Why::Retired { before } => {
                write!(f, "what is kept begins with {}; older events are retired (`retain`)", format_day(*before))
            }
            Why::NotDecodable { from, to } => write!(
                f,
                "offsets {from} to {to} were archived without their bytes, under other fields or limits than the catalog has \
                 now; restore these in the catalog, or leave the offsets out with `braid lost accept`"
            ),
            Why::NotFromBegin { begin: Some(begin), since: Some(since) } => write!(
                f,
                "this is counted since offset {since}, and was to be since {begin}, and no archive holds what lies between; another version \
                 (`braid version create`) counts what the log still holds"
            ),
            Why::NotFromBegin { .. } => f.write_str(
                "where the counting of this began is not known, or it is not counted, and nothing is archived; is `speed-layer` running with \
                 this catalog?"
            ),
        }
    }
}

#[cfg(test)]
mod tests;
