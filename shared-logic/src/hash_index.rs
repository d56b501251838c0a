//! An index of a list: it finds an entry by a hash of what the entry is.
//!
//! It is an open-addressing table of positions, while the entries lie in the list of its owner. A slot takes 8 bytes: 31 bits
//! of the hash, and the position. So a lookup hardly ever looks at another entry than the right one, and slots are moved
//! without looking at an entry at all.
//!
//! - `texts`: distinct texts, found by such an index.

mod texts;

use std::hint::black_box;

pub(crate) use self::texts::Texts;

/// A slot that is not taken.
const EMPTY: u64 = 0;
/// Set in the hash of every slot that is taken.
const TAKEN: u32 = 1 << 31;
/// The slots of the smallest table.
const SLOTS_MIN: usize = 16;

/// The positions of entries, by their hashes.
#[derive(Debug, Clone, Default)]
pub(crate) struct HashIndex {
    /// A power of two, or none at all.
    slots: Vec<u64>,
    /// At most half of the slots, so that every search ends soon.
    taken: usize,
}

impl HashIndex {
    /// With room for so many entries, before it has to grow.
    pub(crate) fn with_room(entries: usize) -> HashIndex {
        HashIndex { slots: empty((2 * entries + 1).next_power_of_two().max(SLOTS_MIN)), taken: 0 }
    }

    /// The position of the entry with that hash that `is_it` accepts.
    pub(crate) fn get(&self, hash: u32, is_it: impl Fn(u32) -> bool) -> Option<u32> {
        self.find(hash, is_it).map(|at| position_of(self.slots[at]))
    }

    /// Reads the places where searches for these hashes begin. Each of these reads is on its own, so the processor waits for many
    /// at the same time; searches that follow find them in its cache.
    pub(crate) fn touch(&self, hashes: impl Iterator<Item = u32>) {
        let Some(mask) = self.slots.len().checked_sub(1) else { return };
        let read = hashes.fold(EMPTY, |read, hash| read ^ self.slots[home(slot(hash, 0), mask)]);
        // Otherwise nothing would use what was read, and the compiler would leave it out.
        black_box(read);
    }

    /// The memory that it takes.
    pub(crate) fn bytes(&self) -> usize {
        self.slots.capacity() * size_of::<u64>()
    }

    /// Adds the position of an entry with that hash. It must not be in the index.
    pub(crate) fn insert(&mut self, hash: u32, position: u32) {
        if self.taken * 2 >= self.slots.len() {
            self.grow();
        }
        place(&mut self.slots, slot(hash, position));
        self.taken += 1;
    }

    /// Takes out the position of an entry with that hash, if it is in the index.
    pub(crate) fn remove(&mut self, hash: u32, position: u32) {
        let Some(mut gap) = self.find(hash, |found| found == position) else { return };
        let mask = self.slots.len() - 1;
        let mut at = gap;
        // What a search would not find behind the gap moves into it.
        loop {
            at = (at + 1) & mask;
            let slot = self.slots[at];
            if slot == EMPTY {
                break;
            }
            if distance(home(slot, mask), at, mask) >= distance(gap, at, mask) {
                self.slots[gap] = slot;
                gap = at;
            }
        }
        self.slots[gap] = EMPTY;
        self.taken -= 1;
    }

    fn find(&self, hash: u32, is_it: impl Fn(u32) -> bool) -> Option<usize> {
        let mask = self.slots.len().checked_sub(1)?;
        let wanted = slot(hash, 0);
        let mut at = home(wanted, mask);
        while self.slots[at] != EMPTY {
            let found = self.slots[at];
            if found >> 32 == wanted >> 32 && is_it(position_of(found)) {
                return Some(at);
            }
            at = (at + 1) & mask;
        }
        None
    }

    fn grow(&mut self) {
        let mut slots = empty((self.slots.len() * 2).max(SLOTS_MIN));
        self.slots.iter().filter(|slot| **slot != EMPTY).for_each(|slot| place(&mut slots, *slot));
        self.slots = slots;
    }
}

/// So many slots that are not taken. They are written here, and not asked for as zeros: such memory is mapped when a search reads it, and
/// again when a slot is written. The second time, the operating system interrupts every processor.
fn empty(slots: usize) -> Vec<u64> {
    let mut empty = Vec::new();
    empty.resize(slots, EMPTY);
    empty
}

fn slot(hash: u32, position: u32) -> u64 {
    (u64::from(hash | TAKEN) << 32) | u64::from(position)
}

fn position_of(slot: u64) -> u32 {
    // The lower half.
    slot as u32
}

/// Where the search for a slot begins.
fn home(slot: u64, mask: usize) -> usize {
    (slot >> 32) as usize & mask
}

/// How many places a search goes on from one place to another.
fn distance(from: usize, to: usize, mask: usize) -> usize {
    to.wrapping_sub(from) & mask
}

/// Puts a slot into the first free place at or behind its home.
fn place(slots: &mut [u64], slot: u64) {
    let mask = slots.len() - 1;
    let mut at = home(slot, mask);
    while slots[at] != EMPTY {
        at = (at + 1) & mask;
    }
    slots[at] = slot;
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Few hashes, so that searches run over several entries and over the table's end.
        #[test]
        fn it_finds_what_a_map_finds(steps in prop::collection::vec((0..40_u32, any::<bool>()), 0..400)) {
            let hash = |entry: u32| u32::MAX - entry % 7;
            let (mut index, mut expected) = (HashIndex::default(), BTreeMap::new());
            for (number, (entry, adds)) in (u32::MAX - 200..u32::MAX).zip(steps) {
                match expected.remove(&entry) {
                    Some(position) => index.remove(hash(entry), position),
                    None if adds => {
                        index.insert(hash(entry), number);
                        expected.insert(entry, number);
                    }
                    None => index.remove(hash(entry), number),
                }
                prop_assert_eq!(index.taken, expected.len());
                for entry in 0..40 {
                    let known = expected.get(&entry).copied();
                    let found = index.get(hash(entry), |position| Some(position) == known);
                    prop_assert_eq!(found, known);
                }
            }
        }
    }

    #[test]
    fn an_index_does_not_grow_as_long_as_it_has_room() {
        for entries in [0, 1, 7, 8, 100] {
            let mut index = HashIndex::with_room(entries as usize);
            let slots = index.slots.len();
            (0..entries).for_each(|entry| index.insert(entry, entry));
            assert_eq!(index.slots.len(), slots, "{entries} entries");
            assert!((0..entries).all(|entry| index.get(entry, |found| found == entry) == Some(entry)));
        }
    }

    #[test]
    fn an_empty_index_finds_nothing() {
        let mut index = HashIndex::default();
        assert_eq!(index.get(0, |_| true), None);
        index.touch(0..100);
        index.remove(0, 0);
        index.insert(0, 0);
        assert_eq!(index.get(0, |_| true), Some(0), "a hash and a position may be zero");
    }
}
