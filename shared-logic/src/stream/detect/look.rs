//! Looks at the past: what rules ask of the events that stand before one.
//!
//! Values are added in the order of (time, offset), over exactly those events: nothing is carried from one look to the next, so a
//! float does not depend on what was looked at before (T1).

use std::ops::Range;

use super::past::{Layout, Past};
use super::shelves::Shelves;
use crate::catalog::{Look, LookKind};
use crate::expression::{Expression, Scalar};
use crate::schema::FieldType;
use crate::stream::encoding;

/// A look, compiled.
#[derive(Debug)]
pub(super) struct LookPlan {
    /// The column that it is in a condition.
    pub(super) column: String,
    kind: Kind,
    span_us: i64,
}

#[derive(Debug)]
enum Kind {
    Previous(Argument),
    Count,
    Sum(Argument),
    Avg(Argument),
    Min(Argument),
    Max(Argument),
}

/// What is looked at in each event.
#[derive(Debug, Clone, Copy)]
enum Argument {
    /// When it happened, which is kept anyway.
    Time,
    /// One of its kept values, of that type.
    Kept(usize, FieldType),
}

/// The events before one.
#[derive(Debug, Clone, Copy)]
pub(super) struct View<'a> {
    pub(super) layout: Layout,
    pub(super) past: &'a Past,
    /// The kept values that are texts.
    pub(super) texts: &'a Shelves,
    /// The place of the event that they stand before, and its time.
    pub(super) at: usize,
    pub(super) time_us: i64,
}

impl LookPlan {
    /// Compiles a look of a checked catalog. `kept` gives the place of a value that is kept of each event; it is not asked for the
    /// field of the event time.
    pub(super) fn new(
        look: &Look,
        history_us: i64,
        event_time: &str,
        mut kept: impl FnMut(&Expression) -> usize,
    ) -> LookPlan {
        let mut argument = |of: &Expression| match of.as_column() {
            Some(field) if field == event_time => Argument::Time,
            _ => Argument::Kept(kept(of), of.kind()),
        };
        let kind = match &look.kind {
            LookKind::Previous(of) => Kind::Previous(argument(of)),
            LookKind::Count => Kind::Count,
            LookKind::Sum(of) => Kind::Sum(argument(of)),
            LookKind::Avg(of) => Kind::Avg(argument(of)),
            LookKind::Min(of) => Kind::Min(argument(of)),
            LookKind::Max(of) => Kind::Max(argument(of)),
        };
        LookPlan { column: look.column.clone(), kind, span_us: look.span_us.unwrap_or(history_us).min(history_us) }
    }

    /// What it sees.
    pub(super) fn value<'a>(&self, of: View<'a>) -> Scalar<'a> {
        let mut events = of.events(self.span_us);
        match self.kind {
            Kind::Previous(argument) => events.next_back().map_or(Scalar::Null, |last| of.value(last, argument)),
            Kind::Count => Scalar::Int(events.len() as i128),
            Kind::Sum(argument) => of.sum(events, argument).0,
            Kind::Avg(argument) => match of.sum(events, argument) {
                (_, 0) => Scalar::Null,
                (Scalar::Int(sum), count) => finite(sum as f64 / count as f64),
                (Scalar::Float(sum), count) => finite(sum / count as f64),
                _ => Scalar::Null,
            },
            Kind::Min(argument) => of.extreme(events, argument, i64::min, f64::min),
            Kind::Max(argument) => of.extreme(events, argument, i64::max, f64::max),
        }
    }

    /// Whether events that had to go could have been seen. The latest event is never one of them, as long as one is left.
    pub(super) fn is_truncated(&self, of: View<'_>) -> bool {
        let reaches = of.past.dropped.0 > of.time_us.saturating_sub(self.span_us);
        let is_none_needed = matches!(self.kind, Kind::Previous(_)) && !of.events(self.span_us).is_empty();
        reaches && !is_none_needed
    }
}

impl<'a> View<'a> {
    /// Those of them that are less than that much older than the event.
    fn events(&self, span_us: i64) -> Range<usize> {
        self.past.up_to(self.layout, self.time_us.saturating_sub(span_us)).min(self.at)..self.at
    }

