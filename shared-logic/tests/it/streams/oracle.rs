//! What streams mean, said once more: everything is kept, and every question is asked of all of it.

use std::collections::BTreeSet;
use std::ops::Range;

use serde_json::{Map, Value as Json, json};
use shared_logic::log::PartitionId;
use shared_logic::stream::{Decided, DecidedKind};
use shared_logic::time::format_rfc3339;

use super::log::{DEDUP_WINDOW, Entry, MAX_AHEAD_US, Row, What};

/// An offset: its event, if it holds one, and the front before and after it.
#[derive(Debug, Clone)]
pub(super) struct Step {
    pub(super) offset: i64,
    pub(super) event: Option<Row>,
    pub(super) before_us: Option<i64>,
    pub(super) after_us: Option<i64>,
}

/// Something that is written.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Written {
    pub(super) offset: i64,
    pub(super) n: u32,
    pub(super) key: Option<String>,
    pub(super) time_us: i64,
    pub(super) what: Content,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Content {
    Output(Json),
    Late(Option<Range<i64>>, Vec<u8>),
}

/// What a lane has decided for one of its streams.
pub(super) fn written(decided: &[Decided], stream: usize) -> Vec<Written> {
    let of_stream = decided.iter().filter(|decided| decided.stream == stream);
    let written = |decided: &Decided| Written {
        offset: decided.position.offset,
        n: decided.position.n,
        key: decided.key.clone().map(|key| String::from_utf8(key).expect("a text")),
        time_us: decided.time_us,
        what: match &decided.kind {
            DecidedKind::Output => Content::Output(serde_json::from_slice(&decided.payload).expect("JSON")),
            DecidedKind::Late { missed } => Content::Late(missed.clone(), decided.payload.clone()),
            DecidedKind::NoRow { .. } => unreachable!("no stream here looks anything up"),
        },
    };
    of_stream.map(written).collect()
}

/// The events of a log that no re-keying map writes, without copies.
pub(super) fn steps(entries: &[Entry]) -> Vec<Step> {
    let (mut steps, mut front_us) = (Vec::new(), None);
    let mut seen: Vec<(i64, (i64, i64))> = Vec::new();
    for Entry { offset, record_time_us, what } in entries {
        let What::Event(row) = what else { continue };
        if record_time_us.is_some_and(|at| row.time_us > at + MAX_AHEAD_US) {
            continue;
        }
        let identity = (row.id, row.time_us);
        let is_copy = seen.iter().any(|(at, other)| *other == identity && offset - at <= DEDUP_WINDOW);
        seen.push((*offset, identity));
        if is_copy {
            continue;
        }
        let before_us = front_us;
        front_us = front_us.max(Some(row.time_us.min(record_time_us.unwrap_or(i64::MAX))));
        steps.push(Step { offset: *offset, event: Some(row.clone()), before_us, after_us: front_us });
    }
    steps
}

/// Counts what a stream writes for each offset.
struct Pen<'a> {
    stream: &'a str,
    id: &'a PartitionId,
    written: Vec<Written>,
}

impl Pen<'_> {
    fn write(&mut self, offset: i64, key: Option<String>, time_us: i64, content: Content) {
        let before = self.written.last().filter(|last| last.offset == offset);
        let n = before.map_or(0, |last| last.n + 1);
        self.written.push(Written { offset, n, key, time_us, what: content });
    }

    fn output(&mut self, offset: i64, key: Option<String>, time_us: i64, mut fields: Map<String, Json>) {
        let before = self.written.last().filter(|last| last.offset == offset);
        let n = before.map_or(0, |last| last.n + 1);
        let id = format!("{}/v1/{}/{}/{offset}/{n}", self.stream, self.id.log, self.id.partition);
        fields.insert("output_id".into(), id.into());
        fields.insert("output_time".into(), format_rfc3339(time_us).into());
        self.write(offset, key, time_us, Content::Output(Json::Object(fields)));
    }

    fn late(&mut self, offset: i64, row: &Row, missed: Option<Range<i64>>) {
        let key = String::from_utf8(row.record_key()).expect("a text");
        self.write(offset, Some(key), row.time_us, Content::Late(missed, row.payload()));
    }
}

fn watermark(front_us: Option<i64>, lateness_us: i64) -> i64 {
    front_us.map_or(i64::MIN, |front_us| front_us - lateness_us)
}

