//! Writes a segment from rows that come in the order of their keys and slots, each once.
//!
//! A block of rows that is full is written, and where it begins is noted in a block one level above, which is written when it is full,
//! and so on. So writing takes one block of memory per level, whatever the number of rows. The file has another name until it is
//! whole and synced, so a process that is killed leaves no half of a segment.
//!
//! A *run* is a stretch of sorted rows that will be merged into a segment: only blocks of rows, without totals.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use shared_logic::measure::{MeasureKind, Value};

use super::block::{BlockBuilder, Child};
use super::description::Description;
use super::error::SegmentError;
use super::frame::{BlockFile, Place};
use super::origin::Origin;
use super::{Row, TOTAL};

/// Writes a run.
#[derive(Debug)]
pub(crate) struct RunWriter<W> {
    out: BlockFile<W>,
    block: BlockBuilder,
    kinds: Arc<[MeasureKind]>,
}

impl<W: Write> RunWriter<W> {
    pub(crate) fn new(out: W, kinds: Arc<[MeasureKind]>) -> RunWriter<W> {
        RunWriter { out: BlockFile::new(out), block: BlockBuilder::default(), kinds }
    }

    /// Appends a row.
    pub(crate) fn push(&mut self, key: &[u8], slot: u32, values: &[Value]) -> io::Result<()> {
        if self.block.is_full() {
            self.spill()?;
        }
        self.block.row(key, Row { slot, is_total: false }, &self.kinds, values);
        Ok(())
    }

    /// Ends the run; gives what it was written to, and its length in bytes.
    pub(crate) fn finish(mut self) -> io::Result<(W, u64)> {
        self.spill()?;
        let bytes = self.out.written();
        Ok((self.out.into_inner(), bytes))
    }

    fn spill(&mut self) -> io::Result<()> {
        match self.block.finish() {
            Some(block) => self.out.write(&block.content, 0).map(drop),
            None => Ok(()),
        }
    }
}

/// Writes a segment.
#[derive(Debug)]
pub(crate) struct SegmentWriter {
    out: BlockFile<BufWriter<File>>,
    path: Unfinished,
    /// The block that is being written on each level; that of rows is the first.
    levels: Vec<BlockBuilder>,
    kinds: Arc<[MeasureKind]>,
    key: Vec<u8>,
    /// The last row of the key, which waits for the next one: only then it is known whether it is the only one.
    waiting: Vec<Value>,
    slot: u32,
    total: Vec<Value>,
    /// How many rows the key has had.
    rows: u64,
}

/// A file that is not whole yet, and is removed unless it is renamed.
#[derive(Debug)]
struct Unfinished(PathBuf);

impl SegmentWriter {
    /// Creates the file under a name that it has until it is whole.
    ///
    /// # Errors
    /// If it cannot be created.
    pub(crate) fn create(path: PathBuf, kinds: Arc<[MeasureKind]>) -> Result<SegmentWriter, SegmentError> {
        let file = File::create(&path).map_err(SegmentError::disk("create", &path))?;
        Ok(SegmentWriter {
            out: BlockFile::new(BufWriter::with_capacity(256 * 1024, file)),
            path: Unfinished(path),
            levels: vec![BlockBuilder::default()],
            kinds,
            key: Vec::new(),
            waiting: Vec::new(),
            slot: 0,
            total: Vec::new(),
            rows: 0,
        })
    }

    /// Appends a row.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub(crate) fn push(&mut self, key: &[u8], slot: u32, values: &[Value]) -> Result<(), SegmentError> {
        if self.rows > 0 && self.key == key {
            self.write_waiting(false)?;
            for ((kind, total), value) in self.kinds.iter().zip(&mut self.total).zip(values) {
                *total = kind.merge(total.clone(), value.clone());
            }
        } else {
            self.end_key()?;
            self.key.clear();
            self.key.extend_from_slice(key);
            self.total.clear();
            self.total.extend_from_slice(values);
        }
        self.waiting.clear();
        self.waiting.extend_from_slice(values);
        self.slot = slot;
        self.rows += 1;
        Ok(())
    }

    /// Makes the file whole and durable, and gives it its name.
    ///
    /// # Errors
    /// If it cannot be written or renamed.
    pub(crate) fn finish(mut self, origin: Origin, path: &Path) -> Result<(), SegmentError> {
        self.end_key()?;
        let (root, height) = self.write_levels().map_err(SegmentError::disk("write", &self.path.0))?;
        let end = Description { origin, root, height }.to_bytes();
        let write = |mut out: BufWriter<File>| {
            out.write_all(&end)?;
            out.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()
        };
        write(self.out.into_inner()).map_err(SegmentError::disk("write", &self.path.0))?;
        std::fs::rename(&self.path.0, path).map_err(SegmentError::disk("publish", path))
    }

    /// Ends the key with its total.
    fn end_key(&mut self) -> Result<(), SegmentError> {
        match std::mem::take(&mut self.rows) {
            0 => Ok(()),
            1 => self.write_waiting(true),
            _ => {
                self.write_waiting(false)?;
                std::mem::swap(&mut self.waiting, &mut self.total);
                self.slot = TOTAL;
                self.write_waiting(true)
            }
        }
    }

    fn write_waiting(&mut self, is_total: bool) -> Result<(), SegmentError> {
        if self.levels[0].is_full() {
            self.spill(0).map_err(SegmentError::disk("write", &self.path.0))?;
        }
        self.levels[0].row(&self.key, Row { slot: self.slot, is_total }, &self.kinds, &self.waiting);
        Ok(())
    }

    /// Writes the block of a level, and notes one level above where it begins.
    fn spill(&mut self, level: usize) -> io::Result<()> {
        let Some(block) = self.levels[level].finish() else { return Ok(()) };
        let place = self.out.write(&block.content, level as u8)?;
        if self.levels.len() == level + 1 {
            self.levels.push(BlockBuilder::default());
        }
        if self.levels[level + 1].is_full() {
            self.spill(level + 1)?;
        }
        self.levels[level + 1].child(&block.key, Child { slot: block.slot, place });
        Ok(())
    }

    /// Writes the last block of every level; gives the place and the level of the root, above which there is none.
    fn write_levels(&mut self) -> io::Result<(Place, u8)> {
        let mut level = 0;
        while level + 1 < self.levels.len() {
            self.spill(level)?;
            level += 1;
        }
        let root = self.levels[level].finish().map(|block| block.content).unwrap_or_default();
        Ok((self.out.write(&root, level as u8)?, level as u8))
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        // It is not there after a rename, and what cannot be removed now goes with the next start.
        let _ = std::fs::remove_file(&self.0);
    }
}
