//! Lanes over archived records: the operators of the speed layer's lanes, with the archive in place of Kafka (T2, T6, T8).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use platform::settings::Streams;
use platform::task::blocking;
use platform::telemetry::error_text;
use shared_logic::catalog::Catalog;
use shared_logic::contracts::stream::{Begins, Definitions};
use shared_logic::drift::Incomparable;
use shared_logic::log::{OffsetRange, PartitionId};
use shared_logic::stream::{
    Decided, Fronts, Horizon, Lane, LaneError, LanePlan, Limits, Progress, Records, SnapshotError,
};
use shared_logic::time::day_of;
use tracing::warn;

use super::held::{Held, Moment};
use super::records::{GIVEN_ROWS, Reading, Shape};
use crate::rows::RowsError;
use crate::table::NotFoundAgain;

/// Why nothing can be decided again of some offsets.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The archive could not be read.
    #[error(transparent)]
    Rows(#[from] RowsError),
    /// The archive lacks records that matter.
    #[error("the archive does not hold all records that matter as they arrived: {0}")]
    NotWhole(Incomparable),
    /// T8: it is forgotten which upstream partitions stood idle where the past begins, so events may have been late that are not known
    /// to be.
    #[error("it is not known whether some events of the past were late")]
    Unsure,
    /// The state is larger than a lane's may be, or the records do not fit the streams.
    #[error(transparent)]
    Lane(#[from] LaneError),
    /// The state could not be written down.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// B4: what the streams look up cannot be found again.
    #[error(transparent)]
    Lookup(#[from] NotFoundAgain),
    /// B4: changes of a table were erased, and lanes may have seen rows of before.
    #[error("changes of table `{table}` were erased, which the streams may have seen by then")]
    TableErased {
        /// The table's name.
        table: String,
    },
}

impl ReplayError {
    /// The reason as a word for programs.
    pub(super) fn name(&self) -> &'static str {
        match self {
            ReplayError::NotWhole(why) => why.name(),
            ReplayError::Unsure => "unsure",
            ReplayError::Lane(_) | ReplayError::Snapshot(_) => "state",
            ReplayError::Lookup(_) => "table",
            ReplayError::TableErased { .. } => "erased",
            ReplayError::Rows(_) => "archive",
        }
    }
}

/// Runs lanes of some streams over what is archived of their source.
pub(super) struct Replay<'a> {
    pub(super) held: &'a Held,
    pub(super) plan: Arc<LanePlan>,
    /// The streams' definitions.
    pub(super) definitions: Definitions,
    generation: &'a str,
    settings: &'a Streams,
    /// How many bytes of records are in memory.
    memory: usize,
    /// T8: by partition, where the past of the streams begins, if that is not where the archive does.
    begins: BTreeMap<PartitionId, Begins>,
    /// By partition, the names of the pieces that a lane began with.
    loaded: Mutex<BTreeMap<PartitionId, BTreeSet<String>>>,
}

/// A lane on its way through a range of offsets.
pub(super) struct Running<'a> {
    reading: Reading<'a>,
    lane: Lane,
    outputs_max: usize,
}