/// What is aggregated: a count, a float sum, the greatest integer and the least float.
#[derive(Debug, Clone)]
struct Sums {
    events: i64,
    total: f64,
    biggest: Option<i64>,
    least: Option<f64>,
}

impl Sums {
    fn of<'a>(rows: impl IntoIterator<Item = &'a Row>) -> Sums {
        let none = Sums { events: 0, total: 0.0, biggest: None, least: None };
        rows.into_iter().fold(none, |sums, row| Sums {
            events: sums.events + 1,
            total: sums.total + row.x.unwrap_or(0.0),
            biggest: sums.biggest.max(Some(row.n)),
            least: less(sums.least, row.x),
        })
    }

    fn with(&self, later: &Sums) -> Sums {
        Sums {
            events: self.events + later.events,
            total: self.total + later.total,
            biggest: self.biggest.max(later.biggest),
            least: less(self.least, later.least),
        }
    }

    fn add_to(&self, fields: &mut Map<String, Json>) {
        fields.insert("events".into(), self.events.into());
        fields.insert("total".into(), json!(self.total));
        fields.extend(self.biggest.map(|biggest| ("biggest".to_owned(), biggest.into())));
        fields.extend(self.least.map(|least| ("least".to_owned(), json!(least))));
        fields.insert("mean".into(), json!(self.total / self.events as f64));
    }
}

fn less(a: Option<f64>, b: Option<f64>) -> Option<f64> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

/// What each of these streams says of itself. The measures are those of [`Sums`].
pub(super) struct Grouped {
    pub(super) name: &'static str,
    pub(super) by: &'static [&'static str],
    pub(super) key: &'static str,
    pub(super) lateness_us: i64,
    pub(super) takes: fn(&Row) -> bool,
}

impl Grouped {
    /// The values of the columns; an absent one comes first.
    fn group(&self, row: &Row) -> Vec<Option<String>> {
        let value = |name: &&str| match *name {
            "user" => Some(row.user.clone()),
            "k" => row.k.clone(),
            other => panic!("no column {other}"),
        };
        self.by.iter().map(value).collect()
    }

    fn fields(&self, group: &[Option<String>]) -> Map<String, Json> {
        let named = self.by.iter().zip(group);
        named.filter_map(|(name, value)| Some(((*name).to_owned(), value.clone()?.into()))).collect()
    }

    fn record_key(&self, group: &[Option<String>]) -> Option<String> {
        let at = self.by.iter().position(|name| *name == self.key)?;
        group[at].clone()
    }
}

/// Windows `[start, start + size)` from all multiples of `slide`, moved by `offset`.
pub(super) fn windows(
    steps: &[Step],
    id: &PartitionId,
    of: &Grouped,
    (size, slide, offset_us): (i64, i64, i64),
) -> Vec<Written> {
    let mut pen = Pen { stream: of.name, id, written: Vec::new() };
    // Each event with the ends of the windows in which it counts.
    let mut counted: Vec<(Row, BTreeSet<i64>)> = Vec::new();
    let mut open: BTreeSet<(i64, i64, Vec<Option<String>>)> = BTreeSet::new();
    for step in steps {
        if let Some(row) = step.event.as_ref().filter(|row| (of.takes)(row)) {
            let watermark_us = watermark(step.before_us, of.lateness_us);
            let first = (row.time_us - size - offset_us).div_euclid(slide);
            let starts = (first..).map(|n| n * slide + offset_us).take_while(|start| *start <= row.time_us);
            let (missed, kept): (Vec<i64>, Vec<i64>) =
                starts.filter(|start| row.time_us < start + size).partition(|start| start + size <= watermark_us);
            open.extend(kept.iter().map(|start| (start + size, *start, of.group(row))));
            counted.push((row.clone(), kept.iter().map(|start| start + size).collect()));
            if let (Some(first), Some(last)) = (missed.first(), missed.last()) {
                pen.late(step.offset, row, Some(*first..last + size));
            }
        }
        let watermark_us = watermark(step.after_us, of.lateness_us);
        while let Some(due) = open.first().cloned().filter(|(end, ..)| *end <= watermark_us) {
            open.remove(&due);
            let (end, start, group) = due;
            let rows: Vec<&Row> = counted
                .iter()
                .filter(|(row, ends)| ends.contains(&end) && of.group(row) == group)
                .map(|(row, _)| row)
                .collect();
            // The slides of the tests divide their sizes, so a pane is as long as the slide.
            let panes = (0..size / slide).map(|pane| start + pane * slide..start + (pane + 1) * slide);
            let sums = panes.filter_map(|pane| {
                let inside: Vec<&Row> = rows.iter().copied().filter(|row| pane.contains(&row.time_us)).collect();
                (!inside.is_empty()).then(|| Sums::of(inside))
            });
            let sums = sums.reduce(|sums, later| sums.with(&later)).expect("the window holds an event");
            let mut fields = of.fields(&group);
            fields.insert("window_start".into(), format_rfc3339(start).into());
            fields.insert("window_end".into(), format_rfc3339(end).into());
            sums.add_to(&mut fields);
            pen.output(step.offset, of.record_key(&group), end - 1, fields);
        }
    }
    pen.written
}

