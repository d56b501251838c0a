//! What streams mean: everything is kept, and every question is asked of all of it.

use std::collections::BTreeSet;
use std::ops::Range;

use serde_json::{Map, Value as Json, json};
use shared_logic::stream::{Decided as OfLane, DecidedKind};
use shared_logic::time::format_rfc3339;

use super::defined::{Defined, Law, Measure, Of, RATIO, What, ratio};
use super::detected::alerts;
use super::steps::{Event, Step};

/// Something that is written.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Written {
    offset: i64,
    n: u32,
    key: Option<Vec<u8>>,
    time_us: i64,
    content: Content,
}

#[derive(Debug, Clone, PartialEq)]
enum Content {
    Output(Json),
    Late(Option<Range<i64>>, Vec<u8>),
}

/// What a lane has decided, in these words.
pub(super) fn written(decided: &OfLane) -> Written {
    Written {
        offset: decided.position.offset,
        n: decided.position.n,
        key: decided.key.clone(),
        time_us: decided.time_us,
        content: match &decided.kind {
            DecidedKind::Output => Content::Output(serde_json::from_slice(&decided.payload).expect("JSON")),
            DecidedKind::Late { missed } => Content::Late(missed.clone(), decided.payload.clone()),
            DecidedKind::NoRow { .. } => unreachable!("no stream here looks anything up"),
        },
    }
}

/// What a stream writes of the steps of a partition, and how many windows or sessions are open behind them. Its records are keyed by the
/// field `key`, and their ids begin with `prefix`.
pub(super) fn decide(of: &Defined, key: Option<&str>, steps: &[Step], prefix: &str) -> (Vec<Written>, usize) {
    let mut pen = Pen { prefix, key, written: Vec::new(), open: 0 };
    match &of.what {
        What::Map { key, fields } => map(&mut pen, of, steps, key.as_deref(), fields),
        What::Window { .. } => windows(&mut pen, of, steps),
        What::Session { .. } => sessions(&mut pen, of, steps),
        What::Detect { .. } => alerts(&mut pen, of, steps),
    }
    (pen.written, pen.open)
}

/// Counts what a stream writes for each offset.
pub(super) struct Pen<'a> {
    prefix: &'a str,
    key: Option<&'a str>,
    written: Vec<Written>,
    /// What is left open at the end.
    open: usize,
}

impl Pen<'_> {
    fn next(&self, offset: i64) -> u32 {
        self.written.last().filter(|last| last.offset == offset).map_or(0, |last| last.n + 1)
    }

    fn record(&mut self, offset: i64, key: Option<Vec<u8>>, time_us: i64, mut fields: Map<String, Json>) {
        let n = self.next(offset);
        fields.insert("output_id".to_owned(), format!("{}/{offset}/{n}", self.prefix).into());
        fields.insert("output_time".to_owned(), format_rfc3339(time_us).into());
        self.written.push(Written { offset, n, key, time_us, content: Content::Output(Json::Object(fields)) });
    }

    /// Writes an output, keyed by the stream's field.
    pub(super) fn output(&mut self, offset: i64, time_us: i64, fields: Map<String, Json>) {
        let key = self.key.and_then(|key| Part::of(fields.get(key)).text());
        self.record(offset, key, time_us, fields);
    }

    pub(super) fn late(&mut self, event: &Event, missed: Option<Range<i64>>) {
        let (offset, n, time_us) = (event.offset, self.next(event.offset), event.time_us);
        let (key, content) = (event.key.clone(), Content::Late(missed, event.payload.clone()));
        self.written.push(Written { offset, n, key, time_us, content });
    }
}

/// A value that events are grouped by. An absent one is a group of its own, and comes first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    Absent,
    Int(i64),
    Text(String),
}

impl Part {
    pub(super) fn of(value: Option<&Json>) -> Part {
        match value {
            None | Some(Json::Null) => Part::Absent,
            Some(Json::Number(number)) => Part::Int(number.as_i64().expect("no stream groups by floats")),
            Some(other) => Part::Text(other.as_str().expect("a text").to_owned()),
        }
    }

    /// The key of a record.
    fn text(&self) -> Option<Vec<u8>> {
        match self {
            Part::Absent => None,
            Part::Int(int) => Some(int.to_string().into_bytes()),
            Part::Text(text) => Some(text.clone().into_bytes()),
        }
    }

    fn json(&self) -> Option<Json> {
        match self {
            Part::Absent => None,
            Part::Int(int) => Some((*int).into()),
            Part::Text(text) => Some(text.clone().into()),
        }
    }
}

impl Event {
    pub(super) fn number(&self, field: &str) -> Option<f64> {
        self.fields.get(field).and_then(Json::as_f64)
    }

    fn group(&self, by: &[String]) -> Vec<Part> {
        by.iter().map(|column| Part::of(self.fields.get(column))).collect()
    }
}

