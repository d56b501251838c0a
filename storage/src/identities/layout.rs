//! Which bits of a run's file say what.
//!
//! ```text
//! format, length of the header, header     8 + 4 bytes, and JSON
//! starts     4 bytes for each block and one more: the number of the block's first entry
//! filters    2 bytes for each entry: the 16 bits of its identity that follow those of the block
//! rests      for each entry the rest of its identity, the partition's number, and the offset above the partition's smallest
//! ```
//!
//! Identities are hashes, so their first bits divide them evenly. All identities of a run begin with the same bits (its prefix),
//! all of a block with the same further ones. Neither are written. What follows them serves as a filter: whoever looks for an
//! identity reads the 16 bits of about as many entries, and only where they fit, once in 4,096 times by chance, an entry.
//!
//! For a million entries in up to 256 partitions, with offsets that span 16 million, an entry takes 18.25 bytes: a quarter for
//! the starts, 2 for the filter, 12 for the rest of the identity, 1 for the partition, 3 for the offset.

use std::ops::Range;

use serde::{Deserialize, Serialize};
use shared_logic::identity::Identity;
use shared_logic::log::PartitionId;

use super::entries::{Entries, Entry};

/// The first bytes of a run's file.
const FORMAT: [u8; 8] = *b"BRAIDID1";
/// Format and length of the header.
const HEAD: usize = FORMAT.len() + 4;
/// About how many entries a block has.
const BLOCK_ROWS: usize = 16;
/// Bits of a filter.
const FILTER: u32 = 16;

/// The bits with which all identities of a run begin.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Prefix {
    /// How many there are.
    pub(super) bits: u32,
    /// The bits, as a number.
    pub(super) value: u32,
}

impl Prefix {
    /// The first `bits` bits of an identity.
    pub(super) fn of(identity: Identity, bits: u32) -> Prefix {
        Prefix { bits, value: field(identity, 0, bits) as u32 }
    }

    /// Those of the identities, which are in order, that begin so: where they begin and end.
    pub(super) fn among(self, identities: &[Identity]) -> Range<usize> {
        let value = |identity: &Identity| Prefix::of(*identity, self.bits).value;
        let from = identities.partition_point(|identity| value(identity) < self.value);
        let to = identities.partition_point(|identity| value(identity) <= self.value);
        from..to
    }

    /// Those of so many bits that begin with this one; itself, if it has no fewer.
    pub(super) fn divided(self, bits: u32) -> impl Iterator<Item = Prefix> {
        let further = bits.saturating_sub(self.bits);
        let part = move |part: u32| Prefix { bits: self.bits + further, value: (self.value << further) | part };
        (0..1_u32 << further).map(part)
    }
}

/// What a run's file begins with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Header {
    rows: usize,
    prefix: Prefix,
    /// How many bits of an identity say in which block it lies.
    block_bits: u32,
    /// Log, partition, and the smallest offset there.
    partitions: Vec<(String, i32, i64)>,
    /// How many bytes an offset has.
    offset_bytes: usize,
}

/// Where what stands in a run's file.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    header: Header,
    starts_at: usize,
    filters_at: usize,
    rests_at: usize,
}

/// How much of a run has to be read to understand the rest.
#[derive(Debug)]
pub(super) enum Head {
    /// What was given is enough.
    Whole(Layout),
    /// So many bytes are needed.
    Longer(usize),
}

impl Layout {
    /// From the first bytes of a run; `None`: it is none.
    pub(super) fn read(bytes: &[u8]) -> Option<Head> {
        let length = bytes.get(..HEAD)?.strip_prefix(&FORMAT)?.first_chunk()?;
        let end = HEAD.checked_add(u32::from_le_bytes(*length) as usize)?;
        let Some(header) = bytes.get(HEAD..end) else { return Some(Head::Longer(end)) };
        let header: Header = serde_json::from_slice(header).ok()?;
        let is_sound = header.prefix.bits <= 32 && header.block_bits <= 32 && header.offset_bytes <= 8;
        let is_sound = is_sound && u32::try_from(header.rows).is_ok();
        is_sound.then(|| Head::Whole(Layout::of(header, end)))
    }

    fn of(header: Header, starts_at: usize) -> Layout {
        let filters_at = starts_at + 4 * ((1 << header.block_bits) + 1);
        let rests_at = filters_at + 2 * header.rows;
        Layout { header, starts_at, filters_at, rests_at }
    }

