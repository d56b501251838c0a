//! Reads rows of reports from the warehouse, from the newest version of their tables.

use std::collections::BTreeMap;
use std::sync::Arc;

use platform::store::StoreError;
use platform::telemetry::error_text;
use polars::prelude::{BooleanChunked, Column, DataFrame, PolarsError, PolarsResult};
use shared_logic::catalog::{Catalog, Report};
use shared_logic::contracts::report::{DateNote, Note};
use shared_logic::expression::{Scalar, of_column};
use shared_logic::group_key::{KeyPart, KeyValue};
use shared_logic::report::{Layout, json};
use storage::{Followed, ReportTable, Storage};
use tokio::sync::Mutex;

use crate::problem::Problem;
use crate::table_notes::STORE_WITHIN;

/// Reads the rows of one report.
pub(crate) struct ReportReader {
    pub(crate) report: Report,
    pub(crate) layout: Layout,
    table: Mutex<Followed<Note>>,
}

impl ReportReader {
    /// Reads nothing yet.
    pub(crate) fn new(catalog: &Catalog, report: &Report, storage: &Storage) -> ReportReader {
        let (layout, table) = (Layout::of(catalog, report), Mutex::new(storage.follow_report(&report.name)));
        ReportReader { report: report.clone(), layout, table }
    }

    /// The readers of all reports.
    pub(crate) fn all(catalog: &Catalog, storage: &Storage) -> BTreeMap<String, Arc<ReportReader>> {
        let reader = |report: &Report| Arc::new(ReportReader::new(catalog, report, storage));
        catalog.reports.iter().map(|(name, report)| (name.clone(), reader(report))).collect()
    }

    /// The table at its newest version; `None` until its first commit.
    ///
    /// # Errors
    /// If the store cannot be read, or does not answer in time. Whoever waits for another request that reads it waits no longer than that.
    pub(crate) async fn newest(&self) -> Result<Option<ReportTable>, Problem> {
        let read = async {
            let mut table = self.table.lock().await;
            let newest = table.newest().await.map_err(|error| Problem::store(&error_text(&error)))?;
            Ok::<_, Problem>(newest.filter(|table| table.note().is_some()).cloned())
        };
        let name = &self.report.name;
        tokio::time::timeout(STORE_WITHIN, read).await.unwrap_or_else(|_| {
            Err(Problem::store(&format!("the store did not give the report {name} within {STORE_WITHIN:?}")))
        })
    }

    /// The row of a key in a day that was written, each column as it stands in an answer; `None` if there is none.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub(crate) async fn row(
        &self,
        table: &ReportTable,
        date: &str,
        key: &[KeyPart],
    ) -> Result<Option<Vec<serde_json::Value>>, Problem> {
        let read = self.read(table, date, key).await;
        read.map_err(|error| Problem::store(&error_text(&error)))
    }

    async fn read(
        &self,
        table: &ReportTable,
        date: &str,
        key: &[KeyPart],
    ) -> Result<Option<Vec<serde_json::Value>>, StoreError> {
        let columns = self.layout.in_memory();
        for file in table.files_of(date).await? {
            let named = self.layout.keys.iter().zip(key);
            let mut may_hold = named.map(|((name, _), part)| match part {
                KeyPart::Value(KeyValue::Text(text)) => file.may_hold_text(name, text),
                KeyPart::Value(KeyValue::Int(value)) => file.may_hold(name, *value, *value),
                _ => true,
            });
            if !may_hold.all(|may| may) {
                continue;
            }
            for group in table.row_groups(&file, &columns, |_| true).await? {
                let (layout, key) = (self.layout.clone(), key.to_vec());
                if let Some(row) = group.read(move |rows| row_of(&rows, &layout, &key)).await? {
                    return Ok(Some(row));
                }
            }
        }
        Ok(None)
    }
}

/// What is known of a day, if it was written.
pub(crate) fn written<'a>(table: Option<&'a ReportTable>, date: &str) -> Option<&'a DateNote> {
    table?.date(date)
}

/// The row of a key among rows.
fn row_of(rows: &DataFrame, layout: &Layout, key: &[KeyPart]) -> PolarsResult<Option<Vec<serde_json::Value>>> {
    let mut is_it: Option<BooleanChunked> = None;
    for ((name, _), part) in layout.keys.iter().zip(key) {
        let of_part = holds(rows.column(name)?, part)?;
        is_it = Some(match is_it {
            Some(so_far) => so_far & of_part,
            None => of_part,
        });
    }
    let found = match is_it {
        Some(is_it) => rows.filter(&is_it)?,
        None => rows.clone(),
    };
    if found.height() == 0 {
        return Ok(None);
    }
    let cells = layout.columns().into_iter().map(|(name, kind)| {
        let cell = of_column(found.column(name)?, kind)?.next().unwrap_or(Scalar::Null);
        Ok::<_, PolarsError>(json(&cell))
    });
    cells.collect::<PolarsResult<_>>().map(Some)
}

/// In which rows a column has what a key says of it.
fn holds(column: &Column, part: &KeyPart) -> PolarsResult<BooleanChunked> {
    Ok(match part {
        KeyPart::All => std::iter::repeat_n(true, column.len()).collect(),
        KeyPart::Missing => column.is_null(),
        KeyPart::Value(KeyValue::Text(text)) => column.str()?.iter().map(|cell| cell == Some(text.as_str())).collect(),
        KeyPart::Value(KeyValue::Bool(value)) => column.bool()?.iter().map(|cell| cell == Some(*value)).collect(),
        KeyPart::Value(KeyValue::Int(value) | KeyValue::Timestamp(value)) => {
            column.i64()?.iter().map(|cell| cell == Some(*value)).collect()
        }
    })
}