impl<'a> Replay<'a> {
    /// Runs the streams of a catalog that read what is held. About `memory` bytes of records are in memory at a time; what the streams
    /// remember comes on top, as much as a lane may.
    pub(super) fn new(held: &'a Held, catalog: &'a Catalog, settings: &'a Streams, memory: usize) -> Replay<'a> {
        let plan = Arc::new(LanePlan::new(catalog, &held.source));
        let definitions = plan.streams().iter().map(|stream| (stream.name.clone(), stream.definition.clone()));
        let generation = catalog.deployment.version.as_str();
        let (definitions, begins, loaded) = (definitions.collect(), BTreeMap::new(), Mutex::default());
        Replay { held, definitions, plan, generation, settings, memory, begins, loaded }
    }

    /// T8: says where the past of the streams begins in some partitions. In all others it begins with the archive.
    pub(super) fn set_begins(&mut self, begins: BTreeMap<PartitionId, Begins>) {
        self.begins = begins;
    }

    fn begins(&self, id: &PartitionId) -> Begins {
        self.begins.get(id).cloned().unwrap_or_else(|| {
            let lane = self.held.begin(id);
            Begins { lane, streams: vec![lane; self.plan.streams().len()] }
        })
    }

    /// A lane at an offset where the fronts were these: by a snapshot, or else by the past that matters.
    ///
    /// # Errors
    /// If the archive does not hold that past, or a store or a lane refuses.
    pub(super) async fn at(&self, id: &PartitionId, at: i64, fronts: &Fronts) -> Result<Lane, ReplayError> {
        if let Some(lane) = self.by_snapshot(id, at).await? {
            return Ok(lane);
        }
        let nothing_was_seen = *fronts == Fronts::new(self.held.source.rekeyed);
        if nothing_was_seen {
            return self.first(id, at).await;
        }
        let (from, need_us) = self.needed(id, at, fronts).await?;
        self.whole(id, from, at, need_us)?;
        let mut lane = self.empty(id, from);
        // Where lanes began nothing was seen before.
        if from > self.begins(id).lane && !lane.begin_warming(fronts) {
            return Err(ReplayError::Unsure);
        }
        let lane = self.filled(lane, id, from).await?;
        let mut lane = self.brought_to(lane, id, at).await?;
        lane.take_fronts(fronts);
        Ok(lane)
    }

    /// A lane at an offset where nobody knows the fronts: they follow from the records before. `guess` says how far back it is worth to
    /// begin.
    ///
    /// # Errors
    /// As [`Replay::at`].
    pub(super) async fn found(&self, id: &PartitionId, at: i64, guess: &Fronts) -> Result<Lane, ReplayError> {
        let (mut from, mut need_us) = self.needed(id, at, guess).await?;
        loop {
            self.whole(id, from, at, need_us)?;
            let lane = self.filled(self.empty(id, from), id, from).await?;
            let lane = self.brought_to(lane, id, at).await?;
            let (needed, _) = self.needed(id, at, &lane.fronts()).await?;
            if needed >= from {
                return Ok(lane);
            }
            // What was read does not move the fronts back, so this is far enough.
            (from, need_us) = (needed, i64::MIN);
        }
    }

    /// A lane without state whose next record is the one at an offset, as a first start has it.
    ///
    /// # Errors
    /// As [`Replay::at`].
    pub(super) async fn first(&self, id: &PartitionId, at: i64) -> Result<Lane, ReplayError> {
        self.whole(id, at, at, i64::MAX)?;
        self.filled(self.empty(id, at), id, at).await
    }

    /// The fronts at an offset, from wherever they are known: a snapshot, or an offset before and the fronts there, or where the
    /// archive begins.
    ///
    /// # Errors
    /// As [`Replay::at`].
    pub(super) async fn fronts_at(
        &self,
        id: &PartitionId,
        at: i64,
        known: Option<(i64, &Fronts)>,
    ) -> Result<Fronts, ReplayError> {
        if let Some(lane) = self.by_snapshot(id, at).await? {
            return Ok(lane.fronts());
        }
        let lane = match known.filter(|(offset, _)| *offset <= at) {
            Some((offset, fronts)) => self.at(id, offset, fronts).await?,
            None => self.first(id, self.held.begin(id).min(at)).await?,
        };
        Ok(self.brought_to(lane, id, at).await?.fronts())
    }

    /// Runs a lane up to an offset.
    ///
    /// # Errors
    /// If the archive cannot be read.
    pub(super) fn running(&self, lane: Lane, id: &PartitionId, to: i64) -> Result<Running<'a>, RowsError> {
        let range = OffsetRange { id: id.clone(), from: lane.cursor(), to };
        let reading = Reading::new(self.held, range, Shape::of_lane(&self.plan, &self.held.source), self.memory)?;
        Ok(Running { reading, lane, outputs_max: self.settings.max_outputs })
    }

