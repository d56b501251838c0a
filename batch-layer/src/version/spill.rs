//! Rows of counters on local disk, by day: each a group key, a bucket, and the value of each measure.
//!
//! They lie in a file without a name, so a process that is killed leaves nothing. A day is read in pieces, each with a part of its keys, so
//! that no more than a piece is in memory.

use std::collections::BTreeMap;
use std::fs::File;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use platform::task::blocking;
use polars::prelude::{DataFrame, PolarsResult};
use shared_logic::catalog::{Metric, Source};
use shared_logic::measure::{MeasureKind, Value};
use shared_logic::partial::{Partials, grouping_sets};
use shared_logic::time::day_of;

/// How many bytes are kept in memory until they are written.
const PENDING_MAX: usize = 16 << 20;

/// Rows by day, written down.
#[derive(Debug, Default)]
pub(super) struct Encoded(BTreeMap<i64, (u64, Vec<u8>)>);

/// A row, as it is read back.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Row<'a> {
    pub(super) key: &'a str,
    /// The bucket's start, microseconds since 1970.
    pub(super) bucket_us: i64,
    /// What it was read from: rows of one origin with the same key and bucket are one row that was read twice. 0: of none.
    pub(super) origin: u32,
    /// One for each measure.
    pub(super) values: Vec<Value>,
    /// Sums of absolute values, as many as the spill has.
    pub(super) sizes: Vec<f64>,
}

/// The rows of one side of a comparison.
pub(super) struct Spill {
    file: Arc<File>,
    end: u64,
    kinds: Arc<[MeasureKind]>,
    /// How many sizes each row has.
    sizes: usize,
    days: BTreeMap<i64, Day>,
    pending: BTreeMap<i64, Vec<u8>>,
    pending_bytes: usize,
}

#[derive(Debug, Clone, Default)]
struct Day {
    /// Where its rows lie in the file, and how many bytes.
    blocks: Vec<(u64, usize)>,
    rows: u64,
}

/// Reads the rows of a day.
#[derive(Debug, Clone)]
pub(super) struct DayReader {
    file: Arc<File>,
    kinds: Arc<[MeasureKind]>,
    sizes: usize,
    day: Day,
}

impl Encoded {
    /// Adds a row, if its bucket lies in a day from `from_day` on, in days since 1970.
    pub(super) fn push(&mut self, kinds: &[MeasureKind], row: &Row<'_>, from_day: i64) {
        let day = day_of(row.bucket_us);
        if day < from_day {
            return;
        }
        let (rows, out) = self.0.entry(day).or_default();
        *rows += 1;
        out.extend_from_slice(&(row.key.len() as u64).to_le_bytes());
        out.extend_from_slice(row.key.as_bytes());
        out.extend_from_slice(&row.bucket_us.to_le_bytes());
        out.extend_from_slice(&row.origin.to_le_bytes());
        for (kind, value) in kinds.iter().zip(&row.values) {
            kind.write_partial(out, value);
        }
        for size in &row.sizes {
            out.extend_from_slice(&size.to_le_bytes());
        }
    }

    /// The rows of a frame of view rows, each under its key in every grouping set, as the speed layer counts them. `sizes` are the columns
    /// of sizes.
    pub(super) fn of_frame(
        source: &Source,
        metric: &Metric,
        frame: &DataFrame,
        sizes: &[String],
        from_day: i64,
    ) -> PolarsResult<Encoded> {
        let kinds: Vec<MeasureKind> = metric.measures.iter().map(|measure| measure.kind).collect();
        let sizes = sizes.iter().map(|name| frame.column(name)?.f64()).collect::<PolarsResult<Vec<_>>>()?;
        let mut encoded = Encoded::default();
        for set in grouping_sets(metric.by.len()) {
            let partials = Partials::of_frame(source, metric, frame, |at| set & (1 << at) != 0)?;
            for (at, (key, bucket_us, values)) in partials.rows().enumerate() {
                let sizes = sizes.iter().map(|sizes| sizes.get(at).unwrap_or(f64::INFINITY)).collect();
                let row = Row { key: key.as_str(), bucket_us, origin: 0, values: values.to_vec(), sizes };
                encoded.push(&kinds, &row, from_day);
            }
        }
        Ok(encoded)
    }
}

impl Spill {
    /// A side without rows, of a metric with those measures.
    ///
    /// # Errors
    /// If no file can be created in the folder for temporary files.
    pub(super) fn new(kinds: &[MeasureKind], sizes: usize) -> io::Result<Spill> {
        let file = Arc::new(tempfile::tempfile()?);
        let (days, pending) = (BTreeMap::new(), BTreeMap::new());
        Ok(Spill { file, end: 0, kinds: kinds.into(), sizes, days, pending, pending_bytes: 0 })
    }

