//! Where a lane goes on: how far it was published, and the state that it had there (T4, T6 to T8, T13).

use std::collections::BTreeSet;
use std::time::Duration;

use platform::kafka::{Bound, KafkaError};
use platform::store::StoreError;
use platform::telemetry::error_text;
use shared_logic::contracts::stream::Checked;
use shared_logic::log::{Check, PartitionId};
use shared_logic::stream::{Fronts, Horizon, Lane, OutputPosition};
use storage::Archive;
use tracing::{error, info, warn};

use super::open_at::{Bounds, Changes, OpenAt};
use super::progress::{self, Progress};
use super::source::Shared;
use super::stopped::Cause;
use super::topics::{NotWritable, writable};
use super::warm::{self, Past};

/// Waiting longer than this for topics or the archive is worth a warning.
const PATIENCE: Duration = Duration::from_secs(2);

/// A lane that can go on.
pub struct OpenLane {
    /// The partition, and the log that its topic is now.
    pub id: PartitionId,
    /// How many partitions the log has.
    pub partitions: i32,
    /// How many partitions the topic of each stream has.
    pub output_partitions: Vec<i32>,
    /// The archive beside which snapshots are kept.
    pub archive: Archive,
    /// The lane, before the first record that it is given.
    pub lane: Lane,
    /// The names of the pieces that it was loaded from, which its next snapshot may share.
    pub loaded: BTreeSet<String>,
    /// T4: what was published when it was asked for.
    pub progress: Progress,
    /// T5: per stream, the first position that is to be published.
    pub from: Vec<OutputPosition>,
    /// The fronts at the smallest of these positions' offsets.
    pub fronts: Fronts,
    /// T13: the changes that the first transaction notes.
    pub changes: Changes,
    /// The first record that refills the deduplication window.
    pub warm_from: i64,
    /// R12: how the log is compared with what was read before.
    pub ahead: Option<Check>,
    /// T8: the offset at which the lane takes these fronts, if it is warmed.
    pub catch_up: Option<i64>,
    /// T8: per stream, where its past begins.
    pub begins: Vec<i64>,
    /// T8: per stream, where the past that matters has to begin so that it is whole; `None`: it is.
    pub whole_from: Vec<Option<i64>>,
    /// Whether nothing was ever published.
    pub is_first: bool,
    /// R12: what the first transaction passes on, as long as nothing newer is known.
    pub checked: Option<Checked>,
}

/// Why a lane cannot go on yet. It waits and tries again.
#[derive(Debug, thiserror::Error)]
pub enum NotOpen {
    /// A topic does not exist.
    #[error("topic {topic} does not exist; `batch-layer init` creates it")]
    NoTopic {
        /// The topic's name.
        topic: String,
    },
    /// A topic that it writes is not as it has to be.
    #[error(transparent)]
    NotWritable(#[from] NotWritable),
    /// R7: the topic is not the one any more that was described first.
    #[error("topic {topic} was deleted or created again meanwhile")]
    AnotherTopic {
        /// The topic's name.
        topic: String,
    },
    /// The archive does not know the partition yet.
    #[error("the archive has not begun partition {partition}; is `batch-layer archive` running?")]
    NotArchived {
        /// The partition's number.
        partition: i32,
    },
    /// T12: events that a stream takes together lie in several partitions.
    #[error(
        "topic {topic} has {partitions} partitions, so events that stream {stream} takes together lie in several: re-key by a map first, and \
         read that"
    )]
    Apart {
        /// The source's topic.
        topic: String,
        /// How many partitions it has.
        partitions: i32,
        /// The stream.
        stream: String,
    },
    /// T7: nothing says how far the lane was published, although it was.
    #[error(
        "the progress topic {topic} is not the one that these streams began with, so nothing says what was published; nothing is written \
         again: see `braid streams set-published`"
    )]
    ProgressLost {
        /// The topic's name.
        topic: String,
    },
    /// What was published lies beyond the log's end.
    #[error(
        "{id} was read up to {position}, and its log ends at {end}: the broker lost data; nothing is written until it is back; \
         if it will not come back, see `braid lost give-up`"
    )]
    BeyondTheEnd {
        /// The partition.
        id: PartitionId,
        /// Up to where it was read.
        position: i64,
        /// Where the log ends.
        end: i64,
    },
    /// Kafka did not answer.
    #[error(transparent)]
    Kafka(#[from] KafkaError),
    /// The archive cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl NotOpen {
    /// Logs it: as an error what an operator has to mend, otherwise as a warning or a notice.
    pub fn report(&self, source: &str, partition: i32, wait: Duration) {
        let (wait_ms, text) = (wait.as_millis(), error_text(self));
        match self {
            NotOpen::ProgressLost { .. }
            | NotOpen::BeyondTheEnd { .. }
            | NotOpen::Apart { .. }
            | NotOpen::NotWritable(NotWritable::NotCompacted { .. }) => error!(source, partition, wait_ms, "{text}"),
            // Every first start begins with them.
            NotOpen::NoTopic { .. }
            | NotOpen::NotWritable(NotWritable::NoTopic { .. } | NotWritable::Growing { .. })
            | NotOpen::NotArchived { .. }
                if wait < PATIENCE =>
            {
                info!(source, partition, "{text}; waiting for it");
            }
            _ => warn!(source, partition, wait_ms, "{text}; trying again"),
        }
    }

    /// What it says of its cause.
    pub fn cause(&self) -> Cause {
        match self {
            NotOpen::NoTopic { .. }
            | NotOpen::NotWritable(
                NotWritable::NoTopic { .. } | NotWritable::NotGrown { .. } | NotWritable::NotCompacted { .. },
            ) => Cause::Named,
            NotOpen::NotWritable(NotWritable::Kafka(_)) | NotOpen::Kafka(_) => Cause::Unknown,
            _ => Cause::Other,
        }
    }
}