    /// The names of the pieces that the lane of a partition began with. A later snapshot of it may share them.
    pub(super) fn loaded(&self, id: &PartitionId) -> BTreeSet<String> {
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner).get(id).cloned().unwrap_or_default()
    }

    async fn by_snapshot(&self, id: &PartitionId, at: i64) -> Result<Option<Lane>, ReplayError> {
        let found = self.held.archive.newest_snapshot(id, &self.definitions, at).await.map_err(RowsError::from)?;
        let Some(snapshot) = found else { return Ok(None) };
        let (cursor, plan) = (snapshot.cursor, Arc::clone(&self.plan));
        if self.whole(id, cursor, at, i64::MAX).is_err() {
            return Ok(None);
        }
        let loaded =
            Lane::load(plan, id.clone(), self.generation, cursor, &snapshot.fronts, &snapshot.pieces, self.limits());
        match loaded {
            Ok(mut lane) => {
                lane.set_begins(&self.begins(id).streams);
                let names = snapshot.pieces.into_iter().map(|piece| piece.name).collect();
                self.loaded.lock().unwrap_or_else(PoisonError::into_inner).insert(id.clone(), names);
                let lane = self.filled(lane, id, cursor).await?;
                self.brought_to(lane, id, at).await.map(Some)
            }
            Err(error) => {
                warn!(%id, cursor, error = error_text(&error), "a snapshot cannot be used; reading the past again");
                Ok(None)
            }
        }
    }

    /// T8: where the past begins that matters at an offset where the fronts are these, and the first event time that does.
    async fn needed(&self, id: &PartitionId, at: i64, fronts: &Fronts) -> Result<(i64, i64), RowsError> {
        let (begins, horizons) = (self.begins(id), self.plan.horizons(fronts));
        let of_all = horizons.iter().zip(&begins.streams).filter(|(horizon, _)| **horizon == Horizon::All);
        let all_from = of_all.map(|(_, begin)| *begin).min();
        let of_some =
            horizons.iter().filter_map(|horizon| if let Horizon::Since(us) = horizon { Some(*us) } else { None });
        let since_us = of_some.min();
        let from = match since_us {
            None => at,
            Some(need_us) => {
                let record_us = need_us.saturating_sub(self.held.source.max_ahead_us);
                let range = OffsetRange { id: id.clone(), from: begins.lane.min(at), to: at };
                let moment = Moment { record_us, event_us: need_us };
                self.held.first_since(&range, moment, Some(day_of(record_us))).await?
            }
        };
        let need_us = if all_from.is_some() { i64::MIN } else { since_us.unwrap_or(i64::MAX) };
        Ok((all_from.map_or(from, |all_from| all_from.min(from)), need_us))
    }

    fn whole(&self, id: &PartitionId, from: i64, at: i64, need_us: i64) -> Result<(), ReplayError> {
        let range = OffsetRange { id: id.clone(), from, to: at };
        self.held.is_whole(&range, need_us).map_err(ReplayError::NotWhole)
    }

    fn empty(&self, id: &PartitionId, at: i64) -> Lane {
        let mut lane = Lane::new(Arc::clone(&self.plan), id.clone(), self.generation, at, self.limits());
        lane.set_begins(&self.begins(id).streams);
        lane
    }

    /// Refills the deduplication window of a lane at its cursor.
    async fn filled(&self, mut lane: Lane, id: &PartitionId, cursor: i64) -> Result<Lane, ReplayError> {
        let window = self.held.window();
        if window == 0 {
            return Ok(lane);
        }
        let from = cursor.saturating_sub(window).max(self.held.begin(id)).min(cursor);
        let range = OffsetRange { id: id.clone(), from, to: cursor };
        let mut reading = self.of_identities(range)?;
        while let Some(records) = reading.next().await? {
            lane.warm(&records.sightings);
        }
        Ok(lane)
    }

    fn of_identities(&self, range: OffsetRange) -> Result<Reading<'a>, RowsError> {
        Ok(Reading::new(self.held, range, Shape::of_identities(&self.held.source), self.memory)?)
    }

    /// Runs a lane up to an offset; what it decides is of no use.
    async fn brought_to(&self, lane: Lane, id: &PartitionId, at: i64) -> Result<Lane, ReplayError> {
        let mut running = self.running(lane, id, at)?;
        while let Some(records) = running.read().await? {
            running = running.decide(records, &mut |_| {}).await?;
        }
        Ok(running.lane)
    }

    fn limits(&self) -> Limits {
        Limits {
            pending_events: GIVEN_ROWS,
            state_bytes: self.settings.state.as_usize(),
            step_bytes: self.settings.max_transaction.as_usize(),
        }
    }
}

impl Running<'_> {
    /// The next records, which the lane has to decide then; `None` at the end of its way.
    ///
    /// # Errors
    /// If the archive cannot be read.
    pub(super) async fn read(&mut self) -> Result<Option<Records>, RowsError> {
        self.reading.next().await
    }

    /// Has the lane decide records, and hands on what it decides.
    ///
    /// # Errors
    /// If a limit is reached. Then the lane is gone.
    pub(super) async fn decide(
        self,
        records: Records,
        out: &mut (dyn FnMut(Decided) + Send),
    ) -> Result<Self, ReplayError> {
        let Running { reading, mut lane, outputs_max } = self;
        let mut given = Some(records);
        loop {
            let records = given.take();
            let step = move || {
                if let Some(records) = records {
                    lane.give(records)?;
                }
                let mut decided = Vec::new();
                let progress = lane.step(outputs_max, &mut decided);
                Ok::<_, LaneError>((lane, decided, progress))
            };
            let (stepped, decided, progress) = blocking(step).await?;
            lane = stepped;
            decided.into_iter().for_each(&mut *out);
            if progress == Progress::Idle {
                return Ok(Running { reading, lane, outputs_max });
            }
        }
    }

    /// The lane.
    pub(super) fn lane(&self) -> &Lane {
        &self.lane
    }

    /// How many rows were read.
    pub(super) fn rows_read(&self) -> u64 {
        self.reading.rows_read
    }

    /// The lane, where it is.
    pub(super) fn into_lane(self) -> Lane {
        self.lane
    }
}
