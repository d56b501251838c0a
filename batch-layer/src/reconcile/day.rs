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
//! However much a day holds, memory is bounded: events are read and counted in pieces.
//!
//! - `pieces`: a day's event time → pieces with few enough events;
//! - `events`: a piece → its events, with what tells copies apart;
//! - `found`: what is compared with what speed had said of the new events;
//! - `output`: partials → files;
//! - `merged`: files → fewer files with the same partials.

mod events;
mod found;
mod merged;
mod output;
mod pieces;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use platform::store::DataFile;
use polars::prelude::*;
use serde::{Deserialize, Serialize};
use shared_logic::catalog::{Catalog, DefinitionHash, Source};
use shared_logic::contracts::batch_view::BUCKET;
use shared_logic::drift::Found;
use shared_logic::log::{OffsetRange, Offsets};
use shared_logic::measure::MeasureKind;
use shared_logic::partial;
use shared_logic::plan::Plan;
use shared_logic::schema::Field as SourceField;
use shared_logic::time::bucket_start;
use storage::{Archive, BatchView, Run};

use self::events::{Events, Key};
pub(super) use self::merged::merged;
use self::output::Output;
use super::error::DayError;
use super::report::Work;
use super::{compared_buckets, identities};
use crate::archive_rows::scan::Times;
use crate::rows;

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
    /// The files of the day's rows that are counted already.
    pub(super) rows: Vec<DataFile>,
    /// Whether what is found of the new events is to be compared with what speed had said of them.
    pub(super) compared: bool,
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
    /// What was found of the new events, if it is to be compared.
    pub(super) found: Found,
    /// What that took.
    pub(super) work: Work,
}

impl DayTask {
    /// Counts the day, with about `rows_max` rows in memory at a time.
    ///
    /// # Errors
    /// If a file cannot be read or written, or the catalog defines the metric otherwise.
    pub(super) async fn count(
        &self,
        catalog: &Catalog,
        archive: &Archive,
        view: &BatchView,
        rows_max: usize,
    ) -> Result<DayDone, DayError> {
        let metric = catalog.metrics.get(&self.metric).filter(|metric| catalog.definition(metric) == self.definition);
        let metric = metric.ok_or_else(|| DayError::OtherDefinition {
            metric: self.metric.clone(),
            definition: self.definition.clone(),
        })?;
        let source = &catalog.sources[&metric.source];
        let plan = Arc::new(Plan::new(source, metric));
        let mut day = Day {
            task: self,
            archive,
            source,
            fields: fields(source, &plan),
            key: Arc::new(Key::new(source, &self.logs)),
            output: Output::new(view, &self.day, source, metric, &plan, rows_max),
            kinds: plan.kinds(),
            plan,
            rows_max,
            found: Found::default(),
            work: Work::default(),
        };
        let mut again = self.units.clone();
        day.add(&mut again).await?;
        day.recompute(&again).await?;
        day.finish(again).await
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
    output: Output<'a>,
    rows_max: usize,
    found: Found,
    work: Work,
}

impl Day<'_> {
    /// Adds the new events, except those of the units that are counted `again`: where one of them makes an older copy go, its
    /// unit becomes one of these.
    async fn add(&mut self, again: &mut BTreeSet<i64>) -> Result<(), DayError> {
        let task = self.task;
        let Some(counted) = &task.counted else { return Ok(()) };
        let ranges = OffsetRange::between(Some(counted), &task.cut);
        let has_copies = !self.source.event_id.is_empty();
        for piece in self.pieces(&ranges, None).await? {
            // The events of a unit may be too many for one part. Then all of them are judged before any of them is counted.
            let is_judged = piece.count > 1 && task.past == Past::Held;
            for part in piece.parts().filter(|_| is_judged) {
                let events = self.read(&ranges, &part).await?;
                again.extend(self.judge(events, counted, task.compared).await?.1.into_keys());
            }
            if piece.is_within(again) {
                continue;
            }
            for part in piece.parts() {
                let events = self.read(&ranges, &part).await?;
                if has_copies && task.past == Past::Unknown {
                    self.work.unproven += events.rows.height() as u64;
                    continue;
                }
                // What was judged before is compared already.
                let (added, units) = self.judge(events, counted, task.compared && !is_judged).await?;
                if task.past == Past::Held {
                    again.extend(units.into_keys());
                } else {
                    self.work.unreplaced += units.into_values().sum::<u64>();
                }
                self.work.added += added.height() as u64;
                let partials = self.partials(added, Some(self.times(again))).await?;
                self.output.push(partials).await?;
            }
        }
        Ok(())
    }

