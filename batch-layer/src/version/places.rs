//! Which records lie in the keys and buckets in which a replay differs, so that an operator can look at them.

use std::collections::{BTreeMap, BTreeSet};

use platform::store::DataFile;
use polars::prelude::*;
use serde_json::Value as Json;
use shared_logic::catalog::{Metric, Source};
use shared_logic::contracts::archive::{LOG, OFFSET, PARTITION};
use shared_logic::group_key::GroupKey;
use shared_logic::log::OffsetRange;
use shared_logic::time::{bucket_start, day_of, parse_day};
use storage::Archive;

use super::report::{Difference, Place};
use crate::archive_rows::scan::{Scan, Times, Wanted};
use crate::rows::RowsError;

/// By log and partition, the first offset and the one behind the last.
type Found = BTreeMap<(String, i32), (i64, i64)>;

/// The records in those ranges that the keys and buckets of differences are of.
///
/// # Errors
/// If the archive cannot be read.
pub(super) async fn places(
    archive: &Archive,
    source: &Source,
    metric: &Metric,
    (files, ranges): (&[DataFile], &[OffsetRange]),
    differences: &[Difference],
) -> Result<Vec<Place>, RowsError> {
    let starts: BTreeSet<i64> = differences.iter().map(|difference| difference.bucket_us).collect();
    if starts.is_empty() {
        return Ok(Vec::new());
    }
    let days: BTreeSet<i64> = starts.iter().map(|start| day_of(*start)).collect();
    let is_of_day = |file: &&DataFile| parse_day(&file.partition).is_none_or(|day| days.contains(&day));
    let files: Vec<DataFile> = files.iter().filter(is_of_day).cloned().collect();
    let times = Times { starts, length_us: metric.grain_us };
    let is_read = |name: &String| metric.by.contains(name) || *name == source.event_time;
    let fields = source.fields.iter().filter(|field| is_read(&field.name)).collect();
    let wanted: Vec<(i64, Json)> = differences.iter().map(|one| (one.bucket_us, one.key.clone())).collect();
    let (of_source, of_metric) = (source.clone(), metric.clone());
    let look = move |rows: DataFrame| of_rows(&rows, &of_source, &of_metric, &wanted);
    let mut scan = Scan::new(archive, source, &files, Wanted { fields, ranges, times: Some(&times) }, look)?;
    let mut all = Found::new();
    while let Some(found) = scan.next().await? {
        for (place, (from, to)) in found {
            let (first, last) = all.entry(place).or_insert((from, to));
            (*first, *last) = ((*first).min(from), (*last).max(to));
        }
    }
    let place = |((log, partition), offsets)| Place { log, partition, offsets };
    Ok(all.into_iter().map(place).collect())
}

fn of_rows(rows: &DataFrame, source: &Source, metric: &Metric, wanted: &[(i64, Json)]) -> PolarsResult<Found> {
    let columns = metric.by.iter().map(|name| {
        let Some(field) = source.field(name) else { return Ok(None) };
        Ok(Some((rows.column(name)?, field.kind)))
    });
    let keys = GroupKey::of_columns(rows.height(), &columns.collect::<PolarsResult<Vec<_>>>()?)?;
    let (logs, partitions) = (rows.column(LOG)?.str()?, rows.column(PARTITION)?.i32()?);
    let (offsets, times) = (rows.column(OFFSET)?.i64()?, rows.column(&source.event_time)?.i64()?);
    let mut found = Found::new();
    for (row, key) in keys.iter().enumerate() {
        let (Some(log), Some(partition)) = (logs.get(row), partitions.get(row)) else { continue };
        let (Some(offset), Some(time)) = (offsets.get(row), times.get(row)) else { continue };
        let bucket = bucket_start(time, metric.grain_us);
        let of_bucket = || wanted.iter().filter(move |(start, _)| *start == bucket);
        if of_bucket().next().is_none() {
            continue;
        }
        let key: Json = serde_json::from_str(key.as_str()).unwrap_or_default();
        if of_bucket().any(|(_, wanted)| is_of(wanted, &key)) {
            let (first, last) = found.entry((log.to_owned(), partition)).or_insert((offset, offset + 1));
            (*first, *last) = ((*first).min(offset), (*last).max(offset + 1));
        }
    }
    Ok(found)
}

/// Whether an event with that key counts under a key that may sum over columns.
fn is_of(wanted: &Json, key: &Json) -> bool {
    match (wanted.as_array(), key.as_array()) {
        (Some(wanted), _) if wanted.is_empty() => true,
        (Some(wanted), Some(key)) => {
            wanted.len() == key.len() && wanted.iter().zip(key).all(|(wanted, key)| wanted.is_null() || wanted == key)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_event_counts_under_its_key_and_under_those_that_sum_over_columns() {
        let key = json!(["a", {}]);
        for wanted in [json!([]), json!(["a", {}]), json!([null, {}]), json!(["a", null])] {
            assert!(is_of(&wanted, &key), "{wanted}");
        }
        for other in [json!(["b", {}]), json!(["a", "b"]), json!([null, "b"]), json!(["a"])] {
            assert!(!is_of(&other, &key), "{other}");
        }
    }
}
