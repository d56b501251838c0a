//! Where a lane goes on: how far it was published, and the state that it had there (T4, T6 to T8, T13).

use std::time::Duration;

use platform::kafka::{Bound, KafkaError};
use platform::store::StoreError;
use platform::telemetry::error_text;
use shared_logic::catalog::DefinitionHash;
use shared_logic::contracts::stream::{Changed, Checked, ProgressKey, Published};
use shared_logic::log::{Check, PartitionId};
use shared_logic::stream::{Fronts, Lane, OutputPosition};
use storage::Archive;
use tracing::{error, info, warn};

use super::progress::{self, Progress};
use super::source::Shared;
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
    /// T4: what was published when it was asked for.
    pub progress: Progress,
    /// T5: per stream, the first position that is to be published.
    pub from: Vec<OutputPosition>,
    /// The fronts at the smallest of these positions' offsets.
    pub fronts: Fronts,
    /// T13: the changes that the first transaction notes.
    pub changes: Vec<(ProgressKey, Changed)>,
    /// The first record that refills the deduplication window.
    pub warm_from: i64,
    /// R12: how the log is compared with what was read before.
    pub ahead: Option<Check>,
    /// T8: the offset at which the lane takes these fronts, if it is warmed.
    pub catch_up: Option<i64>,
    /// T8: whether the log no longer holds all of the past that matters; then where reading begins.
    pub incomplete_from: Option<i64>,
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
        "{id} was read up to {position}, and its log ends at {end}: the broker lost data; nothing is written until it is back"
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
            NotOpen::ProgressLost { .. } | NotOpen::BeyondTheEnd { .. } => error!(source, partition, wait_ms, "{text}"),
            // Every first start begins with them.
            NotOpen::NoTopic { .. } | NotOpen::NotArchived { .. } if wait < PATIENCE => {
                info!(source, partition, "{text}; waiting for it");
            }
            _ => warn!(source, partition, wait_ms, "{text}; trying again"),
        }
    }
}

/// Where a partition begins and ends.
struct Bounds {
    /// Its begin for the deployment, as the archive says.
    begin: i64,
    /// That of its first incarnation.
    first_begin: i64,
    /// The first offset that the log holds.
    start: i64,
    end: i64,
}

/// Finds out where the lane of a partition goes on. Nothing is written.
///
/// # Errors
/// [`NotOpen`]: wait and try again.
pub async fn open_lane(shared: &Shared, partition: i32) -> Result<OpenLane, NotOpen> {
    let topic = &shared.source.topic;
    let described = shared.topics.describe(topic).await?.ok_or_else(|| NotOpen::NoTopic { topic: topic.clone() })?;
    let output_partitions = output_partitions(shared).await?;
    let progress_log = progress_log(shared, described.partitions).await?;
    // Before the archive and the log's end: so it speaks of no incarnation and no offset that these do not know yet. What another
    // worker publishes meanwhile is found when the lane is taken over.
    let progress = progress::read(shared, partition).await?;
    // R7: another worker may have published of a later topic of that name; its progress would pass for that of this one.
    let again = shared.topics.describe(topic).await?;
    if again.is_none_or(|again| again.log != described.log) {
        return Err(NotOpen::AnotherTopic { topic: topic.clone() });
    }
    let is_first = progress.is_empty();
    let archive = shared.archive().await?.ok_or(NotOpen::NotArchived { partition })?;
    let id = archive.facts().current(&described.log, partition);
    let bounds = bounds(shared, &archive, &id).await?;
    let topic = shared.progress_topic();
    let begun = archive.lanes_begin(&shared.deployment.version, &progress_log).await?;
    if begun != progress_log || (is_first && archive.has_snapshot(&id).await?) {
        return Err(NotOpen::ProgressLost { topic });
    }
    let known = OpenAt::of(shared, &id, &progress, &bounds);
    if known.at > bounds.end {
        return Err(NotOpen::BeyondTheEnd { id, position: known.at, end: bounds.end });
    }
    let (lane, past, is_warmed) = state(shared, &archive, &id, &known, &bounds).await?;
    // Also where there is nothing to be read: a lane that is warmed begins without a front.
    let catch_up = is_warmed.then_some(known.at);
    // What was deleted before the deployment began does not matter. Where the log begins with what is needed, it may have held more of it.
    let begins_too_late = is_warmed && past.from <= bounds.start && bounds.begin < bounds.start;
    let is_incomplete = past.warm_from < bounds.start || begins_too_late;
    let incomplete_from = is_incomplete.then_some(past.from.max(bounds.start));
    if incomplete_from.is_some() {
        warn!(%id, log_start = bounds.start, needed_from = past.warm_from, "the log no longer holds all of the past that matters; outputs are marked as incomplete until it has passed");
    }
    let checked = known.checked.filter(|checked| checked.witness.offset >= bounds.start);
    let has_holes = if checked.is_some() { shared.is_compacted().await? } else { false };
    Ok(OpenLane {
        partitions: described.partitions,
        output_partitions,
        archive,
        lane,
        progress,
        from: known.from,
        fronts: known.fronts,
        changes: known.changes,
        warm_from: past.warm_from.max(bounds.start),
        ahead: checked.map(|checked| Check::new(checked.witness, checked.offset, has_holes)),
        catch_up,
        incomplete_from,
        is_first,
        checked,
        id,
    })
}

