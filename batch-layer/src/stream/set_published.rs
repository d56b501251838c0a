//! T7: says how far the streams over a source were published, where their progress topic was lost.
//!
//! The newest output of a lane that any archive holds says so: whatever lies before it was published, and nothing after it, since
//! the archives hold all that was. Late events count as outputs; the side output is asked for its newest one. The fronts follow from
//! the archive of the source. Each lane's positions are one transaction under the lane's own id (T3, T4), so no lane can be at work
//! meanwhile, and whoever repeats this finds out which lanes are done. Only then is the topic noted as the one to go on with.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use platform::kafka::{
    Bound, KafkaError, OwnedRecord, Topics, TransactionError, TransactionalProducer, Written as Record, read_committed,
};
use platform::registry::Registry;
use platform::settings::Settings;
use platform::store::StoreError;
use shared_logic::catalog::{Catalog, DefinitionHash, Source};
use shared_logic::contracts::stream::{
    Changed, CheckedStreams, HeaderNames, ProgressKey, Published, progress_topic, transactional_id,
};
use shared_logic::log::{Offsets, PartitionId};
use shared_logic::stream::{Fronts, OutputPosition};
use storage::{Schemas, Storage};
use tracing::info;

use super::held::Held;
use super::progress::{self, Asked};
use super::replay::{Replay, ReplayError};
use super::written::{Ids, Written};
use crate::rows::RowsError;

/// How many offsets of a side output are looked at, from its end back. Only its last record matters, behind which there may be markers.
const LATE_OFFSETS: i64 = 10_000;

/// How far a lane was published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetLane {
    /// The partition.
    pub id: PartitionId,
    /// By stream, the first position that is not published.
    pub positions: BTreeMap<String, OutputPosition>,
    /// Where the archive begins the partition. The past of streams that remember everything may reach back so far.
    pub begin: i64,
    /// Whether the progress topic says so already.
    pub is_known: bool,
}

