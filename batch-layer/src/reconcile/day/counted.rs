//! A part of a day's events → what is counted of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use polars::prelude::*;
use shared_logic::dedup::FirstCopies;
use shared_logic::drift::Found;
use shared_logic::log::{OffsetRange, Offsets};
use shared_logic::partial;
use shared_logic::time::bucket_start;
use storage::{Entries, Run, RunBytes};

use super::events::Events;
use super::pieces::Part;
use super::{Day, Past, found};
use crate::archive_rows::scan::Times;
use crate::reconcile::error::DayError;
use crate::reconcile::identities;
use crate::reconcile::report::Work;
use crate::rows;

/// How events are counted.
#[derive(Debug, Clone, Copy)]
pub(super) enum Way<'a> {
    /// New events are judged, and nothing is counted yet.
    Judged {
        /// The view counts what lies below.
        counted: &'a Offsets,
    },
    /// New events are added.
    Added {
        /// To what lies below.
        counted: &'a Offsets,
        /// Without the events of these units.
        without: &'a BTreeSet<i64>,
    },
    /// All events are counted.
    Recounted,
}

/// What is counted of a part of a day's events.
pub(super) struct Counted {
    /// In the columns of [`Plan::view_rows`](shared_logic::plan::Plan::view_rows).
    pub(super) partials: DataFrame,
    /// What is found of new events.
    pub(super) found: Found,
    /// The units that have to be recomputed, as older copies have to go, with the number of these.
    pub(super) units: BTreeMap<i64, u64>,
    /// The identities of the events, if the index is made of them.
    pub(super) run: Option<Run>,
    /// What it took.
    pub(super) work: Work,
}

/// New events that are judged.
struct Judged {
    events: DataFrame,
    /// Which of them are added; all of them where nothing is said.
    added: Option<Vec<bool>>,
    found: Found,
    units: BTreeMap<i64, u64>,
    work: Work,
}

