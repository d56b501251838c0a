//! A detector in snapshots (T2).
//!
//! A history grows at its end, so it is not written whole each time. Its pieces hold the events of ranges of offsets, and are never
//! changed. What changes of them later is small and stands in the *head*, which is written anew: which rules have alerted of
//! events that can be judged again, and which events had to go because there were too many.
//!
//! Each piece is at most half as long as the one before. So there are few, and each event is written a few times only.

use std::collections::BTreeMap;
use std::ops::Range;

use super::look::{scalar, word};
use super::past::{NOT_DROPPED, Past};
use super::{DetectPlan, Detector};
use crate::expression::Scalar;
use crate::stream::bytes::{Reader, Writer};
use crate::stream::{encoding, keyed};

/// What the head says of a key.
#[derive(Debug, Default)]
struct Head {
    dropped: Option<(i64, i64)>,
    /// Events, and a rule that has alerted of each.
    alerted: Vec<(i64, i64, usize)>,
}

/// Which of the kept ranges stay, and the one that is to be written for a snapshot at that offset.
pub(in crate::stream) fn ranges(mut kept: Vec<Range<i64>>, at: i64) -> (Vec<Range<i64>>, Range<i64>) {
    kept.sort_by_key(|range| range.start);
    let are_apart = kept.windows(2).all(|pair| pair[0].end <= pair[1].start);
    if !are_apart || kept.last().is_some_and(|last| last.end > at) {
        kept.clear();
    }
    let mut new = kept.last().map_or(0, |last| last.end)..at;
    while let Some(last) = kept.pop_if(|last| last.end - last.start < 2 * (new.end - new.start)) {
        new.start = last.start;
    }
    (kept, new)
}

impl Detector {
    /// The first offset of an event that is needed where the watermark is that.
    pub(in crate::stream) fn first_offset(&self, plan: &DetectPlan, watermark_us: i64) -> Option<i64> {
        let layout = plan.layout();
        let first = |past: &Past| {
            let needed = past.up_to(layout, plan.horizon_us(watermark_us))..past.len(layout);
            needed.map(|at| past.offset(layout, at)).min()
        };
        self.keys.states().filter_map(first).min()
    }

    /// Appends the needed events of a range of offsets.
    pub(in crate::stream) fn write_events(
        &self,
        plan: &DetectPlan,
        watermark_us: i64,
        offsets: &Range<i64>,
        out: &mut Writer,
    ) {
        let layout = plan.layout();
        for (key, past) in self.keys.in_order() {
            let needed = past.up_to(layout, plan.horizon_us(watermark_us))..past.len(layout);
            let events: Vec<usize> = needed.filter(|at| offsets.contains(&past.offset(layout, *at))).collect();
            if events.is_empty() {
                continue;
            }
            out.slice(key);
            out.length(events.len());
            for at in events {
                let time_us = past.time(layout, at);
                out.int(time_us);
                out.int(past.offset(layout, at));
                for (value, (_, kind)) in plan.kept.iter().enumerate() {
                    let kept = past.value(layout, at, value);
                    let kept = kept.map_or(Scalar::Null, |kept| scalar(kept, *kind, &self.texts, time_us));
                    encoding::push(out.bytes(), &kept);
                }
                let row: &[u8] =
                    if time_us < watermark_us { &[] } else { self.rows.get(time_us, past.row(layout, at)) };
                out.slice(&row[..plan.row_length(row)]);
            }
        }
    }

    /// Appends what the head says.
    pub(in crate::stream) fn write_head(&self, plan: &DetectPlan, watermark_us: i64, out: &mut Writer) {
        let layout = plan.layout();
        for (key, past) in self.keys.in_order() {
            let judged = past.up_to(layout, watermark_us.saturating_sub(1))..past.len(layout);
            let alerted = judged.flat_map(|at| (0..plan.rules.len()).map(move |rule| (at, rule)));
            let alerted: Vec<_> = alerted.filter(|(at, rule)| past.has_alerted(layout, *at, *rule)).collect();
            let is_dropped = past.dropped.0 > plan.horizon_us(watermark_us);
            if alerted.is_empty() && !is_dropped {
                continue;
            }
            let dropped = if is_dropped { past.dropped } else { NOT_DROPPED };
            out.slice(key);
            out.int(dropped.0);
            out.int(dropped.1);
            out.length(alerted.len());
            for (at, rule) in alerted {
                out.int(past.time(layout, at));
                out.int(past.offset(layout, at));
                out.length(rule);
            }
        }
    }

