//! Rows of erased records: what is left of them, and where they lie.
//!
//! Such a row says where a record lay, when it was sent, and its short hash, by which a log is compared with the archive (R12).
//! Everything else is null, and the error says that the record was erased. No decoder sees it again, whatever the rules.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use polars::prelude::*;
use shared_logic::catalog::RulesHash;
use shared_logic::contracts::archive::{ERASED, ERROR, HASH, LOG, OFFSET, PARTITION, RULES, TIMESTAMP};
use shared_logic::log::OffsetRange;
use storage::Archive;

use super::{hashes, may_hold, place_columns, within};
use crate::rows::{self, RowsError};

/// The columns that stay as they are.
const KEPT: [&str; 6] = [LOG, PARTITION, OFFSET, RULES, TIMESTAMP, HASH];
/// Whether a row is to be emptied, while that is computed.
const MATCHES: &str = "_matches";

/// Where some records lie.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Places {
    by_log: HashMap<String, HashMap<i32, HashSet<i64>>>,
}

impl Places {
    /// The places of those rows.
    ///
    /// # Errors
    /// If a column has another type.
    pub(crate) fn of(rows: &DataFrame) -> PolarsResult<Places> {
        let (log, partition) = (rows.column(LOG)?.str()?, rows.column(PARTITION)?.i32()?);
        let mut places = Places::default();
        for ((log, partition), offset) in log.iter().zip(partition.iter()).zip(rows.column(OFFSET)?.i64()?.iter()) {
            if let (Some(log), Some(partition), Some(offset)) = (log, partition, offset) {
                places.of_partition(log, partition).insert(offset);
            }
        }
        Ok(places)
    }

    fn of_partition(&mut self, log: &str, partition: i32) -> &mut HashSet<i64> {
        self.by_log.entry(log.to_owned()).or_default().entry(partition).or_default()
    }

    /// Adds the others.
    pub(crate) fn extend(&mut self, others: Places) {
        for (log, partitions) in others.by_log {
            for (partition, offsets) in partitions {
                self.of_partition(&log, partition).extend(offsets);
            }
        }
    }

    /// Whether one of them is that place.
    pub(crate) fn hold(&self, log: &str, partition: i32, offset: i64) -> bool {
        let offsets = self.by_log.get(log).and_then(|partitions| partitions.get(&partition));
        offsets.is_some_and(|offsets| offsets.contains(&offset))
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.by_log.values().flat_map(HashMap::values).map(HashSet::len).sum()
    }

    /// Accepts the rows that lie at one of them.
    fn accept(self: &Arc<Self>) -> Expr {
        let places = Arc::clone(self);
        let accepted = move |columns: &mut [Column]| {
            let (logs, partitions, offsets) = (columns[0].str()?, columns[1].i32()?, columns[2].i64()?);
            let rows = logs.iter().zip(partitions.iter()).zip(offsets.iter());
            let accepted: BooleanChunked = rows
                .map(|((log, partition), offset)| {
                    let place = log.zip(partition).zip(offset);
                    place.is_some_and(|((log, partition), offset)| places.hold(log, partition, offset))
                })
                .collect();
            Ok(accepted.with_name(columns[0].name().clone()).into_column())
        };
        let others = [col(PARTITION), col(OFFSET)];
        col(LOG).map_many(accepted, &others, |_, fields| Ok(Field::new(fields[0].name().clone(), DataType::Boolean)))
    }
}

/// The rows of a file, of which those at the places are emptied. `rules` are those of the file. Takes rows with all columns of a
/// record.
pub(crate) fn emptied(rows: DataFrame, rules: &RulesHash, places: &Arc<Places>) -> PolarsResult<DataFrame> {
    // Before the bytes are gone that a hash can be made from.
    let rows = hashes::filled(rows)?;
    let columns: Vec<(PlSmallStr, DataType)> =
        rows.columns().iter().map(|column| (column.name().clone(), column.dtype().clone())).collect();
    let emptied: Vec<Expr> = columns
        .iter()
        .filter(|(name, _)| !KEPT.contains(&name.as_str()))
        .map(|(name, dtype)| {
            let left = if name.as_str() == ERROR { lit(ERASED) } else { lit(NULL).cast(dtype.clone()) };
            when(col(MATCHES)).then(left).otherwise(col(name.clone())).alias(name.clone())
        })
        .collect();
    let names: Vec<Expr> = columns.iter().map(|(name, _)| col(name.clone())).collect();
    rows.lazy()
        .with_columns([places.accept().alias(MATCHES), col(RULES).fill_null(lit(rules.as_str()))])
        .with_columns(emptied)
        .select(names)
        .collect()
}

