//! A lane at work: takes what is read, decides in bounded steps, and hands on what is decided.

use std::sync::Arc;
use std::sync::mpsc as std_mpsc;
use std::time::{Duration, Instant};

use platform::kafka::TransactionError;
use platform::task::blocking;
use platform::telemetry::error_text;
use shared_logic::contracts::stream::Checked;
use shared_logic::log::PartitionId;
use shared_logic::stream::{Decided, Fronts, Lane, LaneError, OutputPosition, Progress, Records};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use uuid::Uuid;

use super::look_up::LooksUp;
use super::memory::{Full, Share};
use super::open::OpenLane;
use super::parcel::Parcel;
use super::publish::{NotPublished, Publisher};
use super::snapshot::Snapshots;
use super::source::Shared;
use super::stopped::Cause;
use super::warm;
use crate::log::ends::Ends;
use crate::log::identity::PendingIdentity;
use crate::read::micro_batch::{Handed, MicroBatch};
use crate::read::{Assignment, Start};

/// How many micro-batches wait for the lane.
const DEPTH: usize = 4;
/// How often it is asked whether an incomplete past has passed.
const PAST_EVERY: Duration = Duration::from_secs(5);
/// How often a lane without room looks whether there is some.
const ROOM_EVERY: Duration = Duration::from_millis(500);
/// A lane that was fenced waits for a random time between these, so that two do not fence each other for ever.
const FENCED_MS: [u64; 2] = [200, 1_000];

