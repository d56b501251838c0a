//! All group keys of a pattern, one after the other in the order of their texts, each with its merged values.
//!
//! The segments that a total of the range would read are read from the block of the first key on, a block at a time, and merged. So
//! however many keys there are, memory holds one block of each segment.

use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::sync::Arc;

use shared_logic::group_key::{GroupKey, KeyPattern};
use shared_logic::measure::{MeasureKind, Value};
use shared_logic::time::TimeRange;
use tokio::sync::SemaphorePermit;

use super::segment::{Ahead, Cursor, SegmentError};
use super::{Fold, View};

/// What all keys of a view say of a range. It holds all that it needs of the view.
pub(crate) struct Keys {
    ahead: BinaryHeap<Ahead>,
    kinds: Vec<MeasureKind>,
}

impl Keys {
    /// No keys: of a metric without a view.
    pub(crate) fn none() -> Keys {
        Keys { ahead: BinaryHeap::new(), kinds: Vec::new() }
    }

    fn of(cursors: Vec<Cursor>, kinds: Vec<MeasureKind>) -> Result<Keys, SegmentError> {
        let mut keys = Keys { ahead: BinaryHeap::with_capacity(cursors.len()), kinds };
        for mut cursor in cursors {
            if cursor.advance()? {
                keys.ahead.push(Ahead(Box::new(cursor)));
            }
        }
        Ok(keys)
    }

    /// The next key, and its values, one per measure; `None` behind the last.
    ///
    /// # Errors
    /// If a segment cannot be read.
    pub(crate) fn next(&mut self) -> Result<Option<(String, Vec<Value>)>, SegmentError> {
        let Some(first) = self.ahead.peek() else { return Ok(None) };
        // Only keys that are texts are picked.
        let key = String::from_utf8_lossy(first.0.place().0).into_owned();
        let mut sums: Vec<Value> = self.kinds.iter().map(|kind| kind.identity()).collect();
        while let Some(mut first) = self.ahead.peek_mut() {
            let cursor = &mut first.0;
            if cursor.place().0 != key.as_bytes() {
                break;
            }
            for ((kind, sum), value) in self.kinds.iter().zip(&mut sums).zip(cursor.values()) {
                *sum = kind.merge(sum.clone(), value.clone());
            }
            if !cursor.advance()? {
                PeekMut::pop(first);
            }
        }
        Ok(Some((key, sums)))
    }
}

impl View {
    /// The keys of a pattern that were counted in buckets of the range, from those on that lie at or behind the text `from`. It opens
    /// files, so it may not be called where requests are answered.
    ///
    /// # Errors
    /// If a segment cannot be opened.
    pub(crate) fn keys(&self, range: TimeRange, from: &str, pattern: &Arc<KeyPattern>) -> Result<Keys, SegmentError> {
        let kinds = self.counted.metric.measures.iter().map(|measure| measure.kind).collect();
        let from = from.max(pattern.text_begins());
        let question = self.question(&GroupKey::new(&[]), range, Fold::Whole);
        Keys::of(question.keys(from.as_bytes(), pattern)?, kinds)
    }

    /// Waits for a turn to read all keys: few requests may do so at a time.
    pub(crate) async fn sweeping(&self) -> Option<SemaphorePermit<'_>> {
        self.disk.sweeps.acquire().await.ok()
    }
}