    /// How many bytes the file has.
    pub(super) fn size(&self) -> usize {
        self.rests_at + self.header.rows * self.width()
    }

    pub(super) fn rows(&self) -> usize {
        self.header.rows
    }

    pub(super) fn blocks(&self) -> u64 {
        1 << self.header.block_bits
    }

    /// In which block an identity lies.
    pub(super) fn block(&self, identity: Identity) -> u64 {
        field(identity, self.header.prefix.bits, self.header.block_bits) as u64
    }

    pub(super) fn filter(&self, identity: Identity) -> u16 {
        field(identity, self.header.prefix.bits + self.header.block_bits, FILTER) as u16
    }

    /// The blocks in which identities with that prefix lie, which is the run's own or a longer one.
    pub(super) fn blocks_of(&self, prefix: Prefix) -> Range<u64> {
        let (bits, block_bits) = (prefix.bits.saturating_sub(self.header.prefix.bits), self.header.block_bits);
        let further = u64::from(prefix.value) & ((1_u64 << bits) - 1);
        match block_bits.checked_sub(bits) {
            Some(shift) => further << shift..(further + 1) << shift,
            None => {
                let block = further >> (bits - block_bits);
                block..block + 1
            }
        }
    }

    /// Where the starts of blocks stand, and that of the block behind them.
    pub(super) fn starts_of(&self, blocks: &Range<u64>) -> Range<u64> {
        let at = self.starts_at as u64;
        at + 4 * blocks.start..at + 4 * (blocks.end + 1)
    }

    /// Whether a run has those entries.
    pub(super) fn has(&self, entries: &Range<u64>) -> bool {
        entries.start <= entries.end && entries.end <= self.rows() as u64
    }

    /// Where the filters of those entries stand.
    pub(super) fn filters_of(&self, entries: &Range<u64>) -> Range<u64> {
        let at = self.filters_at as u64;
        at + 2 * entries.start..at + 2 * entries.end
    }

    /// Where the rests of those entries stand.
    pub(super) fn rests_of(&self, entries: &Range<u64>) -> Range<u64> {
        let (at, width) = (self.rests_at as u64, self.width() as u64);
        at + width * entries.start..at + width * entries.end
    }

    /// The place of an entry, if it is that of the identity, of which block and filter fit. `rest` is what stands at
    /// [`rests_of`](Layout::rests_of).
    pub(super) fn place(&self, rest: &[u8], identity: Identity) -> Option<(PartitionId, i64)> {
        let (tail, place) = rest.split_at_checked(self.tail_bytes())?;
        if tail != &self.tail(identity)[..tail.len()] {
            return None;
        }
        let (partition, offset) = place.split_at_checked(self.partition_bytes())?;
        let (log, partition, base) = self.header.partitions.get(number(partition) as usize)?;
        Some((PartitionId::new(log.clone(), *partition), base.saturating_add_unsigned(number(offset))))
    }

    /// Bits of an identity that a run spares.
    fn spared(&self) -> u32 {
        self.header.prefix.bits + self.header.block_bits + FILTER
    }

    /// The bits of an identity that follow prefix, block and filter.
    fn tail(&self, identity: Identity) -> [u8; 16] {
        (identity.bits() << self.spared()).to_be_bytes()
    }

    fn tail_bytes(&self) -> usize {
        (128 - self.spared()).div_ceil(8) as usize
    }

    fn partition_bytes(&self) -> usize {
        bytes_for(self.header.partitions.len().saturating_sub(1) as u64)
    }

    /// How many bytes the rest of an entry has.
    fn width(&self) -> usize {
        self.tail_bytes() + self.partition_bytes() + self.header.offset_bytes
    }
}

