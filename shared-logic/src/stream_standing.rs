//! How the streams over a source stand: how far each is written, and what stops it.
//!
//! Lanes say nothing while they go on but what they publish. So whoever wants to know looks at what everybody can see: the source's log,
//! the topics that are written, the progress that was published, the archive, and the note that a lane has left that does not go on. What
//! follows from that is decided here, so that all who look say the same.
//!
//! - `stop`: what stops a stream.

mod stop;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::catalog::DefinitionHash;
use crate::contracts::archive::Facts;
use crate::contracts::stream::{LanesNoted, Published};
use crate::log::{PartitionId, topic_of};
use crate::stream::OutputPosition;
use crate::stream_topics::{WrittenKind, WrittenTopic};

pub use stop::Stop;

/// What can be seen of the streams over a source.
#[derive(Debug, Clone, Default)]
pub struct SeenLanes {
    /// The source's name.
    pub source: String,
    /// Whether the brokers know transactions, without which no stream is written; `None` if that is not known.
    pub knows_transactions: Option<bool>,
    /// The source's topic; `None` if there is none.
    pub topic: Option<SeenTopic>,
    /// The topics that are written for these streams, each as it is; `None` if there is none.
    pub written: Vec<(WrittenTopic, Option<SeenTopic>)>,
    /// By partition of the source, what was published.
    pub lanes: BTreeMap<i32, SeenLane>,
    /// The same of partitions that the source's topic does not have, as it was made anew with fewer, or is gone.
    pub former: BTreeMap<i32, SeenLane>,
    /// The archive of the source, and what lanes have noted beside it.
    pub archive: SeenArchive,
}

/// A topic that exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenTopic {
    /// Its id.
    pub log: String,
    /// How many partitions it has.
    pub partitions: i32,
}

/// What can be seen of a lane.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SeenLane {
    /// Where the source's partition ends, asked for after the rest; `None` if that is not known.
    pub end: Option<i64>,
    /// When it last published anything, microseconds since 1970.
    pub published_us: Option<i64>,
    /// By stream, how far it was published.
    pub published: BTreeMap<String, Published>,
}

/// What can be seen of an archive.
#[derive(Debug, Clone, Default)]
pub enum SeenArchive {
    /// It could not be read.
    #[default]
    Unknown,
    /// Nothing is archived.
    Nothing,
    /// What it says of its logs, and what lanes have noted beside it.
    Of(Arc<Facts>, LanesNoted),
}

/// How a stream stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// How far it is written in each partition of its source, in order.
    pub partitions: Vec<StandingPartition>,
    /// What stops it, in some partition at least.
    pub stopped: Vec<Stop>,
}

/// How far a stream is written in a partition of its source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StandingPartition {
    /// The partition, and the log that its topic is now.
    pub id: PartitionId,
    /// The position of the first output of that log that is not published; `None`: nothing of it is.
    pub published: Option<OutputPosition>,
    /// Where the log ends.
    pub end: Option<i64>,
    /// How many offsets of it are not decided; `None` if that is not known.
    pub behind: Option<i64>,
    /// Whether what was published last was decided from an incomplete past (T8).
    pub incomplete: bool,
}

impl SeenLanes {
    /// How a stream stands that the catalog declares so.
    pub fn standing(&self, stream: &str, definition: &DefinitionHash) -> Standing {
        let mut stopped = self.stops();
        let of_all = stopped.clone();
        let count = self.topic.as_ref().map_or(0, |topic| topic.partitions);
        let partitions = (0..count).map(|partition| {
            let (standing, begun, known) = self.partition(stream, partition);
            // What everybody can see now explains a lane better than what it has noted before.
            let is_explained = of_all.iter().any(|stop| stop.stops(partition));
            let own = if is_explained { None } else { self.stop(&standing, begun, known, definition) };
            if let Some(stop) = own {
                stop.join(&mut stopped);
            }
            standing
        });
        let partitions = partitions.collect();
        Standing { partitions, stopped }
    }

    /// How many windows and sessions of a stream are never written, as they were open where a log ended (R6, R12). Which logs have ended, the
    /// archive says: `None` if that could not be read.
    pub fn never_written(&self, stream: &str) -> Option<u64> {
        let is_ended = |id: &PartitionId| match &self.archive {
            SeenArchive::Unknown => None,
            SeenArchive::Nothing => Some(false),
            SeenArchive::Of(facts, _) => Some(facts.is_ended(id)),
        };
        let lanes = self.lanes.iter().chain(&self.former);
        let published = lanes.filter_map(|(partition, lane)| Some((*partition, lane.published.get(stream)?)));
        let of_lane = |(partition, published): (i32, &Published)| {
            let is_ended = is_ended(&PartitionId::new(published.log.as_str(), partition))?;
            Some(published.never_written.saturating_add(if is_ended { published.open } else { 0 }))
        };
        published.map(of_lane).try_fold(0, |sum: u64, of_lane| Some(sum.saturating_add(of_lane?)))
    }

