//! What is found of a day's new events, to be compared with what speed had said of them ([`drift`](shared_logic::drift)): which of them
//! speed counts by its rules, which stand, and which older copies give way.
//!
//! It follows from the same rows and the same look-ups as what is added. The index names the first and the last copy of each
//! partition. So it cannot say whether an older copy lies within the speed layer's window where the last one is not older, as the index
//! is ahead of the view, or where an older build has made it, which kept the first copy alone. Then the archive's rows of the window
//! are looked at, of the instants in question.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use polars::prelude::*;
use shared_logic::dedup::{FirstCopies, OlderCopies, Place};
use shared_logic::drift::Found;
use shared_logic::identity::Identity;
use shared_logic::log::{OffsetRange, Offsets, PartitionId};
use shared_logic::plan::{Plan, Totals};

use super::Day;
use super::events::Events;
use crate::archive_rows::scan::{Scan, Times, Wanted};
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
    plan.totals(events.clone().lazy(), Some(mask))
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
    /// What is found of the first copies of a unit that is counted anew: where they are compared, the older copies that give way to
    /// new ones.
    pub(super) async fn found_again(&self, events: &DataFrame, firsts: &Arc<FirstCopies>) -> Result<Found, DayError> {
        let Some(counted) = self.task.counted.as_ref().filter(|_| self.task.compared) else {
            return Ok(Found::default());
        };
        let (plan, events, firsts) = (Arc::clone(&self.plan), events.clone(), Arc::clone(firsts));
        let counted = self.numbered(counted);
        let replaced = move || replaced(&plan, &events, &firsts, &counted);
        let replaced = rows::compute("add up copies", self.archive.path(), replaced).await?;
        Ok(Found { replaced, ..Found::default() })
    }

    /// What is found of new events of a source without an event id: both layers count all of them.
    pub(super) async fn found_all(&self, events: &DataFrame) -> Result<Found, DayError> {
        let (plan, events) = (Arc::clone(&self.plan), events.clone());
        let total =
            rows::compute("add up events", self.archive.path(), move || plan.totals(events.lazy(), None)).await?;
        Ok(Found { seen: total.clone(), standing: total, replaced: Totals::default() })
    }

    /// Notes older copies within the speed layer's window where the index does not tell whether there are any: they lie below the cut
    /// `counted`, and close enough to it. Returns how many archive rows were read for that.
    pub(super) async fn look_into_the_window(
        &self,
        events: &DataFrame,
        firsts: &FirstCopies,
        counted: &Offsets,
        older: &mut OlderCopies,
    ) -> Result<u64, DayError> {
        let (window, begins, lasts_from) =
            (self.source.dedup_window, self.numbered(counted), self.numbered(&self.task.lasts_from));
        let at = |offsets: &Numbered, place: Place| offsets.get(&(place.log, place.partition)).copied();
        let unsure = firsts.unsure(
            older,
            window,
            |place| at(&begins, place).unwrap_or(i64::MIN),
            |place| at(&lasts_from, place).unwrap_or(i64::MAX),
        );
        if unsure.is_empty() {
            return Ok(0);
        }
        let all = firsts.identities();
        let wanted: HashMap<Identity, usize> = unsure.iter().map(|number| (all[*number], *number)).collect();
        let rows: Vec<usize> = unsure.iter().map(|number| firsts.row(*number)).collect();
        let (events, event_time) = (events.clone(), self.source.event_time.clone());
        let times = rows::compute("find instants", self.archive.path(), move || {
            let times = events.column(&event_time)?.i64()?;
            // Copies share their event time.
            Ok(Times { starts: rows.into_iter().filter_map(|row| times.get(row)).collect(), length_us: 1 })
        });
        let times = times.await?;
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
            let Events { identities, places, .. } = Events::of(&rows, &[], &key, (0, 1))?;
            let copies =
                identities.iter().zip(places).filter_map(|(identity, place)| Some((*wanted.get(identity)?, place)));
            Ok(copies.collect::<Vec<(usize, Place)>>())
        };
        let wanted = Wanted { fields, ranges: &windows, times: Some(&times) };
        let mut scan = Scan::new(self.archive, self.source, &self.task.events, wanted, copies_of)?;
        while let Some(copies) = scan.next().await? {
            copies.into_iter().for_each(|(number, place)| older.note(number, place));
        }
        Ok(scan.rows_read)
    }

    fn numbered(&self, offsets: &Offsets) -> Numbered {
        let numbers: HashMap<&str, u32> = self.task.logs.iter().map(String::as_str).zip(0..).collect();
        let entry = |(id, offset): (&PartitionId, i64)| Some(((*numbers.get(id.log.as_str())?, id.partition), offset));
        offsets.iter().filter_map(entry).collect()
    }
}