    /// The detector of which head and events say this, where the watermark was that; `None` if they say something else.
    pub(in crate::stream) fn read_from<'a>(
        plan: &DetectPlan,
        watermark_us: i64,
        head: Reader<'_>,
        pieces: impl Iterator<Item = Reader<'a>>,
    ) -> Option<Detector> {
        let heads = read_heads(head)?;
        let mut detector = Detector::new(plan);
        for mut piece in pieces {
            while !piece.is_at_end() {
                let key = piece.slice()?;
                let dropped = heads.get(key).and_then(|head| head.dropped).unwrap_or(NOT_DROPPED);
                for _ in 0..piece.length()? {
                    detector.read_event(plan, watermark_us, key, dropped, &mut piece)?;
                }
            }
        }
        for (key, head) in heads {
            detector.set_head(plan, key, &head);
        }
        Some(detector)
    }

    /// Reads an event of a key, and remembers it if it is needed.
    fn read_event(
        &mut self,
        plan: &DetectPlan,
        watermark_us: i64,
        key: &[u8],
        dropped: (i64, i64),
        from: &mut Reader<'_>,
    ) -> Option<()> {
        let event = (from.int()?, from.int()?);
        let values = plan.kept.iter().map(|(_, kind)| encoding::read(from.bytes(), *kind));
        let values = values.collect::<Option<Vec<Scalar<'_>>>>()?;
        let row = from.slice()?;
        let (time_us, can_be_judged) = (event.0, event.0 >= watermark_us);
        if time_us <= plan.horizon_us(watermark_us) || event <= dropped {
            return Some(());
        }
        if can_be_judged && (row.is_empty() || plan.row_length(row) != row.len()) {
            return None;
        }
        let id = self.key_of(plan, (key, keyed::hash(key)), time_us);
        let place = if can_be_judged { self.rows.put(time_us, row) } else { 0 };
        let texts = &mut self.texts;
        let values: Vec<Option<u64>> = values.iter().map(|value| word(value, texts, time_us)).collect();
        self.insert(plan, id, event, place, &values);
        Some(())
    }

    fn set_head(&mut self, plan: &DetectPlan, key: &[u8], head: &Head) {
        let layout = plan.layout();
        let id = self.keys.find(key, keyed::hash(key));
        let Some(past) = id.and_then(|id| self.keys.state_mut(id)) else { return };
        past.dropped = head.dropped.unwrap_or(NOT_DROPPED);
        for (time_us, offset, rule) in &head.alerted {
            let at = past.place(layout, (*time_us, *offset));
            let is_it = at < past.len(layout) && past.offset(layout, at) == *offset;
            if is_it && *rule < plan.rules.len() {
                past.set_alerted(layout, at, *rule);
            }
        }
    }
}

impl DetectPlan {
    /// How many of these bytes are a row. They begin with one, or there are none.
    fn row_length(&self, bytes: &[u8]) -> usize {
        let mut rest = bytes;
        let are_read = self.fields.iter().all(|field| encoding::read(&mut rest, field.kind).is_some());
        if are_read { bytes.len() - rest.len() } else { 0 }
    }
}

fn read_heads(mut head: Reader<'_>) -> Option<BTreeMap<&[u8], Head>> {
    let mut heads = BTreeMap::new();
    while !head.is_at_end() {
        let key = head.slice()?;
        let dropped = Some((head.int()?, head.int()?));
        let mut alerted = Vec::new();
        for _ in 0..head.length()? {
            alerted.push((head.int()?, head.int()?, head.length()?));
        }
        heads.insert(key, Head { dropped, alerted });
    }
    Some(heads)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// The pieces of a long series of snapshots stand behind each other, are few, and few events are written again.
        #[test]
        fn pieces_are_few_and_written_seldom(steps in prop::collection::vec(1..2_000_i64, 1..300)) {
            let (mut kept, mut at, mut written) = (Vec::new(), 0, 0);
            for step in steps {
                at += step;
                let (stay, new) = ranges(kept, at);
                prop_assert_eq!(stay.last().map_or(0, |last| last.end), new.start);
                prop_assert_eq!(new.end, at);
                written += new.end - new.start;
                kept = stay;
                kept.push(new);
                prop_assert!(kept.is_sorted_by(|a, b| a.end == b.start && a.end - a.start >= 2 * (b.end - b.start)));
            }
            let doublings = i64::from(at.ilog2()) + 1;
            prop_assert!(kept.len() as i64 <= doublings);
            prop_assert!(written <= at * (2 * doublings + 1), "{written} of {at}");
        }
    }

    #[test]
    fn ranges_that_do_not_fit_together_are_not_built_upon() {
        assert_eq!(ranges(vec![0..10, 5..20], 30), (vec![], 0..30));
        assert_eq!(ranges(vec![0..50, 50..100], 30), (vec![], 0..30));
        assert_eq!(ranges(vec![0..20, 20..25], 26), (vec![0..20, 20..25], 25..26));
    }
}
