//! Which blocks and rows of a segment a question about one key needs.

use std::ops::Range;

use shared_logic::measure::{MeasureKind, Value};

use super::TOTAL;
use super::block::{Child, Groups, Malformed, Rows};
use super::frame::Place;

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
        let (mut at_or_before, mut behind) = (None, Vec::new());
        let mut groups = Groups::of(content);
        while let Some(payload) = groups.advance()? {
            let child = Child::read(payload)?;
            let begins = (groups.key.as_slice(), child.slot);
            if begins > (self.key, self.last) {
                break;
            }
            if begins <= (self.key, self.first) {
                at_or_before = Some(child.place);
            } else {
                behind.push(child.place);
            }
        }
        Ok(at_or_before.into_iter().chain(behind).collect())
    }

    /// Hands over what a block of rows holds of it.
    pub(super) fn take(
        &self,
        content: &[u8],
        kinds: &[MeasureKind],
        row: &mut dyn FnMut(u32, &[Value]),
    ) -> Result<(), Malformed> {
        let (mut groups, mut values) = (Groups::of(content), Vec::with_capacity(kinds.len()));
        while let Some(payload) = groups.advance()? {
            if groups.key.as_slice() < self.key {
                continue;
            }
            if groups.key.as_slice() > self.key {
                break;
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
