//! Completeness is an equality of offsets (R9), checked on every read.
//!
//! For every partition that the archive, the cut or the topic names, the shard must have a slice that begins exactly at the
//! cut, counted by the reader's definition from there on. Everything below the cut is in the batch view, everything from
//! it on in the slices, and nothing twice. Whatever breaks the equality is a [`Gap`] with its reason; a gap concerns every
//! range, because a late event can belong to any bucket.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::catalog::DefinitionHash;
use crate::contracts::archive::Facts;
use crate::contracts::batch_view::Note;
use crate::contracts::speed_view::Shard;
use crate::cut;
use crate::log::PartitionId;

/// What a reader has seen, all of it as of one look (R10).
#[derive(Debug, Clone, Copy)]
pub struct Look<'a> {
    /// The definition that the reader asks for.
    pub definition: &'a DefinitionHash,
    /// The newest view's note, whatever it counts.
    pub view: Option<&'a Note>,
    /// The archive's facts, `None` if there is no archive yet.
    pub archive: Option<&'a Facts>,
    /// The archive's version that the facts are of.
    pub archive_version: u64,
    /// The topic: its log and how many partitions it has; `None` if it was never looked at.
    pub topic: Option<&'a TopicLook>,
    /// The shards that were read, by partition; `None` where there is none.
    pub shards: &'a BTreeMap<PartitionId, Option<Shard>>,
}

/// What the topic was when it was last looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicLook {
    /// Its log and the number of its partitions; `None` if it did not exist.
    pub log: Option<(String, i32)>,
    /// When it was asked, microseconds since 1970.
    pub at_us: i64,
}

/// What a look says about an answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// Why the answer is not complete; empty if it is.
    pub gaps: Vec<Gap>,
    /// Per partition the offset from which slices count. Closed partitions that are wholly in the view are not named.
    pub from: BTreeMap<PartitionId, i64>,
}

/// Something that arrived is in neither view, or cannot be proven to be in exactly one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// The partition it concerns; `None`: all of the source.
    pub partition: Option<PartitionId>,
    /// Why.
    pub why: Why,
}

/// Why an answer cannot be proven complete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// The topic's partitions could not be asked for since the reader started.
    TopicUnknown,
    /// The view was computed from a newer archive than the reader knows.
    ArchiveLookTooOld,
    /// The archive has not begun the partition.
    NotArchived,
    /// The speed layer has not opened a shard.
    NoShard,
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
}

/// The view, if it counts that definition: a view of another definition is no view.
pub fn own_view<'a>(view: Option<&'a Note>, definition: &DefinitionHash) -> Option<&'a Note> {
    view.filter(|note| note.definition == *definition)
}

/// Every partition that the archive, the cut or the topic names, less those of settled logs that are wholly in the view:
/// the shards that a reader has to read.
pub fn needed_shards(look: &Look<'_>) -> BTreeSet<PartitionId> {
    let cut = own_view(look.view, look.definition).map(|note| &note.cut);
    let mut named: BTreeSet<PartitionId> = cut.iter().flat_map(|cut| cut.iter().map(|(id, _)| id.clone())).collect();
    let archive = look.archive;
    named.extend(archive.iter().flat_map(|facts| facts.partitions().map(|(id, _)| id)));
    if let Some((log, partitions)) = look.topic.and_then(|topic| topic.log.as_ref()) {
        named.extend((0..*partitions).map(|partition| PartitionId::new(log.clone(), partition)));
    }
    named.retain(|id| !archive.is_some_and(|facts| wholly_in_view(facts, id, cut.and_then(|cut| cut.get(id)))));
    named
}

/// R9: judges a look.
pub fn judge(look: &Look<'_>) -> Verdict {
    let view = own_view(look.view, look.definition);
    let cut = view.map(|note| &note.cut);
    let no_facts = Facts::default();
    let facts = look.archive.unwrap_or(&no_facts);
    let mut gaps = Vec::new();
    let mut from = BTreeMap::new();
    if look.topic.is_none() {
        gaps.push(Gap { partition: None, why: Why::TopicUnknown });
    }
    if view.is_some_and(|note| look.archive_version < note.archive_version) {
        gaps.push(Gap { partition: None, why: Why::ArchiveLookTooOld });
    }
    for id in needed_shards(look) {
        let need = cut::of_partition(cut, &id, facts);
        let shard = look.shards.get(&id).and_then(Option::as_ref);
        let why = match (need, shard) {
            (None, _) => Some(Why::NotArchived),
            (Some(_), None) => Some(Why::NoShard),
            (Some(cut), Some(shard)) if !shard.slices.contains(&cut) => Some(Why::NoSliceAtCut { cut }),
            (Some(cut), Some(shard)) => match shard.definitions.get(look.definition).copied() {
                Some(since) if since <= cut => None,
                since => Some(Why::NotCountedSince { cut, since }),
            },
        };
        gaps.extend(why.map(|why| Gap { partition: Some(id.clone()), why }));
        from.extend(need.map(|need| (id, need)));
    }
    for (id, partition) in facts.partitions() {
        let open = partition.lost.iter().filter(|lost| !lost.accepted);
        let gap = |why| Gap { partition: Some(id.clone()), why };
        gaps.extend(open.map(|lost| gap(Why::Lost { from: lost.from, to: lost.to })));
    }
    Verdict { gaps, from }
}

/// Whether the partition's log is closed, its losses are noted, and its cut is its archived end, so that it needs no shard.
fn wholly_in_view(facts: &Facts, id: &PartitionId, cut: Option<i64>) -> bool {
    let partition = facts.partition(id);
    facts.is_settled(&id.log) && partition.is_some_and(|known| cut.unwrap_or(known.begin) == known.next)
}

impl Why {
    /// A word for programs.
    pub fn name(&self) -> &'static str {
        match self {
            Why::TopicUnknown => "topic_unknown",
            Why::ArchiveLookTooOld => "archive_look_too_old",
            Why::NotArchived => "not_archived",
            Why::NoShard => "no_shard",
            Why::NoSliceAtCut { .. } => "no_slice_at_cut",
            Why::NotCountedSince { .. } => "not_counted_since",
            Why::Lost { .. } => "lost",
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Why::TopicUnknown => f.write_str("the topic's partitions could not be asked for yet; is Kafka reachable?"),
            Why::ArchiveLookTooOld => f.write_str("the view is newer than what is known of the archive; ask again"),
            Why::NotArchived => {
                f.write_str("the archive has not begun this partition; is `batch-layer archive` running?")
            }
            Why::NoShard => f.write_str("the speed layer has no counters of this partition; is `speed-layer` running?"),
            Why::NoSliceAtCut { cut } => {
                write!(f, "no slice of the speed view begins at the cut {cut}; the next reconcile aligns them")
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
        }
    }
}

#[cfg(test)]
mod tests;