/// Finds out where the lane of a partition goes on. Nothing is written but notes beside the archive (T7).
///
/// # Errors
/// [`NotOpen`]: wait and try again.
pub async fn open_lane(shared: &Shared, partition: i32) -> Result<OpenLane, NotOpen> {
    let topic = &shared.source.topic;
    let described = shared.topics.describe(topic).await?.ok_or_else(|| NotOpen::NoTopic { topic: topic.clone() })?;
    let streams = shared.plan.streams();
    // The catalog says how many partitions a topic gets when it is created. It may have been there, or have gained some.
    if let Some(apart) = streams.iter().find(|stream| described.partitions > 1 && !stream.groups_meet) {
        let (topic, partitions, stream) = (topic.clone(), described.partitions, apart.name.clone());
        return Err(NotOpen::Apart { topic, partitions, stream });
    }
    let written = writable(shared, partition, described.partitions).await?;
    let progress_log = written.progress_log;
    // Before the archive and the log's end: so it speaks of no incarnation and no offset that these do not know yet. What another
    // worker publishes meanwhile is found when the lane is taken over.
    let noted = progress::read(shared, partition).await?;
    // R7: another worker may have published of a later topic of that name; its progress would pass for that of this one.
    let again = shared.topics.describe(topic).await?;
    if again.is_none_or(|again| again.log != described.log) {
        return Err(NotOpen::AnotherTopic { topic: topic.clone() });
    }
    let is_first = noted.published.is_empty();
    let archive = shared.archive().await?.ok_or(NotOpen::NotArchived { partition })?;
    let id = archive.facts().current(&described.log, partition);
    let bounds = bounds(shared, &archive, &id).await?;
    let begun = archive.lanes_begin(&shared.deployment.version, &progress_log).await?;
    if begun != progress_log || (is_first && has_published(shared, &archive, &id).await?) {
        return Err(NotOpen::ProgressLost { topic: shared.progress_topic() });
    }
    if noted.published.values().any(|published| published.log == id.log) {
        // The build that published it may have noted nothing.
        archive.note_published(&shared.deployment.version, &id).await?;
    }
    let known = OpenAt::of(streams, shared.source.rekeyed, &id, &noted, &bounds);
    if known.at > bounds.end {
        return Err(NotOpen::BeyondTheEnd { id, position: known.at, end: bounds.end });
    }
    let state = state(shared, &archive, &id, &known, &bounds).await?;
    let whole_from = state.whole_from(shared, &id, &known, &bounds);
    let checked = known.checked.filter(|checked| checked.witness.offset >= bounds.start);
    let has_holes = if checked.is_some() { shared.is_compacted().await? } else { false };
    Ok(OpenLane {
        partitions: described.partitions,
        output_partitions: written.outputs,
        archive,
        warm_from: state.warm_from.max(bounds.start),
        lane: state.lane,
        loaded: state.loaded,
        progress: noted.published,
        from: known.from,
        fronts: known.fronts,
        changes: known.changes,
        begins: known.begins.streams,
        ahead: checked.map(|checked| Check::new(checked.witness, checked.offset, has_holes)),
        // Also where there is nothing to be read: a lane that is warmed begins without a front.
        catch_up: state.is_warmed.then_some(known.at),
        whole_from,
        is_first,
        checked,
        id,
    })
}

/// T7: whether something beside the progress topic says that a lane was published: what it has left beside the archive, or a check that has
/// seen its outputs.
async fn has_published(shared: &Shared, archive: &Archive, id: &PartitionId) -> Result<bool, StoreError> {
    let checked = archive.checked_streams(&shared.deployment.version).await?;
    let is_checked = checked.is_some_and(|checked| checked.lane(id).is_some());
    Ok(is_checked || archive.has_published(&shared.deployment, &shared.definitions, id).await?)
}

