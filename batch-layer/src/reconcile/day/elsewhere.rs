//! Units of a day that a cluster counts anew, in place of this process.
//!
//! It is asked for the partials of all of them at once, and its answer is written as if they had been counted here. Nothing of an answer
//! reaches a file before the whole of it is there, and no room is taken meanwhile: a query may take long, and the memory for it is the
//! cluster's.

use std::collections::BTreeSet;
use std::sync::Arc;

use metrics::counter;
use platform::store::DataFile;
use polars::prelude::*;
use shared_logic::contracts::archive::{RECORD, field_column};
use shared_logic::log::OffsetRange;
use shared_logic::plan::in_sql::{EventTable, EventsInSql};
use shared_logic::schema::Field as SourceField;
use storage::Decoded;
use tracing::info;

use super::{Day, SoFar};
use crate::archive_rows::{may_hold, place_columns};
use crate::cluster::{Answer, Cluster, Query, TableFiles};
use crate::reconcile::error::DayError;
use crate::rows;

/// The tables of a query: files of the archive, and what others of them were decoded to.
const TABLES: [(&str, bool); 2] = [("archive", false), ("decoded", true)];

/// What a cluster is asked for.
pub(super) struct Asked<'a> {
    cluster: &'a Cluster,
    query: Query,
    /// How many archive rows it reads for that, at most.
    rows: u64,
}

/// What a cluster has counted.
pub(super) struct CountedElsewhere {
    answer: Answer,
    rows: u64,
}

impl Asked<'_> {
    /// Waits for the whole answer.
    pub(super) async fn answer(self) -> Result<CountedElsewhere, DayError> {
        let Asked { cluster, query, rows } = self;
        Ok(CountedElsewhere { answer: cluster.ask(&query).await?, rows })
    }
}

impl Day<'_> {
    /// What the cluster is asked for to count units anew, in pieces of about so many rows of the view; `None` if they are left to this
    /// process: without a cluster, for few rows, for a metric that cannot be said in SQL, and where it has to see the events, to name their
    /// identities or to compare copies.
    pub(super) fn asked(&self, units: &BTreeSet<i64>, rows_at_once: usize) -> Result<Option<Asked<'_>>, DayError> {
        let task = self.task;
        let compares_copies = task.compared && task.counted.is_some() && !self.source.event_id.is_empty();
        let Some(cluster) = self.cluster.filter(|_| !units.is_empty() && !task.identified && !compares_copies) else {
            return Ok(None);
        };
        let Ok(in_sql) = self.plan.in_sql() else { return Ok(None) };
        let (ranges, times) = (OffsetRange::between(None, &task.cut), self.times_of_part(units));
        let declared = self.archive.columns()?;
        let (mut events, mut tables, mut rows) = (Vec::new(), Vec::new(), 0);
        for (name, is_decoded) in TABLES {
            let column_of = |field: &SourceField| {
                if is_decoded { PlSmallStr::from(field.name.as_str()) } else { field_column(field, &declared) }
            };
            let time = self.source.field(&self.source.event_time).map(column_of).unwrap_or_default();
            let is_read = |file: &&DataFile| {
                Decoded::is_of(file) == is_decoded
                    && may_hold(file, &ranges)
                    && times.as_ref().is_none_or(|times| times.may_lie_in(file, &time))
            };
            let files: Vec<&DataFile> = task.events.iter().filter(is_read).collect();
            if files.is_empty() {
                continue;
            }
            rows += files.iter().map(|file| file.rows).sum::<u64>();
            let columns = self.fields.iter().map(|field| (column_of(field), field.name.clone())).collect();
            events.push(EventTable { name: name.to_owned(), columns });
            let fields = self.fields.iter().map(|field| (column_of(field), field.kind.table_type()));
            let columns = place_columns().into_iter().chain(fields);
            let urls = files.iter().map(|file| self.archive.url_of(file)).collect();
            tables.push(TableFiles::new(name, columns, urls));
        }
        if tables.is_empty() || !cluster.is_worth(rows) {
            return Ok(None);
        }
        let sql = in_sql.of_events(&EventsInSql {
            tables: &events,
            record: RECORD,
            logs: &task.logs,
            ranges: &ranges,
            times: times.as_ref().map(|times| (&times.starts, times.length_us)),
        });
        let query = Query { name: format!("{} {}", task.metric, task.day), sql, rows_at_once, tables };
        Ok(Some(Asked { cluster, query, rows }))
    }

    /// Takes what the cluster has counted of units.
    pub(super) async fn take(
        &self,
        so_far: &mut SoFar<'_>,
        units: &BTreeSet<i64>,
        counted: CountedElsewhere,
    ) -> Result<(), DayError> {
        let CountedElsewhere { mut answer, rows } = counted;
        while let Some(piece) = answer.next().await? {
            let plan = Arc::clone(&self.plan);
            let partials = rows::compute("take partials", self.archive.path(), move || {
                let in_sql = plan.in_sql();
                in_sql.map_err(|refused| PolarsError::ComputeError(refused.to_string().into()))?.rows(piece)
            });
            so_far.output.push(partials.await?).await?;
        }
        let task = self.task;
        info!(metric = task.metric, day = task.day, units = units.len(), rows, "counted by the cluster");
        // Here, since nothing else tells what a rebuild's days took.
        counter!("braid_reconcile_rows_elsewhere_total", "metric" => task.metric.clone()).increment(rows);
        so_far.work.elsewhere += rows;
        so_far.work.recomputed += units.len() as u64;
        Ok(())
    }
}