/// Why a lane ended.
#[derive(Debug, thiserror::Error)]
pub enum Interrupted {
    /// It was to stop.
    #[error("the lane is to stop")]
    Stopped,
    /// Reading ended.
    #[error("the partition is no longer read")]
    NotRead,
    /// R12: the log lost its tail.
    #[error(
        "{id} holds another record at {at} or before than what was read; the lane waits until the archive has begun another incarnation"
    )]
    Truncated {
        /// The partition.
        id: PartitionId,
        /// Where another record was found.
        at: i64,
    },
    /// R7: what was read may belong to another topic of the same name.
    #[error("the topic of {id} was deleted or created again")]
    AnotherTopic {
        /// The partition.
        id: PartitionId,
    },
    /// A topic has gained partitions, which the lane has to know.
    #[error("topic {topic} has more partitions than when the lane of {id} was opened")]
    Grown {
        /// The partition.
        id: PartitionId,
        /// The topic.
        topic: String,
    },
    /// A limit was reached, or records cannot be evaluated.
    #[error(transparent)]
    Lane(#[from] LaneError),
    /// Nothing more can be published.
    #[error(transparent)]
    NotPublished(#[from] NotPublished),
}

impl Interrupted {
    /// How long to wait before the next start, if that is not by the number of failures.
    pub fn wait(&self) -> Option<Duration> {
        let Interrupted::NotPublished(NotPublished::Transaction(TransactionError::Fenced { .. })) = self else {
            return None;
        };
        let [least, most] = FENCED_MS;
        let (chance, _) = Uuid::new_v4().as_u64_pair();
        Some(Duration::from_millis(least + chance % (most - least)))
    }

    /// What it says of its cause.
    pub fn cause(&self) -> Cause {
        match self {
            Interrupted::NotPublished(NotPublished::Transaction(
                TransactionError::Refused { .. } | TransactionError::Denied { .. } | TransactionError::NotEnded { .. },
            )) => Cause::Named,
            Interrupted::NotPublished(
                NotPublished::Transaction(TransactionError::Failed { .. }) | NotPublished::Kafka(_),
            ) => Cause::Unknown,
            _ => Cause::Other,
        }
    }
}

/// How a lane ended.
pub struct Ended {
    /// Whether it has published anything.
    pub has_published: bool,
    /// Why it ended.
    pub why: Interrupted,
}

/// Runs an open lane until something is not as expected, or it is to stop.
pub async fn run(
    open: OpenLane,
    shared: &Arc<Shared>,
    reader: &std_mpsc::Sender<Assignment>,
    stop: &CancellationToken,
) -> Ended {
    let (to_loop, handed) = mpsc::channel(DEPTH);
    let (tell, mut truncated) = oneshot::channel();
    let start = Start {
        partition: open.id.partition,
        warm_from: open.warm_from,
        cursor: open.lane.cursor(),
        witness: None,
        ahead: open.ahead,
        check: None,
        seal_at: open.catch_up,
        truncated: tell,
        to_loop,
    };
    if reader.send(Assignment::Start(Box::new(start))).is_err() {
        // The reading thread has ended, which it does only when the process stops.
        return Ended { has_published: false, why: Interrupted::Stopped };
    }
    let id = open.id.clone();
    let mut operating = Operating::new(open, Arc::clone(shared));
    // Whatever it waits for: Kafka may not answer for long, and what is decided and not published is decided again.
    let mut why = tokio::select! {
        ended = operating.run(handed) => match ended {
            Ok(never) => match never {},
            Err(why) => why,
        },
        () = stop.cancelled() => Interrupted::Stopped,
    };
    if let Ok(at) = truncated.try_recv() {
        why = Interrupted::Truncated { id, at };
    }
    operating.publisher.leave();
    Ended { has_published: operating.publisher.has_moved(), why }
}

struct Operating {
    shared: Arc<Shared>,
    id: PartitionId,
    /// Nothing while a step is under way.
    lane: Option<Lane>,
    from: Vec<OutputPosition>,
    publisher: Publisher,
    /// B4: what the streams look up, if they do.
    looks_up: Option<LooksUp>,
    snapshots: Snapshots,
    catch_up: Option<(i64, Fronts)>,
    /// Whether the first transaction begins as soon as the lane is where it goes on.
    notes_start: bool,
    /// T8: where the pasts of the streams begin.
    begins: Vec<i64>,
    /// T8: per stream, where the past that matters has to begin so that it is whole; `None`: it is.
    whole_from: Vec<Option<i64>>,
    /// When it was last asked whether an incomplete past has passed.
    past_asked: Instant,
    checked: Option<Checked>,
    /// The witness at the end of what was taken last, until all of that is decided.
    ahead: Option<Checked>,
    /// Since when nothing was read.
    quiet_since: Instant,
    /// The lane's share of the memory, and whether there is no room for more of it (T10).
    share: Share,
    is_full: bool,
}

impl Operating {
    fn new(open: OpenLane, shared: Arc<Shared>) -> Operating {
        let OpenLane { id, mut lane, .. } = open;
        let incomplete: Vec<bool> = open.whole_from.iter().map(Option::is_some).collect();
        incomplete.iter().enumerate().for_each(|(stream, incomplete)| lane.set_incomplete(stream, *incomplete));
        // Not the lane's own fronts: by a snapshot it begins before these positions.
        let start = Parcel {
            outputs: Vec::new(),
            positions: open.from.clone(),
            fronts: open.fronts.clone(),
            checked: open.checked,
            is_whole: true,
            tallies: lane.tallies(),
        };
        let rekeys = shared.plan.streams().iter().any(|stream| stream.rekeys);
        let notes_start = open.is_first || rekeys || !open.changes.is_empty();
        let mut publisher = Publisher::new(
            Arc::clone(&shared),
            id.clone(),
            open.partitions,
            open.output_partitions,
            open.progress,
            open.changes,
            start,
        );
        publisher.set_incomplete(incomplete);
        let share = shared.memory.share();
        share.takes(taken(&shared, &lane));
        Operating {
            share,
            notes_start,
            publisher,
            looks_up: LooksUp::of(&shared, id.partition),
            snapshots: Snapshots::new(Arc::clone(&shared), open.archive, id.clone(), lane.cursor(), open.loaded),
            shared,
            id,
            lane: Some(lane),
            from: open.from,
            catch_up: open.catch_up.map(|at| (at, open.fronts)),
            begins: open.begins,
            whole_from: open.whole_from,
            past_asked: Instant::now(),
            checked: open.checked,
            ahead: None,
            quiet_since: Instant::now(),
            is_full: false,
        }
    }

    async fn run(&mut self, mut handed: mpsc::Receiver<Handed>) -> Result<std::convert::Infallible, Interrupted> {
        let mut progress = Progress::Idle;
        loop {
            if self.notes_start && self.is_there() {
                self.notes_start = false;
                self.publisher.begin_at_once();
            }
            if let Some(topic) = self.publisher.grown() {
                return Err(Interrupted::Grown { id: self.id.clone(), topic });
            }
            // While it decides, the lane waits for nothing, so this is looked at.
            if self.publisher.has_finished() {
                self.publisher.finished().await?;
            }
            self.publisher.begin_if_due(self.is_idle());
            let has_room = self.publisher.has_room();
            if progress == Progress::More && has_room {
                progress = self.step(None).await?;
                continue;
            }
            let decides = progress == Progress::More;
            if !decides {
                self.look_for_room();
                self.keep_snapshot().await;
                self.ask_past().await;
                self.publisher.close_idle_producer().await;
            }
            let look = self.publisher.next_look(self.is_idle());
            let (may_take, look) = if self.is_full { (false, look.min(ROOM_EVERY)) } else { (has_room, look) };
            tokio::select! {
                handed = handed.recv(), if !decides && may_take => match handed {
                    Some(Handed::Warming(sightings)) => self.lane_mut().warm(&sightings),
                    Some(Handed::MicroBatch(batch)) => progress = self.take(batch).await?,
                    None => return Err(Interrupted::NotRead),
                },
                finished = self.publisher.finished() => finished?,
                () = tokio::time::sleep(look) => {}
            }
        }
    }

    fn lane(&self) -> &Lane {
        self.lane.as_ref().unwrap_or_else(|| unreachable!("a lane whose step failed takes no other"))
    }

    fn lane_mut(&mut self) -> &mut Lane {
        self.lane.as_mut().unwrap_or_else(|| unreachable!("a lane whose step failed takes no other"))
    }

    /// Whether the lane has come to where it goes on.
    fn is_there(&self) -> bool {
        self.catch_up.is_none() && self.from.iter().all(|from| self.lane().cursor() >= from.offset)
    }

    /// Whether the lane has stood at its log's end for a while, so that other lanes of a re-keyed stream need not wait for it.
    fn is_idle(&self) -> bool {
        let (ends, idle_after) = (self.shared.ends.borrow(), self.shared.settings.idle_after.get());
        let stood = |lane: &Lane| stood_at_end(&ends, self.id.partition, lane.cursor(), self.quiet_since);
        self.lane.as_ref().and_then(stood).is_some_and(|stood| stood >= idle_after)
    }

    /// Takes a micro-batch, and begins to decide.
    async fn take(&mut self, batch: MicroBatch) -> Result<Progress, Interrupted> {
        // R7: asked after the records were read, and awaited before anything of them can be published.
        let still = self.shared.identity.ask();
        if let Some((_, fronts)) = self.catch_up.take_if(|(at, _)| *at <= batch.from) {
            info!(id = %self.id, cursor = batch.from, "the past is read; going on");
            self.lane_mut().take_fronts(&fronts);
        }
        if batch.events.height() > 0 || !batch.lane.marks.is_empty() {
            self.quiet_since = Instant::now();
        }
        let end = batch.marks.last().map_or(batch.from, |mark| mark.to.offset);
        let witness = batch.marks.last().and_then(|mark| mark.to.witness);
        let rows = *batch.lane;
        let mut records = Records {
            from: batch.from,
            to: end,
            offsets: rows.offsets,
            record_times_us: rows.record_times_us,
            sightings: batch.sightings,
            events: batch.events,
            originals: rows.originals,
            upstreams: rows.upstreams,
            marks: rows.marks,
            looked_up: Vec::new(),
        };
        self.look_up(&mut records).await?;
        self.snapshots.taken(records.offsets.len());
        self.ahead = witness.map(|witness| Checked { offset: end, witness });
        self.step(Some((records, still))).await
    }

    /// B4: finds the rows that events name, unless nothing is published of what follows from them.
    async fn look_up(&mut self, records: &mut Records) -> Result<(), LaneError> {
        let is_published = self.from.iter().all(|from| from.offset >= records.to);
        if let Some(looks_up) = self.looks_up.as_mut().filter(|_| !is_published) {
            let found = looks_up.find(&records.events).await;
            records.looked_up = found.map_err(|source| LaneError::Evaluate { from: records.from, source })?;
        }
        Ok(())
    }

    /// Gives the lane records, if there are some, and has it decide for one step.
    async fn step(&mut self, given: Option<(Records, PendingIdentity)>) -> Result<Progress, Interrupted> {
        let outputs_max = self.shared.settings.max_outputs;
        let mut lane = self.lane.take().unwrap_or_else(|| unreachable!("a lane whose step failed takes no other"));
        let (records, still) = given.unzip();
        let (lane, decided, progress) = blocking(move || {
            if let Some(records) = records {
                lane.give(records)?;
            }
            let mut decided = Vec::new();
            let progress = lane.step(outputs_max, &mut decided);
            Ok::<_, LaneError>((lane, decided, progress))
        })
        .await?;
        self.share.takes(taken(&self.shared, &lane));
        self.lane = Some(lane);
        if let Some(still) = still
            && !still.is_still(self.id.topic()).await
        {
            return Err(Interrupted::AnotherTopic { id: self.id.clone() });
        }
        if progress == Progress::Idle {
            self.checked = self.ahead.take().or(self.checked);
        }
        self.hand_on(decided);
        Ok(progress)
    }

    /// Hands on what is not published yet (T5): what whole offsets cause, and what is decided of one that the lane is inside of.
    fn hand_on(&mut self, mut decided: Vec<Decided>) {
        let lane = self.lane();
        decided.retain(|decided| decided.position >= self.from[decided.stream]);
        let ends: Vec<OutputPosition> = (0..self.from.len()).map(|stream| lane.position(stream)).collect();
        let has_moved = ends.iter().zip(&self.from).any(|(end, from)| end > from);
        let tallies = lane.tallies();
        if self.catch_up.is_some() || !has_moved || self.from.iter().all(|from| lane.cursor() < from.offset) {
            self.publisher.decides_again(tallies);
            return;
        }
        let (fronts, checked) = (lane.fronts(), self.checked);
        let parcel = |outputs: Vec<Decided>, ends: &[OutputPosition]| Parcel {
            outputs,
            positions: ends.iter().zip(&self.from).map(|(end, from)| *end.max(from)).collect(),
            fronts: fronts.clone(),
            checked,
            is_whole: ends.iter().all(|end| end.n == 0),
            tallies: tallies.clone(),
        };
        let border = OutputPosition::before(lane.cursor());
        let inside = decided.split_off(decided.partition_point(|decided| decided.position < border));
        let mut parcels = Vec::with_capacity(2);
        if !inside.is_empty() && !decided.is_empty() {
            parcels.push(parcel(decided, &vec![border; ends.len()]));
            decided = Vec::new();
        }
        decided.extend(inside);
        parcels.push(parcel(decided, &ends));
        parcels.into_iter().for_each(|parcel| self.publisher.push(parcel));
    }

    /// T10: without room for more, the lane takes nothing, and keeps what it remembers.
    fn look_for_room(&mut self) {
        let full = match self.lane().has_room() {
            Err(LaneError::Full { stream, bytes }) => Some(Full { stream, bytes }),
            _ => self.share.full(self.is_full),
        };
        if full.is_some() == self.is_full {
            return;
        }
        self.is_full = full.is_some();
        match &full {
            Some(Full { stream, bytes }) => {
                let limit = self.shared.settings.state;
                warn!(id = %self.id, %limit, fills = stream, bytes, "the memory of lanes is full (streams.state); the lane stops reading until there is room");
            }
            None => info!(id = %self.id, "there is room in the memory of lanes; going on"),
        }
        self.publisher.set_full(full.map(|full| full.stream));
        self.publisher.begin_at_once();
    }

    async fn keep_snapshot(&mut self) {
        let Some(published) = self.publisher.published() else { return };
        if self.catch_up.is_none()
            && self.whole_from.iter().all(Option::is_none)
            && self.snapshots.is_due(self.lane().cursor())
            && let Some(lane) = self.lane.take()
        {
            let definitions = self.publisher.definitions();
            self.lane = Some(self.snapshots.take(lane, published, definitions).await);
        }
    }

    /// T8: asks now and then whether the pasts that matter now lie where everything was read.
    async fn ask_past(&mut self) {
        let is_whole = self.whole_from.iter().all(Option::is_none);
        if is_whole || self.catch_up.is_some() || self.past_asked.elapsed() < PAST_EVERY {
            return;
        }
        self.past_asked = Instant::now();
        let (horizons, at) = (self.lane().horizons(), self.lane().cursor());
        let needed = match warm::needed(&self.shared, self.id.partition, &horizons, &self.begins, at).await {
            Ok(needed) => needed,
            // A lane that began again would have to read that past again, as it keeps no snapshot meanwhile.
            Err(error) => {
                let error = error_text(&error);
                warn!(id = %self.id, error, "cannot ask whether the past that matters is whole again; asking later");
                return;
            }
        };
        for (stream, from) in needed.into_iter().enumerate() {
            if self.whole_from[stream].take_if(|whole_from| from >= *whole_from).is_some() {
                info!(id = %self.id, stream = self.shared.plan.streams()[stream].name, "the past that matters is whole again");
                self.lane_mut().set_incomplete(stream, false);
            }
        }
        self.publisher.set_incomplete(self.whole_from.iter().map(Option::is_some).collect());
    }
}

/// What each stream of a lane remembers, in bytes.
fn taken<'a>(shared: &'a Shared, lane: &Lane) -> impl Iterator<Item = (&'a str, usize)> {
    shared.plan.streams().iter().map(|stream| stream.name.as_str()).zip(lane.bytes())
}

