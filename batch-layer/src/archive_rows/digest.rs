//! Which records these are, in 64 bits, whatever their order: the same records, archived and read again, have the same digest
//! (R11).

use std::hash::{DefaultHasher, Hash, Hasher};

use platform::store::DataFile;
use polars::prelude::*;
use shared_logic::contracts::archive::{HASH, LOG, OFFSET, PARTITION, TIMESTAMP, record_columns};
use shared_logic::log::OffsetRange;
use storage::Archive;

use super::within;
use crate::rows::{self, RowsError};

/// A digest of records of one log.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct RecordsDigest {
    /// How many records there are.
    pub(crate) records: usize,
    /// The sum of the hashes of their places and times.
    places: u64,
    /// How many of them have a short hash. Older builds archived none.
    hashed: usize,
    /// The same sum of those, with their short hashes.
    contents: u64,
}

impl RecordsDigest {
    /// Adds a record.
    pub(crate) fn add(&mut self, partition: i32, offset: i64, timestamp_us: Option<i64>, short_hash: Option<i32>) {
        let place = (partition, offset, timestamp_us);
        self.records += 1;
        self.places = self.places.wrapping_add(digest(&place));
        if let Some(hash) = short_hash {
            self.hashed += 1;
            self.contents = self.contents.wrapping_add(digest(&(place, hash)));
        }
    }

    /// The records of both.
    pub(crate) fn and(self, other: RecordsDigest) -> RecordsDigest {
        RecordsDigest {
            records: self.records + other.records,
            places: self.places.wrapping_add(other.places),
            hashed: self.hashed + other.hashed,
            contents: self.contents.wrapping_add(other.contents),
        }
    }

    /// Whether both are the same records: by their offsets, times and short hashes, and if some have none, by their offsets
    /// and times.
    pub(crate) fn is_same(&self, other: &RecordsDigest) -> bool {
        let places = |digest: &RecordsDigest| (digest.records, digest.places);
        let are_hashed = [self, other].iter().all(|digest| digest.hashed == digest.records);
        places(self) == places(other) && (!are_hashed || self.contents == other.contents)
    }
}

fn digest(of: &impl Hash) -> u64 {
    let mut hash = DefaultHasher::new();
    of.hash(&mut hash);
    hash.finish()
}

/// The records of a file in those ranges, and how many others it holds.
///
/// # Errors
/// If the file cannot be read.
pub(crate) async fn of_file(
    archive: &Archive,
    file: &DataFile,
    ranges: &[OffsetRange],
) -> Result<(RecordsDigest, usize), RowsError> {
    let compared = [LOG, PARTITION, OFFSET, TIMESTAMP, HASH];
    let columns = record_columns().into_iter().filter(|(name, _)| compared.contains(&name.as_str()));
    let rows = archive.read(std::slice::from_ref(file), &columns.collect()).await?;
    let within = within(ranges);
    rows::compute("find archived records", archive.path(), move || {
        let all = rows.collect()?;
        let wanted = of_rows(&all.clone().lazy().filter(within).collect()?)?;
        Ok((wanted, all.height() - wanted.records))
    })
    .await
}

fn of_rows(rows: &DataFrame) -> PolarsResult<RecordsDigest> {
    let (partition, offset) = (rows.column(PARTITION)?.i32()?, rows.column(OFFSET)?.i64()?);
    let timestamp = rows.column(TIMESTAMP)?.cast(&DataType::Int64)?;
    let (timestamp, hash) = (timestamp.i64()?, rows.column(HASH)?.i32()?);
    let mut digest = RecordsDigest::default();
    for row in 0..rows.height() {
        let (partition, offset) = (partition.get(row).unwrap_or_default(), offset.get(row).unwrap_or_default());
        digest.add(partition, offset, timestamp.get(row), hash.get(row));
    }
    Ok(digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Partition, offset, time, short hash.
    type Record = (i32, i64, Option<i64>, Option<i32>);

    fn of(records: &[Record]) -> RecordsDigest {
        let mut digest = RecordsDigest::default();
        records.iter().for_each(|(partition, offset, time, hash)| digest.add(*partition, *offset, *time, *hash));
        digest
    }

    #[test]
    fn the_order_of_records_does_not_matter_and_their_places_times_and_hashes_do() {
        let (one, other): (Record, Record) = ((0, 7, Some(5), Some(1)), (1, 7, None, Some(2)));
        let both = of(&[one, other]);
        assert!(both.is_same(&of(&[other]).and(of(&[one]))));
        let differing: [&[Record]; 6] = [
            &[one],
            &[one, one],
            &[one, (1, 8, None, Some(2))],
            &[one, (1, 7, Some(0), Some(2))],
            &[one, (1, 7, None, Some(3))],
            &[(0, 7, Some(5), Some(2)), (1, 7, None, Some(1))],
        ];
        for records in differing {
            assert!(!both.is_same(&of(records)), "{records:?}");
        }
    }

    #[test]
    fn where_a_hash_is_not_known_places_and_times_are_compared() {
        let (one, other): (Record, Record) = ((0, 7, Some(5), Some(1)), (1, 7, None, Some(2)));
        let older = of(&[one, (1, 7, None, None)]);
        assert!(older.is_same(&of(&[one, other])));
        assert!(!older.is_same(&of(&[one, (1, 7, Some(0), Some(2))])));
    }
}
