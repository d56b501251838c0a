//! What a reader has to read and what is missing whatever it reads: all that follows from a snapshot alone.
//!
//! A snapshot answers many requests, and it may know hundreds of logs that are over. So what follows from it is computed once, and
//! a request looks only at the partitions whose shards it has to read.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use super::{Evidence, Gap, Shards, Verdict, Why, counts, erased, own_view};
use crate::catalog::DefinitionHash;
use crate::contracts::archive::Facts;
use crate::contracts::speed_view::Shard;
use crate::log::{Offsets, PartitionId};

/// What a snapshot says of one metric, whatever its shards say.
#[derive(Debug, Clone)]
pub struct Standing {
    definition: DefinitionHash,
    needed: BTreeMap<PartitionId, Need>,
    from: Arc<BTreeMap<PartitionId, i64>>,
    /// Gaps of the whole source.
    of_source: Vec<Gap>,
    /// Gaps that the archive notes.
    of_archive: Vec<Gap>,
    /// When the topic was last described, microseconds since 1970.
    described_us: Option<i64>,
    /// K5: whether everything is counted of the log.
    log_only: bool,
}

/// What is needed of one shard.
#[derive(Debug, Clone)]
struct Need {
    /// The cut of the partition; `None`: the archive has not begun it.
    cut: Option<i64>,
    /// R12: whether the partition's log lost its tail. Nothing of the shard counts then.
    is_truncated: bool,
    /// Whether it was imported. Speed never sees it, so it has no shard.
    is_import: bool,
    /// If nothing more of the partition can be archived, where its archive ends.
    ended_at: Option<i64>,
}

impl Standing {
    /// What follows from a snapshot.
    pub fn of(evidence: &Evidence<'_>) -> Standing {
        if evidence.log_only {
            return Standing::of_log(evidence);
        }
        let view = own_view(evidence.view, evidence.definition, evidence.rules.hash(), evidence.archive);
        let mut of_source = Vec::new();
        if evidence.topic.is_none() {
            of_source.push(Gap { partition: None, why: Why::TopicUnknown });
        }
        if view.is_some_and(|note| evidence.archive_version < note.archive_version) {
            of_source.push(Gap { partition: None, why: Why::ArchiveTooOld });
        }
        if evidence.archive.is_some_and(|facts| erased::may_be_counted(facts, view)) {
            of_source.push(Gap { partition: None, why: Why::ErasureNotApplied });
        }
        let needed = needed(evidence, view.map(|note| &note.cut));
        let counted = needed.iter().filter(|(_, need)| !need.is_truncated && !need.is_import);
        let from = counted.filter_map(|(id, need)| Some((id.clone(), need.cut?))).collect();
        Standing {
            definition: evidence.definition.clone(),
            needed,
            from: Arc::new(from),
            of_source,
            of_archive: evidence.archive.map(|facts| lost(facts, evidence)).unwrap_or_default(),
            described_us: evidence.topic.map(|topic| topic.at_us),
            log_only: false,
        }
    }

    /// K5: the same where nothing is archived. Whatever a shard has counted belongs to the answer, and offsets begin at 0.
    fn of_log(evidence: &Evidence<'_>) -> Standing {
        let log = evidence.topic.and_then(|topic| topic.log.as_ref());
        let ids: Vec<PartitionId> = log
            .into_iter()
            .flat_map(|(log, count)| (0..*count).map(move |n| PartitionId::new(log.clone(), n)))
            .collect();
        let need = Need { cut: None, is_truncated: false, is_import: false, ended_at: None };
        let unknown = evidence.topic.is_none().then_some(Gap { partition: None, why: Why::TopicUnknown });
        Standing {
            definition: evidence.definition.clone(),
            from: Arc::new(ids.iter().map(|id| (id.clone(), 0)).collect()),
            needed: ids.into_iter().map(|id| (id, need.clone())).collect(),
            of_source: unknown.into_iter().collect(),
            of_archive: Vec::new(),
            described_us: evidence.topic.map(|topic| topic.at_us),
            log_only: true,
        }
    }

    /// The partitions whose shards a reader has to read: all that the archive, the cut or the topic names, except those of
    /// settled logs that the view includes whole, and of imports, which have none.
    pub fn needed(&self) -> impl Iterator<Item = &PartitionId> {
        self.needed.iter().filter(|(_, need)| !need.is_import).map(|(id, _)| id)
    }

    /// The partitions whose slices count, and from which offset on: the cut of the reader's view. A partition whose shard
    /// is marked as truncated is named, too, but nothing of that shard counts ([`counts`]).
    pub fn counted_from(&self) -> &Arc<BTreeMap<PartitionId, i64>> {
        &self.from
    }

