//! A day of the archive, counted again under the rules by which a version has counted it (K6).
//!
//! Below a view's cut, the first copy of an event counts, wherever the others lie. Above, a copy counts unless an earlier one lies within
//! the speed layer's window in the same partition. So one copy that lies farther away does not make a right replay fail; the exact count
//! stands beside it, as the drift.

use std::collections::BTreeMap;
use std::sync::Arc;

use platform::store::{DataFile, StoreError};
use polars::prelude::*;
use shared_logic::catalog::{Metric, Source};
use shared_logic::dedup::{FirstCopies, OlderCopies, Place};
use shared_logic::drift::Found;
use shared_logic::identity::Identity;
use shared_logic::log::{OffsetRange, PartitionId};
use shared_logic::plan::Plan;
use storage::Archive;

use super::error::VerifyError;
use super::replayed::ROWS_AT_ONCE;
use super::side::{Stretch, upto};
use super::spill::{Encoded, Spill};
use crate::archive_rows::scan::{Scan, Wanted, places};
use crate::rows::{self, RowsError};

/// Counts days of a metric again.
pub(super) struct Recount<'a> {
    archive: &'a Archive,
    source: &'a Source,
    metric: &'a Metric,
    plan: Arc<Plan>,
    /// With the sizes of float sums.
    sized: Arc<Plan>,
    sizes: Arc<[String]>,
    /// The logs in the order in which the archive first saw them.
    logs: Arc<Vec<String>>,
    ranges: Vec<OffsetRange>,
    /// Per log's number and partition, where the view's cut lies.
    bases: Arc<Bases>,
    /// How many events are in memory at a time.
    rows_max: u64,
}

type Bases = BTreeMap<(u32, i32), i64>;

/// Events of a part of a day.
struct Events {
    /// The fields that the plan reads.
    rows: DataFrame,
    /// None, if the source has no event id.
    identities: Vec<Identity>,
    places: Vec<Place>,
}

/// What is counted of a part of a day.
struct Part {
    partials: DataFrame,
    found: Found,
}

impl<'a> Recount<'a> {
    pub(super) fn new(
        archive: &'a Archive,
        source: &'a Source,
        metric: &'a Metric,
        stretches: &[Stretch],
        rows_max: usize,
    ) -> Recount<'a> {
        let plan = Arc::new(Plan::new(source, metric));
        let logs: Vec<String> = archive.facts().logs.iter().map(|log| log.log.clone()).collect();
        let number =
            |id: &PartitionId| logs.iter().position(|log| *log == id.log).and_then(|at| u32::try_from(at).ok());
        let base = |stretch: &Stretch| Some(((number(&stretch.id)?, stretch.id.partition), stretch.base));
        let bases: Bases = stretches.iter().filter_map(base).collect();
        Recount {
            archive,
            source,
            metric,
            sized: Arc::new(plan.sized()),
            sizes: plan.size_columns().into_iter().map(|(_, name)| name).collect(),
            plan,
            ranges: OffsetRange::between(None, &upto(stretches)),
            bases: Arc::new(bases),
            logs: Arc::new(logs),
            rows_max: (rows_max as u64).max(1),
        }
    }

    /// Counts a day again, whose files these are, into `spill`. Returns what of it speed counts, and what stands.
    pub(super) async fn day(&self, files: &[DataFile], from_day: i64, spill: &mut Spill) -> Result<Found, VerifyError> {
        let rows: u64 = files.iter().map(|file| file.rows).sum();
        let parts = rows.div_ceil(self.rows_max).max(1);
        let kinds = self.plan.kinds();
        let mut found = Found::default();
        for number in 0..parts {
            let events = self.events(files, (number, parts)).await?;
            let Some(part) = self.counted(events).await? else { continue };
            found.add(&kinds, part.found);
            for at in (0..part.partials.height()).step_by(ROWS_AT_ONCE) {
                let rows = part.partials.slice(at as i64, ROWS_AT_ONCE);
                let (source, metric, sizes) = (self.source.clone(), self.metric.clone(), Arc::clone(&self.sizes));
                let encode = move || Encoded::of_frame(&source, &metric, &rows, &sizes, from_day);
                spill.add(rows::compute("write rows down", self.archive.path(), encode).await?).await?;
            }
        }
        Ok(found)
    }

    /// The events of a part. All copies of an event are in one.
    async fn events(&self, files: &[DataFile], (number, of): (u64, u64)) -> Result<Option<Events>, RowsError> {
        let is_read = |name: &String| self.plan.columns().contains(name) || self.source.event_id.contains(name);
        let fields = self.source.fields.iter();
        let fields = fields.filter(|field| is_read(&field.name) || field.name == self.source.event_time).collect();
        let (event_id, event_time) = (self.source.event_id.clone(), self.source.event_time.clone());
        let (plan, logs) = (Arc::clone(&self.plan), Arc::clone(&self.logs));
        let of_part = move |rows: DataFrame| {
            let places = places(&rows, &logs)?;
            let identities = match event_id.as_slice() {
                [] => Vec::new(),
                event_id => Identity::of_columns(&rows, event_id, &event_time)?,
            };
            let is_in = |row: usize| {
                let hash = identities.get(row).map_or(places[row].offset.unsigned_abs(), |identity| identity.0);
                hash % of == number
            };
            let mask: Vec<bool> = (0..rows.height()).map(is_in).collect();
            let rows = rows.select(plan.columns())?.filter(&mask.iter().copied().collect())?;
            let kept = |row: &usize| mask[*row];
            Ok(Events {
                rows,
                identities: (0..identities.len()).filter(kept).map(|row| identities[row]).collect(),
                places: (0..places.len()).filter(kept).map(|row| places[row]).collect(),
            })
        };
        let wanted = Wanted { fields, ranges: &self.ranges, times: None };
        let mut scan = Scan::new(self.archive, self.source, files, wanted, of_part)?;
        let mut all: Option<Events> = None;
        while let Some(more) = scan.next().await? {
            match &mut all {
                None => all = Some(more),
                Some(all) => all.append(more).map_err(|source| StoreError::Frame {
                    operation: "put rows together",
                    table: self.archive.path().to_owned(),
                    source,
                })?,
            }
        }
        Ok(all)
    }

    async fn counted(&self, events: Option<Events>) -> Result<Option<Part>, RowsError> {
        let Some(Events { rows, identities, places }) = events.filter(|events| events.rows.height() > 0) else {
            return Ok(None);
        };
        let (plan, sized, bases) = (Arc::clone(&self.plan), Arc::clone(&self.sized), Arc::clone(&self.bases));
        let window = self.source.dedup_window;
        let count = move || {
            if identities.is_empty() {
                let total = plan.totals(rows.clone().lazy(), None)?;
                let found = Found { seen: total.clone(), standing: total, ..Found::default() };
                return Ok(Part { partials: sized.view_rows(rows.lazy(), None)?, found });
            }
            let (counted, standing) = judged(&identities, &places, &bases, window);
            let found = Found {
                seen: plan.totals(rows.clone().lazy(), Some(&counted))?,
                standing: plan.totals(rows.clone().lazy(), Some(&standing))?,
                ..Found::default()
            };
            Ok(Part { partials: sized.view_rows(rows.lazy(), Some(&counted))?, found })
        };
        rows::compute("count events again", self.archive.path(), count).await.map(Some)
    }
}

