//! The days of a report that may hold what was erased since they were written (P1).
//!
//! Each day notes how far the erasures of its source and its tables had come when its rows were computed, in the commit that wrote them. So
//! what is left to be done follows from the archives and the report's table alone, whoever was killed in between: a run that is ended has
//! written some days anew, and the next one goes on with the others.

use std::collections::BTreeSet;

use platform::store::StoreError;
use shared_logic::catalog::{Catalog, Report, Source};
use shared_logic::contracts::report::Note;
use shared_logic::report::{TakenOut, may_hold_erased};
use shared_logic::time::{DAY_US, day_of, local_day, parse_day};

use crate::Storage;

/// What erasures mean to a report. Days are numbered from 1970, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ErasedDays {
    /// Those that have to be written anew.
    pub due: Vec<i64>,
    /// Those that cannot be, as the view does not hold them any more. Their rows stay as they are.
    pub not_in_view: Vec<i64>,
    /// Those that count events whose archived rows are retired, so that neither an erasure nor a reconcile finds them. Some may be due
    /// as well, for what was found of them.
    pub retired: Vec<i64>,
}

impl Storage {
    /// Which days of a report may hold what was erased of its metric's source, or of a table that it joins.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn erased_days(&self, catalog: &Catalog, report: &Report) -> Result<ErasedDays, StoreError> {
        let table = self.report(&report.name).await?;
        let Some(note) = table.as_ref().and_then(|table| table.note()) else { return Ok(ErasedDays::default()) };
        let metric = &catalog.metrics[&report.metric];
        let (mut taken_out, retired_before) = self.taken_out(&catalog.sources[&metric.source], note, false).await?;
        for join in &report.join {
            taken_out.extend(self.taken_out(&catalog.sources[&join.table], note, true).await?.0);
        }
        if taken_out.is_empty() && retired_before.is_none() {
            return Ok(ErasedDays::default());
        }
        let view = self.batch_view(&metric.name).await?;
        let view = view.as_ref().and_then(|view| view.note());
        let mut days = ErasedDays::default();
        for (date, of_date) in &note.dates {
            let day = parse_day(date);
            // Only Braid writes the note, and no zone loses a day that it had.
            let Some((day, times)) = day.and_then(|day| Some((day, local_day(day, report.time_zone)?))) else {
                continue;
            };
            if retired_before.is_some_and(|before| times.from_us < before.saturating_mul(DAY_US)) {
                days.retired.push(day);
            }
            if !may_hold_erased(&of_date.erased, times, &taken_out) {
                continue;
            }
            let is_held = view.is_none_or(|view| !view.is_retired(day_of(times.from_us)));
            if is_held { days.due.push(day) } else { days.not_in_view.push(day) }
        }
        Ok(days)
    }

    /// What was taken out of the archive of a source that not every day is known to lack; and the first day that is not retired there. Changes
    /// of a table may be in the rows of any day.
    async fn taken_out(
        &self,
        source: &Source,
        note: &Note,
        is_joined: bool,
    ) -> Result<(Vec<TakenOut>, Option<i64>), StoreError> {
        let Some(archive) = self.archive(&source.name).await? else { return Ok((Vec::new(), None)) };
        let (facts, rules) = (archive.facts(), source.rules());
        let known = note.dates.values().map(|of_date| of_date.erased.get(&source.name).copied().unwrap_or_default());
        let mut taken_out = Vec::new();
        for part in facts.erased_since(known.min().unwrap_or_default()) {
            // Events that were found by other rules may have happened in any hour by these.
            let list = if is_joined || part.rules != rules { None } else { archive.erased(part).await? };
            let hours: Option<BTreeSet<i64>> = list.map(|list| list.hours.into_values().flatten().collect());
            taken_out.push(TakenOut { source: source.name.clone(), version: part.version, hours });
        }
        Ok((taken_out, facts.retired_before))
    }
}