/// A session that is open.
#[derive(Debug, Clone)]
struct Open {
    group: Vec<Option<String>>,
    times: Vec<i64>,
    sums: Sums,
}

/// Sessions, cut at the multiples of `longest`.
pub(super) fn sessions(steps: &[Step], id: &PartitionId, of: &Grouped, gap: i64, longest: Option<i64>) -> Vec<Written> {
    let mut pen = Pen { stream: of.name, id, written: Vec::new() };
    let mut open: Vec<Open> = Vec::new();
    let border = |us: i64| longest.map_or(i64::MAX, |longest| (us.div_euclid(longest) + 1) * longest);
    let first = |session: &Open| *session.times.iter().min().expect("it holds an event");
    let last = |session: &Open| *session.times.iter().max().expect("it holds an event");
    for step in steps {
        if let Some(row) = step.event.as_ref().filter(|row| (of.takes)(row)) {
            let (time, group) = (row.time_us, of.group(row));
            if (time + gap).min(border(time)) <= watermark(step.before_us, of.lateness_us) {
                pen.late(step.offset, row, None);
            } else {
                let joins = |session: &Open| {
                    session.group == group
                        && border(session.times[0]) == border(time)
                        && session.times.iter().any(|other| (other - time).abs() < gap)
                };
                let (mut joined, others): (Vec<Open>, Vec<Open>) = open.into_iter().partition(joins);
                joined.sort_by_key(first);
                open = others;
                let mut session = joined
                    .into_iter()
                    .reduce(|earlier, later| Open {
                        times: [earlier.times, later.times].concat(),
                        sums: earlier.sums.with(&later.sums),
                        group: earlier.group,
                    })
                    .unwrap_or_else(|| Open { group, times: Vec::new(), sums: Sums::of([]) });
                session.times.push(time);
                session.sums = session.sums.with(&Sums::of([row]));
                open.push(session);
            }
        }
        let watermark_us = watermark(step.after_us, of.lateness_us);
        let end = |session: &Open| (last(session) + gap).min(border(last(session)));
        let (mut due, others): (Vec<Open>, Vec<Open>) =
            open.into_iter().partition(|session| end(session) <= watermark_us);
        open = others;
        due.sort_by_key(|session| (end(session), first(session), session.group.clone()));
        for session in due {
            let mut fields = of.fields(&session.group);
            fields.insert("session_start".into(), format_rfc3339(first(&session)).into());
            fields.insert("session_end".into(), format_rfc3339(last(&session)).into());
            session.sums.add_to(&mut fields);
            pen.output(step.offset, of.record_key(&session.group), last(&session), fields);
        }
    }
    pen.written
}

/// A detector with these bounds, by `user`.
pub(super) struct Detected {
    pub(super) name: &'static str,
    pub(super) lateness_us: i64,
    pub(super) history_us: i64,
    pub(super) history_max: usize,
    pub(super) rejudge_max: usize,
    pub(super) takes: fn(&Row) -> bool,
    pub(super) rules: &'static [Rule],
}

/// A rule: its name, how far back it counts, and what it says of an event and the events before, the earliest first: whether it
/// alerts, and what it has looked at.
pub(super) struct Rule {
    pub(super) name: &'static str,
    pub(super) span_us: i64,
    /// Whether it looks at nothing but the event before.
    pub(super) is_previous: bool,
    pub(super) judge: fn(&Row, &[Row]) -> (bool, Json),
}

