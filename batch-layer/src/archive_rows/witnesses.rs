//! Archived records as witnesses: what lay at an offset when it was read (R12).

use std::collections::BTreeMap;

use platform::store::DataFile;
use polars::prelude::*;
use shared_logic::contracts::archive::{ERROR, HEADERS, KEY, LOG, OFFSET, PARTITION, RAW, TIMESTAMP, record_columns};
use shared_logic::log::{Content, OffsetRange, Witness};
use storage::Archive;

use super::{may_hold, place_columns, within};
use crate::rows::{self, RowsError};

/// A record that was archived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Archived {
    /// The archive does not keep the leader epoch.
    witness: Witness,
    /// Whether its bytes were kept. If not, only its time can be compared.
    has_bytes: bool,
}

impl Archived {
    /// The record of that witness, whose bytes were kept or not.
    pub(crate) fn new(witness: Witness, has_bytes: bool) -> Archived {
        Archived { witness, has_bytes }
    }

    /// Whether that record was archived.
    pub(crate) fn is_same(&self, record: &Witness) -> bool {
        if self.has_bytes {
            self.witness.is_same(record)
        } else {
            (self.witness.offset, self.witness.timestamp_us) == (record.offset, record.timestamp_us)
        }
    }

    /// The record as a witness, if its bytes were kept.
    pub(crate) fn witness(&self) -> Option<Witness> {
        self.has_bytes.then_some(self.witness)
    }
}

/// Archived records by log, partition and offset.
pub(crate) type Records = BTreeMap<(String, i32, i64), Archived>;

/// The archived records in those ranges, by log and partition as the ranges name them, then by offset.
///
/// A file whose statistics admit the ranges is first asked where its rows lie; the bytes of records are read only of files that
/// hold one. One file is in memory at a time.
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
        let places = archive.read(&file, &place_columns()).await?.filter(within(ranges));
        let count = rows::compute("find archived records", archive.path(), move || Ok(places.collect()?.height()));
        if count.await? > 0 {
            let rows = archive.read(&file, &record_columns().into_iter().collect()).await?.filter(within(ranges));
            let read = rows::compute("read archived records", archive.path(), move || witnesses(&rows.collect()?));
            found.extend(read.await?);
        }
    }
    Ok(found)
}

fn witnesses(rows: &DataFrame) -> PolarsResult<Records> {
    let (log, error, headers) = (rows.column(LOG)?.str()?, rows.column(ERROR)?.str()?, rows.column(HEADERS)?.str()?);
    let (partition, offset) = (rows.column(PARTITION)?.i32()?, rows.column(OFFSET)?.i64()?);
    let timestamp = rows.column(TIMESTAMP)?.cast(&DataType::Int64)?;
    let timestamp = timestamp.i64()?;
    let (key, raw) = (rows.column(KEY)?.binary()?, rows.column(RAW)?.binary()?);
    let row = |row: usize| {
        let (log, partition) = (log.get(row).unwrap_or_default(), partition.get(row).unwrap_or_default());
        let offset = offset.get(row).unwrap_or_default();
        let content = Content {
            timestamp_us: timestamp.get(row),
            key: key.get(row),
            payload: raw.get(row),
            headers: headers.get(row),
        };
        let has_bytes = raw.get(row).is_some() || error.get(row).is_some();
        let archived = Archived::new(Witness::of(offset, None, &content), has_bytes);
        ((log.to_owned(), partition, offset), archived)
    };
    Ok((0..rows.height()).map(row).collect())
}
