//! A day of one metric: new events are added to its view, or hours of it are recomputed.
//!
//! - *Added*: the partials of new events go into a new file. What was counted before is not read. Of the copies of an event
//!   the first one stands, so a new event with an older copy before it is left out.
//! - *Recomputed*: where a new event comes before an older copy that was counted, that one has to go, and partials cannot be
//!   taken back. So the hour is counted anew from all rows below the new cut, and takes the place of every row of it in every
//!   file. The new events of that hour are among these rows, so they are not added besides.
//! - *Merged*: while a file is written, small files of the day are merged into it.
//!
//! - *Retired*: a day whose rows are taken out of the archive (`retain`) cannot be recomputed. What was counted stands, and new events
//!   are added to it as far as the index of identities can tell that they are no copies.
//!
//! However much a day holds, memory is bounded: events are read and counted in parts, a few of which are in memory at a time.
//!
//! - `pieces`: a day's event time → pieces with few enough events, and their parts;
//! - `events`: a part → its events, with what tells copies apart;
//! - `counted`: a part → what is counted of it;
//! - `elsewhere`: the same of units that a cluster counts;
//! - `found`: what is compared with what speed had said of the new events;
//! - `output`: partials → files;
//! - `merged`: files → fewer files with the same partials.

mod counted;
mod elsewhere;
mod events;
mod found;
mod merged;
mod output;
mod pieces;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::StreamExt;
use futures::stream::FuturesOrdered;
use platform::store::DataFile;
use serde::{Deserialize, Serialize};
use shared_logic::catalog::{Catalog, DefinitionHash, Source};
use shared_logic::contracts::batch_view::BUCKET;
use shared_logic::drift::Found;
use shared_logic::log::{OffsetRange, Offsets};
use shared_logic::measure::MeasureKind;
use shared_logic::plan::Plan;
use shared_logic::schema::Field as SourceField;
use shared_logic::time::DAY_US;
use storage::{Archive, BatchView, Run};

use self::counted::{Counted, Way};
use self::events::Key;
pub(super) use self::merged::merged;
use self::output::Output;
use self::pieces::Part;
use super::error::DayError;
use super::report::Work;
use super::room::Room;
use super::{PARTS_AT_ONCE, compared_buckets};
use crate::archive_rows::may_hold;
use crate::archive_rows::scan::Times;
use crate::cluster::Cluster;

/// A day of one metric to be counted.
///
/// It names all that the result follows from, so any process with the same catalog and tables can do it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct DayTask {
    /// The metric's name.
    pub(super) metric: String,
    /// The definition by which the day is counted.
    pub(super) definition: DefinitionHash,
    /// The day, `YYYY-MM-DD`.
    pub(super) day: String,
    /// Per partition, the first offset that `rows` do not count; events from there on are added. `None`: nothing is added.
    pub(super) counted: Option<Offsets>,
    /// Per partition, the first offset that is not counted.
    pub(super) cut: Offsets,
    /// The logs in the order in which the archive first saw them. Of several copies of an event, the first counts.
    pub(super) logs: Vec<String>,
    /// How long a unit of event time is, the smallest piece that is recomputed as a whole.
    pub(super) unit_us: i64,
    /// The starts of the units that are recomputed in any case, microseconds since 1970.
    pub(super) units: BTreeSet<i64>,
    /// What is left of the day's past.
    #[serde(default)]
    pub(super) past: Past,
    /// The archive's files of the day, decoded under the source's rules.
    pub(super) events: Vec<DataFile>,
    /// The index of the day's identities, complete below `counted`.
    pub(super) identities: Vec<Run>,
    /// Per partition, the offset from which on that names the last copies, too.
    #[serde(default)]
    pub(super) lasts_from: Offsets,
    /// The files of the day's rows that are counted already.
    pub(super) rows: Vec<DataFile>,
    /// Whether what is found of the new events is to be compared with what speed had said of them.
    pub(super) compared: bool,
    /// Whether the index of the day's identities is made besides, of all events that are counted. Then `counted` is `None`.
    #[serde(default)]
    pub(super) identified: bool,
}

/// What is left of what a day has held.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Past {
    /// Every row, so the day can be recomputed.
    #[default]
    Held,
    /// The identities of its events, and no longer all of its rows.
    Identified,
    /// Neither: a new event may be a copy of a counted one.
    Unknown,
}

