//! Tumbling and sliding windows.
//!
//! Event time is divided into *panes*, as long as the greatest common divisor of a window's size and slide. An event is added to one
//! pane of its key, however many windows hold it, and a window's value is its panes merged in the order of their starts. A key waits
//! in one place of `due`, under the end of its first window that is not closed and holds an event.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;

use super::aggregates::{Aggregates, columns};
use super::budget::Budget;
use super::bytes::{Reader, Writer};
use super::cells::{Cells, NONE};
use super::keyed::{self, Keyed};
use super::least_first::LeastFirst;
use super::output::Outputs;
use super::rows::{RowPlan, Rows};
use crate::catalog::{WINDOW_END, WINDOW_START, Window};
use crate::measure::Value;
use crate::schema::FieldType;
use crate::time::bucket_start;

/// A stream of windows, compiled.
#[derive(Debug)]
pub(super) struct WindowPlan {
    aggregates: Aggregates,
    key: usize,
    size_us: i64,
    slide_us: i64,
    pane_us: i64,
    offset_us: i64,
}

/// The open windows of a partition.
#[derive(Debug)]
pub(super) struct Windows {
    keys: Keyed<Waiting>,
    panes: Cells<Pane>,
    /// Keys by the window's end that they wait for. A key that waits for another one by now is passed over.
    due: BTreeMap<i64, Vec<u32>>,
    waiting: usize,
    /// How many windows are open that hold an event.
    windows: usize,
    closing: Option<Closing>,
}

/// What a key has.
#[derive(Debug, Clone, Copy)]
struct Waiting {
    /// Its latest pane.
    newest: u32,
    /// The end of its first window that is not closed.
    due_us: i64,
}

#[derive(Debug, Clone, Copy)]
struct Pane {
    start_us: i64,
    /// The next earlier pane of the same key.
    older: u32,
}

/// The windows with one end, while they are closed.
#[derive(Debug)]
struct Closing {
    end_us: i64,
    keys: LeastFirst,
}

/// A window that is closed.
#[derive(Debug)]
pub(super) struct Closed<'a> {
    key: &'a [u8],
    end_us: i64,
    values: &'a [Value],
}

impl WindowPlan {
    /// Compiles the windows of a checked catalog. `by` are their columns with their types, and `key` the one that outputs are keyed
    /// by.
    pub(super) fn new(
        rows: &mut RowPlan,
        window: &Window,
        by: Vec<(String, FieldType)>,
        key: Option<&str>,
    ) -> WindowPlan {
        WindowPlan {
            key: rows.key(columns(&by)),
            aggregates: Aggregates::new(rows, by, key, &window.measures, &window.derived),
            size_us: window.size_us,
            slide_us: window.slide_us,
            pane_us: divisor(window.size_us, window.slide_us),
            offset_us: window.offset_us,
        }
    }

    /// T8: the earliest event that an open window can hold.
    pub(super) fn horizon_us(&self, watermark_us: i64) -> i64 {
        watermark_us.saturating_sub(self.size_us)
    }

    /// The start of the pane that holds an instant.
    fn pane(&self, us: i64) -> i64 {
        bucket_start(us - self.offset_us, self.pane_us) + self.offset_us
    }

    /// The ends of the first and the last window that hold an instant.
    fn ends(&self, us: i64) -> (i64, i64) {
        let last_start = bucket_start(us - self.offset_us, self.slide_us) + self.offset_us;
        let before = bucket_start(self.size_us - (us - last_start) - 1, self.slide_us);
        (last_start - before + self.size_us, last_start + self.size_us)
    }

    /// The first of these ends that lies behind the watermark. `first` is one of them.
    fn open_end(&self, first: i64, watermark_us: i64) -> i64 {
        if first > watermark_us {
            return first;
        }
        first + bucket_start(watermark_us - first, self.slide_us) + self.slide_us
    }

    /// How many windows behind the watermark hold a pane and neither of its neighbours among the panes of its key: these are no others that
    /// hold an event.
    fn opened(&self, start_us: i64, older_us: Option<i64>, newer_us: Option<i64>, watermark_us: i64) -> usize {
        let (first, last) = self.ends(start_us);
        let first = older_us.map_or(first, |older_us| first.max(self.ends(older_us).1 + self.slide_us));
        let last = newer_us.map_or(last, |newer_us| last.min(self.ends(newer_us).0 - self.slide_us));
        let first = self.open_end(first, watermark_us);
        usize::try_from((last - first).div_euclid(self.slide_us) + 1).unwrap_or(0)
    }

    /// Writes the output of a window. Gives the bytes that it takes.
    pub(super) fn write(&self, closed: &Closed<'_>, outputs: &mut Outputs<'_>) -> usize {
        let Closed { key, end_us, values } = closed;
        outputs.output(end_us - 1, self.aggregates.record_key(key), |object| {
            object.instant(WINDOW_START, end_us - self.size_us);
            object.instant(WINDOW_END, *end_us);
            self.aggregates.write(object, key, values);
        })
    }
}

