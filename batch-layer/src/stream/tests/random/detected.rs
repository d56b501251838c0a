//! What detectors do: the past of a key is a list of all its events.

use serde_json::{Map, Value as Json, json};

use super::defined::{Defined, Look, Rule, What};
use super::oracle::{Part, Pen};
use super::steps::{Event, Step};

/// An event that was accepted.
struct Accepted<'a> {
    event: &'a Event,
    key: Part,
    /// The rules that have alerted of it, by their numbers.
    alerted: Vec<usize>,
    is_dropped: bool,
}

impl Accepted<'_> {
    fn place(&self) -> (i64, i64) {
        (self.event.time_us, self.event.offset)
    }
}

/// What a detector writes of the steps of a partition.
pub(super) fn alerts(pen: &mut Pen<'_>, of: &Defined, steps: &[Step]) {
    let What::Detect { key, history_us, history_max, rejudge_max, .. } = &of.what else { return };
    let mut all: Vec<Accepted<'_>> = Vec::new();
    for step in steps {
        let Some(event) = of.event(step) else { continue };
        let watermark_us = of.watermark_us(step.before_us);
        if event.time_us < watermark_us {
            pen.late(event, None);
            continue;
        }
        let (this, part) = ((event.time_us, event.offset), Part::of(event.fields.get(key)));
        all.push(Accepted { event, key: part.clone(), alerted: Vec::new(), is_dropped: false });
        all.sort_by_key(Accepted::place);
        let is_behind = |other: &Accepted<'_>| {
            let time_us = other.event.time_us;
            let is_of_key = other.key == part && !other.is_dropped;
            is_of_key && other.place() > this && time_us >= watermark_us && event.time_us > time_us - history_us
        };
        let behind: Vec<usize> = (0..all.len()).filter(|at| is_behind(&all[*at])).collect();
        let arrived = all.iter().position(|other| other.place() == this).expect("it was added");
        judge(pen, &mut all, of, step.offset, arrived);
        for again in &behind[behind.len().saturating_sub(*rejudge_max)..] {
            judge(pen, &mut all, of, step.offset, *again);
        }
        // Older ones no later event looks at that is not late.
        let limit_us = watermark_us.saturating_sub(*history_us);
        let is_kept = |other: &Accepted<'_>| other.key == part && !other.is_dropped && other.event.time_us > limit_us;
        let excess = all.iter().filter(|other| is_kept(other)).count().saturating_sub(*history_max);
        all.iter_mut().filter(|other| is_kept(other)).take(excess).for_each(|other| other.is_dropped = true);
    }
}

/// Judges an event by the rules that have not alerted of it.
fn judge(pen: &mut Pen<'_>, all: &mut [Accepted<'_>], of: &Defined, offset: i64, judged: usize) {
    let What::Detect { rules, history_us, .. } = &of.what else { return };
    for (number, rule) in rules.iter().enumerate() {
        let (event, key) = (all[judged].event, all[judged].key.clone());
        let oldest_us = event.time_us - rule.span_us.unwrap_or(*history_us);
        let is_seen = |other: &&Accepted<'_>| other.key == key && other.event.time_us > oldest_us;
        let before: Vec<&Event> =
            all[..judged].iter().filter(is_seen).filter(|other| !other.is_dropped).map(|other| other.event).collect();
        let (alerts, looked_at) = look(rule, event, &before);
        if !alerts || all[judged].alerted.contains(&number) {
            continue;
        }
        let needs_none = rule.look == Look::Previous && !before.is_empty();
        let is_truncated = !needs_none && all.iter().filter(is_seen).any(|other| other.is_dropped);
        let mut fields = event.fields.clone();
        for own in ["output_id", "output_time"] {
            fields.remove(own);
        }
        fields.insert("rule".to_owned(), rule.name.clone().into());
        fields.insert("judged_offset".to_owned(), event.offset.into());
        let looked_at: Map<String, Json> = [(rule.looks_at(), looked_at)].into_iter().collect();
        fields.insert("looked_at".to_owned(), Json::Object(looked_at));
        if is_truncated {
            fields.insert("truncated".to_owned(), true.into());
        }
        all[judged].alerted.push(number);
        pen.output(offset, event.time_us, fields);
    }
}

/// Whether a rule alerts of an event, by those before it, the earliest first; and what it has looked at.
fn look(rule: &Rule, event: &Event, before: &[&Event]) -> (bool, Json) {
    let than = rule.than as f64;
    let Some((field, is_int)) = &rule.of else {
        let count = before.len();
        return (count as f64 >= than, count.into());
    };
    let numbers: Vec<f64> = before.iter().filter_map(|other| other.number(field)).collect();
    let value = match rule.look {
        Look::Previous => before.last().and_then(|last| last.number(field)),
        Look::Sum => Some(numbers.iter().fold(0.0, |sum, number| sum + number)),
        Look::Mean if numbers.is_empty() => None,
        Look::Mean => Some(numbers.iter().fold(0.0, |sum, number| sum + number) / numbers.len() as f64),
        Look::Least => numbers.iter().copied().reduce(f64::min),
        Look::Greatest => numbers.iter().copied().reduce(f64::max),
        Look::Count => unreachable!("a number of events is of no field"),
    };
    let own = event.number(field);
    let alerts = value.is_some_and(|value| match rule.look {
        Look::Sum => value > than,
        Look::Previous => own.is_some_and(|own| own - value > than),
        Look::Greatest => own.is_some_and(|own| own >= value),
        Look::Mean | Look::Least | Look::Count => own.is_some_and(|own| own > value),
    });
    let is_whole = *is_int && rule.look != Look::Mean;
    let json = |value: f64| if is_whole { json!(value as i64) } else { json!(value) };
    (alerts, value.map_or(Json::Null, json))
}