    /// Adds rows.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub(super) async fn add(&mut self, encoded: Encoded) -> io::Result<()> {
        for (day, (rows, bytes)) in encoded.0 {
            self.days.entry(day).or_default().rows += rows;
            self.pending_bytes += bytes.len();
            self.pending.entry(day).or_default().extend_from_slice(&bytes);
        }
        if self.pending_bytes >= PENDING_MAX { self.flush().await } else { Ok(()) }
    }

    /// Writes what is in memory. Nothing is read before.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub(super) async fn flush(&mut self) -> io::Result<()> {
        let (pending, file, mut at) = (std::mem::take(&mut self.pending), Arc::clone(&self.file), self.end);
        self.pending_bytes = 0;
        let written = blocking(move || {
            let mut blocks = Vec::with_capacity(pending.len());
            for (day, bytes) in pending {
                file.write_all_at(&bytes, at)?;
                blocks.push((day, at, bytes.len()));
                at += bytes.len() as u64;
            }
            Ok::<_, io::Error>((blocks, at))
        });
        let (blocks, end) = written.await?;
        self.end = end;
        for (day, at, length) in blocks {
            self.days.entry(day).or_default().blocks.push((at, length));
        }
        Ok(())
    }

    /// The days that have rows, in days since 1970.
    pub(super) fn days(&self) -> impl Iterator<Item = i64> + '_ {
        self.days.keys().copied()
    }

    /// How many rows a day has.
    pub(super) fn rows(&self, day: i64) -> u64 {
        self.days.get(&day).map_or(0, |day| day.rows)
    }

    /// Reads a day.
    pub(super) fn day(&self, day: i64) -> DayReader {
        let day = self.days.get(&day).cloned().unwrap_or_default();
        DayReader { file: Arc::clone(&self.file), kinds: Arc::clone(&self.kinds), sizes: self.sizes, day }
    }
}

impl DayReader {
    /// Passes the rows whose key lies in that piece, of so many, to `take`. It blocks.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub(super) fn each(&self, (number, of): (u64, u64), mut take: impl FnMut(Row<'_>)) -> io::Result<()> {
        for (at, length) in &self.day.blocks {
            let mut bytes = vec![0; *length];
            self.file.read_exact_at(&mut bytes, *at)?;
            let mut rest = bytes.as_slice();
            while !rest.is_empty() {
                let damaged = || io::Error::new(io::ErrorKind::InvalidData, "a row is not as it was written");
                let row = self.row(&mut rest).ok_or_else(damaged)?;
                if piece_of(row.key, of) == number {
                    take(row);
                }
            }
        }
        Ok(())
    }

    fn row<'a>(&self, rest: &mut &'a [u8]) -> Option<Row<'a>> {
        let length = usize::try_from(u64::from_le_bytes(taken(rest)?)).ok()?;
        let (key, after) = rest.split_at_checked(length)?;
        *rest = after;
        let key = std::str::from_utf8(key).ok()?;
        let (bucket_us, origin) = (i64::from_le_bytes(taken(rest)?), u32::from_le_bytes(taken(rest)?));
        let values = self.kinds.iter().map(|kind| kind.read_partial(rest)).collect::<Option<Vec<Value>>>()?;
        let sizes = (0..self.sizes).map(|_| taken(rest).map(f64::from_le_bytes)).collect::<Option<Vec<f64>>>()?;
        Some(Row { key, bucket_us, origin, values, sizes })
    }
}

fn taken<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (bytes, after) = rest.split_first_chunk::<N>()?;
    *rest = after;
    Some(*bytes)
}

/// The piece that a key lies in. All buckets of a key are in one.
fn piece_of(key: &str, of: u64) -> u64 {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    hasher.finish() % of.max(1)
}

#[cfg(test)]
mod tests {
    use shared_logic::time::DAY_US;

    use super::*;

    const KINDS: [MeasureKind; 2] = [MeasureKind::SumInt, MeasureKind::SumFloat];

    fn row(key: &str, bucket_us: i64, n: i128) -> Row<'_> {
        let values = vec![Value::Int(n), Value::Float(0.5)];
        Row { key, bucket_us, origin: 7, values, sizes: vec![2.5] }
    }

    #[tokio::test]
    async fn rows_are_read_as_they_were_written_a_part_of_the_keys_at_a_time() {
        let mut spill = Spill::new(&KINDS, 1).expect("a file");
        let wide = i128::from(i64::MAX) * 3;
        let keys: Vec<String> = (0..50).map(|n| format!("[\"k{n}\"]")).collect();
        for round in 0..2 {
            let mut encoded = Encoded::default();
            for key in &keys {
                encoded.push(&KINDS, &row(key, DAY_US + round, wide), 0);
                encoded.push(&KINDS, &row(key, -DAY_US, 1), 0);
            }
            spill.add(encoded).await.expect("written");
            spill.flush().await.expect("written");
        }
        assert_eq!((spill.days().collect::<Vec<_>>(), spill.rows(1), spill.rows(-1)), (vec![1], 100, 0));
        let reader = spill.day(1);
        let mut found: Vec<String> = Vec::new();
        for piece in 0..3 {
            let mut in_piece = 0;
            let take = |read: Row<'_>| {
                assert_eq!(read, row(read.key, read.bucket_us, wide));
                found.push(read.key.to_owned());
                in_piece += 1;
            };
            reader.each((piece, 3), take).expect("read");
            assert!(in_piece > 0 && in_piece < 100, "{in_piece} of 100");
        }
        found.sort_unstable();
        let mut expected = [keys.clone(), keys].concat();
        expected.sort_unstable();
        assert_eq!(found, expected);
    }
}