impl Day<'_> {
    /// Counts a part of the events whose records lie in those ranges, once there is room for it.
    pub(super) async fn counted(
        &self,
        ranges: &[OffsetRange],
        way: Way<'_>,
        part: Part<'_>,
    ) -> Result<Counted, DayError> {
        let _room = self.room.of_part(part.rows).await;
        let (events, rows_read) = self.read(ranges, part).await?;
        let mut counted = match way {
            Way::Judged { counted } => self.judged(events, counted).await?,
            Way::Added { counted, without } => self.added(events, counted, without, part).await?,
            Way::Recounted => self.recounted(events).await?,
        };
        counted.work.rows_read += rows_read;
        Ok(counted)
    }

    /// Whether a part is judged before it is counted. Of a unit of several parts, one may say that it has to be recomputed.
    pub(super) fn is_judged_before(&self, part: Part<'_>) -> bool {
        part.of > 1 && self.task.past == Past::Held
    }

    async fn judged(&self, events: Events, counted: &Offsets) -> Result<Counted, DayError> {
        let Judged { found, units, work, .. } = self.judge(events, counted, self.task.compared).await?;
        Ok(Counted { partials: DataFrame::empty(), found, units, run: None, work })
    }

    async fn added(
        &self,
        events: Events,
        counted: &Offsets,
        without: &BTreeSet<i64>,
        part: Part<'_>,
    ) -> Result<Counted, DayError> {
        let (task, has_copies) = (self.task, !self.source.event_id.is_empty());
        if has_copies && task.past == Past::Unknown {
            let work = Work { unproven: events.rows.height() as u64, ..Work::default() };
            let (partials, found) = (DataFrame::empty(), Found::default());
            return Ok(Counted { partials, found, units: BTreeMap::new(), run: None, work });
        }
        // What was judged before is compared already.
        let judged = self.judge(events, counted, task.compared && !self.is_judged_before(part)).await?;
        let Judged { events, added, found, units, mut work } = judged;
        work.added += match &added {
            Some(added) => added.iter().filter(|is_added| **is_added).count(),
            None => events.height(),
        } as u64;
        let mut again = without.clone();
        again.extend(units.keys().filter(|_| task.past == Past::Held));
        let partials = self.partials(events, added, Some(self.times(&again))).await?;
        Ok(Counted { partials, found, units, run: None, work })
    }

    /// Of copies, the first one is counted; of a source without an event id, every event.
    async fn recounted(&self, events: Events) -> Result<Counted, DayError> {
        let (units, work) = (BTreeMap::new(), Work::default());
        if events.identities.is_empty() {
            let (partials, found) = (self.partials(events.rows, None, None).await?, Found::default());
            return Ok(Counted { partials, found, units, run: None, work });
        }
        let (events, firsts) = events.first_copies(self.archive.path()).await?;
        let distinct = move || Ok((firsts.mask(), Arc::new(firsts)));
        let (mask, firsts) = rows::compute("remove copies", self.archive.path(), distinct).await?;
        let found = self.found_again(&events, &firsts).await?;
        // One after the other, as each takes as much memory as the events. While the run is written, only its bytes are left of it.
        let run = self.identities(firsts).await?;
        let (partials, run) = tokio::try_join!(self.partials(events, Some(mask), None), self.written_run(run))?;
        Ok(Counted { partials, found, units, run, work })
    }

    /// Which of these new events are added, and the units that have to be recomputed, as older copies have to go. Of a source without
    /// an event id, every event is added. Where they are `compared`, what is found of them is noted.
    async fn judge(&self, events: Events, counted: &Offsets, compared: bool) -> Result<Judged, DayError> {
        let (units, mut work) = (BTreeMap::new(), Work::default());
        if self.source.event_id.is_empty() || events.rows.height() == 0 {
            let is_compared = compared && events.rows.height() > 0;
            let found = if is_compared { self.found_all(&events.rows).await? } else { Found::default() };
            return Ok(Judged { events: events.rows, added: None, found, units, work });
        }
        let (task, unit_us, event_time) = (self.task, self.task.unit_us, self.source.event_time.clone());
        let (rows, firsts) = events.first_copies(self.archive.path()).await?;
        let identities = firsts.identities();
        let (rules, runs) = (self.source.rules(), task.identities.as_slice());
        let older = identities::older(self.archive, (&rules, runs), &identities, counted, &task.logs);
        let (mut older, rows_read) = older.await?;
        work.looked_up += identities.len() as u64;
        work.rows_read += rows_read;
        if compared {
            work.rows_read += self.look_into_the_window(&rows, &firsts, counted, &mut older.copies).await?;
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
            Ok(Judged { events: rows, added: Some(added), found, units, work })
        });
        Ok(judged.await?)
    }

    /// Those of the events that are `wanted`, or all of them → partials, without those of these times.
    async fn partials(
        &self,
        events: DataFrame,
        wanted: Option<Vec<bool>>,
        without: Option<Times>,
    ) -> Result<DataFrame, DayError> {
        if events.height() == 0 {
            return Ok(events);
        }
        let plan = Arc::clone(&self.plan);
        let count = move || {
            let partials = plan.view_rows(events.lazy(), wanted.as_deref())?;
            match without {
                Some(times) if !times.starts.is_empty() => {
                    let is_without = times.hold(partials.column(partial::BUCKET)?.i64()?);
                    partials.filter(&!is_without)
                }
                _ => Ok(partials),
            }
        };
        Ok(rows::compute("count events", self.archive.path(), count).await?)
    }

    /// A run of all events, if the index is made of them.
    async fn identities(&self, firsts: Arc<FirstCopies>) -> Result<Option<RunBytes>, DayError> {
        if !self.task.identified {
            return Ok(None);
        }
        let logs = self.task.logs.clone();
        let entries = move || Ok(Entries::of_copies(firsts.copies(), firsts.events(), &logs));
        let entries = rows::compute("name identities", self.archive.path(), entries).await?;
        Ok(Some(RunBytes::of(entries).await))
    }

    /// Writes a run, if there is one.
    async fn written_run(&self, run: Option<RunBytes>) -> Result<Option<Run>, DayError> {
        let Some(run) = run else { return Ok(None) };
        Ok(Some(self.archive.put_run(&self.source.rules(), &self.task.day, run).await?))
    }

    /// The runs of a day, of which small ones are merged.
    pub(super) async fn merged_runs(&self, runs: Vec<Run>) -> Result<Vec<Run>, DayError> {
        Ok(self.archive.merge_runs(&self.source.rules(), &self.task.day, runs, self.rows_max).await?)
    }
}
