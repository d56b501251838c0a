//! Which hours have to be recomputed: those of every row at or above the previous cut and below the new one, whenever its
//! file was added. The archive is normally ahead of a cut, so files say nothing by their age; the ranges of their offsets
//! find them.

use std::collections::{BTreeMap, BTreeSet};

use polars::prelude::*;
use shared_logic::catalog::{Metric, Source};
use shared_logic::contracts::archive::{ERROR, LOG, OFFSET, PARTITION};
use shared_logic::contracts::{Offsets, PartitionId};
use shared_logic::time::{DAY_US, HOUR_US, bucket_start, day_of};

use crate::archive::Archive;

/// A stretch of offsets of one partition, `[from, to)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stretch {
    pub(super) id: PartitionId,
    pub(super) from: i64,
    pub(super) to: i64,
}

/// The stretches between two cuts.
pub(super) fn between(previous: Option<&Offsets>, cut: &Offsets) -> Vec<Stretch> {
    let stretch = |(id, to): (&PartitionId, i64)| {
        let from = previous.and_then(|previous| previous.get(id)).unwrap_or(i64::MIN);
        Stretch { id: id.clone(), from, to }
    };
    cut.iter().map(stretch).filter(|stretch| stretch.from < stretch.to).collect()
}

/// Rows that lie in one of the stretches.
pub(super) fn lie_in(stretches: &[Stretch]) -> Expr {
    let inside = |stretch: &Stretch| {
        let place = col(LOG).eq(lit(stretch.id.log.as_str())).and(col(PARTITION).eq(lit(stretch.id.partition)));
        place.and(col(OFFSET).gt_eq(lit(stretch.from))).and(col(OFFSET).lt(lit(stretch.to)))
    };
    stretches.iter().map(inside).reduce(Expr::or).unwrap_or_else(|| lit(false))
}

/// The smallest piece of event time, in microseconds, that is recomputed as a whole: an hour, unless a bucket spans more.
pub(super) fn unit_us(metric: &Metric) -> i64 {
    [HOUR_US, metric.grain_us, DAY_US]
        .into_iter()
        .find(|unit| unit % metric.grain_us == 0 && (unit % HOUR_US == 0))
        .unwrap_or(DAY_US)
}

/// Per day, the starts of the touched units.
pub(super) type Touched = BTreeMap<i64, BTreeSet<i64>>;

/// The units that the rows in those stretches touch.
///
/// # Errors
/// If the archive cannot be read.
pub(super) async fn units(
    archive: &Archive,
    source: &Source,
    metric: &Metric,
    stretches: &[Stretch],
) -> anyhow::Result<Touched> {
    let files = archive.table.files().await?.into_iter().filter(|file| {
        stretches.iter().any(|stretch| {
            file.may_hold_text(LOG, &stretch.id.log)
                && file.may_hold(PARTITION, stretch.id.partition.into(), stretch.id.partition.into())
                && file.may_hold(OFFSET, stretch.from, stretch.to - 1)
        })
    });
    let mut columns = super::recompute::place_columns();
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
        let rows = rows.filter(col(ERROR).is_null().and(lie_in(stretches))).select([col(source.event_time.as_str())]);
        let times = tokio::task::spawn_blocking(move || rows.collect()).await??;
        for time in times.column(&source.event_time)?.i64()?.iter().flatten() {
            touched.entry(day_of(time)).or_default().insert(bucket_start(time, unit));
        }
    }
    Ok(touched)
}