impl Windows {
    pub(super) fn new(plan: &WindowPlan) -> Windows {
        let panes = Cells::new(plan.aggregates.width());
        Windows { keys: Keyed::new(), panes, due: BTreeMap::new(), waiting: 0, windows: 0, closing: None }
    }

    /// Adds the event in a row to the open windows that hold it. Gives what it missed, if it did: from the start of the first closed
    /// window to the end of the last (T9).
    pub(super) fn event(
        &mut self,
        plan: &WindowPlan,
        rows: &Rows,
        row: usize,
        watermark_us: i64,
    ) -> Option<Range<i64>> {
        let time_us = rows.times_us[row];
        let (first_end, last_end) = plan.ends(time_us);
        if last_end > watermark_us {
            let (key, hash) = rows.key(plan.key, row);
            let id = self.keys.place(key, hash, || Waiting { newest: NONE, due_us: i64::MAX });
            let pane = self.pane(plan, id, plan.pane(time_us), watermark_us);
            plan.aggregates.fold(self.panes.values_mut(pane), rows, row);
            self.wait(id, plan.open_end(first_end, watermark_us));
        }
        (first_end <= watermark_us).then(|| {
            let last_closed = (plan.open_end(first_end, watermark_us) - plan.slide_us).min(last_end);
            first_end - plan.size_us..last_closed
        })
    }

    /// The pane of a key that starts there.
    fn pane(&mut self, plan: &WindowPlan, id: u32, start_us: i64, watermark_us: i64) -> u32 {
        let (mut newer, mut at) = (NONE, self.newest(id));
        while let Some(pane) = self.panes.head(at).filter(|pane| pane.start_us >= start_us) {
            if pane.start_us == start_us {
                return at;
            }
            (newer, at) = (at, pane.older);
        }
        let start_of = |pane: u32| self.panes.head(pane).map(|pane| pane.start_us);
        self.windows += plan.opened(start_us, start_of(at), start_of(newer), watermark_us);
        let new = self.panes.insert(Pane { start_us, older: at }, plan.aggregates.identity());
        match self.panes.head_mut(newer) {
            Some(newer) => newer.older = new,
            None => self.set_newest(id, new),
        }
        new
    }

    fn newest(&self, id: u32) -> u32 {
        self.keys.state(id).map_or(NONE, |key| key.newest)
    }

    fn set_newest(&mut self, id: u32, pane: u32) {
        if let Some(key) = self.keys.state_mut(id) {
            key.newest = pane;
        }
    }

    /// Has a key wait for that end, unless it waits for an earlier one.
    fn wait(&mut self, id: u32, end_us: i64) {
        if let Some(key) = self.keys.state_mut(id).filter(|key| end_us < key.due_us) {
            key.due_us = end_us;
            self.due.entry(end_us).or_default().push(id);
            self.waiting += 1;
        }
    }