/// Entries that are sorted, each identity with that prefix, as the bytes of a run.
pub(super) fn encode(entries: &Entries, prefix: Prefix) -> Vec<u8> {
    let Entries { partitions, rows } = entries;
    let mut bases = vec![i64::MAX; partitions.len()];
    for entry in rows {
        let base = &mut bases[entry.partition as usize];
        *base = entry.offset.min(*base);
    }
    let above = |entry: &Entry| entry.offset.abs_diff(bases[entry.partition as usize]);
    let header = Header {
        rows: rows.len(),
        prefix,
        block_bits: (rows.len() / BLOCK_ROWS).max(1).ilog2(),
        partitions: partitions.iter().zip(&bases).map(|(id, base)| (id.log.clone(), id.partition, *base)).collect(),
        offset_bytes: bytes_for(rows.iter().map(above).max().unwrap_or_default()),
    };
    let text = serde_json::to_vec(&header).expect("a header is plain data");
    let layout = Layout::of(header, HEAD + text.len());
    let mut bytes = Vec::with_capacity(layout.size());
    bytes.extend(FORMAT);
    bytes.extend((text.len() as u32).to_le_bytes());
    bytes.extend(text);
    let mut block = 0;
    for (number, entry) in rows.iter().enumerate() {
        while block <= layout.block(entry.identity) {
            bytes.extend((number as u32).to_le_bytes());
            block += 1;
        }
    }
    for _ in block..=layout.blocks() {
        bytes.extend((rows.len() as u32).to_le_bytes());
    }
    for entry in rows {
        bytes.extend(layout.filter(entry.identity).to_le_bytes());
    }
    let (tail_bytes, partition_bytes) = (layout.tail_bytes(), layout.partition_bytes());
    for entry in rows {
        bytes.extend(&layout.tail(entry.identity)[..tail_bytes]);
        bytes.extend(&entry.partition.to_le_bytes()[..partition_bytes]);
        bytes.extend(&above(entry).to_le_bytes()[..layout.header.offset_bytes]);
    }
    bytes
}

/// The numbers of the entries of blocks, given what stands at [`Layout::starts_of`].
pub(super) fn entries_of(starts: &[u8]) -> Option<Range<u64>> {
    let (start, end) = (starts.first_chunk()?, starts.last_chunk()?);
    Some(u32::from_le_bytes(*start).into()..u32::from_le_bytes(*end).into())
}

impl Layout {
    /// The entries of blocks, given what stands where their [starts](Layout::starts_of), [filters](Layout::filters_of) and
    /// [rests](Layout::rests_of) do; `None`: they are those of no run.
    pub(super) fn decode(&self, blocks: Range<u64>, starts: &[u8], filters: &[u8], rests: &[u8]) -> Option<Entries> {
        let id = |(log, partition, _): &(String, i32, i64)| PartitionId::new(log.clone(), *partition);
        let partitions = self.header.partitions.iter().map(id).collect();
        let mut entries = filters.chunks_exact(2).zip(rests.chunks_exact(self.width()));
        let mut rows = Vec::with_capacity(entries.len());
        let mut next = entries_of(starts)?.start;
        for (block, ends) in blocks.zip(starts.windows(8).step_by(4)) {
            let of_block = entries_of(ends).filter(|of_block| of_block.start == next && self.has(of_block))?;
            next = of_block.end;
            for _ in of_block {
                let (filter, rest) = entries.next()?;
                let (tail, place) = rest.split_at_checked(self.tail_bytes())?;
                let (partition, offset) = place.split_at_checked(self.partition_bytes())?;
                let (_, _, base) = self.header.partitions.get(number(partition) as usize)?;
                rows.push(Entry {
                    identity: self.identity(block, u16::from_le_bytes(*filter.first_chunk()?), tail),
                    partition: number(partition) as u32,
                    offset: base.saturating_add_unsigned(number(offset)),
                });
            }
        }
        (entries.len() == 0).then_some(Entries { partitions, rows })
    }

    /// Puts an identity together.
    fn identity(&self, block: u64, filter: u16, tail: &[u8]) -> Identity {
        let Prefix { bits, value } = self.header.prefix;
        let mut whole = [0; 16];
        whole[..tail.len()].copy_from_slice(tail);
        let mut identity = u128::from_be_bytes(whole) >> self.spared();
        let fields = [
            (u128::from(value), 0, bits),
            (block.into(), bits, self.header.block_bits),
            (filter.into(), self.spared() - FILTER, FILTER),
        ];
        for (field, from, count) in fields.into_iter().filter(|(.., count)| *count > 0) {
            identity |= field << (128 - from - count);
        }
        Identity::of_bits(identity)
    }
}

/// `count` bits of an identity, from bit `from` on, as a number; the first bit is the most significant one.
fn field(identity: Identity, from: u32, count: u32) -> u128 {
    if count == 0 { 0 } else { (identity.bits() << from) >> (128 - count) }
}

/// A number of up to eight bytes, the least significant first.
fn number(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |number, byte| (number << 8) | u64::from(*byte))
}

/// How many bytes are needed for numbers up to this one.
fn bytes_for(most: u64) -> usize {
    (64 - most.leading_zeros()).div_ceil(8) as usize
}
