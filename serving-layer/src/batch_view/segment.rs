//! A segment: the rows of one day or one month of a view, in a file that never changes.
//!
//! A segment of a day has, for every group key of every grouping set, one row per bucket. A segment of a month has one row per
//! day. Both have a total for each key. Rows are ordered by key, then by *slot*: the number of their bucket within the day, or of
//! their day within the month. The total is the last row of its key; where there is one row, that is the total as well.
//!
//! The file is a tree of blocks that was written in one go: blocks of rows, above them blocks that say where these begin, up to one
//! root. A question about a key reads one block of each level. Nothing of a segment is in memory except the blocks that the cache
//! holds, so the memory does not grow with the view. Blocks are read with `pread`: mapped pages would count as the process's memory.
//!
//! - `origin`: what a segment was made from;
//! - `writer`: writes a segment, and runs of rows that are merged into one;
//! - `wanted`: which blocks and rows a question needs; `search`: finds a key in a block;
//! - `cursor`, `merge`: read segments and runs from their first row to their last, and merge them;
//! - `block`, `frame`, `description`, `varint`: the format;
//! - `cache`: the blocks in memory;
//! - `error`: what may fail.

mod block;
mod cache;
mod cursor;
mod description;
mod error;
mod frame;
mod merge;
mod origin;
mod search;
#[cfg(test)]
mod tests;
mod varint;
mod wanted;
mod writer;

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use shared_logic::group_key::KeyPattern;
use shared_logic::measure::{MeasureKind, Value};
use tokio::runtime::Handle;
use tracing::debug;

use block::Malformed;
pub(crate) use cache::BlockCache;
pub(super) use cursor::{Cursor, Pick};
use description::Description;
use error::Damage;
pub(crate) use error::SegmentError;
use frame::{Block, Place};
pub(super) use merge::{Ahead, merge};
pub(super) use origin::{Origin, Period};
pub(super) use wanted::Part;
use wanted::Wanted;
pub(super) use writer::{RunWriter, SegmentWriter};

/// The slot of the total of a key, behind all others.
pub(super) const TOTAL: u32 = u32::MAX;

/// Where a row of a key stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Row {
    slot: u32,
    /// Whether it is the total of its key: behind its rows, or the only one of them.
    is_total: bool,
}

/// How a question gets at blocks, and how many it has needed so far.
#[derive(Debug)]
pub(super) struct Access {
    reads_disk: bool,
    from_memory: u64,
    from_disk: u64,
}

/// Why a question was not answered.
#[derive(Debug)]
pub(super) enum Unanswered {
    /// A block is out of reach.
    NotInMemory,
    Failed(SegmentError),
}

/// A segment. Its file is removed when it is retired and no view uses it any more.
#[derive(Debug)]
pub(crate) struct Segment {
    path: PathBuf,
    bytes: u64,
    description: Description,
    digest: String,
    kinds: Arc<[MeasureKind]>,
    cache: Arc<BlockCache>,
    /// Tells its blocks from those of other segments in the cache.
    number: u64,
    is_retired: AtomicBool,
    damage: Damage,
}

impl Access {
    /// Only blocks in memory are in reach.
    pub(super) fn memory_only() -> Access {
        Access { reads_disk: false, from_memory: 0, from_disk: 0 }
    }

    /// All blocks are in reach. Those that are not in memory are read from disk, and may stay in memory.
    pub(super) fn with_disk() -> Access {
        Access { reads_disk: true, ..Access::memory_only() }
    }

    /// Counts the blocks.
    pub(super) fn report(&self) {
        metrics::counter!("braid_serving_blocks_total", "from" => "memory").increment(self.from_memory);
        metrics::counter!("braid_serving_blocks_total", "from" => "disk").increment(self.from_disk);
    }
}