    /// Closes the windows that end at or before the watermark, in the order of (end, key), as far as the budget goes. Says whether
    /// all are closed.
    pub(super) fn close(
        &mut self,
        plan: &WindowPlan,
        watermark_us: i64,
        budget: &mut Budget,
        write: &mut dyn FnMut(&Closed<'_>, &mut Budget),
    ) -> bool {
        loop {
            let Some(mut closing) = self.closing.take().or_else(|| self.next_closing(watermark_us)) else {
                return true;
            };
            loop {
                if budget.is_spent() {
                    self.closing = Some(closing);
                    return false;
                }
                budget.look();
                let Some(id) = closing.keys.pop() else { break };
                self.waiting -= 1;
                if self.keys.state(id).is_some_and(|key| key.due_us == closing.end_us) {
                    self.close_one(plan, id, closing.end_us, &mut |closed| write(closed, budget));
                }
            }
        }
    }

    fn next_closing(&mut self, watermark_us: i64) -> Option<Closing> {
        let (end_us, keys) = self.due.first_entry().filter(|due| *due.key() <= watermark_us)?.remove_entry();
        let keys = LeastFirst::new(&keys, |id| self.keys.key(id));
        Some(Closing { end_us, keys })
    }

    /// Closes a window of a key, and forgets the panes that no later window holds.
    fn close_one(&mut self, plan: &WindowPlan, id: u32, end_us: i64, write: &mut dyn FnMut(&Closed<'_>)) {
        let next_start = end_us + plan.slide_us - plan.size_us;
        // From the newest pane to the oldest.
        let (mut panes, mut at) = (Vec::new(), self.newest(id));
        while let Some(pane) = self.panes.head(at) {
            panes.push((pane.start_us, at));
            at = pane.older;
        }
        let mut inside = panes.iter().rev().filter(|(start_us, _)| *start_us < end_us).map(|(_, pane)| *pane);
        if let Some(first) = inside.next() {
            self.windows -= 1;
            let mut values = Cow::Borrowed(self.panes.values(first));
            inside.for_each(|pane| plan.aggregates.merge(values.to_mut(), self.panes.values(pane)));
            write(&Closed { key: self.keys.key(id), end_us, values: &values });
        }
        let kept = panes.iter().take_while(|(start_us, _)| *start_us >= next_start).count();
        for (_, pane) in &panes[kept..] {
            self.panes.remove(*pane);
        }
        let Some((oldest_us, oldest)) = kept.checked_sub(1).map(|last| panes[last]) else {
            self.keys.remove(id);
            return;
        };
        if let Some(pane) = self.panes.head_mut(oldest) {
            pane.older = NONE;
        }
        if let Some(key) = self.keys.state_mut(id) {
            key.due_us = i64::MAX;
        }
        let (first_end, _) = plan.ends(oldest_us);
        self.wait(id, first_end.max(end_us + plan.slide_us));
    }

    /// How many keys have an open window.
    pub(super) fn open(&self) -> usize {
        self.keys.len()
    }

    /// How many windows are open that hold an event.
    pub(super) fn unwritten(&self) -> usize {
        self.windows
    }

    /// The memory that it takes, estimated.
    pub(super) fn bytes(&self) -> usize {
        self.keys.bytes() + self.panes.bytes() + self.waiting * size_of::<u32>() * 2
    }

    /// T2: appends every key with its panes.
    pub(super) fn write_to(&self, plan: &WindowPlan, out: &mut Writer) {
        out.length(self.keys.len());
        for (key, waiting) in self.keys.in_order() {
            let (mut panes, mut at) = (Vec::new(), waiting.newest);
            while let Some(pane) = self.panes.head(at) {
                panes.push((pane.start_us, at));
                at = pane.older;
            }
            out.slice(key);
            out.length(panes.len());
            for (start_us, pane) in panes.into_iter().rev() {
                out.int(start_us);
                plan.aggregates.write_values(out.bytes(), self.panes.values(pane));
            }
        }
    }

    /// T2: the windows that [`Windows::write_to`] wrote where the watermark was that; `None` if it is something else.
    pub(super) fn read_from(plan: &WindowPlan, watermark_us: i64, from: &mut Reader<'_>) -> Option<Windows> {
        let mut windows = Windows::new(plan);
        for _ in 0..from.length()? {
            let key = from.slice()?;
            let id = windows.keys.place(key, keyed::hash(key), || Waiting { newest: NONE, due_us: i64::MAX });
            for _ in 0..from.length()? {
                let start_us = from.int()?;
                let values = plan.aggregates.read_values(from.bytes())?;
                let older = windows.newest(id);
                let older_us = windows.panes.head(older).map(|pane| pane.start_us);
                windows.windows += plan.opened(start_us, older_us, None, watermark_us);
                let pane = windows.panes.insert(Pane { start_us, older }, values);
                windows.set_newest(id, pane);
                windows.wait(id, plan.open_end(plan.ends(start_us).0, watermark_us));
            }
        }
        Some(windows)
    }
}

/// The greatest common divisor.
fn divisor(a: i64, b: i64) -> i64 {
    if b == 0 { a } else { divisor(b, a % b) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn plan(size_us: i64, slide_us: i64, offset_us: i64) -> WindowPlan {
        let aggregates = Aggregates::new(&mut RowPlan::new("at"), Vec::new(), None, &[], &[]);
        WindowPlan { aggregates, key: 0, size_us, slide_us, pane_us: divisor(size_us, slide_us), offset_us }
    }

    proptest! {
        #[test]
        fn windows_and_panes_hold_what_they_say(
            slide in 1..30_i64, slides in 1..8_i64, less in 0..30_i64, offset in 0..30_i64, us in -500..500_i64, watermark in -600..600_i64,
        ) {
            // A size that the slide does not divide is refused by the catalog, and works all the same.
            let size = (slide * slides - less % slide).max(1);
            let plan = plan(size, slide, offset % slide);
            let ends: Vec<i64> = (-2_000..2_000)
                .map(|n| n * slide + offset % slide + size)
                .filter(|end| (end - size..*end).contains(&us))
                .collect();
            if let (Some(first), Some(last)) = (ends.first(), ends.last()) {
                prop_assert_eq!(plan.ends(us), (*first, *last));
                let pane = plan.pane(us);
                prop_assert!((pane..pane + plan.pane_us).contains(&us));
                for end in (-2_000..2_000).map(|n| n * slide + offset % slide + size) {
                    let holds = |us: i64| (end - size..end).contains(&us);
                    prop_assert_eq!(holds(pane), holds(us), "a pane lies in a window or outside");
                    prop_assert_eq!(holds(pane + plan.pane_us - 1), holds(us));
                }
                let open = plan.open_end(*first, watermark);
                prop_assert!(open > watermark && (open - first) % slide == 0);
                prop_assert!(open == *first || open - slide <= watermark);
            }
        }
    }
}
