//! Reads a segment or a run from its first row to its last, a block at a time.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use shared_logic::group_key::KeyPattern;
use shared_logic::measure::{MeasureKind, Value};

use super::block::{Groups, Malformed, Rows};
use super::error::{Damage, SegmentError};
use super::frame::{Block, HEAD, LEAST};
use super::{Row, TOTAL};

/// How much of a file is read at once.
const READ_BYTES: usize = 64 * 1024;

/// Which rows a cursor stops at.
#[derive(Debug, Clone)]
pub(crate) enum Pick {
    /// All but totals.
    Rows,
    /// Those of these slots.
    Slots(BTreeSet<u32>),
    /// Those of the slots of this range.
    Range(Range<u32>),
    /// The total of each key, as a row of that slot.
    TotalsAs(u32),
}

/// A position in a segment or a run. It stands before the first row until it is advanced.
pub(crate) struct Cursor {
    from: Box<dyn Read + Send>,
    /// What is read, for messages.
    path: PathBuf,
    damage: Damage,
    kinds: Arc<[MeasureKind]>,
    pick: Pick,
    /// Rows of other keys are passed over without a look at their values.
    only: Option<Arc<KeyPattern>>,
    /// Where the next block begins, and where the last one ends.
    offset: u64,
    end: u64,
    block: Option<Block>,
    /// What is left of the block behind the group, and of the group behind the row, in bytes.
    left_of_block: usize,
    left_of_group: usize,
    key: Vec<u8>,
    /// The slot of the row before, in the same group.
    before: Option<u32>,
    slot: u32,
    values: Vec<Value>,
}

impl Cursor {
    /// Reads the first `end` bytes of a segment's file.
    pub(super) fn of_file(
        file: File,
        end: u64,
        path: &Path,
        damage: &Damage,
        kinds: Arc<[MeasureKind]>,
        pick: Pick,
    ) -> Cursor {
        let from = Box::new(BufReader::with_capacity(READ_BYTES, file));
        Cursor::new(from, end, (path, damage), kinds, pick)
    }

    /// Reads the rows of such keys in a segment's file, from the block on that begins at `offset`, up to `end`.
    ///
    /// # Errors
    /// If the file does not let itself be read from there.
    pub(super) fn of_keys(
        mut file: File,
        (offset, end): (u64, u64),
        (path, damage): (&Path, &Damage),
        kinds: Arc<[MeasureKind]>,
        pick: Pick,
        only: Arc<KeyPattern>,
    ) -> io::Result<Cursor> {
        file.seek(SeekFrom::Start(offset))?;
        let cursor = Cursor::of_file(file, end, path, damage, kinds, pick);
        Ok(Cursor { offset, only: Some(only), ..cursor })
    }

    /// Reads a run in a file that has no name any more.
    pub(crate) fn of_run(file: File, end: u64, kinds: Arc<[MeasureKind]>) -> Cursor {
        let from = Box::new(BufReader::with_capacity(READ_BYTES, file));
        Cursor::new(from, end, (Path::new("a run on disk"), &Damage::default()), kinds, Pick::Rows)
    }

    /// Reads a run in memory.
    pub(crate) fn of_memory(run: Vec<u8>, kinds: Arc<[MeasureKind]>) -> Cursor {
        let end = run.len() as u64;
        let from = Box::new(io::Cursor::new(run));
        Cursor::new(from, end, (Path::new("a run in memory"), &Damage::default()), kinds, Pick::Rows)
    }

    fn new(
        from: Box<dyn Read + Send>,
        end: u64,
        (path, damage): (&Path, &Damage),
        kinds: Arc<[MeasureKind]>,
        pick: Pick,
    ) -> Cursor {
        Cursor {
            from,
            path: path.to_owned(),
            damage: damage.clone(),
            kinds,
            pick,
            only: None,
            offset: 0,
            end,
            block: None,
            left_of_block: 0,
            left_of_group: 0,
            key: Vec::new(),
            before: None,
            slot: 0,
            values: Vec::new(),
        }
    }

