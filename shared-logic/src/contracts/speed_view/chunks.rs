//! Which chunks of a slice hold something of a group key.
//!
//! Most keys have one chunk in a slice, so the values of one, the first that was counted into, stand in the key's own field. In
//! front of them stands the list of the key's chunks, ended by `;`: that one first, and then the others as runs, ascending. A run
//! is its first chunk and, if there are more, how many follow: `27000,26990,27001+5;…` are eight chunks. So a reader reads the
//! fields of this key alone, however many chunks other keys have, and of those only the ones within its range.

use std::fmt;
use std::str::FromStr;

use super::counters::{chunk_of, chunk_width};
use super::script::UnknownReply;
use crate::measure::MeasureKind;
use crate::time::{TimeRange, bucket_index};

/// The chunks that a range of buckets lies in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ChunkRange {
    /// The first chunk.
    pub first: i64,
    /// The last chunk.
    pub last: i64,
}

impl ChunkRange {
    /// The chunks of the buckets of width `grain_us` that start within the range, which is not empty, where those measures are counted.
    pub fn of(range: TimeRange, grain_us: i64, kinds: &[MeasureKind]) -> ChunkRange {
        let width = chunk_width(kinds);
        let chunk = |instant_us| chunk_of(bucket_index(instant_us, grain_us), width).0;
        ChunkRange { first: chunk(range.from_us), last: chunk(range.to_us - 1) }
    }

    /// Whether every chunk of the other range lies in this one.
    pub fn covers(self, other: ChunkRange) -> bool {
        self.first <= other.first && other.last <= self.last
    }
}

/// The chunks of one group key in one slice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Chunks {
    /// The chunk whose values stand in the key's own field.
    pub(super) own: i64,
    /// The first and the last chunk of each run of others; ascending, and no two runs touch.
    runs: Vec<(i64, i64)>,
}

impl Chunks {
    /// One chunk.
    pub(super) fn new(own: i64) -> Chunks {
        Chunks { own, runs: Vec::new() }
    }

    /// Whether the chunk is one of the others, which have fields of their own.
    pub(super) fn has_field(&self, chunk: i64) -> bool {
        self.runs.get(self.run_up_to(chunk)).is_some_and(|run| run.0 <= chunk)
    }

    /// Adds a chunk, which is not [`Chunks::own`], to the others.
    pub(super) fn insert(&mut self, chunk: i64) {
        let at = self.run_up_to(chunk);
        let continues = at > 0 && self.runs[at - 1].1 + 1 == chunk;
        match self.runs.get_mut(at) {
            Some(run) if run.0 <= chunk => {}
            Some(run) if run.0 == chunk + 1 => {
                run.0 = chunk;
                if continues {
                    self.runs[at].0 = self.runs[at - 1].0;
                    self.runs.remove(at - 1);
                }
            }
            _ if continues => self.runs[at - 1].1 = chunk,
            _ => self.runs.insert(at, (chunk, chunk)),
        }
    }

    /// Where the first run lies that does not end before the chunk.
    fn run_up_to(&self, chunk: i64) -> usize {
        self.runs.partition_point(|run| run.1 < chunk)
    }
}

impl fmt::Display for Chunks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.own)?;
        for (first, last) in &self.runs {
            write!(f, ",{first}")?;
            if last > first {
                write!(f, "+{}", last - first)?;
            }
        }
        Ok(())
    }
}

impl FromStr for Chunks {
    type Err = ();

    fn from_str(text: &str) -> Result<Chunks, ()> {
        let mut parts = text.split(',');
        let own = parts.next().and_then(|own| own.parse().ok()).ok_or(())?;
        let run = |text: &str| {
            let (first, more) = text.split_once('+').unwrap_or((text, "0"));
            let (first, more): (i64, i64) = (first.parse().ok()?, more.parse().ok()?);
            Some((first, first.checked_add(more)?))
        };
        let runs = parts.map(run).collect::<Option<Vec<_>>>().ok_or(())?;
        let is_ascending = runs.windows(2).all(|pair| pair[0].1 < pair[1].0);
        if is_ascending && runs.iter().all(|run| run.0 <= run.1) { Ok(Chunks { own, runs }) } else { Err(()) }
    }
}

