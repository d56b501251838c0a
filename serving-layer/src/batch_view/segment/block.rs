//! What is written in a block: groups, each of a key and a payload. Of a key only the difference from the key before is written.
//!
//! ```text
//! group    bytes shared with the key before · length · the other bytes · length · payload
//! payload  level 0: rows, each a mark and one value per measure
//!          above:   the first slot of a block one level below, and its place
//! ```
//!
//! The *mark* of a row is 0 for the total of its key. Otherwise it is twice the distance from the slot before (from -1 for the
//! first row of a group), plus 1 if the row is the only one of its key and therefore its total as well.

use shared_logic::measure::{MeasureKind, Value};

use super::frame::Place;
use super::varint;
use super::{Row, TOTAL};

/// After so many bytes, another block begins.
pub(super) const BLOCK_BYTES: usize = 8 * 1024;
/// A block above the rows has at least so many children before another begins, however long their keys are. With one child each,
/// a level would have as many blocks as the one below, and there would never be a root.
const CHILDREN_MIN: usize = 4;

/// The content of a block is not what a block of its level holds.
#[derive(Debug)]
pub(super) struct Malformed;

/// A block that is being written.
#[derive(Debug, Default)]
pub(super) struct BlockBuilder {
    content: Vec<u8>,
    /// The key of the last group that is written.
    before: Vec<u8>,
    /// The group that is being written, if one is open.
    key: Vec<u8>,
    payload: Vec<u8>,
    is_open: bool,
    /// How many groups it has.
    groups: usize,
    /// The slot of the open group's last row.
    slot: Option<u32>,
    first: Option<(Vec<u8>, u32)>,
}

/// A block that is written, and the key and the slot with which it begins.
#[derive(Debug)]
pub(super) struct Finished {
    pub(super) content: Vec<u8>,
    pub(super) key: Vec<u8>,
    pub(super) slot: u32,
}

impl BlockBuilder {
    /// Whether another block has to begin.
    pub(super) fn is_full(&self) -> bool {
        self.content.len() + self.key.len() + self.payload.len() >= BLOCK_BYTES
    }

    /// Whether another block has to begin, where this is one above the rows.
    pub(super) fn is_full_of_children(&self) -> bool {
        self.groups >= CHILDREN_MIN && self.is_full()
    }

    /// Appends a row. Rows come in the order of their keys and slots.
    pub(super) fn row(&mut self, key: &[u8], row: Row, kinds: &[MeasureKind], values: &[Value]) {
        if !self.is_open || self.key != key {
            self.begin(key, row.slot);
        }
        let mark = match row.slot {
            TOTAL => 0,
            slot => {
                let distance = self.slot.map_or(u64::from(slot) + 1, |before| u64::from(slot - before));
                (distance << 1) | u64::from(row.is_total)
            }
        };
        varint::put(&mut self.payload, mark);
        kinds.iter().zip(values).for_each(|(kind, value)| kind.write_partial(&mut self.payload, value));
        self.slot = Some(row.slot);
    }

    /// Appends the place of a block one level below.
    pub(super) fn child(&mut self, key: &[u8], child: Child) {
        self.begin(key, child.slot);
        varint::put(&mut self.payload, child.slot.into());
        varint::put(&mut self.payload, child.place.offset);
        varint::put(&mut self.payload, child.place.bytes.into());
    }

    /// Ends the block, if anything is in it. What comes next begins another.
    pub(super) fn finish(&mut self) -> Option<Finished> {
        self.close();
        let (key, slot) = self.first.take()?;
        self.before.clear();
        self.groups = 0;
        Some(Finished { content: std::mem::take(&mut self.content), key, slot })
    }

    fn begin(&mut self, key: &[u8], slot: u32) {
        self.close();
        self.key.extend_from_slice(key);
        (self.is_open, self.slot) = (true, None);
        self.groups += 1;
        self.first.get_or_insert_with(|| (key.to_vec(), slot));
    }

    fn close(&mut self) {
        if !self.is_open {
            return;
        }
        let shared = self.before.iter().zip(&self.key).take_while(|(a, b)| a == b).count();
        varint::put(&mut self.content, shared as u64);
        varint::put(&mut self.content, (self.key.len() - shared) as u64);
        self.content.extend_from_slice(&self.key[shared..]);
        varint::put(&mut self.content, self.payload.len() as u64);
        self.content.append(&mut self.payload);
        std::mem::swap(&mut self.before, &mut self.key);
        self.key.clear();
        self.is_open = false;
    }
}

/// The groups of a block, one after the other.
#[derive(Debug)]
pub(super) struct Groups<'a> {
    pub(super) rest: &'a [u8],
    /// The key of the group.
    pub(super) key: Vec<u8>,
}

impl<'a> Groups<'a> {
    /// Goes to the next group and gives its payload; `None` after the last.
    pub(super) fn advance(&mut self) -> Result<Option<&'a [u8]>, Malformed> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        self.group().map(Some).ok_or(Malformed)
    }

    fn group(&mut self) -> Option<&'a [u8]> {
        let shared = usize::try_from(varint::take(&mut self.rest)?).ok()?;
        let others = varint::take_bytes(&mut self.rest)?;
        if shared > self.key.len() {
            return None;
        }
        self.key.truncate(shared);
        self.key.extend_from_slice(others);
        varint::take_bytes(&mut self.rest)
    }
}

/// The rows of a group, one after the other.
#[derive(Debug)]
pub(super) struct Rows<'a> {
    pub(super) rest: &'a [u8],
    /// The slot of the row before.
    pub(super) slot: Option<u32>,
}

impl<'a> Rows<'a> {
    pub(super) fn of(payload: &'a [u8]) -> Rows<'a> {
        Rows { rest: payload, slot: None }
    }

    /// Goes to the next row and reads its values, one per measure; `None` after the last.
    pub(super) fn advance(&mut self, kinds: &[MeasureKind], values: &mut Vec<Value>) -> Result<Option<Row>, Malformed> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        self.row(kinds, values).map(Some).ok_or(Malformed)
    }

    fn row(&mut self, kinds: &[MeasureKind], values: &mut Vec<Value>) -> Option<Row> {
        let row = match varint::take(&mut self.rest)? {
            0 => Row { slot: TOTAL, is_total: true },
            mark => {
                let next = self.slot.map_or(0, |slot| u64::from(slot) + 1);
                let slot = next.checked_add((mark >> 1).checked_sub(1)?)?;
                Row { slot: u32::try_from(slot).ok().filter(|slot| *slot < TOTAL)?, is_total: mark & 1 == 1 }
            }
        };
        values.clear();
        for kind in kinds {
            values.push(kind.read_partial(&mut self.rest)?);
        }
        self.slot = Some(row.slot);
        Some(row)
    }
}

/// A block one level below, and the slot of its first row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Child {
    pub(super) slot: u32,
    pub(super) place: Place,
}

impl Child {
    pub(super) fn read(mut payload: &[u8]) -> Result<Child, Malformed> {
        let mut number = || varint::take(&mut payload).ok_or(Malformed);
        let narrow = |number: u64| u32::try_from(number).map_err(|_| Malformed);
        let (slot, offset, bytes) = (narrow(number()?)?, number()?, narrow(number()?)?);
        Ok(Child { slot, place: Place { offset, bytes } })
    }
}