impl Past {
    /// Of a day of which the archive may lack rows, and the index of identities events.
    pub(super) fn of(lacks_rows: bool, lacks_identities: bool) -> Past {
        match (lacks_rows, lacks_identities) {
            (false, _) => Past::Held,
            (true, false) => Past::Identified,
            (true, true) => Past::Unknown,
        }
    }
}

/// A day that is counted. Its files belong to the view once they are committed.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct DayDone {
    /// The new files.
    pub(super) added: Vec<DataFile>,
    /// The files among [`DayTask::rows`] in whose place they come; all others stay.
    pub(super) replaced: Vec<DataFile>,
    /// The index of the day's identities below [`DayTask::cut`], if it was to be made.
    pub(super) identities: Option<Vec<Run>>,
    /// What was found of the new events, if it is to be compared.
    pub(super) found: Found,
    /// What that took.
    pub(super) work: Work,
}

impl DayTask {
    /// Counts the day, with as much of it in memory as there is `room` for. A `cluster` counts much that is counted anew.
    ///
    /// # Errors
    /// If a file cannot be read or written, the catalog defines the metric otherwise, or the cluster does not answer.
    pub(super) async fn count(
        &self,
        catalog: &Catalog,
        archive: &Archive,
        view: &BatchView,
        room: &Room,
        cluster: Option<&Cluster>,
    ) -> Result<DayDone, DayError> {
        let metric = catalog.metrics.get(&self.metric).filter(|metric| catalog.definition(metric) == self.definition);
        let metric = metric.ok_or_else(|| DayError::OtherDefinition {
            metric: self.metric.clone(),
            definition: self.definition.clone(),
        })?;
        let source = &catalog.sources[&metric.source];
        let (plan, rows_max) = (Arc::new(Plan::new(source, metric)), room.rows_max());
        let output = Output::new(view, &self.day, source, metric, &plan, rows_max);
        let day = Day {
            task: self,
            archive,
            source,
            fields: fields(source, &plan),
            key: Arc::new(Key::new(source, &self.logs)),
            kinds: plan.kinds(),
            plan,
            rows_max,
            room,
            cluster,
        };
        let mut so_far = SoFar { output, found: Found::default(), runs: Vec::new(), work: Work::default() };
        let mut again = self.units.clone();
        let adds_much = self.counted.is_some() && !room.is_small(self.new_rows());
        let mut turn = if adds_much { room.turn().await } else { None };
        day.add(&mut so_far, &mut again).await?;
        let mut counted = None;
        if let Some(asked) = day.asked(&again, so_far.output.rows_max())? {
            // Others may have the turn meanwhile, and what was added is out of memory then.
            if turn.take().is_some() {
                so_far.output.write().await?;
            }
            counted = Some(asked.answer().await?);
        }
        let reads_again = !again.is_empty() || !self.rows.is_empty();
        let _turn = match turn {
            None if reads_again => room.turn().await,
            turn => turn,
        };
        match counted {
            Some(counted) => day.take(&mut so_far, &again, counted).await?,
            None => day.recompute(&mut so_far, &again).await?,
        }
        day.finish(so_far, again).await
    }

    /// About how many rows of the archive there are to be added, at most.
    fn new_rows(&self) -> u64 {
        self.rows_in(&OffsetRange::between(self.counted.as_ref(), &self.cut))
    }

    /// About how many rows of the archive lie in those ranges, at most.
    fn rows_in(&self, ranges: &[OffsetRange]) -> u64 {
        self.events.iter().filter(|file| may_hold(file, ranges)).map(|file| file.rows).sum()
    }
}

/// A day that is being counted.
struct Day<'a> {
    task: &'a DayTask,
    archive: &'a Archive,
    source: &'a Source,
    /// The fields that the plan reads, and those that tell copies apart.
    fields: Vec<&'a SourceField>,
    key: Arc<Key>,
    plan: Arc<Plan>,
    /// The metric's measures.
    kinds: Vec<MeasureKind>,
    rows_max: usize,
    /// What the parts that are in memory at a time share.
    room: &'a Room,
    cluster: Option<&'a Cluster>,
}

/// What is counted of a day so far.
struct SoFar<'a> {
    output: Output<'a>,
    found: Found,
    /// The runs of the index of identities, if they are made.
    runs: Vec<Run>,
    work: Work,
}