/// Where the archive holds erased records in those ranges.
///
/// # Errors
/// If the archive cannot be read.
pub(crate) async fn places(archive: &Archive, ranges: &[OffsetRange]) -> Result<Places, RowsError> {
    let mut erased = Places::default();
    for file in archive.files().await?.into_iter().filter(|file| may_hold(file, ranges)) {
        let rows = archive.read(std::slice::from_ref(&file), &place_columns()).await?;
        let rows = rows.filter(col(ERROR).eq(lit(ERASED)).and(within(ranges)));
        let of_file = rows::compute("find erased records", archive.path(), move || Places::of(&rows.collect()?));
        erased.extend(of_file.await?);
    }
    Ok(erased)
}

#[cfg(test)]
mod tests {
    use shared_logic::contracts::archive::{HEADERS, KEY, RAW};
    use shared_logic::log::Content;

    use super::*;

    fn texts(rows: &DataFrame, name: &str) -> Vec<Option<String>> {
        let column = rows.column(name).expect("it is there");
        column.str().expect("texts").iter().map(|text| text.map(str::to_owned)).collect()
    }

    #[test]
    fn an_emptied_row_keeps_its_place_time_and_hash_and_all_others_stay() {
        let raw: [Option<&[u8]>; 4] = [Some(b"a"), Some(b"b"), None, None];
        let rows = df!(
            LOG => ["x", "x", "y", "x"],
            PARTITION => [0, 0, 0, 0],
            OFFSET => [5_i64, 6, 6, 7],
            RULES => [None::<&str>; 4],
            TIMESTAMP => [Some(1_i64), Some(2), None, Some(3)],
            KEY => [Some(b"k".as_slice()); 4],
            HEADERS => [Some("[]"), Some("[]"), None, None],
            RAW => raw,
            // The second one was written by an older build, and so was the last one, without its bytes.
            HASH => [Some(7_i32), None, Some(9), None],
            ERROR => [None, None, Some("empty"), None],
            "user" => ["u-1", "u-7", "u-2", "u-7"],
            "n" => [1_i64, 2, 3, 4],
        )
        .expect("columns");
        let mut places = Places::default();
        places.of_partition("x", 0).extend([6, 7]);
        let after = emptied(rows.clone(), &"rules".into(), &Arc::new(places)).expect("emptied");

        let types = |rows: &DataFrame| -> Vec<(PlSmallStr, DataType)> {
            rows.columns().iter().map(|column| (column.name().clone(), column.dtype().clone())).collect()
        };
        assert_eq!(types(&after), types(&rows));
        let erased = || Some(ERASED.to_owned());
        assert_eq!(texts(&after, ERROR), [None, erased(), Some("empty".to_owned()), erased()]);
        assert_eq!(texts(&after, "user"), [Some("u-1".to_owned()), None, Some("u-2".to_owned()), None]);
        assert_eq!(texts(&after, RULES), vec![Some("rules".to_owned()); 4]);
        for name in [KEY, HEADERS, RAW, "n"] {
            assert!(after.column(name).expect("it is there").get(1).expect("a row").is_null(), "{name}");
        }
        let content = Content { timestamp_us: None, key: Some(b"k"), payload: Some(b"b"), headers: Some("[]") };
        let hashes: Vec<_> = after.column(HASH).expect("it is there").i32().expect("32 bits").iter().collect();
        assert_eq!(hashes, [Some(7), Some(content.short_hash()), Some(9), None], "made before its bytes were gone");
        for name in [LOG, PARTITION, OFFSET, TIMESTAMP] {
            let (seen, expected) = (after.column(name).expect("there"), rows.column(name).expect("there"));
            assert!(seen.equals_missing(expected), "{name}");
        }
        let third = |rows: &DataFrame| rows.slice(2, 1).drop(RULES).expect("dropped");
        assert!(third(&after).equals_missing(&third(&rows)), "another log");
        // No hash is made of what is left.
        let again = hashes::filled(after.clone()).expect("filled");
        assert!(again.equals_missing(&after));
    }
}
