//! The rows of an answer on their way to who has asked: pieces, each a file of Parquet with its length before it.
//!
//! A piece is `u64` bytes, little-endian, and then so many of them; behind the last piece stands a length of zero. Without that, an
//! answer is not whole, however it ended.

use std::io::Write;
use std::sync::Arc;

use anyhow::{Context, bail};
use datafusion::arrow::array::{ArrayRef, RecordBatch};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Field, Schema};
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::arrow::arrow_writer::ArrowWriterOptions;

/// Writes pieces of about so many rows.
pub(crate) struct Frames<W> {
    to: W,
    rows_at_once: usize,
    /// The piece that is begun: rows are encoded as they come, and take less room than before.
    piece: Option<ArrowWriter<Vec<u8>>>,
    /// How many it has.
    rows: usize,
}

impl<W: Write> Frames<W> {
    pub(crate) fn new(to: W, rows_at_once: usize) -> Frames<W> {
        Frames { to, rows_at_once, piece: None, rows: 0 }
    }

    /// Adds rows, and writes a piece once there are enough.
    pub(crate) fn push(&mut self, batch: &RecordBatch) -> anyhow::Result<()> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let batch = plain(batch)?;
        let piece = match &mut self.piece {
            Some(piece) => piece,
            none => {
                // What stands in the schema of Arrow besides is for readers of Arrow.
                let options = ArrowWriterOptions::new().with_skip_arrow_metadata(true);
                none.insert(ArrowWriter::try_new_with_options(Vec::new(), batch.schema(), options)?)
            }
        };
        piece.write(&batch)?;
        self.rows += batch.num_rows();
        if self.rows >= self.rows_at_once { self.write() } else { Ok(()) }
    }

    /// Writes what is left, and that it was all.
    pub(crate) fn end(mut self) -> anyhow::Result<()> {
        self.write()?;
        self.to.write_all(&0_u64.to_le_bytes()).and_then(|()| self.to.flush()).context("cannot write the end")
    }

    fn write(&mut self) -> anyhow::Result<()> {
        self.rows = 0;
        let Some(piece) = self.piece.take() else { return Ok(()) };
        let piece = piece.into_inner()?;
        let length = (piece.len() as u64).to_le_bytes();
        let written = self.to.write_all(&length).and_then(|()| self.to.write_all(&piece));
        written.and_then(|()| self.to.flush()).context("cannot write a piece of the answer")
    }
}

/// The rows with columns of those types that an answer has.
fn plain(batch: &RecordBatch) -> anyhow::Result<RecordBatch> {
    let schema = batch.schema();
    let (mut fields, mut columns): (Vec<Field>, Vec<ArrayRef>) = (Vec::new(), Vec::new());
    for (field, column) in schema.fields().iter().zip(batch.columns()) {
        let kind = match field.data_type() {
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => DataType::Utf8,
            DataType::Int32 | DataType::Int64 => DataType::Int64,
            DataType::Float64 => DataType::Float64,
            DataType::Boolean => DataType::Boolean,
            other => {
                bail!("an answer holds texts, integers, floats and truth values, but `{}` is {other}", field.name())
            }
        };
        columns.push(cast(column, &kind)?);
        fields.push(Field::new(field.name(), kind, true));
    }
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?)
}

#[cfg(test)]
pub(crate) mod tests {
    use std::io::Cursor;

    use datafusion::arrow::array::{
        BinaryArray, BooleanArray, Float64Array, Int32Array, Int64Array, StringArray, StringViewArray,
    };
    use polars::prelude::{DataFrame, ParquetReader, SerReader};

    use super::*;

    /// Reads pieces as who has asked does: `None`, if the end is missing.
    pub(crate) fn read(mut bytes: &[u8]) -> Option<Vec<DataFrame>> {
        let mut pieces = Vec::new();
        loop {
            let (length, rest) = bytes.split_first_chunk::<8>()?;
            let length = usize::try_from(u64::from_le_bytes(*length)).ok()?;
            if length == 0 {
                return rest.is_empty().then_some(pieces);
            }
            let (piece, rest) = rest.split_at_checked(length)?;
            pieces.push(ParquetReader::new(Cursor::new(piece.to_vec())).finish().expect("a file of Parquet"));
            bytes = rest;
        }
    }