impl Defined {
    /// The event of a step, if the stream takes it.
    pub(super) fn event<'a>(&self, step: &'a Step) -> Option<&'a Event> {
        let passes =
            |event: &&Event| self.takes.as_ref().is_none_or(|takes| takes.holds(event.fields.get(&takes.field)));
        step.event.as_ref().filter(passes)
    }

    pub(super) fn watermark_us(&self, front_us: Option<i64>) -> i64 {
        front_us.map_or(i64::MIN, |front_us| front_us - self.lateness_us)
    }
}

fn map(pen: &mut Pen<'_>, of: &Defined, steps: &[Step], new_key: Option<&str>, fields: &[(String, Of)]) {
    for event in steps.iter().filter_map(|step| of.event(step)) {
        let mut output = Map::new();
        for (name, of) in fields {
            let value = match of {
                Of::Field(field) => event.fields.get(field).cloned(),
                Of::Or(field) => Some(event.fields.get(field).cloned().unwrap_or_else(|| "-".into())),
                Of::Twice(field) => event.fields.get(field).map(|value| match value.as_i64() {
                    Some(int) => (int * 2).into(),
                    None => json!(value.as_f64().expect("a number") * 2.0),
                }),
            };
            output.extend(value.map(|value| (name.clone(), value)));
        }
        match new_key {
            Some(_) => pen.output(event.offset, event.time_us, output),
            None => pen.record(event.offset, event.key.clone(), event.time_us, output),
        }
    }
}

/// What is known of the arguments of one measure, those that are there.
#[derive(Debug, Clone, Copy)]
struct Total {
    count: i64,
    int: i64,
    float: f64,
    least: f64,
    greatest: f64,
}

/// Of each measure.
#[derive(Debug, Clone)]
struct Totals(Vec<Total>);

impl Totals {
    fn none(measures: &[Measure]) -> Totals {
        let none = Total { count: 0, int: 0, float: 0.0, least: f64::INFINITY, greatest: f64::NEG_INFINITY };
        Totals(vec![none; measures.len()])
    }

    /// With another event behind those before.
    fn with(mut self, measures: &[Measure], event: &Event) -> Totals {
        for (total, Measure { of, .. }) in self.0.iter_mut().zip(measures) {
            let value = match of {
                Some((field, _)) => event.number(field),
                None => Some(0.0),
            };
            let Some(value) = value else { continue };
            total.count += 1;
            total.int += value as i64;
            total.float += value;
            (total.least, total.greatest) = (total.least.min(value), total.greatest.max(value));
        }
        self
    }

    /// With those of what comes later.
    fn and(mut self, later: &Totals) -> Totals {
        for (total, later) in self.0.iter_mut().zip(&later.0) {
            total.count += later.count;
            total.int += later.int;
            total.float += later.float;
            (total.least, total.greatest) = (total.least.min(later.least), total.greatest.max(later.greatest));
        }
        self
    }

    fn of<'a>(measures: &[Measure], events: impl IntoIterator<Item = &'a Event>) -> Totals {
        events.into_iter().fold(Totals::none(measures), |totals, event| totals.with(measures, event))
    }

    fn write(&self, measures: &[Measure], fields: &mut Map<String, Json>) {
        let events = self.0[0].count;
        for (total, Measure { name, law, of }) in self.0.iter().zip(measures) {
            let is_int = of.as_ref().is_some_and(|(_, is_int)| *is_int);
            let number = |value: f64| if is_int { json!(value as i64) } else { json!(value) };
            let sum = if is_int { json!(total.int) } else { json!(total.float) };
            let mut put = |name: &str, value: Json| drop(fields.insert(name.to_owned(), value));
            match law {
                Law::Count => put(name, total.count.into()),
                Law::Sum => put(name, sum),
                Law::Mean => {
                    put(&format!("{name}_sum"), sum);
                    put(&format!("{name}_count"), total.count.into());
                    if total.count > 0 {
                        put(name, json!(total.float / total.count as f64));
                    }
                }
                Law::Least if total.count > 0 => put(name, number(total.least)),
                Law::Greatest if total.count > 0 => put(name, number(total.greatest)),
                Law::Least | Law::Greatest => {}
            }
        }
        if let Some(sum) = ratio(measures) {
            let sum = fields[sum].as_f64().expect("a sum is always there");
            fields.insert(RATIO.to_owned(), json!(sum / events as f64));
        }
    }
}

fn grouped(by: &[String], group: &[Part]) -> Map<String, Json> {
    by.iter().zip(group).filter_map(|(name, part)| Some((name.clone(), part.json()?))).collect()
}