/// An event that was accepted.
struct Accepted {
    offset: i64,
    row: Row,
    alerted: Vec<&'static str>,
    is_dropped: bool,
}

pub(super) fn alerts(steps: &[Step], id: &PartitionId, of: &Detected) -> Vec<Written> {
    let mut pen = Pen { stream: of.name, id, written: Vec::new() };
    let mut all: Vec<Accepted> = Vec::new();
    let place = |event: &Accepted| (event.row.time_us, event.offset);
    for step in steps {
        let Some(row) = step.event.as_ref().filter(|row| (of.takes)(row)) else { continue };
        let watermark_us = watermark(step.before_us, of.lateness_us);
        if row.time_us < watermark_us {
            pen.late(step.offset, row, None);
            continue;
        }
        all.push(Accepted { offset: step.offset, row: row.clone(), alerted: Vec::new(), is_dropped: false });
        all.sort_by_key(place);
        let of_key = |event: &Accepted| event.row.user == row.user && !event.is_dropped;
        let this = (row.time_us, step.offset);
        let behind: Vec<usize> = (0..all.len())
            .filter(|at| of_key(&all[*at]) && place(&all[*at]) > this)
            .filter(|at| all[*at].row.time_us >= watermark_us && row.time_us > all[*at].row.time_us - of.history_us)
            .collect();
        let newest = behind[behind.len().saturating_sub(of.rejudge_max)..].iter().copied();
        let arrived = all.iter().position(|event| place(event) == this).expect("it was added");
        for judged in std::iter::once(arrived).chain(newest).collect::<Vec<_>>() {
            judge(&mut pen, &mut all, of, step.offset, judged);
        }
        // Too old to be looked at by any later event that is not late.
        let needed = |event: &Accepted| event.row.time_us > watermark_us.saturating_sub(of.history_us);
        let remembered = |event: &Accepted| event.row.user == row.user && !event.is_dropped && needed(event);
        let excess = all.iter().filter(|event| remembered(event)).count().saturating_sub(of.history_max);
        let (user, limit) = (row.user.clone(), watermark_us.saturating_sub(of.history_us));
        all.iter_mut()
            .filter(|event| event.row.user == user && !event.is_dropped && event.row.time_us > limit)
            .take(excess)
            .for_each(|event| event.is_dropped = true);
    }
    pen.written
}

fn judge(pen: &mut Pen<'_>, all: &mut [Accepted], of: &Detected, offset: i64, judged: usize) {
    let row = all[judged].row.clone();
    for rule in of.rules {
        let oldest = row.time_us - rule.span_us;
        let before: Vec<Row> = all[..judged]
            .iter()
            .filter(|event| event.row.user == row.user && !event.is_dropped && event.row.time_us > oldest)
            .map(|event| event.row.clone())
            .collect();
        let is_known = all[judged].alerted.contains(&rule.name);
        let (alerts, looked_at) = (rule.judge)(&row, &before);
        if is_known || !alerts {
            continue;
        }
        let reaches = |event: &&Accepted| event.is_dropped && event.row.user == row.user && event.row.time_us > oldest;
        let needs_none = rule.is_previous && !before.is_empty();
        let is_truncated = all.iter().any(|event| reaches(&event)) && !needs_none;
        let mut fields = row.fields();
        fields.insert("rule".into(), rule.name.into());
        fields.insert("judged_offset".into(), all[judged].offset.into());
        fields.insert("looked_at".into(), looked_at);
        if is_truncated {
            fields.insert("truncated".into(), true.into());
        }
        all[judged].alerted.push(rule.name);
        pen.output(offset, Some(row.user.clone()), row.time_us, fields);
    }
}

/// The key of an output and its fields.
pub(super) type Keyed = (Option<String>, Map<String, Json>);

/// A map that takes some events, and makes fields of each.
pub(super) fn mapped(
    steps: &[Step],
    id: &PartitionId,
    stream: &str,
    takes: fn(&Row) -> bool,
    output: fn(&Row) -> Keyed,
) -> Vec<Written> {
    let mut pen = Pen { stream, id, written: Vec::new() };
    for step in steps {
        if let Some(row) = step.event.as_ref().filter(|row| takes(row)) {
            let (key, fields) = output(row);
            pen.output(step.offset, key, row.time_us, fields);
        }
    }
    pen.written
}