/// The number of partitions of each stream's topic. Its side output has to exist, too, if it has one.
async fn output_partitions(shared: &Shared) -> Result<Vec<i32>, NotOpen> {
    let mut partitions = Vec::new();
    for stream in shared.plan.streams() {
        let described = async |topic: &str| {
            let known = shared.topics.describe(topic).await?;
            known.ok_or_else(|| NotOpen::NoTopic { topic: topic.to_owned() })
        };
        partitions.push(described(&stream.topic).await?.partitions);
        if stream.has_side_output {
            described(&stream.late_topic).await?;
        }
    }
    Ok(partitions)
}

/// The id of the progress topic, which has a partition for each of the source's (T3).
async fn progress_log(shared: &Shared, partitions: i32) -> Result<String, NotOpen> {
    let topic = shared.progress_topic();
    let known = shared.topics.describe(&topic).await?.ok_or_else(|| NotOpen::NoTopic { topic: topic.clone() })?;
    if known.partitions < partitions {
        info!(topic, partitions, "the source has more partitions; adding them to the progress topic");
        shared.topics.grow(&topic, partitions).await?;
    }
    Ok(known.log)
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

/// Where the lane goes on, by what was published.
struct OpenAt {
    /// The smallest offset of which something is not published.
    at: i64,
    /// The fronts there.
    fronts: Fronts,
    /// Per stream, the first position that is not.
    from: Vec<OutputPosition>,
    changes: Vec<(ProgressKey, Changed)>,
    checked: Option<Checked>,
    /// Whether the lane begins with empty state: nothing of this log was published.
    is_empty: bool,
}

impl OpenAt {
    /// T7. What was published of another log, or of another incarnation of the partition, says nothing of this one.
    fn of(shared: &Shared, id: &PartitionId, progress: &Progress, bounds: &Bounds) -> OpenAt {
        let streams = shared.plan.streams();
        let published = |name: &str| progress.get(name).filter(|published| published.log == id.log);
        let all = || streams.iter().filter_map(|stream| published(&stream.name));
        let Some(first) = all().min_by_key(|published| published.position) else {
            let at = bounds.begin.max(bounds.start);
            let (fronts, from) = (Fronts::new(shared.source.rekeyed), vec![OutputPosition::before(at); streams.len()]);
            // The check has to know where a definition began to decide.
            let begun = streams.iter().map(|stream| change(&stream.name, id, at, None, &stream.definition, &fronts));
            let changes = begun.collect();
            return OpenAt { at, fronts, from, changes, checked: None, is_empty: true };
        };
        // Of offsets that the log lost nothing can be decided any more.
        let at = first.position.offset.max(bounds.start);
        let mut changes = Vec::new();
        let from = streams.iter().map(|stream| {
            let known = published(&stream.name);
            if known.is_none_or(|known| known.definition != stream.definition) {
                let (position, before) = (change_at(known, at), known.map(|known| &known.definition));
                changes.push(change(&stream.name, id, position.offset, before, &stream.definition, &first.fronts));
                return position;
            }
            known.map_or(OutputPosition::before(at), |known| known.position.max(OutputPosition::before(at)))
        });
        let from: Vec<OutputPosition> = from.collect();
        let at = from.iter().map(|position| position.offset).min().unwrap_or(at);
        OpenAt { at, fronts: first.fronts.clone(), from, changes, checked: first.checked, is_empty: false }
    }
}

/// T13: what says that a definition decides a stream from that offset on.
fn change(
    stream: &str,
    id: &PartitionId,
    offset: i64,
    from: Option<&DefinitionHash>,
    to: &DefinitionHash,
    fronts: &Fronts,
) -> (ProgressKey, Changed) {
    let (stream, log) = (stream.to_owned(), id.log.clone());
    let changed = Changed { log: log.clone(), offset, from: from.cloned(), to: to.clone(), fronts: fronts.clone() };
    (ProgressKey::Change { stream, log, offset }, changed)
}

/// T7, T13: where a stream goes on that was added or has another definition. Part-way through an offset, the number of an output means
/// nothing to another definition.
fn change_at(known: Option<&Published>, at: i64) -> OutputPosition {
    let offset = known.map_or(at, |known| known.position.offset + i64::from(known.position.n > 0));
    OutputPosition::before(offset.max(at))
}

/// T6 to T8: the lane's state by a snapshot, or else a lane that is to be warmed; where its past begins; and whether it is warmed.
async fn state(
    shared: &Shared,
    archive: &Archive,
    id: &PartitionId,
    known: &OpenAt,
    bounds: &Bounds,
) -> Result<(Lane, Past, bool), NotOpen> {
    let generation = &shared.deployment.version;
    let empty = |at| Lane::new(shared.plan.clone(), id.clone(), generation, at, shared.limits());
    let window = i64::try_from(shared.source.dedup_window).unwrap_or(i64::MAX);
    let window = if shared.source.event_id.is_empty() { 0 } else { window };
    let past_of = |from: i64| Past { from, warm_from: from.saturating_sub(window).max(bounds.first_begin.min(from)) };
    if known.is_empty {
        return Ok((empty(known.at), past_of(known.at), false));
    }
    let found = archive.newest_snapshot(id, &shared.definitions, known.at).await?;
    if let Some(snapshot) = found.filter(|snapshot| snapshot.cursor >= bounds.start) {
        let (at, fronts) = (snapshot.cursor, &snapshot.fronts);
        match Lane::load(shared.plan.clone(), id.clone(), generation, at, fronts, &snapshot.pieces, shared.limits()) {
            Ok(lane) => return Ok((lane, past_of(at), false)),
            Err(error) => {
                warn!(%id, cursor = at, error = error_text(&error), "a snapshot cannot be used; reading the past again")
            }
        }
    }
    let past = warm::needed(shared, id.partition, &empty(known.at), &known.fronts, known.at, bounds.begin).await?;
    let past = Past { warm_from: past_of(past.from).warm_from, ..past };
    let mut lane = empty(past.from.max(bounds.start));
    lane.begin_warming(&known.fronts);
    info!(%id, from = past.from, to = known.at, "no snapshot; reading the past that matters");
    Ok((lane, past, true))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn published(offset: i64, n: u32) -> Published {
        Published {
            log: "log".to_owned(),
            position: OutputPosition { offset, n },
            fronts: Fronts::new(false),
            definition: "0123456789abcdef".parse().expect("a hash"),
            checked: None,
            incomplete: false,
        }
    }

    #[test]
    fn another_definition_takes_up_the_next_record() {
        assert_eq!(change_at(Some(&published(7, 0)), 7), OutputPosition::before(7));
        assert_eq!(change_at(Some(&published(7, 2)), 7), OutputPosition::before(8));
        assert_eq!(
            change_at(None, 7),
            OutputPosition::before(7),
            "a stream that is added begins where the others go on"
        );
    }
}
