//! Merges segments and runs: rows of the same key and slot become one, by the law of each measure.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;

use shared_logic::measure::{MeasureKind, Value};

use super::cursor::Cursor;
use super::error::SegmentError;

/// Where merged rows go, in the order of their keys and slots.
type Sink<'a> = dyn FnMut(&[u8], u32, &[Value]) -> Result<(), SegmentError> + 'a;

/// Merges what the cursors read, and hands over each row once. `kinds` are the measures of the rows.
///
/// # Errors
/// If a cursor cannot read, or what `row` returns.
pub(crate) fn merge(cursors: Vec<Cursor>, kinds: &[MeasureKind], row: &mut Sink<'_>) -> Result<(), SegmentError> {
    let mut ahead = BinaryHeap::with_capacity(cursors.len());
    for mut cursor in cursors {
        if cursor.advance()? {
            ahead.push(Ahead(Box::new(cursor)));
        }
    }
    let (mut key, mut slot, mut values): (Vec<u8>, u32, Vec<Value>) = (Vec::new(), 0, Vec::new());
    let mut is_first = true;
    while let Some(mut first) = ahead.peek_mut() {
        let cursor = &mut first.0;
        if !is_first && cursor.place() == (key.as_slice(), slot) {
            for ((kind, sum), value) in kinds.iter().zip(&mut values).zip(cursor.values()) {
                *sum = kind.merge(sum.clone(), value.clone());
            }
        } else {
            if !is_first {
                row(&key, slot, &values)?;
            }
            is_first = false;
            let (next_key, next_slot) = cursor.place();
            slot = next_slot;
            if key != next_key {
                key.clear();
                key.extend_from_slice(next_key);
            }
            values.clear();
            values.extend_from_slice(cursor.values());
        }
        if !cursor.advance()? {
            PeekMut::pop(first);
        }
    }
    if is_first { Ok(()) } else { row(&key, slot, &values) }
}

/// A cursor at a row. Of several, that with the least key and slot is the greatest, so that the heap gives it first.
pub(crate) struct Ahead(pub(crate) Box<Cursor>);

impl Ord for Ahead {
    fn cmp(&self, other: &Ahead) -> Ordering {
        other.0.place().cmp(&self.0.place())
    }
}

impl PartialOrd for Ahead {
    fn partial_cmp(&self, other: &Ahead) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Ahead {
    fn eq(&self, other: &Ahead) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Ahead {}
