//! What a key remembers of its events, packed.
//!
//! An event takes a few words of 64 bits: its time, its offset, flags, and the values that rules look at. The events of a key stand
//! in the order of (time, offset), in blocks. Only the last block grows. The others have one size, so the room of one that is forgotten
//! is taken by the next one, whichever key needs it: lists that grow as a whole leave holes that are too small for all lists that follow.

use std::ops::Range;

/// In the first of the flags, the lower half says where the event's row lies.
const ROW_BITS: usize = 32;
const TIME: usize = 0;
const OFFSET: usize = 1;
const FLAGS: usize = 2;
/// How many events a block has.
const BLOCK: usize = 16;

/// How the words of an event are laid out.
#[derive(Debug, Clone, Copy)]
pub(super) struct Layout {
    rules: usize,
    values: usize,
}

/// The events of one key.
#[derive(Debug)]
pub(super) struct Past {
    /// Blocks that are full.
    full: Vec<Box<[u64]>>,
    /// The events behind them: a block at most.
    last: Vec<u64>,
    /// How many events at the begin are forgotten: fewer than a block.
    forgotten: usize,
    /// The last event that had to go because there were too many, as (time, offset).
    pub(super) dropped: (i64, i64),
}

/// No event had to go.
pub(super) const NOT_DROPPED: (i64, i64) = (i64::MIN, i64::MIN);

impl Layout {
    /// For that many rules, and values of each event.
    pub(super) fn new(rules: usize, values: usize) -> Layout {
        Layout { rules, values }
    }

    fn flags(self) -> usize {
        (ROW_BITS + self.rules + self.values).div_ceil(64)
    }

    fn stride(self) -> usize {
        FLAGS + self.flags() + self.values
    }

    fn alerted(self, rule: usize) -> usize {
        debug_assert!(rule < self.rules, "there are fewer rules");
        ROW_BITS + rule
    }

    fn is_null(self, value: usize) -> usize {
        ROW_BITS + self.rules + value
    }
}

impl Past {
    pub(super) fn new() -> Past {
        Past { full: Vec::new(), last: Vec::new(), forgotten: 0, dropped: NOT_DROPPED }
    }

    /// How many events there are.
    pub(super) fn len(&self, layout: Layout) -> usize {
        self.full.len() * BLOCK + self.last.len() / layout.stride() - self.forgotten
    }

    /// Adds an event with its values; `None` is null. Gives its place.
    pub(super) fn insert(
        &mut self,
        layout: Layout,
        (time_us, offset): (i64, i64),
        row: u32,
        values: &[Option<u64>],
    ) -> usize {
        let (place, end) = (self.place(layout, (time_us, offset)), self.len(layout));
        self.push(layout);
        for at in (place..end).rev() {
            self.move_back(layout, at);
        }
        let event = self.event_mut(layout, place);
        event.fill(0);
        (event[TIME], event[OFFSET], event[FLAGS]) = (time_us as u64, offset as u64, row.into());
        for (at, value) in values.iter().enumerate() {
            match value {
                Some(word) => event[FLAGS + layout.flags() + at] = *word,
                None => set(event, layout.is_null(at)),
            }
        }
        place
    }

    /// Adds the words of an event. Where there is no room, it makes some for a tenth as many events as there are. What a list has
    /// beyond its events is nearly all that an event takes besides its words, and to copy a block a few times costs less than to judge
    /// an event.
    fn push(&mut self, layout: Layout) {
        let (stride, block) = (layout.stride(), BLOCK * layout.stride());
        if self.last.len() == block {
            if self.full.len() == self.full.capacity() {
                self.full.reserve_exact(self.full.len() / 8 + 1);
            }
            self.full.push(std::mem::take(&mut self.last).into_boxed_slice());
        }
        if self.last.len() == self.last.capacity() {
            let events = (self.len(layout) / 10).max(1) * stride;
            self.last.reserve_exact(events.min(block - self.last.len()));
        }
        self.last.resize(self.last.len() + stride, 0);
    }

    /// Puts an event where the next one is.
    fn move_back(&mut self, layout: Layout, at: usize) {
        let (stride, begin) = (layout.stride(), (self.forgotten + at) % BLOCK * layout.stride());
        let block = (self.forgotten + at) / BLOCK;
        if begin + stride < BLOCK * stride {
            self.block_mut(block).copy_within(begin..begin + stride, begin + stride);
            return;
        }
        // The last one of its block, which is full.
        let (before, behind) = self.full.split_at_mut(block + 1);
        let next = behind.first_mut().map_or(&mut self.last[..], |block| &mut block[..]);
        next[..stride].copy_from_slice(&before[block][begin..]);
    }

    /// How many events stand before that (time, offset).
    pub(super) fn place(&self, layout: Layout, of: (i64, i64)) -> usize {
        self.first(layout, |past, at| (past.time(layout, at), past.offset(layout, at)) >= of)
    }

    /// How many events have a time up to that one.
    pub(super) fn up_to(&self, layout: Layout, time_us: i64) -> usize {
        self.first(layout, |past, at| past.time(layout, at) > time_us)
    }

    /// The first event that is behind some border. The last ones are looked at first, since most borders lie there or far back.
    fn first(&self, layout: Layout, is_behind: impl Fn(&Past, usize) -> bool) -> usize {
        let (mut low, mut high) = (0, self.len(layout));
        if high > 0 && !is_behind(self, high - 1) {
            return high;
        }
        while low < high {
            let middle = low + (high - low) / 2;
            if is_behind(self, middle) { high = middle } else { low = middle + 1 }
        }
        low
    }