impl Events {
    fn append(&mut self, others: Events) -> PolarsResult<()> {
        self.rows.vstack_mut(&others.rows)?;
        self.identities.extend(others.identities);
        self.places.extend(others.places);
        Ok(())
    }
}

/// K6: which events a replay counts, and which ones stand. `identities` and `places` are those of all events up to where it counted: below a
/// base, which the view's cut is, the first copy counts, and above it each without an earlier copy within the window.
fn judged(identities: &[Identity], places: &[Place], bases: &Bases, window: u64) -> (Vec<bool>, Vec<bool>) {
    let all = FirstCopies::of(identities, places);
    let mut counted = all.seen(&OlderCopies::default(), window);
    let is_below = |place: &Place| bases.get(&(place.log, place.partition)).is_some_and(|base| place.offset < *base);
    let below: Vec<usize> = (0..places.len()).filter(|row| is_below(&places[*row])).collect();
    let (ids, of): (Vec<Identity>, Vec<Place>) = below.iter().map(|row| (identities[*row], places[*row])).unzip();
    for (row, stands) in below.iter().zip(FirstCopies::of(&ids, &of).mask()) {
        counted[*row] = stands;
    }
    (counted, all.mask())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(partition: i32, offset: i64) -> Place {
        Place { log: 0, partition, offset }
    }

    /// Of copies of one event at these places, which are counted, and which one stands.
    fn of(places: &[Place], bases: &[((u32, i32), i64)]) -> (Vec<bool>, Vec<bool>) {
        let identities = vec![Identity(1, 2); places.len()];
        judged(&identities, places, &bases.iter().copied().collect(), 10)
    }

    #[test]
    fn above_a_view_a_copy_counts_if_no_earlier_one_lies_within_the_window() {
        let places = [at(0, 0), at(0, 10), at(0, 21), at(1, 5)];
        let (counted, standing) = of(&places, &[]);
        assert_eq!(counted, [true, false, true, true], "one copy too far away, and one in another partition");
        assert_eq!(standing, [true, false, false, false]);
    }

    #[test]
    fn below_its_cut_the_first_copy_counts_wherever_the_others_lie() {
        let places = [at(0, 0), at(0, 21), at(1, 5), at(1, 40)];
        let (counted, _) = of(&places, &[((0, 0), 22), ((0, 1), 30)]);
        assert_eq!(counted, [true, false, false, true], "the last one is judged by the window alone");
        let (counted, _) = of(&places, &[((0, 0), 22), ((0, 1), 5)]);
        assert_eq!(counted, [true, false, true, true]);
        let (counted, _) = of(&places, &[((0, 1), 30)]);
        assert_eq!(counted, [true, true, true, true], "the view holds another partition alone");
    }
}