/// For how long a lane with that cursor, which has read nothing since then, was known to stand at its log's end. That is by when the end
/// was asked for: while Kafka cannot be asked, nothing is read either, whatever others write.
fn stood_at_end(ends: &Ends, partition: i32, cursor: i64, quiet_since: Instant) -> Option<Duration> {
    let end = ends.of.get(&partition)?;
    ends.asked?.checked_duration_since(quiet_since).filter(|_| cursor >= *end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lane_is_idle_by_an_end_that_was_asked_for_since() {
        let quiet_since = Instant::now();
        let after = Duration::from_secs(30);
        let ends = |asked| Ends { asked, of: [(3, 100)].into(), ..Ends::default() };
        let stood = |ends: &Ends, cursor| stood_at_end(ends, 3, cursor, quiet_since);
        assert_eq!(stood(&ends(Some(quiet_since + after)), 100), Some(after));
        assert_eq!(stood(&ends(Some(quiet_since + after)), 99), None, "there is more to read");
        let before = ends(Some(quiet_since));
        let later = Instant::now() + after;
        assert_eq!(stood_at_end(&before, 3, 100, later), None, "it has read something since");
        assert_eq!(stood(&before, 100), Some(Duration::ZERO), "however late it is by now");
        assert_eq!((stood(&ends(None), 100), stood(&Ends::default(), 100)), (None, None));
    }
}