impl Day<'_> {
    /// Adds the new events, except those of the units that are counted `again`: where one of them makes an older copy go, its
    /// unit becomes one of these.
    async fn add(&self, so_far: &mut SoFar<'_>, again: &mut BTreeSet<i64>) -> Result<(), DayError> {
        let Some(counted) = &self.task.counted else { return Ok(()) };
        let ranges = OffsetRange::between(Some(counted), &self.task.cut);
        let (pieces, rows_read) = self.pieces(&ranges, None).await?;
        so_far.work.rows_read += rows_read;
        // The events of a unit may be too many for one part. Then all of them are judged before any of them is counted.
        let parts = pieces.iter().flat_map(|piece| piece.parts()).filter(|part| self.is_judged_before(*part));
        let units = self.count_parts(so_far, &ranges, Way::Judged { counted }, parts.collect()).await?;
        again.extend(units.into_keys());
        let without = again.clone();
        let parts = pieces.iter().filter(|piece| !piece.is_within(&without)).flat_map(|piece| piece.parts());
        let way = Way::Added { counted, without: &without };
        let units = self.count_parts(so_far, &ranges, way, parts.collect()).await?;
        if self.task.past == Past::Held {
            again.extend(units.into_keys());
        } else {
            so_far.work.unreplaced += units.into_values().sum::<u64>();
        }
        Ok(())
    }

    /// Counts units anew, from all events below the cut.
    async fn recompute(&self, so_far: &mut SoFar<'_>, units: &BTreeSet<i64>) -> Result<(), DayError> {
        if units.is_empty() {
            return Ok(());
        }
        let ranges = OffsetRange::between(None, &self.task.cut);
        let (pieces, rows_read) = self.pieces(&ranges, Some(units)).await?;
        so_far.work.rows_read += rows_read;
        let parts = pieces.iter().flat_map(|piece| piece.parts()).collect();
        self.count_parts(so_far, &ranges, Way::Recounted, parts).await?;
        so_far.work.recomputed += units.len() as u64;
        Ok(())
    }

    /// Counts parts, a few at a time, and takes what is counted of them in their order. Returns the units that have to be recomputed.
    async fn count_parts(
        &self,
        so_far: &mut SoFar<'_>,
        ranges: &[OffsetRange],
        way: Way<'_>,
        parts: Vec<Part<'_>>,
    ) -> Result<BTreeMap<i64, u64>, DayError> {
        let (mut waiting, mut counting, mut units) = (parts.into_iter(), FuturesOrdered::new(), BTreeMap::new());
        loop {
            while counting.len() < PARTS_AT_ONCE
                && let Some(part) = waiting.next()
            {
                counting.push_back(self.counted(ranges, way, part));
            }
            let Some(counted) = counting.next().await else { return Ok(units) };
            let counted: Counted = counted?;
            compared_buckets::add(&mut so_far.found, &self.kinds, counted.found);
            so_far.runs.extend(counted.run);
            so_far.work += counted.work;
            for (unit, events) in counted.units {
                *units.entry(unit).or_default() += events;
            }
            so_far.output.push(counted.partials).await?;
        }
    }

    /// Takes the units that were counted `again` out of the files that hold them, merges small files, and writes what is left
    /// to be written.
    async fn finish(&self, so_far: SoFar<'_>, again: BTreeSet<i64>) -> Result<DayDone, DayError> {
        let SoFar { mut output, found, runs, work } = so_far;
        let times = self.times(&again);
        let (mut replaced, others): (Vec<DataFile>, Vec<DataFile>) =
            self.task.rows.iter().cloned().partition(|file| times.may_lie_in(file, BUCKET));
        for file in &replaced {
            output.carry(file, &times).await?;
        }
        let none = self.times(&BTreeSet::new());
        for file in output.small(others, !replaced.is_empty()) {
            output.carry(&file, &none).await?;
            replaced.push(file);
        }
        let added = output.written().await?;
        let identities = if self.task.identified { Some(self.merged_runs(runs).await?) } else { None };
        Ok(DayDone { added, replaced, identities, found, work })
    }

    fn times(&self, units: &BTreeSet<i64>) -> Times {
        Times { starts: units.clone(), length_us: self.task.unit_us }
    }

    /// The same of a part of the day; `None` for all of its units, which are the day.
    fn times_of_part(&self, units: &BTreeSet<i64>) -> Option<Times> {
        ((units.len() as i64) < DAY_US / self.task.unit_us).then(|| self.times(units))
    }
}

/// The fields that the plan reads, and those that tell copies apart.
fn fields<'a>(source: &'a Source, plan: &Plan) -> Vec<&'a SourceField> {
    let is_read = |name: &String| plan.columns().contains(name) || source.event_id.contains(name);
    source.fields.iter().filter(|field| is_read(&field.name) || field.name == source.event_time).collect()
}