async fn bounds(shared: &Shared, archive: &Archive, id: &PartitionId) -> Result<Bounds, NotOpen> {
    let facts = archive.facts();
    let begin_of = |id: &PartitionId| facts.partition(id).map(|known| known.begin);
    let begin = begin_of(id).ok_or(NotOpen::NotArchived { partition: id.partition })?;
    let first = facts.incarnations(id.topic(), id.partition).into_iter().next();
    let bound = async |which| {
        let offsets = shared.topics.offsets(&shared.source.topic, &[id.partition], which).await?;
        Ok::<_, KafkaError>(offsets.get(&id.partition).copied().unwrap_or_default())
    };
    Ok(Bounds {
        begin,
        first_begin: first.as_ref().and_then(begin_of).unwrap_or(begin),
        start: bound(Bound::Start).await?,
        end: bound(Bound::End).await?,
    })
}

/// A lane where it begins.
struct State {
    lane: Lane,
    /// The names of the pieces that it was loaded from.
    loaded: BTreeSet<String>,
    /// The first record that refills the deduplication window.
    warm_from: i64,
    /// For each stream, where the past begins that it needs.
    pasts: Vec<Past>,
    /// Whether it is to be warmed.
    is_warmed: bool,
    /// T8: whether it is known who was idle where its past begins.
    is_sure: bool,
}

impl State {
    /// T8: per stream, from where on its past is whole that is not now.
    fn whole_from(&self, shared: &Shared, id: &PartitionId, known: &OpenAt, bounds: &Bounds) -> Vec<Option<i64>> {
        let window = warm::window(&shared.source);
        // What was late before is not known, so it must have passed.
        let sure_from = (!self.is_sure).then_some(known.at);
        let pasts = self.pasts.iter().zip(&known.begins.streams);
        let whole_from: Vec<Option<i64>> = pasts
            .map(|(past, begin)| past.incomplete_until(bounds.start, *begin, !self.is_warmed, window, sure_from))
            .collect();
        let incomplete = shared.plan.streams().iter().zip(&whole_from).filter(|(_, whole_from)| whole_from.is_some());
        let incomplete: Vec<&str> = incomplete.map(|(stream, _)| stream.name.as_str()).collect();
        if !incomplete.is_empty() {
            let (streams, needed_from, is_sure) = (incomplete.join(", "), self.warm_from, self.is_sure);
            warn!(
                %id, streams, log_start = bounds.start, needed_from, is_sure,
                "not all of the past that matters is known; outputs are marked as incomplete until it has passed"
            );
        }
        whole_from
    }
}

/// T6 to T8: the lane's state by a snapshot, or else a lane that is to be warmed.
async fn state(
    shared: &Shared,
    archive: &Archive,
    id: &PartitionId,
    known: &OpenAt,
    bounds: &Bounds,
) -> Result<State, NotOpen> {
    let generation = &shared.deployment.version;
    let empty = |at| Lane::new(shared.plan.clone(), id.clone(), generation, at, shared.limits());
    let (window, begins) = (warm::window(&shared.source), &known.begins);
    let past_of = |from| Past::of(from, window, bounds.first_begin);
    let horizons = shared.plan.horizons(&known.fronts);
    let whole = |mut lane: Lane, loaded| {
        lane.set_begins(&begins.streams);
        let from = |horizon: &Horizon| if *horizon == Horizon::Nothing { known.at } else { lane.cursor() };
        let pasts = horizons.iter().map(|horizon| past_of(from(horizon))).collect();
        State { warm_from: past_of(lane.cursor()).warm_from, pasts, lane, loaded, is_warmed: false, is_sure: true }
    };
    if known.is_empty {
        return Ok(whole(empty(known.at), BTreeSet::new()));
    }
    let found = archive.newest_snapshot(id, &shared.definitions, known.at).await?;
    if let Some(snapshot) = found.filter(|snapshot| snapshot.cursor >= bounds.start) {
        let (at, fronts) = (snapshot.cursor, &snapshot.fronts);
        match Lane::load(shared.plan.clone(), id.clone(), generation, at, fronts, &snapshot.pieces, shared.limits()) {
            Ok(lane) => return Ok(whole(lane, snapshot.pieces.into_iter().map(|piece| piece.name).collect())),
            Err(error) => {
                warn!(%id, cursor = at, error = error_text(&error), "a snapshot cannot be used; reading the past again")
            }
        }
    }
    let froms = warm::needed(shared, id.partition, &horizons, &begins.streams, known.at).await?;
    let from = froms.iter().copied().min().unwrap_or(known.at);
    let mut lane = empty(from.max(bounds.start));
    // Where lanes began nothing was seen before.
    let is_sure = lane.cursor() <= begins.lane || lane.begin_warming(&known.fronts);
    lane.set_begins(&begins.streams);
    info!(%id, from, to = known.at, "no snapshot; reading the past that matters");
    let (warm_from, pasts) = (past_of(lane.cursor()).warm_from, froms.into_iter().map(past_of).collect());
    Ok(State { lane, loaded: BTreeSet::new(), warm_from, pasts, is_warmed: true, is_sure })
}