    fn value(&self, at: usize, argument: Argument) -> Scalar<'a> {
        let time_us = self.past.time(self.layout, at);
        match argument {
            Argument::Time => Scalar::Timestamp(time_us),
            Argument::Kept(kept, kind) => {
                let word = self.past.value(self.layout, at, kept);
                word.map_or(Scalar::Null, |word| scalar(word, kind, self.texts, time_us))
            }
        }
    }

    /// The sum of the values that are not null, and how many these are. A sum that leaves its 64 bits is null.
    fn sum(&self, events: Range<usize>, argument: Argument) -> (Scalar<'a>, usize) {
        let Argument::Kept(kept, kind) = argument else { return (Scalar::Null, 0) };
        let words = self.past.values(self.layout, events, kept).flatten();
        let mut count = 0;
        if kind == FieldType::Float {
            let sum = words.inspect(|_| count += 1).fold(0.0, |sum, word| sum + f64::from_bits(word));
            return (finite(sum), count);
        }
        let sum: i128 = words.inspect(|_| count += 1).map(|word| i128::from(word as i64)).sum();
        (i64::try_from(sum).map_or(Scalar::Null, |_| Scalar::Int(sum)), count)
    }

    fn extreme(
        &self,
        events: Range<usize>,
        argument: Argument,
        ints: fn(i64, i64) -> i64,
        floats: fn(f64, f64) -> f64,
    ) -> Scalar<'a> {
        let Argument::Kept(kept, kind) = argument else { return Scalar::Null };
        let words = self.past.values(self.layout, events, kept).flatten();
        let extreme = match kind {
            FieldType::Float => words.map(f64::from_bits).reduce(floats).map(Scalar::Float),
            _ => words.map(|word| word as i64).reduce(ints).map(|x| Scalar::Int(x.into())),
        };
        extreme.unwrap_or(Scalar::Null)
    }
}

/// A value of an event as the word that is kept. A text is put onto a shelf.
pub(super) fn word(value: &Scalar<'_>, texts: &mut Shelves, time_us: i64) -> Option<u64> {
    Some(match value {
        Scalar::Null | Scalar::Overflow => return None,
        Scalar::Int(x) => *x as i64 as u64,
        Scalar::Timestamp(us) => *us as u64,
        Scalar::Float(x) => x.to_bits(),
        Scalar::Bool(x) => u64::from(*x),
        Scalar::String(_) => {
            let mut bytes = Vec::new();
            encoding::push(&mut bytes, value);
            texts.put(time_us, &bytes).into()
        }
    })
}

/// What [`word`] kept of an event of that time.
pub(super) fn scalar(word: u64, kind: FieldType, texts: &Shelves, time_us: i64) -> Scalar<'_> {
    match kind {
        FieldType::Int => Scalar::Int((word as i64).into()),
        FieldType::Timestamp => Scalar::Timestamp(word as i64),
        FieldType::Float => Scalar::Float(f64::from_bits(word)),
        FieldType::Bool => Scalar::Bool(word != 0),
        FieldType::String => {
            // The lower half is all of it.
            let mut text = texts.get(time_us, word as u32);
            encoding::read(&mut text, FieldType::String).unwrap_or(Scalar::Null)
        }
    }
}

