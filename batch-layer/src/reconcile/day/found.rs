//! What is found of a day's new events, to be compared with what speed had said of them ([`drift`](shared_logic::drift)): which of them
//! speed counts by its rules, which stand, and which older copies give way.
//!
//! It follows from the same rows and the same look-ups as what is added. Only where the index names an older copy beyond the speed
//! layer's window, it cannot say whether another one lies within it, as it keeps the first copy of each partition. Then the archive's
//! rows of the window are looked at, of the hours in question.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use polars::prelude::*;
use shared_logic::dedup::{FirstCopies, OlderCopies, Place};
use shared_logic::drift::Found;
use shared_logic::identity::Identity;
use shared_logic::log::{OffsetRange, Offsets, PartitionId};
use shared_logic::plan::{Plan, Totals};
use shared_logic::time::bucket_start;

use super::Day;
use super::events::Events;
use crate::archive_rows::scan::{Scan, Wanted};
use crate::reconcile::compared_buckets;
use crate::reconcile::error::DayError;
use crate::reconcile::identities::Older;
use crate::rows;

/// What is found of new events.
pub(super) fn of_new(
    plan: &Plan,
    events: &DataFrame,
    firsts: &FirstCopies,
    older: &Older,
    window: u64,
) -> PolarsResult<Found> {
    let (seen, standing) = (firsts.seen(&older.copies, window), firsts.standing(&older.first));
    let standing_totals = totals(plan, events, &standing)?;
    // Mostly, both layers count the same events.
    let seen_totals = if seen == standing { standing_totals.clone() } else { totals(plan, events, &seen)? };
    Ok(Found { seen: seen_totals, standing: standing_totals, replaced: Totals::default() })
}

/// The totals of the events that a mask keeps.
fn totals(plan: &Plan, events: &DataFrame, mask: &[bool]) -> PolarsResult<Totals> {
    if !mask.contains(&true) {
        return Ok(Totals::default());
    }
    plan.totals(events.filter(&mask.iter().copied().collect())?.lazy())
}

/// Offsets by the numbers of their logs, and partitions.
type Numbered = BTreeMap<(u32, i32), i64>;

/// The total of the copies below the cut `counted` that stood until now and give way to others.
fn replaced(plan: &Plan, events: &DataFrame, firsts: &FirstCopies, counted: &Numbered) -> PolarsResult<Totals> {
    let cut = |place: Place| counted.get(&(place.log, place.partition)).copied();
    let mask = firsts.replaced(|place| cut(place).is_some_and(|cut| place.offset < cut));
    totals(plan, events, &mask)
}

impl Day<'_> {
    /// The first copy of each event of a unit that is counted anew; of a source without an event id, all of them. Where they are
    /// compared, notes the older copies that give way to new ones.
    pub(super) async fn distinct(&mut self, events: Events) -> Result<DataFrame, DayError> {
        if events.identities.is_empty() {
            return Ok(events.rows);
        }
        let (rows, firsts) = events.first_copies(self.archive.path()).await?;
        let counted = self.task.counted.as_ref().filter(|_| self.task.compared).map(|counted| self.numbered(counted));
        let plan = Arc::clone(&self.plan);
        let distinct = rows::compute("remove copies", self.archive.path(), move || {
            let replaced = match counted {
                Some(counted) => replaced(&plan, &rows, &firsts, &counted)?,
                None => Totals::default(),
            };
            Ok((rows.filter(&firsts.mask().into_iter().collect())?, replaced))
        });
        let (distinct, replaced) = distinct.await?;
        compared_buckets::add(&mut self.found, &self.kinds, Found { replaced, ..Found::default() });
        Ok(distinct)
    }

    /// Notes the total of new events of a source without an event id: both layers count all of them.
    pub(super) async fn found_all(&mut self, events: &DataFrame) -> Result<(), DayError> {
        let (plan, events) = (Arc::clone(&self.plan), events.clone());
        let total = rows::compute("add up events", self.archive.path(), move || plan.totals(events.lazy())).await?;
        let found = Found { seen: total.clone(), standing: total, replaced: Totals::default() };
        compared_buckets::add(&mut self.found, &self.kinds, found);
        Ok(())
    }

    /// Notes older copies within the speed layer's window where the index does not tell whether there are any: they lie below the cut
    /// `counted`, and close enough to it.
    pub(super) async fn look_into_the_window(
        &mut self,
        events: &DataFrame,
        firsts: &FirstCopies,
        counted: &Offsets,
        older: &mut OlderCopies,
    ) -> Result<(), DayError> {
        let (window, begins) = (self.source.dedup_window, self.numbered(counted));
        let begin = |place: Place| begins.get(&(place.log, place.partition)).copied().unwrap_or(i64::MIN);
        let unsure = firsts.unsure(older, window, begin);
        if unsure.is_empty() {
            return Ok(());
        }
        let all = firsts.identities();
        let wanted: HashMap<Identity, usize> = unsure.iter().map(|number| (all[*number], *number)).collect();
        let rows = unsure.iter().map(|number| firsts.row(*number));
        let units = rows::compute("find hours", self.archive.path(), {
            let (events, event_time, unit_us) = (events.clone(), self.source.event_time.clone(), self.task.unit_us);
            let rows: Vec<usize> = rows.collect();
            move || {
                let times = events.column(&event_time)?.i64()?;
                let times = rows.into_iter().filter_map(|row| times.get(row));
                Ok(times.map(|time| bucket_start(time, unit_us)).collect::<BTreeSet<i64>>())
            }
        });
        let times = self.times(&units.await?);
        let reach = i64::try_from(window).unwrap_or(i64::MAX);
        let windows: Vec<OffsetRange> = counted
            .iter()
            .map(|(id, cut)| OffsetRange { id: id.clone(), from: cut.saturating_sub(reach), to: cut })
            .filter(|range| range.from < range.to)
            .collect();
        let is_identity = |name: &String| self.source.event_id.contains(name) || *name == self.source.event_time;
        let fields = self.fields.iter().copied().filter(|field| is_identity(&field.name)).collect();
        let key = Arc::clone(&self.key);
        let copies_of = move |rows: DataFrame| {
            let Events { identities, places, .. } = Events::of(rows, &key, (0, 1))?;
            let copies =
                identities.iter().zip(places).filter_map(|(identity, place)| Some((*wanted.get(identity)?, place)));
            Ok(copies.collect::<Vec<(usize, Place)>>())
        };
        let wanted = Wanted { fields, ranges: &windows, times: Some(&times) };
        let mut scan = Scan::new(self.archive, self.source, &self.task.events, wanted, copies_of)?;
        while let Some(copies) = scan.next().await? {
            copies.into_iter().for_each(|(number, place)| older.note(number, place));
        }
        self.work.rows_read += scan.rows_read;
        Ok(())
    }

    fn numbered(&self, offsets: &Offsets) -> Numbered {
        let numbers: HashMap<&str, u32> = self.task.logs.iter().map(String::as_str).zip(0..).collect();
        let entry = |(id, offset): (&PartitionId, i64)| Some(((*numbers.get(id.log.as_str())?, id.partition), offset));
        offsets.iter().filter_map(entry).collect()
    }
}