fn windows(pen: &mut Pen<'_>, of: &Defined, steps: &[Step]) {
    let What::Window { by, size_us, slide_us, offset_us, measures } = &of.what else { return };
    let (size, slide, offset_us) = (*size_us, *slide_us, *offset_us);
    // Each event with the ends of the windows in which it counts.
    let mut counted: Vec<(&Event, BTreeSet<i64>)> = Vec::new();
    let mut open: BTreeSet<(i64, Vec<Part>)> = BTreeSet::new();
    for step in steps {
        if let Some(event) = of.event(step) {
            let (time, watermark_us) = (event.time_us, of.watermark_us(step.before_us));
            let first = (time - size - offset_us).div_euclid(slide);
            let starts = (first..).map(|n| n * slide + offset_us).take_while(|start| *start <= time);
            let (missed, kept): (Vec<i64>, Vec<i64>) =
                starts.filter(|start| time < start + size).partition(|start| start + size <= watermark_us);
            open.extend(kept.iter().map(|start| (start + size, event.group(by))));
            counted.push((event, kept.iter().map(|start| start + size).collect()));
            if let (Some(first), Some(last)) = (missed.first(), missed.last()) {
                pen.late(event, Some(*first..last + size));
            }
        }
        let watermark_us = of.watermark_us(step.after_us);
        while let Some((end, group)) = open.first().cloned().filter(|(end, _)| *end <= watermark_us) {
            open.pop_first();
            let inside = counted.iter().filter(|(event, ends)| ends.contains(&end) && event.group(by) == group);
            let inside: Vec<&Event> = inside.map(|(event, _)| *event).collect();
            // The slide divides the size, so a pane is as long as the slide.
            let panes = (0..size / slide).map(|pane| end - size + pane * slide..end - size + (pane + 1) * slide);
            let totals = panes
                .map(|pane| Totals::of(measures, inside.iter().copied().filter(|event| pane.contains(&event.time_us))));
            let totals = totals.fold(Totals::none(measures), |totals, later| totals.and(&later));
            let mut fields = grouped(by, &group);
            fields.insert("window_start".to_owned(), format_rfc3339(end - size).into());
            fields.insert("window_end".to_owned(), format_rfc3339(end).into());
            totals.write(measures, &mut fields);
            pen.output(step.offset, end - 1, fields);
        }
    }
    pen.open = open.len();
}

/// A session that is open.
#[derive(Debug, Clone)]
struct Open {
    group: Vec<Part>,
    times: Vec<i64>,
    totals: Totals,
}

impl Open {
    fn first(&self) -> i64 {
        *self.times.iter().min().expect("it holds an event")
    }

    fn last(&self) -> i64 {
        *self.times.iter().max().expect("it holds an event")
    }
}

fn sessions(pen: &mut Pen<'_>, of: &Defined, steps: &[Step]) {
    let What::Session { by, gap_us, longest_us, measures } = &of.what else { return };
    let border = |us: i64| longest_us.map_or(i64::MAX, |longest| (us.div_euclid(longest) + 1) * longest);
    let end = |last_us: i64| (last_us + gap_us).min(border(last_us));
    let mut open: Vec<Open> = Vec::new();
    for step in steps {
        if let Some(event) = of.event(step) {
            let (time, group) = (event.time_us, event.group(by));
            if end(time) <= of.watermark_us(step.before_us) {
                pen.late(event, None);
            } else {
                let joins = |session: &Open| {
                    session.group == group
                        && border(session.times[0]) == border(time)
                        && session.times.iter().any(|other| (other - time).abs() < *gap_us)
                };
                let (mut joined, others): (Vec<Open>, Vec<Open>) = open.into_iter().partition(joins);
                joined.sort_by_key(Open::first);
                open = others;
                let both = |earlier: Open, later: Open| Open {
                    times: [earlier.times, later.times].concat(),
                    totals: earlier.totals.and(&later.totals),
                    group: earlier.group,
                };
                let new = || Open { group: group.clone(), times: Vec::new(), totals: Totals::none(measures) };
                let mut session = joined.into_iter().reduce(both).unwrap_or_else(new);
                session.times.push(time);
                session.totals = session.totals.with(measures, event);
                open.push(session);
            }
        }
        let watermark_us = of.watermark_us(step.after_us);
        let (mut due, others): (Vec<Open>, Vec<Open>) =
            open.into_iter().partition(|session| end(session.last()) <= watermark_us);
        open = others;
        due.sort_by_key(|session| (end(session.last()), session.first(), session.group.clone()));
        for session in due {
            let mut fields = grouped(by, &session.group);
            fields.insert("session_start".to_owned(), format_rfc3339(session.first()).into());
            fields.insert("session_end".to_owned(), format_rfc3339(session.last()).into());
            session.totals.write(measures, &mut fields);
            pen.output(step.offset, session.last(), fields);
        }
    }
    pen.open = open.len();
}