    /// The frames of those batches.
    pub(crate) fn written(batches: &[RecordBatch], rows_at_once: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut frames = Frames::new(&mut bytes, rows_at_once);
        for batch in batches {
            frames.push(batch).expect("pushed");
        }
        frames.end().expect("ended");
        bytes
    }

    /// Longer than the texts that lie in a view itself.
    fn long_text(n: i64) -> String {
        format!("a text that is no short one {n}")
    }

    fn batch(from: i64, rows: usize) -> RecordBatch {
        let ints: Vec<i64> = (from..).take(rows).collect();
        let columns: [(&str, ArrayRef); 5] = [
            ("text", Arc::new(ints.iter().map(|n| (n % 3 != 0).then(|| format!("{n}-ü"))).collect::<StringArray>())),
            ("view", Arc::new(ints.iter().map(|n| Some(long_text(*n))).collect::<StringViewArray>())),
            ("int", Arc::new(Int64Array::from(ints.clone()))),
            ("float", Arc::new(ints.iter().map(|n| Some(*n as f64 / 3.0)).collect::<Float64Array>())),
            ("truth", Arc::new(ints.iter().map(|n| (n % 5 != 0).then_some(n % 2 == 0)).collect::<BooleanArray>())),
        ];
        RecordBatch::try_from_iter(columns).expect("columns of one length")
    }

    #[test]
    fn polars_reads_the_rows_in_their_order_in_pieces_of_about_so_many() {
        let batches = [batch(0, 4), batch(4, 0), batch(4, 3), batch(7, 5), batch(12, 1)];
        let pieces = read(&written(&batches, 6)).expect("whole");
        assert_eq!(pieces.iter().map(DataFrame::height).collect::<Vec<_>>(), [7, 6]);
        let mut all = pieces[0].clone();
        all.vstack_mut(&pieces[1]).expect("the same columns");
        let names: Vec<&str> = all.columns().iter().map(|column| column.name().as_str()).collect();
        assert_eq!(names, ["text", "view", "int", "float", "truth"]);
        let ints: Vec<i64> = all.column("int").expect("there").i64().expect("ints").iter().flatten().collect();
        assert_eq!(ints, (0..13).collect::<Vec<_>>());
        let texts: Vec<Option<&str>> = all.column("text").expect("there").str().expect("texts").iter().collect();
        assert_eq!(texts[..4], [None, Some("1-ü"), Some("2-ü"), None]);
        let views = all.column("view").expect("there").str().expect("texts");
        assert_eq!(views.get(12), Some(long_text(12).as_str()));
        let floats: Vec<Option<f64>> = all.column("float").expect("there").f64().expect("floats").iter().collect();
        assert_eq!(floats[12], Some(4.0));
        let truths: Vec<Option<bool>> = all.column("truth").expect("there").bool().expect("truths").iter().collect();
        assert_eq!(truths[..3], [None, Some(false), Some(true)]);
    }

    #[test]
    fn an_answer_that_is_cut_off_anywhere_is_not_whole() {
        let bytes = written(&[batch(0, 2), batch(2, 2)], 2);
        assert_eq!(read(&bytes).expect("whole").len(), 2);
        for length in 0..bytes.len() {
            assert!(read(&bytes[..length]).is_none(), "{length} of {} bytes", bytes.len());
        }
        assert!(read(&[bytes.as_slice(), &[0]].concat()).is_none(), "nothing follows the end");
    }

    #[test]
    fn no_rows_are_an_answer_too() {
        assert_eq!(written(&[], 5), 0_u64.to_le_bytes());
        assert_eq!(written(&[batch(0, 0)], 5), 0_u64.to_le_bytes());
    }

    #[test]
    fn a_type_that_no_answer_holds_is_refused_by_name() {
        let small: ArrayRef = Arc::new(Int32Array::from(vec![7]));
        let widened = plain(&RecordBatch::try_from_iter([("n", small)]).expect("a column")).expect("widened");
        assert_eq!(widened.column(0).data_type(), &DataType::Int64);
        let bytes: ArrayRef = Arc::new(BinaryArray::from(vec![b"x".as_slice()]));
        let refused = plain(&RecordBatch::try_from_iter([("sketch", bytes)]).expect("a column")).expect_err("bytes");
        assert!(refused.to_string().contains("`sketch`"), "{refused}");
    }
}