    /// Goes to the next row that is picked; false behind the last.
    ///
    /// # Errors
    /// If it cannot be read.
    pub(crate) fn advance(&mut self) -> Result<bool, SegmentError> {
        while let Some(row) = self.step()? {
            let (slot, is_picked) = match &self.pick {
                Pick::Rows => (row.slot, row.slot != TOTAL),
                Pick::Slots(slots) => (row.slot, slots.contains(&row.slot)),
                Pick::Range(slots) => (row.slot, slots.contains(&row.slot)),
                Pick::TotalsAs(slot) => (*slot, row.is_total),
            };
            if is_picked {
                self.slot = slot;
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The key and the slot of the row.
    pub(crate) fn place(&self) -> (&[u8], u32) {
        (&self.key, self.slot)
    }

    /// The values of the row, one per measure.
    pub(crate) fn values(&self) -> &[Value] {
        &self.values
    }

    fn step(&mut self) -> Result<Option<Row>, SegmentError> {
        loop {
            if self.left_of_group > 0 {
                return self.next_row().map(Some).map_err(|Malformed| self.damage.found(&self.path));
            }
            if self.left_of_block > 0 {
                self.next_group().map_err(|Malformed| self.damage.found(&self.path))?;
            } else if !self.next_block()? {
                return Ok(None);
            }
        }
    }

    fn next_row(&mut self) -> Result<Row, Malformed> {
        let content = self.block.as_ref().map_or(&[][..], Block::content);
        let end = content.len() - self.left_of_block;
        let mut rows = Rows { rest: &content[end - self.left_of_group..end], slot: self.before };
        let row = rows.advance(&self.kinds, &mut self.values)?.ok_or(Malformed)?;
        (self.left_of_group, self.before) = (rows.rest.len(), rows.slot);
        Ok(row)
    }

    fn next_group(&mut self) -> Result<(), Malformed> {
        let content = self.block.as_ref().map_or(&[][..], Block::content);
        let rest = &content[content.len() - self.left_of_block..];
        let mut groups = Groups { rest, key: std::mem::take(&mut self.key) };
        let payload = groups.advance()?.ok_or(Malformed)?;
        (self.left_of_block, self.left_of_group) = (groups.rest.len(), payload.len());
        self.key = groups.key;
        self.before = None;
        let Some(only) = &self.only else { return Ok(()) };
        let key = std::str::from_utf8(&self.key).map_err(|_| Malformed)?;
        if only.is_behind(key) {
            (self.left_of_block, self.left_of_group, self.offset) = (0, 0, self.end);
        } else if !only.matches(key) {
            self.left_of_group = 0;
        }
        Ok(())
    }

    /// Reads the next block of rows; false if there is none.
    fn next_block(&mut self) -> Result<bool, SegmentError> {
        while self.offset < self.end {
            let mut head = [0; HEAD];
            self.read_exact(&mut head)?;
            let length = u32::from_le_bytes([head[0], head[1], head[2], head[3]]);
            if (length as usize) < LEAST || self.offset + u64::from(length) > self.end {
                return Err(self.damage.found(&self.path));
            }
            let mut frame = vec![0; length as usize];
            frame[..HEAD].copy_from_slice(&head);
            self.read_exact(&mut frame[HEAD..])?;
            let block = Block::checked(frame, self.offset).ok_or_else(|| self.damage.found(&self.path))?;
            self.offset += u64::from(length);
            if block.level() == 0 {
                self.left_of_block = block.content().len();
                self.key.clear();
                self.block = Some(block);
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn read_exact(&mut self, bytes: &mut [u8]) -> Result<(), SegmentError> {
        self.from.read_exact(bytes).map_err(|source| match source.kind() {
            io::ErrorKind::UnexpectedEof => self.damage.found(&self.path),
            _ => SegmentError::disk("read", &self.path)(source),
        })
    }
}
