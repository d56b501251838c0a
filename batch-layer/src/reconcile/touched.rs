//! Which hours have to be recomputed: those of every row at or above the previous cut and below the new one, whenever its
//! file was added. The archive is normally ahead of a cut, so files say nothing by their age; the ranges of their offsets
//! find them.

use std::collections::{BTreeMap, BTreeSet};

use polars::prelude::*;
use shared_logic::catalog::{Metric, Source};
use shared_logic::contracts::archive::{ERROR, LOG, OFFSET, PARTITION};
use shared_logic::log::OffsetRange;
use shared_logic::time::{DAY_US, HOUR_US, bucket_start, day_of};

use super::archived_rows::{place_columns, within};
use crate::archive::Archive;

/// The smallest piece of event time, in microseconds, that is recomputed as a whole: an hour, unless a bucket spans more.
pub(super) fn unit_us(metric: &Metric) -> i64 {
    [HOUR_US, metric.grain_us, DAY_US]
        .into_iter()
        .find(|unit| unit % metric.grain_us == 0 && (unit % HOUR_US == 0))
        .unwrap_or(DAY_US)
}

/// Per day, the starts of the touched units.
pub(super) type Touched = BTreeMap<i64, BTreeSet<i64>>;

/// The units that the rows in those ranges touch.
///
/// # Errors
/// If the archive cannot be read.
pub(super) async fn units(
    archive: &Archive,
    source: &Source,
    metric: &Metric,
    ranges: &[OffsetRange],
) -> anyhow::Result<Touched> {
    let files = archive.table.files().await?.into_iter().filter(|file| {
        ranges.iter().any(|range| {
            file.may_hold_text(LOG, &range.id.log)
                && file.may_hold(PARTITION, range.id.partition.into(), range.id.partition.into())
                && file.may_hold(OFFSET, range.from, range.to - 1)
        })
    });
    let mut columns = place_columns();
    columns.with_column(source.event_time.as_str().into(), DataType::Int64);
    let unit = unit_us(metric);
    let mut touched = Touched::new();
    // A day at a time, so that memory is bounded by a day.
    let mut by_day: BTreeMap<String, Vec<_>> = BTreeMap::new();
    for file in files {
        by_day.entry(file.partition.clone()).or_default().push(file);
    }
    for files in by_day.values() {
        let rows = archive.table.read(files, &columns).await?;
        let rows = rows.filter(col(ERROR).is_null().and(within(ranges))).select([col(source.event_time.as_str())]);
        let times = tokio::task::spawn_blocking(move || rows.collect()).await??;
        for time in times.column(&source.event_time)?.i64()?.iter().flatten() {
            touched.entry(day_of(time)).or_default().insert(bucket_start(time, unit));
        }
    }
    Ok(touched)
}
