//! Frames to the bytes of Parquet files, and the ranges of their columns.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use polars::io::parquet::write::BatchedWriter;
use polars::polars_utils::compression::ZstdLevel;
use polars::prelude::*;

use crate::store::ranges::Ranges;

/// How many rows of a frame are encoded together. Readers skip such groups by the ranges of their columns, and hold few of them at
/// a time, so they are smaller than usual; their descriptions are still less than a hundredth of a file.
const ROW_GROUP: usize = 64 * 1024;

/// How much work is put into a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum Effort {
    /// It is written once and read often.
    Thorough,
    /// It is soon merged with others: compressed in less time, and without Parquet's statistics, which tell the groups of a large
    /// file apart.
    Quick,
}

impl Effort {
    fn writer<W: Write>(self, to: W) -> PolarsResult<ParquetWriter<W>> {
        let writer = ParquetWriter::new(to);
        Ok(match self {
            Effort::Thorough => {
                writer.with_compression(ParquetCompression::Zstd(None)).with_row_group_size(Some(ROW_GROUP))
            }
            Effort::Quick => writer
                .with_compression(ParquetCompression::Zstd(Some(ZstdLevel::try_new(1)?)))
                .with_statistics(StatisticsOptions::empty()),
        })
    }
}

/// The frame as a file.
pub(super) fn encoded(mut frame: DataFrame, effort: Effort) -> PolarsResult<Vec<u8>> {
    let mut bytes = Vec::new();
    effort.writer(&mut bytes)?.finish(&mut frame)?;
    Ok(bytes)
}

/// A file that is encoded a row group at a time, so that its rows need not be in memory all at once. What is encoded of it is.
pub struct RowGroups {
    writer: BatchedWriter<Sink>,
    sink: Sink,
    ranged: Vec<String>,
    rows: u64,
    ranges: Ranges,
}

impl RowGroups {
    /// No rows yet, of those columns. `ranged` names columns whose smallest and largest values are recorded with the file, as
    /// [`Table::write`](crate::store::Table::write) says.
    ///
    /// # Errors
    /// If a column has a type that Parquet does not have.
    pub fn new(columns: &Schema, ranged: &[&str]) -> PolarsResult<RowGroups> {
        RowGroups::with(columns, ranged, Effort::Thorough)
    }

    /// The same with less work, for a file that is soon merged with others.
    ///
    /// # Errors
    /// If a column has a type that Parquet does not have.
    pub fn quick(columns: &Schema, ranged: &[&str]) -> PolarsResult<RowGroups> {
        RowGroups::with(columns, ranged, Effort::Quick)
    }

    fn with(columns: &Schema, ranged: &[&str], effort: Effort) -> PolarsResult<RowGroups> {
        let sink = Sink::default();
        let writer = effort.writer(sink.clone())?.batched(columns)?;
        let ranged = ranged.iter().map(|name| (*name).to_owned()).collect();
        Ok(RowGroups { writer, sink, ranged, rows: 0, ranges: Ranges::default() })
    }

    /// Adds a row group. It takes long, so it is called on a thread that may block.
    ///
    /// # Errors
    /// If the frame has other columns.
    pub fn push(&mut self, mut frame: DataFrame) -> PolarsResult<()> {
        let ranged: Vec<&str> = self.ranged.iter().map(String::as_str).collect();
        self.ranges.widen(Ranges::of(&frame, &ranged)?);
        self.rows += frame.height() as u64;
        frame.rechunk_mut_par();
        self.writer.write_batch(&frame)
    }

    /// How many rows it has so far.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// How many bytes of it are encoded so far.
    pub fn bytes(&self) -> usize {
        self.sink.len()
    }

    /// The file, its rows, and the ranges of its columns.
    pub(super) fn finish(self) -> PolarsResult<(Vec<u8>, u64, Ranges)> {
        self.writer.finish()?;
        Ok((self.sink.take(), self.rows, self.ranges))
    }
}

/// Bytes that a writer owns, and that are taken when it is done.
#[derive(Debug, Clone, Default)]
struct Sink(Arc<Mutex<Vec<u8>>>);

impl Sink {
    fn len(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    fn take(&self) -> Vec<u8> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_groups_are_the_file_of_all_their_rows() {
        let frame = |numbers: &[i64]| {
            let texts: Vec<String> = numbers.iter().map(|n| format!("t{n}")).collect();
            df!("n" => numbers, "s" => texts).expect("two columns")
        };
        for begin in [RowGroups::new, RowGroups::quick] {
            let mut groups = begin(frame(&[]).schema(), &["n", "s"]).expect("begun");
            let parts: [&[i64]; 4] = [&[5, 4], &[9], &[], &[1, 7]];
            for part in parts {
                groups.push(frame(part)).expect("encoded");
            }
            let (bytes, rows, ranges) = groups.finish().expect("finished");
            assert_eq!(
                (rows, ranges.numbers["n"], &ranges.texts["s"]),
                (5, (1, 9), &("t1".to_owned(), "t9".to_owned()))
            );
            let mut reader = ParquetReader::new(io::Cursor::new(bytes));
            assert_eq!(reader.get_metadata().expect("a file").row_groups.len(), 3, "an empty one is none");
            assert_eq!(reader.finish().expect("read"), frame(&[5, 4, 9, 1, 7]));
        }
    }

    #[test]
    fn quick_or_not_the_rows_are_the_same() {
        let numbers: Vec<i64> = (0..5_000).collect();
        let texts: Vec<String> = numbers.iter().map(|n| format!("a text that repeats, and {n}")).collect();
        let frame = df!("n" => &numbers, "s" => &texts).expect("two columns");
        for effort in [Effort::Thorough, Effort::Quick] {
            let bytes = encoded(frame.clone(), effort).expect("encoded");
            let read = ParquetReader::new(io::Cursor::new(bytes)).finish().expect("read");
            assert_eq!(read, frame, "{effort:?}");
        }
    }
}
