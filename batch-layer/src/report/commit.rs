//! The rows of a day in the place of those of before, if they differ (P1).

use platform::store::Committed;
use platform::task::Backoff;
use polars::prelude::{DataFrame, DataType, PlSmallStr, Schema};
use shared_logic::catalog::Report;
use shared_logic::contracts::report::DateNote;
use shared_logic::report::{Layout, is_free_of, same_rows};
use shared_logic::schema::FieldType;
use storage::ReportTable;
use tracing::warn;

use super::outcome::{DateDone, DateOutcome};
use super::{ReportError, Reporter};
use crate::rows::compute;

impl Reporter {
    /// P1: commits the rows of a day on top of the version that they were compared with. After a conflict they are compared with the newer
    /// version, and are left out if another run has committed the day meanwhile, by the same definition and from a view that is not older.
    /// `rows` are as in memory.
    ///
    /// # Errors
    /// If the table cannot be read or written, or has a column of another type.
    pub(super) async fn commit(
        &self,
        report: &Report,
        table: &mut ReportTable,
        date: &str,
        rows: DataFrame,
        mut of_date: DateNote,
    ) -> Result<DateDone, ReportError> {
        let layout = Layout::of(&self.catalog, report);
        let (in_memory, in_table) = (layout.in_memory(), layout.in_table());
        let ranged: Vec<&str> =
            layout.keys.iter().filter(|(_, kind)| *kind != FieldType::Bool).map(|(name, _)| name.as_str()).collect();
        let mut backoff = Backoff::new(self.settings.retry_backoff.get());
        let commit_of = |note: Option<&DateNote>| note.map(|note| (note.revisions, note.committed_at_us));
        let seen = commit_of(table.date(date));
        for _ in 0..self.settings.max_attempts {
            let done = |outcome, rows, version| DateDone { date: date.to_owned(), outcome, rows, version };
            let before = table.date(date).cloned();
            // Not by a commit of another day.
            let is_overtaken = commit_of(before.as_ref()) != seen;
            if let Some(before) = before.as_ref().filter(|before| {
                is_overtaken
                    && before.definition == of_date.definition
                    && before.view_version >= of_date.view_version
                    && is_free_of(&before.erased, &of_date.erased)
            }) {
                return Ok(done(DateOutcome::LeftToAnother, before.rows, table.version()));
            }
            if let Some(before) = before.as_ref().filter(|before| before.definition == of_date.definition)
                && self.is_same(table, date, &rows, &in_memory).await?
            {
                // That they hold nothing of what was erased since is kept, or they would be computed again by each run.
                if !is_free_of(&before.erased, &of_date.erased) {
                    let committed = table.note_erased(date, of_date.erased.clone()).await?;
                    if committed == Committed::Conflict {
                        tokio::time::sleep(backoff.wait()).await;
                        table.refresh().await?;
                        continue;
                    }
                }
                return Ok(done(DateOutcome::Unchanged, before.rows, table.version()));
            }
            let columns = columns(table, &in_table)?;
            of_date.revisions = before.as_ref().map_or(0, |before| before.revisions + 1);
            of_date.committed_at_us = platform::clock::now_us();
            let (written, path) = (rows.clone(), table.path().to_owned());
            let in_table = in_table.clone();
            let written = compute("write rows", &path, move || {
                let column = |(name, dtype): (&PlSmallStr, &DataType)| written.column(name)?.cast(dtype);
                DataFrame::new(written.height(), in_table.iter().map(column).collect::<Result<_, _>>()?)
            });
            let written = written.await?;
            let committed = table.replace(date, written, of_date.clone(), (&columns, ranged.as_slice())).await?;
            if let Committed::At(version) = committed {
                self.tidy_up(table).await;
                let outcome = if before.is_some() { DateOutcome::Revised } else { DateOutcome::Written };
                return Ok(done(outcome, of_date.rows, version));
            }
            tokio::time::sleep(backoff.wait()).await;
            table.refresh().await?;
        }
        Err(ReportError::Overtaken { table: table.path().to_owned(), attempts: self.settings.max_attempts })
    }

    /// Whether the table says the same of a day.
    async fn is_same(
        &self,
        table: &ReportTable,
        date: &str,
        rows: &DataFrame,
        columns: &Schema,
    ) -> Result<bool, ReportError> {
        let files = table.files_of(date).await?;
        let (before, now) = (table.read(&files, columns).await?, rows.clone());
        Ok(compute("compare rows", table.path(), move || same_rows(&before.collect()?, &now)).await?)
    }

    /// From time to time, writes a checkpoint and removes files that belong to no version. A failure is logged and nothing else, because
    /// the table works without this.
    async fn tidy_up(&self, table: &ReportTable) {
        if !table.version().is_multiple_of(self.checkpoint_every) {
            return;
        }
        if let Err(error) = table.tidy_up().await {
            let error = platform::telemetry::error_text(&error);
            warn!(table = table.path(), error, "cannot tidy up; trying again later");
        }
    }
}

/// The columns that the table declares from now on: those that it has, so that older days keep theirs, and those that are new.
fn columns(table: &ReportTable, now: &Schema) -> Result<Schema, ReportError> {
    let mut columns = table.columns()?;
    for (name, dtype) in now.iter() {
        let known = columns.iter().find(|(known, _)| known.eq_ignore_ascii_case(name.as_str()));
        if let Some((known, before)) = known {
            if known != name || before != dtype {
                return Err(ReportError::OtherType {
                    table: table.path().to_owned(),
                    column: name.to_string(),
                    before: format!("{known} {before}"),
                    now: format!("{name} {dtype}"),
                });
            }
            continue;
        }
        columns.with_column(name.clone(), dtype.clone());
    }
    Ok(columns)
}
