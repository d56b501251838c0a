//! Which records were written at some moment or later, by their timestamps.

use std::collections::BTreeMap;

use platform::store::{DataFile, StoreError};
use polars::prelude::*;
use shared_logic::contracts::archive::{LOG, OFFSET, PARTITION, TIMESTAMP};
use shared_logic::log::{OffsetRange, PartitionId};
use shared_logic::schema::INSTANT;
use storage::Archive;

use super::{may_hold, within};

/// The first offset of each range whose record has a timestamp of that moment or later, in microseconds since 1970. Ranges without one are
/// left out; no two are of the same partition. The files are the archive's, or decoded ones; row groups are left out by their statistics.
///
/// # Errors
/// If a file cannot be read.
pub(crate) async fn first_since(
    archive: &Archive,
    files: &[DataFile],
    mut ranges: Vec<OffsetRange>,
    at_us: i64,
) -> Result<BTreeMap<PartitionId, i64>, StoreError> {
    let columns =
        [(LOG, DataType::String), (PARTITION, DataType::Int32), (OFFSET, DataType::Int64), (TIMESTAMP, INSTANT)];
    let columns: Schema = columns.into_iter().map(|(name, dtype)| Field::new(name.into(), dtype)).collect();
    let is_since = |part: &DataFile| part.ranges.get(TIMESTAMP).is_none_or(|(_, high)| *high >= at_us);
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
            let since = col(TIMESTAMP).cast(DataType::Int64).gt_eq(lit(at_us)).and(within(&wanted));
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
