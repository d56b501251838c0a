//! Measured values, in lists of cells from the newest to the oldest.

use super::aggregates::Aggregates;
use super::slab::Slab;
use crate::measure::Value;

/// No cell.
pub(super) const NONE: u32 = u32::MAX;

/// Cells: a head each, which says what it is of and which cell is the next older one, and a value for each measure.
#[derive(Debug)]
pub(super) struct Cells<H> {
    heads: Slab<H>,
    /// Those of one cell behind those of another.
    values: Vec<Value>,
    width: usize,
}

impl<H> Cells<H> {
    /// For that many measures.
    pub(super) fn new(width: usize) -> Cells<H> {
        Cells { heads: Slab::new(), values: Vec::new(), width }
    }

    /// Adds a cell with these values; gives its place.
    pub(super) fn insert(&mut self, head: H, values: impl IntoIterator<Item = Value>) -> u32 {
        let cell = self.heads.insert(head);
        let from = cell as usize * self.width;
        if self.values.len() < from + self.width {
            self.values.resize(from + self.width, Value::Null);
        }
        self.values[from..from + self.width].iter_mut().zip(values).for_each(|(room, value)| *room = value);
        cell
    }

    /// Takes a cell out.
    pub(super) fn remove(&mut self, cell: u32) -> Option<H> {
        let head = self.heads.remove(cell);
        self.values.truncate(self.heads.places() * self.width);
        if self.values.len() < self.values.capacity() / 4 {
            self.values.shrink_to(self.values.len() * 2);
        }
        head
    }

    pub(super) fn head(&self, cell: u32) -> Option<&H> {
        self.heads.get(cell)
    }

    pub(super) fn head_mut(&mut self, cell: u32) -> Option<&mut H> {
        self.heads.get_mut(cell)
    }

    /// The values of a cell that is there.
    pub(super) fn values(&self, cell: u32) -> &[Value] {
        &self.values[cell as usize * self.width..][..self.width]
    }

    /// The values of a cell that is there.
    pub(super) fn values_mut(&mut self, cell: u32) -> &mut [Value] {
        &mut self.values[cell as usize * self.width..][..self.width]
    }

    /// Merges the values of a later cell into those of an earlier one.
    pub(super) fn merge(&mut self, aggregates: &Aggregates, earlier: u32, later: u32) {
        let values = self.values(later).to_vec();
        aggregates.merge(self.values_mut(earlier), &values);
    }

    /// How many cells there are.
    pub(super) fn len(&self) -> usize {
        self.heads.len()
    }

    /// The memory of all of it.
    pub(super) fn bytes(&self) -> usize {
        self.heads.bytes() + self.values.capacity() * size_of::<Value>()
    }
}
