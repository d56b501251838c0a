//! The blocks in memory, of all segments together, within `serving.view_memory`.
//!
//! A block enters a short queue. If it is used again before it reaches the end of that, it moves to a long one, in which every use
//! gives it another round (S3-FIFO, Yang et al. 2023, without the queue of ghosts). So blocks that are read once, as by a question
//! about a rare key, do not push out those that are read all the time, which are mostly those of today. Nothing is sorted or moved
//! when a block is found.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::frame::Block;

/// About how many bytes an entry takes besides its block: the table's entry, the queue's, and what the allocator adds.
const ENTRY_BYTES: usize = 160;
/// The short queue has this part of the memory.
const SHORT_PART: usize = 10;
/// After so many uses, a block gets no more rounds for further ones.
const MAX_USES: u8 = 3;

/// Names a block: the number of its segment, and its offset.
pub(super) type BlockId = (u64, u64);

/// Blocks in memory, up to a limit.
#[derive(Debug)]
pub(crate) struct BlockCache {
    limit_bytes: usize,
    held: Mutex<Held>,
    segments: AtomicU64,
}

#[derive(Debug, Default)]
struct Held {
    blocks: HashMap<BlockId, Entry>,
    short: Queue,
    long: Queue,
}

#[derive(Debug, Default)]
struct Queue {
    ids: VecDeque<BlockId>,
    bytes: usize,
}

#[derive(Debug)]
struct Entry {
    block: Arc<Block>,
    uses: u8,
}

impl BlockCache {
    /// Holds no block yet.
    pub(crate) fn new(limit_bytes: usize) -> BlockCache {
        BlockCache { limit_bytes, held: Mutex::default(), segments: AtomicU64::new(0) }
    }

    /// The memory that is taken, about.
    pub(crate) fn bytes(&self) -> usize {
        self.lock().bytes()
    }

    /// A number for another segment.
    pub(super) fn next_segment(&self) -> u64 {
        self.segments.fetch_add(1, Ordering::Relaxed)
    }

    pub(super) fn get(&self, id: BlockId) -> Option<Arc<Block>> {
        let mut held = self.lock();
        let entry = held.blocks.get_mut(&id)?;
        entry.uses = (entry.uses + 1).min(MAX_USES);
        Some(Arc::clone(&entry.block))
    }

    /// Keeps a block, if the memory is large enough for it.
    pub(super) fn put(&self, id: BlockId, block: &Arc<Block>) {
        let bytes = weight(block);
        let mut held = self.lock();
        if bytes > self.limit_bytes || held.blocks.contains_key(&id) {
            return;
        }
        held.blocks.insert(id, Entry { block: Arc::clone(block), uses: 0 });
        held.short.push(id, bytes);
        while held.bytes() > self.limit_bytes {
            held.make_room(self.limit_bytes / SHORT_PART);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    fn bytes(&self) -> usize {
        self.short.bytes + self.long.bytes
    }

    /// Takes the next block out of the short queue, if that is longer than it may be, else out of the long one. Without uses it
    /// goes, with some it gets another round in the long queue.
    fn make_room(&mut self, short_bytes: usize) {
        let from_short = self.short.bytes > short_bytes || self.long.ids.is_empty();
        let queue = if from_short { &mut self.short } else { &mut self.long };
        let Some(id) = queue.ids.pop_front() else { return };
        let Some(entry) = self.blocks.get_mut(&id) else { return };
        let bytes = weight(&entry.block);
        queue.bytes -= bytes;
        if entry.uses == 0 {
            self.blocks.remove(&id);
            return;
        }
        entry.uses = if from_short { 0 } else { entry.uses - 1 };
        self.long.push(id, bytes);
    }
}

impl Queue {
    fn push(&mut self, id: BlockId, bytes: usize) {
        self.ids.push_back(id);
        self.bytes += bytes;
    }
}

fn weight(block: &Block) -> usize {
    block.bytes() + ENTRY_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch_view::segment::frame::BlockFile;

    fn block(content: usize) -> Arc<Block> {
        let mut file = BlockFile::new(Vec::new());
        file.write(&vec![7; content], 0).expect("memory takes it");
        Arc::new(Block::checked(file.into_inner(), 0).expect("a block"))
    }

    #[test]
    fn memory_is_bounded_and_blocks_in_use_stay() {
        let limit = 100 * weight(&block(1_000));
        let cache = BlockCache::new(limit);
        let favourites: Vec<BlockId> = (0..20).map(|n| (1, n)).collect();
        for round in 0..50 {
            for id in &favourites {
                if cache.get(*id).is_none() {
                    assert!(round < 3, "a favourite went in round {round}");
                    cache.put(*id, &block(1_000));
                }
            }
            // A question about many keys that are asked for once.
            (0..70).for_each(|n| cache.put((2, round * 70 + n), &block(1_000)));
            assert!(cache.bytes() <= limit, "{} of {limit} bytes", cache.bytes());
        }
        assert!(cache.bytes() > limit * 9 / 10, "only {} of {limit} bytes are used", cache.bytes());
        let held = cache.lock();
        assert_eq!(held.blocks.len(), held.short.ids.len() + held.long.ids.len());
        assert_eq!(held.bytes(), held.blocks.values().map(|entry| weight(&entry.block)).sum::<usize>());
    }

    #[test]
    fn a_block_that_is_larger_than_the_memory_is_not_kept() {
        let cache = BlockCache::new(1_000);
        cache.put((1, 1), &block(100));
        cache.put((1, 2), &block(1_000));
        assert!(cache.get((1, 1)).is_some() && cache.get((1, 2)).is_none());
        assert!(BlockCache::new(0).bytes() == 0);
    }
}