    /// What stops lanes over the source, whichever stream it is.
    fn stops(&self) -> Vec<Stop> {
        let mut stops = Vec::new();
        if self.knows_transactions == Some(false) {
            stops.push(Stop::NoTransactions);
            return stops;
        }
        let Some(topic) = &self.topic else {
            stops.push(Stop::NoSource { source: self.source.clone() });
            return stops;
        };
        for (written, seen) in &self.written {
            match seen {
                None => stops.push(Stop::NoTopic { topic: written.name.clone() }),
                Some(seen) if written.grows && seen.partitions < topic.partitions => {
                    let (has, needs) = (seen.partitions, topic.partitions);
                    stops.push(Stop::TooFewPartitions { topic: written.name.clone(), has, needs });
                }
                Some(_) => {}
            }
        }
        match &self.archive {
            SeenArchive::Unknown => {}
            SeenArchive::Nothing => stops.push(Stop::NotArchived { source: self.source.clone() }),
            SeenArchive::Of(facts, noted) => {
                if self.has_lost_progress(topic, facts, noted) {
                    stops.push(Stop::ProgressLost { source: self.source.clone() });
                }
            }
        }
        stops
    }

    /// T7: whether nothing says any more what was published, although something was.
    fn has_lost_progress(&self, topic: &SeenTopic, facts: &Facts, noted: &LanesNoted) -> bool {
        let progress = self.written.iter().find(|(written, _)| written.kind == WrittenKind::Progress);
        let Some((_, Some(progress))) = progress else { return false };
        let is_another = noted.begun.as_ref().is_some_and(|begun| *begun != progress.log);
        let lacks = |partition: i32| {
            let id = facts.current(&topic.log, partition);
            let is_nothing = self.lanes.get(&partition).is_none_or(|lane| lane.published.is_empty());
            is_nothing && noted.published.contains(&id)
        };
        is_another || (0..topic.partitions).any(lacks)
    }

    /// How far the stream is in a partition; where the archive begins it, if that is known; and what was published of this log.
    fn partition(&self, stream: &str, partition: i32) -> (StandingPartition, Option<Begun>, Option<&Published>) {
        let log = self.topic.as_ref().map(|topic| topic.log.as_str()).unwrap_or_default();
        let lane = self.lanes.get(&partition);
        let published = lane.and_then(|lane| lane.published.get(stream));
        let (id, begun, known) = match &self.archive {
            SeenArchive::Of(facts, _) => {
                let id = facts.current(log, partition);
                let begun = facts.partition(&id).map_or(Begun::NotYet, |known| Begun::At(known.begin));
                let known = published.filter(|published| published.log == id.log);
                (id, Some(begun), known)
            }
            // Which incarnation it is, the archive says; without one, what was published does.
            SeenArchive::Unknown | SeenArchive::Nothing => {
                let known = published.filter(|published| topic_of(&published.log) == log);
                (PartitionId::new(known.map_or(log, |known| known.log.as_str()), partition), None, known)
            }
        };
        let begin = if let Some(Begun::At(begin)) = begun { Some(begin) } else { None };
        let end = lane.and_then(|lane| lane.end);
        let decided = known.map(|known| known.position.offset).or(begin);
        let standing = StandingPartition {
            id,
            published: known.map(|known| known.position),
            end,
            behind: end.zip(decided).map(|(end, decided)| (end - decided).max(0)),
            incomplete: known.is_some_and(|known| known.incomplete),
        };
        (standing, begun, known)
    }

    /// What stops the stream in one partition.
    fn stop(
        &self,
        standing: &StandingPartition,
        begun: Option<Begun>,
        known: Option<&Published>,
        definition: &DefinitionHash,
    ) -> Option<Stop> {
        let (id, partitions) = (&standing.id, vec![standing.id.partition]);
        if begun == Some(Begun::NotYet) {
            return Some(Stop::NotBegun { partitions });
        }
        if let (Some(known), Some(end)) = (known, standing.end)
            && known.position.offset > end
        {
            return Some(Stop::LostData { id: id.clone(), at: known.position.offset, end });
        }
        if let SeenArchive::Of(_, noted) = &self.archive
            && let Some(stopped) = noted.stopped.get(&id.partition)
            && self.lanes.get(&id.partition).and_then(|lane| lane.published_us) <= Some(stopped.tried_us)
        {
            let stopped = stopped.clone();
            return Some(Stop::Noted { partitions, stopped });
        }
        match known {
            None => Some(Stop::NothingPublished { partitions }),
            Some(known) if known.definition != *definition => {
                Some(Stop::AnotherDefinition { partitions, definition: known.definition.clone() })
            }
            Some(known) => known.full.clone().map(|fills| Stop::Full { partitions, fills }),
        }
    }
}

/// Whether the archive has begun a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Begun {
    NotYet,
    At(i64),
}

#[cfg(test)]
mod tests;