    /// When an event happened.
    pub(super) fn time(&self, layout: Layout, at: usize) -> i64 {
        self.event(layout, at)[TIME] as i64
    }

    /// The offset of an event's record.
    pub(super) fn offset(&self, layout: Layout, at: usize) -> i64 {
        self.event(layout, at)[OFFSET] as i64
    }

    /// Where an event's row lies.
    pub(super) fn row(&self, layout: Layout, at: usize) -> u32 {
        // The lower half.
        self.event(layout, at)[FLAGS] as u32
    }

    /// A value of an event, unless it is null.
    pub(super) fn value(&self, layout: Layout, at: usize, value: usize) -> Option<u64> {
        let event = self.event(layout, at);
        (!is_set(event, layout.is_null(value))).then(|| event[FLAGS + layout.flags() + value])
    }

    /// A value of each of those events; `None` is null.
    pub(super) fn values(
        &self,
        layout: Layout,
        events: Range<usize>,
        value: usize,
    ) -> impl DoubleEndedIterator<Item = Option<u64>> {
        events.map(move |at| self.value(layout, at, value))
    }

    /// Whether a rule has alerted of an event.
    pub(super) fn has_alerted(&self, layout: Layout, at: usize, rule: usize) -> bool {
        is_set(self.event(layout, at), layout.alerted(rule))
    }

    /// Notes that a rule has alerted of an event.
    pub(super) fn set_alerted(&mut self, layout: Layout, at: usize, rule: usize) {
        set(self.event_mut(layout, at), layout.alerted(rule));
    }

    /// Forgets the first events.
    pub(super) fn forget(&mut self, layout: Layout, events: usize) {
        self.forgotten += events;
        let blocks = (self.forgotten / BLOCK).min(self.full.len());
        self.full.drain(..blocks);
        self.forgotten -= blocks * BLOCK;
        if self.len(layout) == 0 {
            *self = Past { dropped: self.dropped, ..Past::new() };
        }
    }

    /// The memory of the events.
    pub(super) fn bytes(&self) -> usize {
        let block = self.full.first().map_or(0, |block| size_of_val(&block[..]));
        let full = self.full.len() * block + self.full.capacity() * size_of::<Box<[u64]>>();
        full + self.last.capacity() * size_of::<u64>()
    }

    fn event(&self, layout: Layout, at: usize) -> &[u64] {
        let (at, stride) = (self.forgotten + at, layout.stride());
        let block = self.full.get(at / BLOCK).map_or(&self.last[..], |block| &block[..]);
        &block[at % BLOCK * stride..][..stride]
    }

    fn event_mut(&mut self, layout: Layout, at: usize) -> &mut [u64] {
        let (at, stride) = (self.forgotten + at, layout.stride());
        &mut self.block_mut(at / BLOCK)[at % BLOCK * stride..][..stride]
    }

    fn block_mut(&mut self, block: usize) -> &mut [u64] {
        self.full.get_mut(block).map_or(&mut self.last[..], |block| &mut block[..])
    }
}

fn is_set(event: &[u64], bit: usize) -> bool {
    (event[FLAGS + bit / 64] >> (bit % 64)) & 1 == 1
}

fn set(event: &mut [u64], bit: usize) {
    event[FLAGS + bit / 64] |= 1 << (bit % 64);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Also with flags of several words.
        #[test]
        fn events_stand_in_order_and_the_first_are_forgotten(
            rules in prop::sample::select(vec![1_usize, 3, 70]),
            steps in prop::collection::vec((0..20_i64, prop::option::of(any::<u64>()), 0..3_usize, any::<bool>()), 1..80),
        ) {
            let layout = Layout::new(rules, 2);
            let (mut past, mut expected) = (Past::new(), Vec::new());
            for (offset, (time, value, forgotten, alerts)) in (0_i64..).zip(steps) {
                let at = past.insert(layout, (time, offset), offset as u32, &[value, Some(7)]);
                expected.insert(at, (time, offset, value, false));
                prop_assert!(expected.is_sorted_by_key(|(time, offset, ..)| (*time, *offset)));
                if alerts {
                    past.set_alerted(layout, at, rules - 1);
                    expected[at].3 = true;
                }
                let forgotten = forgotten.min(expected.len());
                past.forget(layout, forgotten);
                expected.drain(..forgotten);
                prop_assert_eq!(past.len(layout), expected.len());
                for (at, (time, offset, value, alerted)) in expected.iter().enumerate() {
                    prop_assert_eq!((past.time(layout, at), past.offset(layout, at)), (*time, *offset));
                    prop_assert_eq!(past.row(layout, at), *offset as u32);
                    prop_assert_eq!((past.value(layout, at, 0), past.value(layout, at, 1)), (*value, Some(7)));
                    prop_assert_eq!(past.has_alerted(layout, at, rules - 1), *alerted);
                    prop_assert_eq!(past.place(layout, (*time, *offset)), at);
                }
                for time in -1..21 {
                    let before = expected.iter().filter(|(other, ..)| *other <= time).count();
                    prop_assert_eq!(past.up_to(layout, time), before);
                }
            }
        }
    }

    /// The floor is 100 bytes for each event; three values and three rules take 48, and room to grow.
    #[test]
    fn an_event_takes_few_bytes() {
        let layout = Layout::new(3, 3);
        let mut past = Past::new();
        for offset in 0..10_000 {
            past.insert(layout, (offset, offset), 0, &[Some(1), Some(2), None]);
            let events = past.len(layout);
            assert!(past.bytes() <= events * 54, "{events} events take {} bytes", past.bytes());
        }
        assert_eq!(layout.stride() * size_of::<u64>(), 48);
    }
}
