//! Whether all is there that the first rows of a day count, or what is waited for (P2).

use std::collections::BTreeMap;
use std::sync::Arc;

use shared_logic::catalog::{Join, Report};
use shared_logic::contracts::batch_view::Note;
use shared_logic::contracts::report::DateNote;
use shared_logic::log::Offsets;
use shared_logic::report::{lacking, settled_at};
use shared_logic::time::{TimeRange, day_of};
use storage::BatchView;

use super::arrived::{Arrived, Looking};
use super::outcome::Waiting;
use super::{ReportError, Reporter};
use crate::table::{self, AsOf, TableRows};

/// Whether a day can be written.
pub(super) enum Standing {
    /// All is there.
    Ready(Box<Ready>),
    /// Something is missing.
    Waits(Waiting),
    /// The view does not hold the day any more.
    Retired,
}

/// All that the rows of a day are computed from.
pub(super) struct Ready {
    pub(super) view: BatchView,
    pub(super) note: Arc<Note>,
    /// What had arrived when the day was settled.
    pub(super) arrived: Offsets,
    /// By name, the tables as of then.
    pub(super) tables: BTreeMap<String, TableRows>,
    /// By the name of the source and of each of these tables, the version of its archive that has last taken erased events out. Neither view
    /// nor tables hold any of these.
    pub(super) erased: BTreeMap<String, u64>,
}

impl Reporter {
    /// What a day is computed from, once the view holds what had arrived when it was settled. `before` is what is known of an earlier day:
    /// what had arrived then is not looked for again.
    ///
    /// # Errors
    /// If something cannot be read.
    pub(super) async fn ready(
        &self,
        report: &Report,
        day: i64,
        times: TimeRange,
        before: Option<&DateNote>,
    ) -> Result<Standing, ReportError> {
        match self.looked_at(report, day, times, before).await? {
            Ok(Some(ready)) => Ok(Standing::Ready(Box::new(ready))),
            Ok(None) => Ok(Standing::Retired),
            Err(waiting) => Ok(Standing::Waits(waiting)),
        }
    }

    /// The same; `None` if the view does not hold the day any more.
    async fn looked_at(
        &self,
        report: &Report,
        day: i64,
        times: TimeRange,
        before: Option<&DateNote>,
    ) -> Result<Result<Option<Ready>, Waiting>, ReportError> {
        let at_us = settled_at(report, day).unwrap_or(i64::MAX);
        if platform::clock::now_us() < at_us {
            return Ok(Err(Waiting::Settles { at_us }));
        }
        let metric = &self.catalog.metrics[&report.metric];
        let source = &self.catalog.sources[&metric.source];
        let since = before.map(|before| &before.arrived);
        let (arrived, taken_out) =
            match self.looking(report).arrived((&source.name, &source.topic), since, at_us).await? {
                Ok(Arrived { at, erased, .. }) => (at, erased),
                Err(waiting) => return Ok(Err(waiting)),
            };
        let view = self.storage.batch_view(&metric.name).await?;
        let definition = self.catalog.definition(metric);
        let noted = view.and_then(|view| view.note().cloned().map(|note| (view, note)));
        let Some((view, note)) = noted.filter(|(_, note)| note.definition == definition) else {
            return Ok(Err(Waiting::NoView { metric: metric.name.clone() }));
        };
        if let Some(lacking) = lacking(&arrived, &note.cut) {
            let is_paused = note.asked.pause.is_some();
            return Ok(Err(Waiting::Cut { metric: metric.name.clone(), lacking, is_paused }));
        }
        // A view that was counted before an erasure may hold what was erased, until a reconcile has counted its hours anew.
        if Some(note.archive_version) < taken_out {
            let is_paused = note.asked.pause.is_some();
            return Ok(Err(Waiting::Erased { metric: metric.name.clone(), is_paused }));
        }
        // Retired days are the oldest ones, so the first of the period tells.
        if note.is_retired(day_of(times.from_us)) {
            return Ok(Ok(None));
        }
        let mut tables = BTreeMap::new();
        let mut erased: BTreeMap<String, u64> =
            taken_out.into_iter().map(|version| (source.name.clone(), version)).collect();
        for Join { table, .. } in &report.join {
            let since = before.and_then(|before| before.tables.get(table));
            match self.table_at(report, table, since, at_us).await? {
                Ok((rows, taken_out)) => {
                    tables.insert(table.clone(), rows);
                    erased.extend(taken_out.map(|version| (table.clone(), version)));
                }
                Err(waiting) => return Ok(Err(waiting)),
            }
        }
        Ok(Ok(Some(Ready { view, note, arrived, tables, erased })))
    }

    fn looking<'a>(&'a self, report: &'a Report) -> Looking<'a> {
        let Reporter { storage, arrivals, ends, .. } = self;
        Looking { report: &report.name, storage, arrivals, ends: ends.as_ref() }
    }

    /// The rows of a table as of that moment, once its archive holds what had arrived then; and the version of the archive that has last taken
    /// erased changes out, none of which are in the rows.
    async fn table_at(
        &self,
        report: &Report,
        name: &str,
        since: Option<&Offsets>,
        at_us: i64,
    ) -> Result<Result<(TableRows, Option<u64>), Waiting>, ReportError> {
        let topic = &self.catalog.sources[name].topic;
        let Arrived { at, archived, erased } = match self.looking(report).arrived((name, topic), since, at_us).await? {
            Ok(arrived) => arrived,
            Err(waiting) => return Ok(Err(waiting)),
        };
        if let Some(lacking) = lacking(&at, &archived) {
            return Ok(Err(Waiting::Table { table: name.to_owned(), lacking }));
        }
        // What has arrived at that very moment came too late for the day, in every topic.
        let as_of = AsOf::Offsets(at.iter().map(|(id, offset)| (id.clone(), offset)).collect());
        let rows = table::as_of(&self.storage, &self.catalog, &self.catalog.tables[name], &as_of).await;
        // They are made of the archive as it is now, and of the table only if that lacks what was erased (B2).
        rows.map(|rows| Ok((rows, erased)))
            .map_err(|source| ReportError::Table { table: name.to_owned(), source: Box::new(source) })
    }
}