fn finite(x: f64) -> Scalar<'static> {
    if x.is_finite() { Scalar::Float(x + 0.0) } else { Scalar::Null }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::measure::{Argument, MeasureKind, Value};

    const FLOAT: Argument = Argument::Kept(0, FieldType::Float);
    const INT: Argument = Argument::Kept(1, FieldType::Int);

    fn layout() -> Layout {
        Layout::new(1, 2)
    }

    fn look(kind: Kind, span_us: i64) -> LookPlan {
        LookPlan { column: String::new(), kind, span_us }
    }

    proptest! {
        /// They are the measures of the same values.
        #[test]
        fn looks_are_measures_of_the_events_before(
            events in prop::collection::vec((0..50_i64, prop::option::of(any::<f64>()), prop::option::of(any::<i64>())), 1..40),
            at in 0..40_usize,
            span in 1..60_i64,
        ) {
            let events: Vec<_> = events.into_iter().map(|(time, x, n)| (time, x.filter(|x| x.is_finite()).map(|x| x + 0.0), n)).collect();
            let (mut past, mut sorted) = (Past::new(), events.clone());
            for (offset, (time, x, n)) in (0..).zip(events) {
                past.insert(layout(), (time, offset), 0, &[x.map(f64::to_bits), n.map(|n| n as u64)]);
            }
            sorted.sort_by_key(|(time, ..)| *time);
            let at = at.min(sorted.len() - 1);
            let time = sorted[at].0;
            let before: Vec<_> = sorted[..at].iter().filter(|(other, ..)| *other > time - span).collect();
            let texts = Shelves::new(60);
            let view = View { layout: layout(), past: &past, texts: &texts, at, time_us: time };
            let value = |kind| look(kind, span).value(view);
            let fold = |kind: MeasureKind| {
                let of = |(_, x, n): &(i64, Option<f64>, Option<i64>)| match kind.value_type() {
                    FieldType::Float => x.map_or(Argument::Absent, Argument::Float),
                    _ => n.map_or(Argument::Absent, Argument::Int),
                };
                let merged = before.iter().fold(kind.identity(), |all, event| kind.merge(all, kind.of_event(of(event))));
                match merged.finalized() {
                    Value::Int(x) => Scalar::Int(x),
                    Value::Float(x) => Scalar::Float(x),
                    Value::Null | Value::Overflow | Value::Sketch(_) => Scalar::Null,
                }
            };
            prop_assert_eq!(value(Kind::Count), Scalar::Int(before.len() as i128));
            prop_assert_eq!(value(Kind::Sum(FLOAT)), fold(MeasureKind::SumFloat));
            prop_assert_eq!(value(Kind::Sum(INT)), fold(MeasureKind::SumInt));
            prop_assert_eq!(value(Kind::Min(FLOAT)), fold(MeasureKind::MinFloat));
            prop_assert_eq!(value(Kind::Max(INT)), fold(MeasureKind::MaxInt));
            let last = before.last();
            prop_assert_eq!(value(Kind::Previous(Argument::Time)), last.map_or(Scalar::Null, |last| Scalar::Timestamp(last.0)));
            prop_assert_eq!(value(Kind::Previous(FLOAT)), last.and_then(|last| last.1).map_or(Scalar::Null, Scalar::Float));
            let numbers: Vec<f64> = before.iter().filter_map(|(_, x, _)| *x).collect();
            let mean = numbers.iter().fold(0.0, |sum, x| sum + x) / numbers.len() as f64;
            prop_assert_eq!(value(Kind::Avg(FLOAT)), finite(mean));
        }
    }

    #[test]
    fn a_look_is_truncated_where_an_event_that_had_to_go_lies_in_it() {
        let (mut past, texts) = (Past::new(), Shelves::new(60));
        past.insert(layout(), (100, 5), 0, &[None, None]);
        past.dropped = (90, 4);
        let of = |at, time_us| View { layout: layout(), past: &past, texts: &texts, at, time_us };
        assert!(look(Kind::Count, 20).is_truncated(of(1, 105)));
        assert!(!look(Kind::Count, 15).is_truncated(of(1, 105)), "the event lies exactly the span back");
        assert!(!look(Kind::Previous(INT), 20).is_truncated(of(1, 105)), "a later one is left");
        assert!(look(Kind::Previous(INT), 20).is_truncated(of(0, 100)));
    }

    #[test]
    fn texts_are_kept_on_shelves() {
        let (mut past, mut texts) = (Past::new(), Shelves::new(60));
        let kept = word(&Scalar::String("Köln\0".into()), &mut texts, 7);
        past.insert(layout(), (7, 0), 0, &[kept, None]);
        let view = View { layout: layout(), past: &past, texts: &texts, at: 1, time_us: 8 };
        let previous = |value| look(Kind::Previous(Argument::Kept(value, FieldType::String)), 60).value(view);
        assert_eq!(previous(0), Scalar::String("Köln\0".into()));
        assert_eq!(previous(1), Scalar::Null);
    }
}
