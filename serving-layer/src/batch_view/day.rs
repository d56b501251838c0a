//! Builds the segment of a day from the view's files of that day.
//!
//! Files have only the finest group keys, in no order, and may have several rows of one key and bucket. The rows of every other
//! grouping set are merged from them.

use std::sync::Arc;

use platform::store::StoreError;
use polars::prelude::*;
use shared_logic::contracts::batch_view;
use shared_logic::partial::{self, Partials, grouping_sets};
use shared_logic::schema::FieldType;
use shared_logic::time::{DAY_US, bucket_index, bucket_start, day_of, format_day};

use super::runs::{Runs, UnsortedRow};
use super::segment::{Origin, Pick, Segment, SegmentError};
use super::shelf::Shelf;
use super::{Counted, ViewError};

/// How many rows of a file are taken at once. A row with sketches counts for as many as these weigh.
const CHUNK_ROWS: usize = 32 * 1024;

/// Collects the rows of a day.
pub(super) struct DayBuilder {
    counted: Arc<Counted>,
    shelf: Arc<Shelf>,
    runs: Runs,
    day: i64,
    table: String,
}

impl DayBuilder {
    /// No rows of the day yet. Runs of rows in memory take about `run_bytes`. `table` is the view's path, for messages.
    pub(super) fn new(
        counted: &Arc<Counted>,
        shelf: &Arc<Shelf>,
        day: i64,
        table: &str,
        run_bytes: usize,
    ) -> DayBuilder {
        let runs = Runs::new(Arc::clone(shelf), run_bytes);
        let (counted, shelf) = (Arc::clone(counted), Arc::clone(shelf));
        DayBuilder { counted, shelf, runs, day, table: table.to_owned() }
    }

    /// Adds rows of a file, which are read with [`columns`].
    ///
    /// # Errors
    /// If a column is missing or has another type, a row is not of this day, or runs cannot be written.
    pub(super) fn add(mut self, mut rows: DataFrame) -> Result<DayBuilder, ViewError> {
        let Counted { source, metric } = self.counted.as_ref();
        let unread =
            |source| StoreError::Frame { operation: "read the rows of a day", table: self.table.clone(), source };
        // The plan, which made these partials, has another name for the column.
        rows.rename(batch_view::BUCKET, partial::BUCKET.into()).map_err(unread)?;
        let at_once = (CHUNK_ROWS / metric.weight()).max(1);
        for from in (0..rows.height()).step_by(at_once) {
            let chunk = rows.slice(from as i64, at_once);
            for set in grouping_sets(metric.by.len()) {
                let partials = Partials::of_frame(source, metric, &chunk, |column| set & (1 << column) != 0);
                let partials = partials.map_err(unread)?;
                let rows: Option<Vec<UnsortedRow<'_>>> =
                    partials.rows().map(|(key, bucket, values)| Some((key, self.slot(bucket)?, values))).collect();
                let rows = rows.ok_or_else(|| self.foreign())?;
                self.runs.add(rows)?;
            }
        }
        Ok(self)
    }

    /// Builds the segment from these rows and those of `base`, an older segment of the day.
    ///
    /// # Errors
    /// If it cannot be written, or `base` cannot be read.
    pub(super) fn finish(self, base: Option<&Segment>, origin: Origin) -> Result<Arc<Segment>, SegmentError> {
        let mut cursors = self.runs.into_cursors();
        if let Some(base) = base {
            cursors.push(base.cursor(Pick::Rows)?);
        }
        self.shelf.build(cursors, origin)
    }

    /// The number of a bucket within the day.
    fn slot(&self, bucket: i64) -> Option<u32> {
        let grain_us = self.counted.metric.grain_us;
        let is_of_day = day_of(bucket) == self.day && bucket_start(bucket, grain_us) == bucket;
        u32::try_from(bucket_index(bucket - self.day * DAY_US, grain_us)).ok().filter(|_| is_of_day)
    }

    fn foreign(&self) -> StoreError {
        let what = format!("a row that is not of a bucket of {}", format_day(self.day));
        StoreError::Foreign { table: self.table.clone(), what }
    }
}

/// The columns from which a day is built, in the types of [`Partials`]: points in time are integers of microseconds.
pub(super) fn columns(counted: &Counted) -> Schema {
    let (source, metric) = (&counted.source, &counted.metric);
    let by = metric.by.iter().map(|name| {
        let kind = source.field(name).map_or(FieldType::String, |field| field.kind);
        (name.as_str().into(), key_type(kind))
    });
    let measures = metric.measures.iter().map(|measure| (measure.name.as_str().into(), measure.kind.column_type()));
    [(batch_view::BUCKET.into(), DataType::Int64)].into_iter().chain(by).chain(measures).collect()
}

fn key_type(kind: FieldType) -> DataType {
    match kind {
        FieldType::String => DataType::String,
        FieldType::Bool => DataType::Boolean,
        FieldType::Int | FieldType::Timestamp | FieldType::Float => DataType::Int64,
    }
}
