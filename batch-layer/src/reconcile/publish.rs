//! View and cut in one commit.

use std::collections::BTreeMap;

use anyhow::Context;
use platform::store::{Commit, Committed, DataFile, Table};
use shared_logic::catalog::{Catalog, Metric, Source};
use shared_logic::complete::own_view;
use shared_logic::contracts::batch_view::{BUCKET, DAY, NOTE_DOMAIN, Note};
use shared_logic::cut::{self, CutPlan};
use shared_logic::log::{OffsetRange, Offsets};
use shared_logic::time::{format_day, parse_day};

use super::cut::Rotated;
use super::recompute::{self, Day};
use super::touched;
use crate::archive::Archive;

/// What was committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Published {
    pub(super) version: u64,
    pub(super) days: usize,
    pub(super) rows: usize,
    pub(super) rebuilt: bool,
}

/// One metric to be reconciled.
pub(super) struct Plan<'a> {
    pub(super) catalog: &'a Catalog,
    pub(super) source: &'a Source,
    pub(super) metric: &'a Metric,
    pub(super) rotated: &'a Rotated,
}

impl Plan<'_> {
    /// Plans on the view's and the archive's present versions, recomputes and commits; `None` if somebody else committed
    /// to the view meanwhile.
    ///
    /// # Errors
    /// If a table cannot be read or written, or the archive fell behind the newest view's cut.
    pub(super) async fn publish(&self, view: &mut Table, archive: &Archive) -> anyhow::Result<Option<Published>> {
        let note: Option<Note> = view.note(NOTE_DOMAIN).await?;
        let definition = self.catalog.definition(self.metric);
        let own = own_view(note.as_ref(), &definition);
        let cut = self.cut(note.as_ref().map(|note| &note.cut), archive)?;
        let ranges = OffsetRange::between(own.map(|own| &own.cut), &cut);
        let touched = touched::units(archive, self.source, self.metric, &ranges).await?;
        let old = by_day(view.files().await?);
        let mut files = Vec::new();
        let (mut removed, mut rows) = (Vec::new(), 0);
        if own.is_none() {
            // A view of another definition is no view: every day of it goes.
            removed.extend(old.values().flatten().cloned());
        }
        let archived = by_day(archive.table.files().await?);
        let below = OffsetRange::between(None, &cut);
        for (day, units) in &touched {
            let day = format_day(*day);
            let carried = if own.is_some() { old.get(&day).cloned().unwrap_or_default() } else { Vec::new() };
            let unit_us = touched::unit_us(self.metric);
            let work =
                Day { source: self.source, metric: self.metric, facts: &archive.facts, below: &below, units, unit_us };
            let events = archived.get(&day).map(Vec::as_slice).unwrap_or_default();
            let frame =
                work.rows(&archive.table, events, view, &carried).await.with_context(|| format!("day {day}"))?;
            rows += frame.height();
            if frame.height() > 0 {
                files.push(view.write(&day, frame, &[BUCKET]).await?);
            }
            removed.extend(carried);
        }
        let days = touched.len();
        let note = Note {
            definition,
            cut,
            archive_version: archive.table.version(),
            committed_at_us: platform::clock::now_us(),
        };
        let mut commit = Commit::new("RECONCILE", DAY, note.committed_at_us)
            .adding(files)
            .removing(removed)
            .note(NOTE_DOMAIN, &note);
        if own.is_none() {
            commit = commit.schema(&recompute::view_schema(self.source, self.metric));
        }
        platform::failpoints::pass("reconcile::before_commit");
        let committed = view.commit(commit).await?;
        platform::failpoints::pass("reconcile::after_commit");
        Ok(match committed {
            Committed::At(version) => Some(Published { version, days, rows, rebuilt: own.is_none() }),
            Committed::Conflict => None,
        })
    }

    /// R1: never below the newest view's cut, whatever that view counts.
    fn cut(&self, previous: Option<&Offsets>, archive: &Archive) -> anyhow::Result<Offsets> {
        match cut::plan(previous, self.rotated, &archive.facts) {
            CutPlan::Ready(cut) => Ok(cut),
            CutPlan::Waiting(behind) => anyhow::bail!(
                "the archive at version {} does not cover the cut of the newest view: {behind:?}",
                archive.table.version()
            ),
        }
    }
}

/// Files apart by day, as far as their partition is one.
fn by_day(files: Vec<DataFile>) -> BTreeMap<String, Vec<DataFile>> {
    let mut days: BTreeMap<String, Vec<DataFile>> = BTreeMap::new();
    for file in files {
        days.entry(file.partition.clone()).or_default().push(file);
    }
    days.retain(|day, _| parse_day(day).is_some());
    days
}

#[cfg(test)]
mod tests;
