//! A block as it lies in a file: its length, its level, its content, and a checksum of these and of its place. So neither a block
//! that was changed nor one of another place is taken for the block that is wanted.

use std::io::{self, Write};

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Length (4 bytes) and level (1 byte).
pub(super) const HEAD: usize = 5;
/// The checksum.
const TAIL: usize = 8;
/// The fewest bytes that a block can have.
pub(super) const LEAST: usize = HEAD + TAIL;

/// Where a block lies in its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Place {
    pub(super) offset: u64,
    pub(super) bytes: u32,
}

/// A block that was read and whose checksum fits.
#[derive(Debug)]
pub(super) struct Block {
    frame: Vec<u8>,
}

impl Block {
    /// Checks the bytes that lie at an offset; `None` if they are not a block of that place.
    pub(super) fn checked(frame: Vec<u8>, offset: u64) -> Option<Block> {
        let (checked, checksum) = frame.split_last_chunk::<TAIL>()?;
        let length = u32::from_le_bytes(*checked.first_chunk()?);
        let fits = usize::try_from(length).is_ok_and(|length| length == frame.len()) && frame.len() >= LEAST;
        (fits && xxh3_64_with_seed(checked, offset) == u64::from_le_bytes(*checksum)).then_some(Block { frame })
    }

    /// 0 for a block of rows; others hold the places of blocks one level below.
    pub(super) fn level(&self) -> u8 {
        self.frame[HEAD - 1]
    }

    /// What is written in it.
    pub(super) fn content(&self) -> &[u8] {
        &self.frame[HEAD..self.frame.len() - TAIL]
    }

    /// The memory that it takes.
    pub(super) fn bytes(&self) -> usize {
        self.frame.capacity()
    }
}

/// Writes blocks one after the other.
#[derive(Debug)]
pub(super) struct BlockFile<W> {
    out: W,
    offset: u64,
}

impl<W: Write> BlockFile<W> {
    pub(super) fn new(out: W) -> BlockFile<W> {
        BlockFile { out, offset: 0 }
    }

    /// Appends a block.
    pub(super) fn write(&mut self, content: &[u8], level: u8) -> io::Result<Place> {
        let too_large = |_| io::Error::other("a block of 4 GiB");
        let bytes = u32::try_from(content.len() + LEAST).map_err(too_large)?;
        let mut frame = Vec::with_capacity(content.len() + LEAST);
        frame.extend_from_slice(&bytes.to_le_bytes());
        frame.push(level);
        frame.extend_from_slice(content);
        let checksum = xxh3_64_with_seed(&frame, self.offset);
        frame.extend_from_slice(&checksum.to_le_bytes());
        self.out.write_all(&frame)?;
        let place = Place { offset: self.offset, bytes };
        self.offset += u64::from(bytes);
        Ok(place)
    }

    /// How many bytes the blocks take.
    pub(super) fn written(&self) -> u64 {
        self.offset
    }

    /// What it writes to.
    pub(super) fn into_inner(self) -> W {
        self.out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_whole_only_at_its_place() {
        let mut file = BlockFile::new(Vec::new());
        let places = [b"some".as_slice(), b"", b"more"].map(|content| file.write(content, 3).expect("written"));
        assert_eq!(file.written(), 3 * LEAST as u64 + 8);
        let written = file.into_inner();
        let read = |place: Place| written[place.offset as usize..][..place.bytes as usize].to_vec();
        for (place, content) in places.into_iter().zip([b"some".as_slice(), b"", b"more"]) {
            let block = Block::checked(read(place), place.offset).expect("whole");
            assert_eq!((block.level(), block.content()), (3, content));
            assert!(block.bytes() >= LEAST);
            assert!(Block::checked(read(place), place.offset + 1).is_none(), "at another place");
            assert!(Block::checked(read(place)[1..].to_vec(), place.offset).is_none(), "without its first byte");
        }
        assert!(Block::checked(Vec::new(), 0).is_none());
    }
}
