//! Which blocks and rows of a segment a question about one key needs.

use std::cmp::Ordering;
use std::ops::Range;

use shared_logic::measure::{MeasureKind, Value};

use super::TOTAL;
use super::block::{Child, Malformed, Rows};
use super::frame::Place;
use super::search::Search;

/// Which rows of a key are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Part {
    /// Those of these slots.
    Slots(Range<u32>),
    /// The total.
    Total,
}

/// A key, and the first and the last slot that are wanted of it.
pub(super) struct Wanted<'a> {
    key: &'a [u8],
    first: u32,
    last: u32,
}

impl<'a> Wanted<'a> {
    /// `None` if nothing is wanted.
    pub(super) fn new(key: &'a [u8], part: &Part) -> Option<Wanted<'a>> {
        match part {
            Part::Slots(slots) if slots.is_empty() => None,
            Part::Slots(slots) => Some(Wanted { key, first: slots.start, last: slots.end - 1 }),
            Part::Total => Some(Wanted { key, first: TOTAL, last: TOTAL }),
        }
    }

    /// Where the blocks one level below lie that may hold something of it: the last one that begins at or before the first wanted
    /// row, and all that begin behind that, up to the last wanted row.
    pub(super) fn below(&self, content: &[u8]) -> Result<Vec<Place>, Malformed> {
        let (mut at_or_before, mut places) = (None, Vec::new());
        let mut groups = Search::of(content, self.key);
        while let Some((order, payload)) = groups.advance()? {
            if order == Ordering::Less {
                at_or_before = Some(payload);
                continue;
            }
            let child = Child::read(payload)?;
            let begins = |slot: u32| order.then(child.slot.cmp(&slot));
            if begins(self.last) == Ordering::Greater {
                break;
            }
            if begins(self.first) == Ordering::Greater {
                places.push(child.place);
            } else {
                at_or_before = Some(payload);
            }
        }
        if let Some(payload) = at_or_before {
            places.insert(0, Child::read(payload)?.place);
        }
        Ok(places)
    }

    /// Hands over what a block of rows holds of it.
    pub(super) fn take(
        &self,
        content: &[u8],
        kinds: &[MeasureKind],
        row: &mut dyn FnMut(u32, &[Value]),
    ) -> Result<(), Malformed> {
        let (mut groups, mut values) = (Search::of(content, self.key), Vec::with_capacity(kinds.len()));
        while let Some((order, payload)) = groups.advance()? {
            match order {
                Ordering::Less => continue,
                Ordering::Equal => {}
                Ordering::Greater => break,
            }
            let mut rows = Rows::of(payload);
            while let Some(found) = rows.advance(kinds, &mut values)? {
                let is_wanted = match self.first {
                    TOTAL => found.is_total,
                    first => (first..=self.last).contains(&found.slot),
                };
                if is_wanted {
                    row(found.slot, &values);
                }
            }
        }
        Ok(())
    }
}
