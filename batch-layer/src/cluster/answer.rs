//! What a cluster has answered: the rows of a result, in pieces, in a file without a name.
//!
//! A piece is its length, eight bytes with the lowest first, and then a Parquet file of so many bytes. Behind the last piece is the length
//! zero, and nothing after it. What has no such end is no answer: a program may have died in the middle.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Cursor};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use platform::task::blocking;
use polars::prelude::{DataFrame, ParquetReader, SerReader};

use super::error::ClusterError;

/// A whole result, of which pieces are left to be read.
#[derive(Debug)]
pub(crate) struct Answer {
    query: String,
    file: Arc<File>,
    /// Where each piece begins, and how many bytes it has.
    pieces: VecDeque<(u64, u64)>,
}

impl Answer {
    /// What is in that file, if it is whole. Pieces are not looked at yet.
    pub(super) async fn of(query: &str, file: File) -> Result<Answer, ClusterError> {
        let found = blocking(move || pieces(&file).map(|pieces| (file, pieces))).await;
        let (file, pieces) = found.map_err(|source| ClusterError::not_kept(query, source))?;
        let query = query.to_owned();
        match pieces {
            Some(pieces) => Ok(Answer { query, file: Arc::new(file), pieces }),
            None => Err(ClusterError::NotWhole { query }),
        }
    }

    /// The rows of the next piece; `None` after the last one.
    ///
    /// # Errors
    /// If they cannot be read.
    pub(crate) async fn next(&mut self) -> Result<Option<DataFrame>, ClusterError> {
        let Some((at, length)) = self.pieces.pop_front() else { return Ok(None) };
        let (file, query) = (Arc::clone(&self.file), self.query.clone());
        let read = move || {
            let mut bytes = vec![0; usize::try_from(length).unwrap_or(usize::MAX)];
            file.read_exact_at(&mut bytes, at).map_err(|source| ClusterError::not_kept(&query, source))?;
            let rows = ParquetReader::new(Cursor::new(bytes)).finish();
            rows.map_err(|source| ClusterError::Unreadable { query, source })
        };
        blocking(read).await.map(Some)
    }
}

/// The pieces of a result; `None` if it is not whole.
fn pieces(file: &File) -> io::Result<Option<VecDeque<(u64, u64)>>> {
    let (size, mut at, mut pieces) = (file.metadata()?.len(), 0u64, VecDeque::new());
    let within = |from: u64, length: u64| from.checked_add(length).filter(|end| *end <= size);
    loop {
        let mut length = [0; 8];
        let Some(begin) = within(at, length.len() as u64) else { return Ok(None) };
        file.read_exact_at(&mut length, at)?;
        let length = u64::from_le_bytes(length);
        if length == 0 {
            return Ok((begin == size).then_some(pieces));
        }
        let Some(end) = within(begin, length) else { return Ok(None) };
        pieces.push_back((begin, length));
        at = end;
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use polars::prelude::{ParquetWriter, df};

    use super::*;

    fn kept(bytes: &[u8]) -> File {
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(bytes).expect("written");
        file
    }

    /// A piece with its length before it.
    fn piece(bytes: &[u8]) -> Vec<u8> {
        [&(bytes.len() as u64).to_le_bytes()[..], bytes].concat()
    }

    fn parquet(mut rows: DataFrame) -> Vec<u8> {
        let mut bytes = Vec::new();
        ParquetWriter::new(&mut bytes).finish(&mut rows).expect("encoded");
        bytes
    }

    fn rows() -> [DataFrame; 2] {
        [
            df!("k" => [None, Some("a")], "n" => [1i64, -2], "f" => [0.5, 2.0]).expect("a frame"),
            df!("k" => [Some("b"), Some("c")], "n" => [3i64, i64::MAX], "f" => [-1.5, 0.0]).expect("a frame"),
        ]
    }

    #[tokio::test]
    async fn pieces_are_read_in_their_order() {
        let [one, other] = rows();
        let bytes = [piece(&parquet(one.clone())), piece(&parquet(other.clone())), piece(&[])].concat();
        let mut answer = Answer::of("q", kept(&bytes)).await.expect("whole");
        let first = answer.next().await.expect("read").expect("a piece");
        let second = answer.next().await.expect("read").expect("a piece");
        assert!(first.equals_missing(&one) && second.equals_missing(&other), "{first} {second}");
        assert!(answer.next().await.expect("read").is_none());
        let mut none = Answer::of("q", kept(&piece(&[]))).await.expect("a result may have no rows");
        assert!(none.next().await.expect("read").is_none());
    }

    #[tokio::test]
    async fn a_result_that_breaks_off_anywhere_is_none_and_neither_is_one_with_more_behind_its_end() {
        let [one, other] = rows();
        let whole = [piece(&parquet(one)), piece(&parquet(other)), piece(&[])].concat();
        for length in 0..whole.len() {
            let broken = Answer::of("q", kept(&whole[..length])).await;
            assert!(matches!(broken, Err(ClusterError::NotWhole { .. })), "{length} of {} bytes", whole.len());
        }
        for more in [&b"x"[..], &[0; 8]] {
            let longer = Answer::of("q", kept(&[&whole[..], more].concat())).await;
            assert!(matches!(longer, Err(ClusterError::NotWhole { .. })), "{more:?}");
        }
        let endless = Answer::of("q", kept(&[u64::MAX.to_le_bytes(), [0; 8]].concat())).await;
        assert!(matches!(endless, Err(ClusterError::NotWhole { .. })));
    }

    #[tokio::test]
    async fn a_piece_of_something_else_is_an_error_that_names_the_query() {
        let bytes = [piece(b"no Parquet"), piece(&[])].concat();
        let mut answer = Answer::of("m 2026-04-24", kept(&bytes)).await.expect("whole");
        let error = answer.next().await.expect_err("it cannot be read");
        assert!(matches!(error, ClusterError::Unreadable { .. }) && error.to_string().contains("m 2026-04-24"));
    }
}
