//! A file that does not lie on local disk, read in blocks, of which so many bytes are in memory and no more.
//!
//! A request takes about as long for a byte as for a megabyte, so blocks are large. The rows of a Parquet file are read from all of its
//! columns in turn, so blocks of each column are kept. Whatever is read is of one content: [`Remote`] answers for that.

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, Read};
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use parquet::errors::ParquetError;
use parquet::file::reader::{ChunkReader, Length};

/// How long a block is that is read once.
const BLOCK_BYTES: u64 = 8 << 20;
/// The most bytes of blocks of several columns.
const KEPT_BYTES: u64 = 64 << 20;
/// Shorter blocks would take more time to be asked for than to be sent. So of a file with a thousand columns, blocks are read again.
const SMALLEST_BYTES: u64 = 64 << 10;

/// A file that does not lie on local disk, with the content that it had when it was found.
pub trait Remote: fmt::Debug + Send + Sync {
    /// Its name in messages.
    fn name(&self) -> String;

    /// How many bytes it has.
    fn bytes(&self) -> u64;

    /// The bytes of a range that lies within it and is not empty. The calling thread may block.
    ///
    /// # Errors
    /// If they cannot be read, or the file has another content by now. Its text says why, as no source of it is printed.
    fn read(&self, range: Range<u64>) -> io::Result<Vec<u8>>;
}

/// The blocks of a file.
#[derive(Debug, Clone)]
pub(crate) struct Blocks {
    remote: Arc<dyn Remote>,
    block_bytes: u64,
    kept_max: usize,
    /// By number; the one that was used last stands last.
    kept: Arc<Mutex<VecDeque<(u64, Bytes)>>>,
}

/// Reads a file from some place on.
#[derive(Debug)]
pub(crate) struct BlockReader {
    blocks: Blocks,
    at: u64,
    /// The block in which it is.
    own: Option<(u64, Bytes)>,
}

impl Blocks {
    /// For a file that is read from its begin to its end.
    pub(crate) fn in_order(remote: &Arc<dyn Remote>) -> Blocks {
        Blocks::new(remote, BLOCK_BYTES, 1)
    }

    /// For a file of so many columns, which are read in turn. What is read of one at a time may begin in one block and end in the next.
    pub(crate) fn of_columns(remote: &Arc<dyn Remote>, columns: usize) -> Blocks {
        let block_bytes = (KEPT_BYTES / (2 * columns.max(1) as u64)).clamp(SMALLEST_BYTES, BLOCK_BYTES);
        Blocks::new(remote, block_bytes, (KEPT_BYTES / block_bytes) as usize)
    }

    fn new(remote: &Arc<dyn Remote>, block_bytes: u64, kept_max: usize) -> Blocks {
        Blocks { remote: Arc::clone(remote), block_bytes, kept_max, kept: Arc::default() }
    }

    /// What is read from there on.
    pub(crate) fn reader(&self, at: u64) -> BlockReader {
        BlockReader { blocks: self.clone(), at, own: None }
    }

    fn block(&self, number: u64) -> io::Result<Bytes> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let known = kept.iter().position(|(of, _)| *of == number).and_then(|at| kept.remove(at));
        if known.is_none() && kept.len() >= self.kept_max {
            kept.pop_front();
        }
        let bytes = known.map_or_else(|| self.read(number), |(_, bytes)| Ok(bytes))?;
        kept.push_back((number, bytes.clone()));
        Ok(bytes)
    }

    fn read(&self, number: u64) -> io::Result<Bytes> {
        let begin = number * self.block_bytes;
        let end = (begin + self.block_bytes).min(self.remote.bytes());
        let bytes = self.remote.read(begin..end)?;
        if bytes.len() as u64 != end - begin {
            let text = format!("{} bytes came of the range {begin} to {end}", bytes.len());
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, text));
        }
        Ok(bytes.into())
    }
}

impl Length for Blocks {
    fn len(&self) -> u64 {
        self.remote.bytes()
    }
}

impl ChunkReader for Blocks {
    type T = BlockReader;

    fn get_read(&self, start: u64) -> Result<BlockReader, ParquetError> {
        Ok(self.reader(start))
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        let end = start.checked_add(length as u64);
        if end.is_none_or(|end| end > self.remote.bytes()) {
            return Err(ParquetError::EOF(format!("{length} bytes from {start} on are beyond the end of the file")));
        }
        // A copy: what it was taken from need not stay in memory for it.
        let mut bytes = vec![0; length];
        self.reader(start).read_exact(&mut bytes)?;
        Ok(bytes.into())
    }
}

impl Read for BlockReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Blocks { remote, block_bytes, .. } = &self.blocks;
        if self.at >= remote.bytes() {
            return Ok(0);
        }
        let (number, within) = (self.at / block_bytes, (self.at % block_bytes) as usize);
        let block = match self.own.take() {
            Some((own, block)) if own == number => block,
            _ => self.blocks.block(number)?,
        };
        let count = buffer.len().min(block.len() - within);
        buffer[..count].copy_from_slice(&block[within..within + count]);
        self.at += count as u64;
        self.own = Some((number, block));
        Ok(count)
    }
}

#[cfg(test)]
pub(crate) mod tests;