/// Why positions were not set. To try again is safe.
#[derive(Debug, thiserror::Error)]
pub enum SetPublishedError {
    /// The catalog has no streams over the source.
    #[error("the catalog declares no streams over {source_name}")]
    NoStreams {
        /// The source's name.
        source_name: String,
    },
    /// A topic does not exist.
    #[error("topic {topic} does not exist; `batch-layer init` creates it")]
    NoTopic {
        /// The topic's name.
        topic: String,
    },
    /// There is no archive.
    #[error("nothing of {name} is archived")]
    NothingArchived {
        /// The name of the source or stream.
        name: String,
    },
    /// An archive does not hold all that was written.
    #[error("{behind}, so the newest output may not be archived yet; is `batch-layer archive` running?")]
    Behind {
        /// Which one, and how far it has come.
        behind: String,
    },
    /// Kafka did not answer.
    #[error(transparent)]
    Kafka(#[from] KafkaError),
    /// The positions of a lane were not written.
    #[error(transparent)]
    Transaction(#[from] TransactionError),
    /// An archive could not be read or written.
    #[error(transparent)]
    Rows(#[from] RowsError),
    /// The fronts do not follow from what is archived.
    #[error(transparent)]
    Replay(#[from] ReplayError),
}

impl From<StoreError> for SetPublishedError {
    fn from(error: StoreError) -> SetPublishedError {
        RowsError::from(error).into()
    }
}

/// Says how far the streams over a source were published; with `dry_run`, says it to the caller alone.
///
/// # Errors
/// [`SetPublishedError`].
pub async fn set_published(
    settings: &Settings,
    storage: &Storage,
    catalog: &Catalog,
    source: &Source,
    dry_run: bool,
) -> Result<Vec<SetLane>, SetPublishedError> {
    if catalog.streams_of(&source.name).next().is_none() {
        return Err(SetPublishedError::NoStreams { source_name: source.name.clone() });
    }
    let asked = progress::ask(&settings.kafka, catalog, source).await?;
    let asked = asked.map_err(|missing| SetPublishedError::NoTopic { topic: missing.0 })?;
    let setting = Setting { settings, storage, catalog, source, asked: &asked, topics: Topics::new(&settings.kafka)? };
    let nothing = || SetPublishedError::NothingArchived { name: source.name.clone() };
    let archive = storage.archive(&source.name).await?.ok_or_else(nothing)?;
    let version = catalog.deployment.version.as_str();
    let checked = archive.checked_streams(version).await?.unwrap_or_default();
    let held = Held::open(archive.clone(), source, &setting.schemas(&source.name)).await?;
    let replay = Replay::new(&held, catalog, &settings.streams, settings.reconcile.memory.as_usize() / 4);
    let lanes = setting.lanes(&held, &replay, &checked).await?;
    if !dry_run {
        setting.write(&lanes, &replay, &checked).await?;
        archive.lanes_continue(version, &asked.progress_log).await?;
        info!(source = source.name, progress = asked.progress_log, "the lanes go on with this progress topic");
    }
    Ok(lanes.into_iter().map(|(lane, _)| lane).collect())
}

struct Setting<'a> {
    settings: &'a Settings,
    storage: &'a Storage,
    catalog: &'a Catalog,
    source: &'a Source,
    asked: &'a Asked,
    topics: Topics,
}

/// A stream's newest outputs, by the numbers of the lanes.
type Newest = BTreeMap<usize, OutputPosition>;

impl Setting<'_> {
    fn schemas(&self, source: &str) -> Schemas {
        Schemas::new(self.storage, source, &Registry::new(&self.settings.registry))
    }

    /// How far each lane was published, and the fronts there.
    async fn lanes(
        &self,
        held: &Held,
        replay: &Replay<'_>,
        checked: &CheckedStreams,
    ) -> Result<Vec<(SetLane, Fronts)>, SetPublishedError> {
        let facts = held.archive.facts();
        let ids: Vec<PartitionId> =
            (0..self.asked.partitions).map(|partition| facts.current(&self.asked.log, partition)).collect();
        let mut newest: BTreeMap<&str, Newest> = BTreeMap::new();
        for stream in self.catalog.streams_of(&self.source.name) {
            let mut of_stream = self.newest(&stream.name, &ids).await?;
            for (lane, position) in self.newest_late(&stream.late_topic(), &ids).await? {
                note(&mut of_stream, lane, position);
            }
            newest.insert(&stream.name, of_stream);
        }
        let mut lanes = Vec::with_capacity(ids.len());
        for (lane, id) in ids.into_iter().enumerate() {
            let begin = facts.partition(&id).map(|known| known.begin);
            let known = self.asked.noted.get(&id.partition);
            let published = known.into_iter().flat_map(|known| &known.published);
            let published = published.filter(|(_, published)| published.log == id.log);
            let published: BTreeMap<String, OutputPosition> =
                published.map(|(stream, published)| (stream.clone(), published.position)).collect();
            if !published.is_empty() {
                let begin = begin.unwrap_or_default();
                lanes.push((SetLane { id, positions: published, begin, is_known: true }, Fronts::default()));
                continue;
            }
            let Some(begin) = begin else { continue };
            let checked = checked.lane(&id);
            let least = checked.map_or(begin, |checked| checked.offset);
            let (at, positions) = positions(&newest, lane, least);
            let archived = facts.partition(&id).map_or(0, |known| known.next);
            if at > archived {
                let behind = format!("the archive of {} is at {archived} of {at} in {id}", self.source.name);
                return Err(SetPublishedError::Behind { behind });
            }
            let fronts = replay.fronts_at(&id, at, checked.map(|checked| (checked.offset, &checked.fronts))).await?;
            lanes.push((SetLane { id, positions, begin, is_known: false }, fronts));
        }
        Ok(lanes)
    }

    /// The newest archived output of each lane.
    async fn newest(&self, stream: &str, ids: &[PartitionId]) -> Result<Newest, SetPublishedError> {
        let nothing = || SetPublishedError::NothingArchived { name: stream.to_owned() };
        let archive = self.storage.archive(stream).await?.ok_or_else(nothing)?;
        let facts = archive.facts();
        if let Some(ends) = self.asked.outputs.get(stream) {
            for (partition, end) in &ends.ends {
                let id = facts.current(&ends.log, *partition);
                let next = facts.partition(&id).map_or(0, |known| known.next);
                if next < *end {
                    let behind = format!("the archive of {stream} is at {next} of {end} in {id}");
                    return Err(SetPublishedError::Behind { behind });
                }
            }
        }
        let held = Held::open(archive, &self.catalog.sources[stream], &self.schemas(stream)).await?;
        let ids = Ids::new(stream, &self.catalog.deployment.version, ids);
        let mut newest = Newest::new();
        let written = Written::new(held, ids, None, &Offsets::default());
        written.each(|output| note(&mut newest, output.lane, output.position)).await?;
        Ok(newest)
    }

    /// The newest late event of each lane, as the side output says; nothing where there is none.
    async fn newest_late(&self, topic: &str, ids: &[PartitionId]) -> Result<Newest, KafkaError> {
        let mut newest = Newest::new();
        let Some(described) = self.topics.describe(topic).await? else { return Ok(newest) };
        let partitions: Vec<i32> = (0..described.partitions).collect();
        let starts = self.topics.offsets(topic, &partitions, Bound::Start).await?;
        let ends = self.topics.offsets(topic, &partitions, Bound::End).await?;
        for (lane, id) in ids.iter().enumerate() {
            let Some(end) = ends.get(&id.partition).copied() else { continue };
            let start = starts.get(&id.partition).copied().unwrap_or(end);
            let found: Arc<Mutex<Option<OutputPosition>>> = Arc::default();
            let (seen, of_lane) = (Arc::clone(&found), id.clone());
            let visit = move |record: OwnedRecord| {
                let position = position_of(&record, &of_lane);
                let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
                *seen = (*seen).max(position);
            };
            let from = (end - LATE_OFFSETS).max(start);
            read_committed(&self.settings.kafka, topic, id.partition, from, end, visit).await?;
            let position = *found.lock().unwrap_or_else(PoisonError::into_inner);
            newest.extend(position.map(|position| (lane, position)));
        }
        Ok(newest)
    }

    /// Writes the positions of the lanes that the progress topic does not know.
    async fn write(
        &self,
        lanes: &[(SetLane, Fronts)],
        replay: &Replay<'_>,
        checked: &CheckedStreams,
    ) -> Result<(), SetPublishedError> {
        let (kafka, deployment) = (&self.settings.kafka, &self.catalog.deployment);
        let topic = progress_topic(deployment, &self.source.name);
        self.topics.grow(&topic, self.asked.partitions).await?;
        for (lane, fronts) in lanes.iter().filter(|(lane, _)| !lane.is_known) {
            let id = &lane.id;
            let name = transactional_id(deployment, &self.source.name, id);
            let producer = TransactionalProducer::init(kafka, &name, vec![topic.clone()]).await?;
            // T4: what was published before the producer was started is known only now.
            let bound = async |which| {
                let offsets = self.topics.offsets(&topic, &[id.partition], which).await?;
                Ok::<_, KafkaError>(offsets.get(&id.partition).copied().unwrap_or_default())
            };
            let (from, to) = (bound(Bound::Start).await?, bound(Bound::End).await?);
            let noted = progress::of_partition(kafka, &topic, id.partition, from, to).await?;
            if noted.published.values().any(|published| published.log == id.log) {
                info!(%id, "what is published was set meanwhile");
                producer.close().await;
                continue;
            }
            let definitions = checked.lane(id).map(|checked| &checked.streams);
            let definition = |stream: &str| {
                let before = definitions.and_then(|definitions| definitions.get(stream));
                before.or_else(|| replay.definitions.get(stream)).cloned()
            };
            let records = records(lane, fronts, &topic, definition);
            producer.commit(records).await?.close().await;
        }
        Ok(())
    }
}

/// A newer position takes the place of an older one.
fn note(newest: &mut Newest, lane: usize, position: OutputPosition) {
    let known = newest.entry(lane).or_insert(position);
    *known = (*known).max(position);
}

/// The offset at which a lane goes on, and the position of each stream: behind its newest output, and at or behind the offset of the
/// newest output of any. A transaction says of all streams how far it reaches, so before that offset all were published, too.
/// `least`: where the lane goes on if there are no outputs.
fn positions(newest: &BTreeMap<&str, Newest>, lane: usize, least: i64) -> (i64, BTreeMap<String, OutputPosition>) {
    let of_lane = || newest.values().filter_map(|of_stream| of_stream.get(&lane));
    let at = of_lane().map(|position| position.offset).max().unwrap_or(least).max(least);
    let positions = newest.iter().map(|(stream, of_stream)| {
        let behind = of_stream.get(&lane).map(|position| position.next());
        let position = behind.map_or(OutputPosition::before(at), |behind| behind.max(OutputPosition::before(at)));
        ((*stream).to_owned(), position)
    });
    (at, positions.collect())
}

/// The position that a record's header names, if it is of that lane.
fn position_of(record: &OwnedRecord, id: &PartitionId) -> Option<OutputPosition> {
    let (_, value) = record.headers.iter().find(|(name, _)| name == HeaderNames::POSITION)?;
    let mut parts = std::str::from_utf8(value.as_deref()?).ok()?.rsplitn(4, '/');
    let (n, offset) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    let partition: i32 = parts.next()?.parse().ok()?;
    (partition == id.partition && parts.next()? == id.log).then_some(OutputPosition { offset, n })
}

/// What a lane's transaction writes: how far each stream is published, and which definition goes on there (T13).
fn records(
    lane: &SetLane,
    fronts: &Fronts,
    topic: &str,
    definition: impl Fn(&str) -> Option<DefinitionHash>,
) -> Vec<Record> {
    let (topic, id): (Arc<str>, _) = (topic.into(), &lane.id);
    let record = |key: &ProgressKey, value: Vec<u8>| Record {
        topic: Arc::clone(&topic),
        partition: Some(id.partition),
        key: Some(key.to_bytes()),
        payload: Some(value),
        headers: Vec::new(),
    };
    let mut records = Vec::new();
    for (stream, position) in &lane.positions {
        let Some(definition) = definition(stream) else { continue };
        let published = Published {
            log: id.log.clone(),
            position: *position,
            fronts: fronts.clone(),
            definition: definition.clone(),
            checked: None,
            incomplete: false,
            full: None,
            open: 0,
            never_written: 0,
        };
        let (offset, log, fronts) = (position.offset, id.log.clone(), fronts.clone());
        let (to, past_from) = (Some(definition), Some(lane.begin));
        let changed = Changed { log, offset, from: None, to, fronts, part: false, past_from };
        let change = ProgressKey::Change { stream: stream.clone(), log: id.log.clone(), offset };
        records.push(record(&change, changed.to_bytes()));
        records.push(record(&ProgressKey::Stream(stream.clone()), published.to_bytes()));
    }
    records
}

#[cfg(test)]
mod tests {
    use shared_logic::contracts::stream::ProgressNoted;

    use super::*;

    fn at(offset: i64, n: u32) -> OutputPosition {
        OutputPosition { offset, n }
    }

    #[test]
    fn a_lane_goes_on_behind_its_newest_output_and_its_other_streams_not_before_that_offset() {
        let newest = BTreeMap::from([
            ("a", Newest::from([(0, at(40, 2)), (1, at(7, 0))])),
            ("b", Newest::from([(0, at(33, 9))])),
            ("c", Newest::new()),
        ]);
        let (offset, found) = positions(&newest, 0, 10);
        assert_eq!(offset, 40);
        let expected = [("a", at(40, 3)), ("b", at(40, 0)), ("c", at(40, 0))];
        assert_eq!(found, BTreeMap::from(expected.map(|(stream, position)| (stream.to_owned(), position))));
        let (offset, found) = positions(&newest, 2, 10);
        assert_eq!((offset, found["a"]), (10, at(10, 0)), "it has written nothing");
        // The last check has seen farther than any output.
        let (offset, found) = positions(&newest, 1, 50);
        assert_eq!((offset, found["a"], found["b"]), (50, at(50, 0), at(50, 0)));
    }

    #[test]
    fn a_side_output_names_the_lane_and_the_position() {
        let record = |value: &str| OwnedRecord {
            offset: 5,
            timestamp_ms: None,
            key: None,
            payload: None,
            headers: vec![(HeaderNames::POSITION.to_owned(), Some(value.as_bytes().to_vec()))],
        };
        let id = PartitionId::new("topic.1", 3);
        assert_eq!(position_of(&record("topic.1/3/41/2"), &id), Some(at(41, 2)));
        for other in ["topic/3/41/2", "topic.1/2/41/2", "topic.1/3/41", "x"] {
            assert_eq!(position_of(&record(other), &id), None, "{other}");
        }
    }

    #[test]
    fn what_is_written_is_what_a_lane_and_a_check_read() {
        let id = PartitionId::new("log", 1);
        let positions = BTreeMap::from([("a".to_owned(), at(40, 3)), ("gone".to_owned(), at(40, 0))]);
        let lane = SetLane { id, positions, begin: 7, is_known: false };
        let definition: DefinitionHash = "0123456789abcdef".parse().expect("a hash");
        let written = records(&lane, &Fronts::at(5), "progress", |stream| (stream == "a").then(|| definition.clone()));
        let mut noted = ProgressNoted::default();
        written.iter().for_each(|record| noted.take(record.key.as_deref(), record.payload.as_deref()));
        assert!(written.iter().all(|record| record.partition == Some(1) && &*record.topic == "progress"));
        let published = &noted.published["a"];
        assert_eq!((published.position, &published.fronts), (at(40, 3), &Fronts::at(5)));
        let changes: Vec<(i64, &Changed)> = noted.changes_of("a", "log").collect();
        let [(40, changed)] = changes[..] else { panic!("{changes:?}") };
        assert_eq!((changed.first_whole(), changed.past_from), (40, Some(7)));
        assert_eq!(noted.published.len(), 1, "no definition is known of the other");
    }
}