/// Whether a key's own field lists other chunks, which have fields of their own.
pub(super) fn lists_others(field: &[u8]) -> bool {
    field.iter().take_while(|byte| **byte != b';').any(|byte| *byte == b',')
}

/// Reads a key's own field: its chunks, and the values of the first of them.
///
/// # Errors
/// If it is not of the form above.
pub(super) fn own_field(field: &[u8]) -> Result<(Chunks, &[u8]), UnknownReply> {
    let end = field.iter().position(|byte| *byte == b';');
    let list: Option<Chunks> = end.and_then(|end| std::str::from_utf8(&field[..end]).ok()?.parse().ok());
    list.zip(end).map(|(chunks, end)| (chunks, &field[end + 1..])).ok_or_else(|| UnknownReply {
        what: format!("chunks {:?}", String::from_utf8_lossy(&field[..field.len().min(100)])),
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use test_kit::Dice;

    use super::*;

    #[test]
    fn a_list_is_read_as_it_is_written() {
        for text in ["0", "-3", "27000,26990,27001+5", "5,-9+2,-3,4,6+1"] {
            assert_eq!(text.parse::<Chunks>().map(|chunks| chunks.to_string()), Ok(text.to_owned()));
        }
        for strange in ["", "x", "1,", "1,x", "1,5+", "1,5+x", "1,7,5", "1,5+2,7", "1,5+-1"] {
            assert_eq!(strange.parse::<Chunks>(), Err(()), "{strange:?}");
        }
    }

    #[test]
    fn any_order_of_chunks_makes_the_same_list() {
        for seed in 1..200 {
            let mut dice = Dice::new(seed);
            let (mut chunks, mut expected) = (Chunks::new(7), BTreeSet::new());
            for _ in 0..dice.below(60) {
                let chunk = dice.between(-20, 40);
                if chunk == 7 {
                    continue;
                }
                assert_eq!(chunks.has_field(chunk), expected.contains(&chunk), "seed {seed}");
                chunks.insert(chunk);
                expected.insert(chunk);
            }
            let listed: BTreeSet<i64> = (-25..45).filter(|chunk| chunks.has_field(*chunk)).collect();
            assert_eq!(listed, expected, "seed {seed}: {chunks}");
            assert_eq!(chunks.to_string().parse(), Ok(chunks.clone()), "seed {seed}: runs ascend and do not touch");
            let begins = expected.iter().filter(|chunk| !expected.contains(&(*chunk - 1))).count();
            assert_eq!(chunks.runs.len(), begins, "seed {seed}: {chunks}");
        }
    }

    #[test]
    fn a_range_of_buckets_lies_in_these_chunks() {
        let minute = 60_000_000;
        let of = |from: i64, to: i64| {
            let range = TimeRange { from_us: from * minute, to_us: to * minute };
            let ChunkRange { first, last } = ChunkRange::of(range, minute, &[MeasureKind::Count]);
            (first, last)
        };
        assert_eq!([of(0, 64), of(0, 65), of(63, 64), of(-1, 1)], [(0, 0), (0, 1), (0, 0), (-1, 0)]);
        let range = TimeRange { from_us: 0, to_us: 65 * minute };
        let sketches = ChunkRange::of(range, minute, &[MeasureKind::Count, MeasureKind::Quantile]);
        assert_eq!(sketches, ChunkRange { first: 0, last: 64 });
        let all = ChunkRange::of(TimeRange::ALL, minute, &[]);
        assert!(all.covers(ChunkRange { first: -3, last: 5 }) && !ChunkRange { first: -3, last: 5 }.covers(all));
    }

    #[test]
    fn what_no_worker_writes_is_no_own_field() {
        let (chunks, values) = own_field(b"3,5+1;\x01;\x02").expect("readable");
        assert_eq!((chunks.own, chunks.has_field(6), values), (3, true, b"\x01;\x02".as_slice()));
        assert!(lists_others(b"3,5+1;\x01") && !lists_others(b"-3;\x01,") && !lists_others(b""));
        for strange in [b"3,5".as_slice(), b"", b";", b"\xff;", b"a;"] {
            assert!(own_field(strange).is_err(), "{strange:02x?}");
        }
    }
}
