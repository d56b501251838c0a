//! Many small ranges of a large file, read in few requests.

use std::ops::Range;

use bytes::Bytes;
use deltalake::Path;

use crate::store::{StoreError, Table};

/// Ranges that lie closer together than this are read as one, with what lies between them: that takes less than another request.
const GAP: u64 = 4 * 1024;

impl Table {
    /// The bytes of each of those ranges of a file beside the table. The ranges are in order, and neither start nor end decreases.
    ///
    /// # Errors
    /// If the file cannot be read, or ends before a range does.
    pub async fn ranges_beside(&self, path: &str, ranges: &[Range<u64>]) -> Result<Vec<Bytes>, StoreError> {
        let joined = joined(ranges);
        if joined.is_empty() {
            return Ok(Vec::new());
        }
        let read = self.objects().get_ranges(&Path::from(path), &joined).await;
        let read = read.map_err(|error| self.failed("read", path, error))?;
        split(ranges, &joined, &read).ok_or_else(|| StoreError::Foreign {
            table: self.path().to_owned(),
            what: format!("a file {path} that ends too early"),
        })
    }
}

/// The ranges with those joined that lie close together.
fn joined(ranges: &[Range<u64>]) -> Vec<Range<u64>> {
    let mut joined: Vec<Range<u64>> = Vec::new();
    for range in ranges.iter().filter(|range| !range.is_empty()) {
        match joined.last_mut() {
            Some(last) if range.start <= last.end + GAP => last.end = last.end.max(range.end),
            _ => joined.push(range.clone()),
        }
    }
    joined
}

/// What was read of each range; nothing if too little was read.
fn split(ranges: &[Range<u64>], joined: &[Range<u64>], read: &[Bytes]) -> Option<Vec<Bytes>> {
    let mut at = 0;
    let of = |range: &Range<u64>| {
        if range.is_empty() {
            return Some(Bytes::new());
        }
        while joined.get(at)?.end < range.end {
            at += 1;
        }
        let from = usize::try_from(range.start - joined.get(at)?.start).ok()?;
        let to = usize::try_from(range.end - joined.get(at)?.start).ok()?;
        let bytes = read.get(at)?;
        (to <= bytes.len()).then(|| bytes.slice(from..to))
    };
    ranges.iter().map(of).collect()
}

#[cfg(test)]
mod tests {
    use test_kit::Dice;

    use super::*;

    #[test]
    fn whatever_the_ranges_are_each_gets_its_own_bytes() {
        let file: Vec<u8> = (0..200_000_u32).map(|at| (at % 251) as u8).collect();
        for seed in 0..50 {
            let mut dice = Dice::new(seed);
            let (mut ranges, mut at) = (Vec::new(), 0_u64);
            while at < 190_000 {
                let range = at..at + dice.between(0, 40) as u64;
                at = range.start + dice.below(range.end as usize - range.start as usize + 1) as u64;
                at += if dice.chance(20) { dice.between(0, 9_000) as u64 } else { 0 };
                if ranges.last().is_none_or(|last: &Range<u64>| last.end <= range.end) {
                    ranges.push(range);
                }
                at += 1;
            }
            let joined = joined(&ranges);
            assert!(joined.len() < ranges.len() / 2 && joined.windows(2).all(|pair| pair[0].end < pair[1].start));
            let bytes = |range: &Range<u64>| Bytes::copy_from_slice(&file[range.start as usize..range.end as usize]);
            let read: Vec<Bytes> = joined.iter().map(bytes).collect();
            assert_eq!(split(&ranges, &joined, &read), Some(ranges.iter().map(bytes).collect()), "seed {seed}");
        }
    }

    #[test]
    fn a_file_that_ends_too_early_is_noticed() {
        let ranges = [0..4, 4..8];
        assert_eq!(split(&ranges, &joined(&ranges), &[Bytes::from_static(b"1234567")]), None);
        assert_eq!(split(&ranges, &joined(&ranges), &[]), None);
    }
}
