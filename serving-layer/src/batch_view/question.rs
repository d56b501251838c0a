//! Which parts of which segments answer a question about a key and a range.
//!
//! Of a month that the range covers whole, a total needs one row. Of other months it needs a row per day that is covered whole, from
//! the month's segment, and the buckets of at most two days. So a total over a year reads twelve segments of months and two of
//! days. A series with steps of whole days reads the same rows of months; one with finer steps reads the days.

use std::ops::Range;
use std::sync::Arc;

use shared_logic::group_key::{GroupKey, KeyPattern};
use shared_logic::time::{DAY_US, TimeRange, bucket_index, day_of, month_start, next_month_start};

use super::segment::{Access, Cursor, Part, Pick, Segment, SegmentError, Unanswered};
use super::{Cells, Counted, Fold, Month, View};

/// A question, which holds all that it needs of a view.
pub(super) struct Question {
    counted: Arc<Counted>,
    key: GroupKey,
    fold: Fold,
    /// Behind so many cells, and one more, nothing is read.
    most: usize,
    /// In the order of time.
    pieces: Vec<Piece>,
}

/// A part of a segment, and the points in time that its rows stand for.
struct Piece {
    segment: Arc<Segment>,
    part: Part,
    start_us: i64,
    slot_us: i64,
}

impl Question {
    /// The same, of no more than so many cells, and one more.
    pub(super) fn up_to(self, most: usize) -> Question {
        Question { most, ..self }
    }

    /// How many rows the parts have at most.
    pub(super) fn rows(&self) -> usize {
        let rows = self.pieces.iter().map(|piece| match &piece.part {
            Part::Slots(slots) => slots.len(),
            Part::Total => 1,
        });
        rows.sum()
    }

    /// The same parts of all keys of a pattern, each to be read from that key on.
    ///
    /// # Errors
    /// If a segment cannot be opened.
    pub(super) fn keys(&self, from: &[u8], pattern: &Arc<KeyPattern>) -> Result<Vec<Cursor>, SegmentError> {
        let cursor = |piece: &Piece| {
            let pick = match &piece.part {
                Part::Slots(slots) => Pick::Range(slots.clone()),
                Part::Total => Pick::TotalsAs(0),
            };
            piece.segment.keys(from, pattern, pick)
        };
        self.pieces.iter().map(cursor).collect()
    }

    /// The answer, if all blocks that it needs are in memory.
    ///
    /// # Errors
    /// If a block is damaged.
    pub(super) fn answer_from_memory(&self) -> Result<Option<Cells>, SegmentError> {
        self.merged(Access::memory_only())
    }

    /// The answer. Blocks that are not in memory are read from disk.
    ///
    /// # Errors
    /// If a block cannot be read.
    pub(super) fn answer(&self) -> Result<Cells, SegmentError> {
        let cells = self.merged(Access::with_disk())?;
        Ok(cells.unwrap_or_else(|| unreachable!("no block is out of reach")))
    }

    /// Merges the rows as far as the question allows; `None` if a block is out of reach.
    fn merged(&self, mut access: Access) -> Result<Option<Cells>, SegmentError> {
        let mut cells = Cells::new(&self.counted.metric, self.fold);
        let key = self.key.as_str().as_bytes();
        for piece in &self.pieces {
            if cells.count() > self.most {
                break;
            }
            let found = piece.segment.rows(key, &piece.part, &mut access, &mut |slot, values| {
                if cells.count() <= self.most {
                    cells.push(piece.bucket(slot), values);
                }
            });
            match found {
                Ok(()) => {}
                Err(Unanswered::NotInMemory) => return Ok(None),
                Err(Unanswered::Failed(error)) => return Err(error),
            }
        }
        access.report();
        Ok(Some(cells))
    }
}

impl Piece {
    /// The start of the time that a row of that slot stands for.
    fn bucket(&self, slot: u32) -> i64 {
        match self.part {
            Part::Slots(_) => self.start_us + i64::from(slot) * self.slot_us,
            Part::Total => self.start_us,
        }
    }
}

impl View {
    /// A question about a group key and the buckets of a range.
    pub(super) fn question(&self, key: &GroupKey, range: TimeRange, fold: Fold) -> Question {
        let mut pieces = Vec::new();
        if range.from_us < range.to_us {
            let days = day_of(range.from_us)..day_of(range.to_us - 1) + 1;
            for (first, month) in self.months.range(month_start(days.start)..days.end) {
                month.pieces(*first, self.counted.metric.grain_us, range, fold, &mut pieces);
            }
        }
        Question { counted: Arc::clone(&self.counted), key: key.clone(), fold, most: usize::MAX, pieces }
    }
}

impl Month {
    /// The parts of a month, which begins with the day `first`, and of its days. The range covers some of the month.
    fn pieces(&self, first: i64, grain_us: i64, range: TimeRange, fold: Fold, pieces: &mut Vec<Piece>) {
        let month = first..next_month_start(first);
        let days = day_of(range.from_us).max(month.start)..(day_of(range.to_us - 1) + 1).min(month.end);
        // Those days that the range covers whole.
        let whole = (day_of(range.from_us - 1) + 1).max(month.start)..day_of(range.to_us).min(month.end);
        let whole = if fold.takes_whole_days() && !whole.is_empty() { whole } else { days.end..days.end };
        let day_pieces = |days: Range<i64>| {
            self.days.range(days).map(move |(day, segment)| {
                let start_us = day * DAY_US;
                let part = Part::Slots(slots(start_us, grain_us, range));
                Piece { segment: Arc::clone(segment), part, start_us, slot_us: grain_us }
            })
        };
        pieces.extend(day_pieces(days.start..whole.start));
        if !whole.is_empty() {
            let part = match fold {
                Fold::Whole if whole == month => Part::Total,
                _ => Part::Slots((whole.start - first) as u32..(whole.end - first) as u32),
            };
            let segment = Arc::clone(&self.segment);
            pieces.push(Piece { segment, part, start_us: first * DAY_US, slot_us: DAY_US });
        }
        pieces.extend(day_pieces(whole.end..days.end));
    }
}

/// The slots of those buckets of a day that begin in the range.
fn slots(start_us: i64, grain_us: i64, range: TimeRange) -> Range<u32> {
    let of_day = DAY_US / grain_us;
    let at_or_after = |instant_us: i64| (bucket_index(instant_us - start_us - 1, grain_us) + 1).clamp(0, of_day) as u32;
    at_or_after(range.from_us)..at_or_after(range.to_us)
}
