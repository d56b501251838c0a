//! Archived records as witnesses: what lay at an offset when it was read (R12).

use std::collections::BTreeMap;

use platform::store::DataFile;
use polars::prelude::*;
use shared_logic::contracts::archive::{HASH, LOG, OFFSET, PARTITION, TIMESTAMP, record_columns};
use shared_logic::log::{ContentHash, OffsetRange, Witness};
use storage::Archive;

use super::{hashes, may_hold, within};
use crate::rows::{self, RowsError};

/// A record that was archived, as far as the archive can be compared with a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Archived {
    /// The record's offset.
    pub(crate) offset: i64,
    /// Microseconds since 1970.
    pub(crate) timestamp_us: Option<i64>,
    /// The record's short hash. An older build may have archived neither the hash nor the bytes.
    pub(crate) hash: Option<i32>,
}

impl Archived {
    /// A record of which the archive has the hash.
    #[cfg(test)]
    pub(crate) fn hashed(record: &Witness) -> Archived {
        Archived { offset: record.offset, timestamp_us: record.timestamp_us, hash: Some(record.short_hash()) }
    }

    /// Whether that record was archived: offset, timestamp and short hash are the same. Of records with the same offset
    /// and timestamp, one in 4 billion (2^32) passes for another. Where the hash is not known, all of them do.
    ///
    /// Epochs are not compared, because the archive does not keep them.
    pub(crate) fn is_same(&self, record: &Witness) -> bool {
        let fits = (self.offset, self.timestamp_us) == (record.offset, record.timestamp_us);
        fits && self.hash.is_none_or(|hash| hash == record.short_hash())
    }

    /// The record as a witness, if its hash is known.
    pub(crate) fn witness(&self) -> Option<Witness> {
        let Archived { offset, timestamp_us, hash } = *self;
        Some(Witness { offset, timestamp_us, epoch: None, hash: ContentHash::Short(hash?) })
    }
}

/// Archived records by log, partition and offset.
pub(crate) type Records = BTreeMap<(String, i32, i64), Archived>;

/// The archived records in those ranges, by log and partition as the ranges name them, then by offset.
///
/// Reads files whose statistics admit the ranges. The bytes of records are read only of files with such records that an
/// older build archived without their hashes. Of such files, one is in memory at a time, and of others, one row group.
///
/// # Errors
/// If the archive cannot be read.
pub(crate) async fn archived(archive: &Archive, ranges: &[OffsetRange]) -> Result<Records, RowsError> {
    let mut files: Vec<DataFile> = archive.files().await?.into_iter().filter(|file| may_hold(file, ranges)).collect();
    // The narrower a file's range of offsets, the likelier it holds one of them.
    files.sort_by_key(|file| file.ranges.get(OFFSET).map_or(i64::MAX, |(low, high)| high.saturating_sub(*low)));
    let wanted = ranges.iter().map(|range| range.to.saturating_sub(range.from)).fold(0_i64, i64::saturating_add);
    let mut found = Records::new();
    for file in files {
        if found.len() as i64 >= wanted {
            break;
        }
        let file = [file];
        let mut read = Records::new();
        for group in archive.row_groups(&file[0], &compared_columns(), |part| may_hold(part, ranges)).await? {
            let filter = within(ranges);
            read.extend(group.read(move |rows| records(&rows.lazy().filter(filter).collect()?)).await?);
        }
        if read.values().any(|record| record.hash.is_none()) {
            let rows = archive.read(&file, &record_columns().into_iter().collect()).await?.filter(within(ranges));
            let by_bytes = move || records(&hashes::filled(rows.collect()?)?);
            read = rows::compute("hash archived records", archive.path(), by_bytes).await?;
        }
        found.extend(read);
    }
    Ok(found)
}

/// The columns that say where a record lies and what it is compared by.
fn compared_columns() -> Schema {
    let compared = [LOG, PARTITION, OFFSET, TIMESTAMP, HASH];
    record_columns().into_iter().filter(|(name, _)| compared.contains(&name.as_str())).collect()
}

fn records(rows: &DataFrame) -> PolarsResult<Records> {
    let (log, partition) = (rows.column(LOG)?.str()?, rows.column(PARTITION)?.i32()?);
    let (offset, hash) = (rows.column(OFFSET)?.i64()?, rows.column(HASH)?.i32()?);
    let timestamp = rows.column(TIMESTAMP)?.cast(&DataType::Int64)?;
    let timestamp = timestamp.i64()?;
    let row = |row: usize| {
        let (log, partition) = (log.get(row).unwrap_or_default(), partition.get(row).unwrap_or_default());
        let offset = offset.get(row).unwrap_or_default();
        let record = Archived { offset, timestamp_us: timestamp.get(row), hash: hash.get(row) };
        ((log.to_owned(), partition, offset), record)
    };
    Ok((0..rows.height()).map(row).collect())
}
