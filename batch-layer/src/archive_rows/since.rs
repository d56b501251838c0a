//! Which records were written at some moment or later, by their timestamps.

use std::collections::BTreeMap;
use std::ops::Range;

use platform::store::{DataFile, StoreError};
use polars::prelude::*;
use shared_logic::contracts::archive::{LOG, OFFSET, PARTITION, TIMESTAMP};
use shared_logic::log::{OffsetRange, PartitionId};
use shared_logic::schema::INSTANT;
use shared_logic::time::HOUR_US;
use storage::Archive;

use super::{may_hold, within};

/// How far a timestamp may lie ahead of the clock to be believed: as far as brokers take one, unless they are told otherwise
/// (`message.timestamp.after.max.ms`).
const AHEAD_US: i64 = HOUR_US;

/// The timestamps of records that were written at some moment or later, as far as that is known at `now_us`. A record that is dated
/// further ahead says nothing of when it was written; it would end its partition for every moment until then.
pub(crate) fn believed(at_us: i64, now_us: i64) -> Range<i64> {
    at_us..now_us.saturating_add(AHEAD_US).max(at_us)
}

/// The first offset of each range whose record has one of those timestamps, in microseconds since 1970. Ranges without one are left out;
/// no two are of the same partition. The files are the archive's, or decoded ones; row groups are left out by their statistics.
///
/// # Errors
/// If a file cannot be read.
pub(crate) async fn first_since(
    archive: &Archive,
    files: &[DataFile],
    mut ranges: Vec<OffsetRange>,
    times: Range<i64>,
) -> Result<BTreeMap<PartitionId, i64>, StoreError> {
    let columns =
        [(LOG, DataType::String), (PARTITION, DataType::Int32), (OFFSET, DataType::Int64), (TIMESTAMP, INSTANT)];
    let columns: Schema = columns.into_iter().map(|(name, dtype)| Field::new(name.into(), dtype)).collect();
    let is_since = |part: &DataFile| part.may_hold(TIMESTAMP, times.start, times.end - 1);
    let mut found: BTreeMap<PartitionId, i64> = BTreeMap::new();
    for file in files {
        // What lies behind a record that was found is not looked at any more.
        ranges.retain(|range| range.from < range.to);
        let wanted: Vec<OffsetRange> =
            ranges.iter().filter(|range| may_hold(file, std::slice::from_ref(*range))).cloned().collect();
        if wanted.is_empty() {
            continue;
        }
        for group in archive.row_groups(file, &columns, |part| may_hold(part, &wanted) && is_since(part)).await? {
            let timestamp = col(TIMESTAMP).cast(DataType::Int64);
            let since =
                timestamp.clone().gt_eq(lit(times.start)).and(timestamp.lt(lit(times.end))).and(within(&wanted));
            for (id, offset) in group.read(move |rows| first_offsets(&rows.lazy().filter(since).collect()?)).await? {
                let first = found.entry(id).or_insert(offset);
                *first = offset.min(*first);
            }
        }
        for range in &mut ranges {
            range.to = found.get(&range.id).map_or(range.to, |first| range.to.min(*first));
        }
    }
    Ok(found)
}

/// The smallest offset of each partition.
fn first_offsets(rows: &DataFrame) -> PolarsResult<BTreeMap<PartitionId, i64>> {
    let (logs, partitions) = (rows.column(LOG)?.str()?, rows.column(PARTITION)?.i32()?);
    let offsets = rows.column(OFFSET)?.i64()?;
    let mut first = BTreeMap::new();
    for row in 0..rows.height() {
        let id = PartitionId::new(logs.get(row).unwrap_or_default(), partitions.get(row).unwrap_or_default());
        let offset = offsets.get(row).unwrap_or_default();
        let known = first.entry(id).or_insert(offset);
        *known = offset.min(*known);
    }
    Ok(first)
}