    /// R9: decides whether an answer is complete, given the shards that were read, and which slices belong to it. `begin` is the start that a
    /// shard remembers of its log, see [`State`](crate::contracts::speed_view::State); it matters only where nothing is archived (K5).
    pub fn judge(&self, shards: &Shards, begin: impl Fn(&PartitionId) -> Option<i64>) -> Verdict {
        let mut gaps = self.of_source.clone();
        for (id, need) in &self.needed {
            let shard = shards.get(id).and_then(Option::as_ref);
            let why = match (need.cut, shard) {
                _ if need.is_import => Some(Why::ImportNotCounted),
                _ if need.is_truncated => Some(Why::LogTruncated),
                (None, None) if self.log_only => Some(Why::NoShard),
                (None, Some(shard)) if self.log_only => self.not_from(begin(id), shard),
                (None, _) => Some(Why::NotArchived),
                (Some(_), None) => Some(Why::NoShard),
                (Some(_), Some(shard)) if !counts(shard) => Some(Why::LogTruncated),
                (Some(cut), Some(shard)) if !shard.slices.contains(&cut) => Some(Why::NoSliceAtCut { cut }),
                (Some(cut), Some(shard)) => match shard.definitions.get(&self.definition).copied() {
                    Some(since) if since <= cut => None,
                    since => Some(Why::NotCountedSince { cut, since }),
                },
            };
            gaps.extend(why.map(|why| Gap { partition: Some(id.clone()), why }));
        }
        gaps.extend(self.of_archive.iter().cloned());
        Verdict { gaps, from: Arc::clone(&self.from) }
    }

    /// K5: why a shard does not hold everything since the begin; `None` if it does.
    fn not_from(&self, begin: Option<i64>, shard: &Shard) -> Option<Why> {
        if !counts(shard) {
            return Some(Why::LogTruncated);
        }
        let defined = shard.definitions.get(&self.definition).copied();
        let since = defined.zip(shard.slices.first().copied()).map(|(defined, slice)| defined.max(slice));
        let holds_all = begin.is_some_and(|begin| since == Some(begin));
        (!holds_all).then_some(Why::NotFromBegin { begin, since })
    }

    /// The moment as of which an answer speaks: the oldest of the partitions' moments, microseconds since 1970. `moment` gives
    /// that of a partition: the latest at which Kafka gave an end offset that its shard has reached. An answer is never newer
    /// than the topic's last description; `None` if the moment of a partition is not known.
    pub fn as_of_us(&self, shards: &Shards, moment: impl Fn(&PartitionId) -> Option<i64>) -> Option<i64> {
        let mut oldest = self.described_us?;
        // An import is in the view, or a gap. Nothing of it arrives later.
        for (id, need) in self.needed.iter().filter(|(_, need)| !need.is_import) {
            let shard = shards.get(id).and_then(Option::as_ref)?;
            // A closed log gets no new records. If its shard has counted all that was archived, the partition holds nothing back.
            if need.ended_at.is_none_or(|end| shard.cursor < end) {
                oldest = oldest.min(moment(id)?);
            }
        }
        Some(oldest)
    }
}

/// What is needed of each partition that the archive, the cut or the topic names.
fn needed(evidence: &Evidence<'_>, cut: Option<&Offsets>) -> BTreeMap<PartitionId, Need> {
    let (mut needed, mut archived) = (BTreeMap::new(), HashSet::new());
    for (log, partition, known) in evidence.archive.into_iter().flat_map(|facts| facts.entries()) {
        let id = PartitionId::new(log.log.clone(), partition);
        let at = cut.and_then(|cut| cut.get(&id)).unwrap_or(known.begin);
        // A settled log of which the view includes everything needs no shard.
        if !(log.is_settled(known) && at == known.next) {
            let ended_at = log.is_ended(known).then_some(known.next);
            let is_import = log.import.is_some();
            needed.insert(id, Need { cut: Some(at), is_truncated: known.closed, is_import, ended_at });
        }
        archived.insert((log.log.as_str(), partition));
    }
    let mut not_archived = |id: PartitionId, cut: Option<i64>| {
        if !archived.contains(&(id.log.as_str(), id.partition)) {
            needed.entry(id).or_insert(Need { cut, is_truncated: false, is_import: false, ended_at: None });
        }
    };
    for (id, at) in cut.into_iter().flat_map(|cut| cut.iter()) {
        not_archived(id.clone(), Some(at));
    }
    if let Some((log, partitions)) = evidence.topic.and_then(|topic| topic.log.as_ref()) {
        for partition in 0..*partitions {
            let first = || PartitionId::new(log.clone(), partition);
            not_archived(evidence.archive.map_or_else(first, |facts| facts.current(log, partition)), None);
        }
    }
    needed
}

/// What the archive lacks, and no operator has accepted.
fn lost(facts: &Facts, evidence: &Evidence<'_>) -> Vec<Gap> {
    let mut gaps = Vec::new();
    for (log, partition, known) in facts.entries() {
        let open = known.lost.iter().filter(|lost| !lost.accepted);
        let gap = |why| Gap { partition: Some(PartitionId::new(log.log.clone(), partition)), why };
        gaps.extend(open.map(|lost| gap(Why::Lost { from: lost.from, to: lost.to })));
    }
    let not_decodable = facts.not_decodable(evidence.rules);
    gaps.extend(
        not_decodable
            .map(|(id, range)| Gap { partition: Some(id), why: Why::NotDecodable { from: range.from, to: range.to } }),
    );
    gaps
}