impl Segment {
    /// Opens a file; `None` if it is not a whole segment of this version. `kinds` are the measures of the view.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub(super) fn open(
        path: &Path,
        kinds: &Arc<[MeasureKind]>,
        cache: &Arc<BlockCache>,
    ) -> Result<Option<Segment>, SegmentError> {
        let read = || -> io::Result<Option<(Description, u64)>> {
            let file = File::open(path)?;
            Ok(Description::read(&file)?.zip(Some(file.metadata()?.len())))
        };
        let Some((description, bytes)) = read().map_err(SegmentError::disk("open", path))? else { return Ok(None) };
        Ok(Some(Segment {
            path: path.to_owned(),
            bytes,
            digest: description.origin.digest(),
            description,
            kinds: Arc::clone(kinds),
            cache: Arc::clone(cache),
            number: cache.next_segment(),
            is_retired: AtomicBool::new(false),
            damage: Damage::default(),
        }))
    }

    pub(super) fn origin(&self) -> &Origin {
        &self.description.origin
    }

    /// Names its origin.
    pub(super) fn digest(&self) -> &str {
        &self.digest
    }

    /// Tells it from all others of this process.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// The size of its file.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether it cannot be used any more, as a block could not be read.
    pub(super) fn is_damaged(&self) -> bool {
        self.damage.is_found()
    }

    /// Lets the file go with the last that uses this.
    pub(super) fn retire(&self) {
        self.is_retired.store(true, Ordering::Relaxed);
    }

    /// Reads all rows from the first to the last, past the cache.
    ///
    /// # Errors
    /// If the file cannot be opened.
    pub(super) fn cursor(&self, pick: Pick) -> Result<Cursor, SegmentError> {
        let file = File::open(&self.path).map_err(|source| self.unread(source))?;
        let Place { offset, bytes } = self.description.root;
        let end = offset + u64::from(bytes);
        Ok(Cursor::of_file(file, end, &self.path, &self.damage, Arc::clone(&self.kinds), pick))
    }

    /// Reads the rows of all keys of a pattern, in their order and past the cache, from the first one on that may lie at or behind the
    /// text `from`.
    ///
    /// # Errors
    /// If the file cannot be opened, or a block on the way is damaged.
    pub(super) fn keys(&self, from: &[u8], pattern: &Arc<KeyPattern>, pick: Pick) -> Result<Cursor, SegmentError> {
        let offset = self.block_of(from)?;
        let file = File::open(&self.path).map_err(|source| self.unread(source))?;
        let Place { offset: root, bytes } = self.description.root;
        let (kinds, only) = (Arc::clone(&self.kinds), Arc::clone(pattern));
        let end = root + u64::from(bytes);
        let cursor = Cursor::of_keys(file, (offset, end), (&self.path, &self.damage), kinds, pick, only);
        cursor.map_err(|source| self.unread(source))
    }

    /// Where the first block of rows begins that may hold something of a key, or of those behind it.
    fn block_of(&self, key: &[u8]) -> Result<u64, SegmentError> {
        let Some(wanted) = Wanted::new(key, &Part::Slots(0..1)) else { return Ok(0) };
        let (mut place, mut level) = (self.description.root, self.description.height);
        while level > 0 {
            let block = self.read(place, level)?;
            let below = wanted.below(block.content()).map_err(|Malformed| self.damage.found(&self.path))?;
            // All of it lies behind the key: so does all of the segment, as a block above would have led to the one before.
            let Some(first) = below.first() else { return Ok(0) };
            (place, level) = (*first, level - 1);
        }
        Ok(place.offset)
    }

    /// Hands over the wanted rows of a key in the order of their slots; a total comes with the slot of its row.
    pub(super) fn rows(
        &self,
        key: &[u8],
        part: &Part,
        access: &mut Access,
        row: &mut dyn FnMut(u32, &[Value]),
    ) -> Result<(), Unanswered> {
        match Wanted::new(key, part) {
            Some(wanted) => self.visit(self.description.root, self.description.height, &wanted, access, row),
            None => Ok(()),
        }
    }

    /// Hands over what is wanted of a block and of those below it.
    fn visit(
        &self,
        place: Place,
        level: u8,
        wanted: &Wanted<'_>,
        access: &mut Access,
        row: &mut dyn FnMut(u32, &[Value]),
    ) -> Result<(), Unanswered> {
        let block = self.block(place, level, access)?;
        let malformed = |Malformed| Unanswered::Failed(self.damage.found(&self.path));
        if level == 0 {
            return wanted.take(block.content(), &self.kinds, row).map_err(malformed);
        }
        for place in wanted.below(block.content()).map_err(malformed)? {
            self.visit(place, level - 1, wanted, access, row)?;
        }
        Ok(())
    }

    fn block(&self, place: Place, level: u8, access: &mut Access) -> Result<Arc<Block>, Unanswered> {
        let id = (self.number, place.offset);
        if let Some(block) = self.cache.get(id) {
            access.from_memory += 1;
            return Ok(block);
        }
        if !access.reads_disk {
            return Err(Unanswered::NotInMemory);
        }
        access.from_disk += 1;
        let block = Arc::new(self.read(place, level).map_err(Unanswered::Failed)?);
        self.cache.put(id, &block);
        Ok(block)
    }

    /// Reads a block. The file is opened for each, so that no number of segments uses up what a process may have open.
    fn read(&self, place: Place, level: u8) -> Result<Block, SegmentError> {
        let mut frame = vec![0; place.bytes as usize];
        let read = File::open(&self.path).and_then(|file| file.read_exact_at(&mut frame, place.offset));
        read.map_err(|source| self.unread(source))?;
        let block = Block::checked(frame, place.offset).filter(|block| block.level() == level);
        block.ok_or_else(|| self.damage.found(&self.path))
    }

    /// The error of a file that cannot be read. That it is gone or too short is a damage; that too many files are open, for
    /// instance, is none.
    fn unread(&self, source: io::Error) -> SegmentError {
        match source.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::UnexpectedEof => self.damage.found(&self.path),
            _ => SegmentError::disk("read", &self.path)(source),
        }
    }
}

impl Drop for Segment {
    fn drop(&mut self) {
        if !*self.is_retired.get_mut() {
            return;
        }
        let path = std::mem::take(&mut self.path);
        let remove = move || {
            if let Err(error) = std::fs::remove_file(&path) {
                debug!(%error, path = %path.display(), "cannot remove a segment; the next start does");
            }
        };
        // Removing a large file takes a moment, and this may be a thread that answers requests.
        match Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(remove)),
            Err(_) => remove(),
        }
    }
}