    /// Which of these new events are added, and the units that have to be recomputed, as older copies have to go, with the number of
    /// these. Of a source without an event id, every event is added. Where they are `compared`, what is found of them is noted.
    async fn judge(
        &mut self,
        events: Events,
        counted: &Offsets,
        compared: bool,
    ) -> Result<(DataFrame, BTreeMap<i64, u64>), DayError> {
        if self.source.event_id.is_empty() || events.rows.height() == 0 {
            if compared && events.rows.height() > 0 {
                self.found_all(&events.rows).await?;
            }
            return Ok((events.rows, BTreeMap::new()));
        }
        let (task, unit_us, event_time) = (self.task, self.task.unit_us, self.source.event_time.clone());
        let (rows, firsts) = events.first_copies(self.archive.path()).await?;
        let identities = firsts.identities();
        let (rules, runs) = (self.source.rules(), task.identities.as_slice());
        let older = identities::older(self.archive, (&rules, runs), &identities, counted, &task.logs);
        let (mut older, rows_read) = older.await?;
        self.work.looked_up += identities.len() as u64;
        self.work.rows_read += rows_read;
        if compared {
            self.look_into_the_window(&rows, &firsts, counted, &mut older.copies).await?;
        }
        let (plan, window) = (compared.then(|| Arc::clone(&self.plan)), self.source.dedup_window);
        let judged = rows::compute("judge new events", self.archive.path(), move || {
            let found = match plan {
                Some(plan) => found::of_new(&plan, &rows, &firsts, &older, window)?,
                None => Found::default(),
            };
            let (added, recounted) = firsts.judge(&older.first);
            let times = rows.column(&event_time)?.i64()?;
            let mut units: BTreeMap<i64, u64> = BTreeMap::new();
            for time in recounted.into_iter().filter_map(|row| times.get(row)) {
                *units.entry(bucket_start(time, unit_us)).or_default() += 1;
            }
            Ok((rows.filter(&added.into_iter().collect())?, units, found))
        });
        let (added, units, found) = judged.await?;
        compared_buckets::add(&mut self.found, &self.kinds, found);
        Ok((added, units))
    }

    /// Counts units anew, from all events below the cut.
    async fn recompute(&mut self, units: &BTreeSet<i64>) -> Result<(), DayError> {
        if units.is_empty() {
            return Ok(());
        }
        let ranges = OffsetRange::between(None, &self.task.cut);
        for piece in self.pieces(&ranges, Some(units)).await? {
            for part in piece.parts() {
                let events = self.read(&ranges, &part).await?;
                let distinct = self.distinct(events).await?;
                let partials = self.partials(distinct, None).await?;
                self.output.push(partials).await?;
            }
        }
        self.work.recomputed += units.len() as u64;
        Ok(())
    }

    /// Events → partials, without those of these times.
    async fn partials(&self, events: DataFrame, without: Option<Times>) -> Result<DataFrame, DayError> {
        if events.height() == 0 {
            return Ok(events);
        }
        let plan = Arc::clone(&self.plan);
        let count = move || {
            let partials = plan.view_rows(events.lazy())?;
            match without {
                Some(times) if !times.starts.is_empty() => {
                    partials.lazy().filter(times.hold(partial::BUCKET).not()).collect()
                }
                _ => Ok(partials),
            }
        };
        Ok(rows::compute("count events", self.archive.path(), count).await?)
    }

    /// Takes the units that were counted `again` out of the files that hold them, merges small files, and writes what is left
    /// to be written.
    async fn finish(mut self, again: BTreeSet<i64>) -> Result<DayDone, DayError> {
        let times = self.times(&again);
        let (mut replaced, others): (Vec<DataFile>, Vec<DataFile>) =
            self.task.rows.iter().cloned().partition(|file| times.may_lie_in(file, BUCKET));
        for file in &replaced {
            self.output.carry(file, &times).await?;
        }
        let none = self.times(&BTreeSet::new());
        for file in self.output.small(others, !replaced.is_empty()) {
            self.output.carry(&file, &none).await?;
            replaced.push(file);
        }
        Ok(DayDone { added: self.output.written().await?, replaced, found: self.found, work: self.work })
    }

    fn times(&self, units: &BTreeSet<i64>) -> Times {
        Times { starts: units.clone(), length_us: self.task.unit_us }
    }
}

/// The fields that the plan reads, and those that tell copies apart.
fn fields<'a>(source: &'a Source, plan: &Plan) -> Vec<&'a SourceField> {
    let is_read = |name: &String| plan.columns().contains(name) || source.event_id.contains(name);
    source.fields.iter().filter(|field| is_read(&field.name) || field.name == source.event_time).collect()
}
