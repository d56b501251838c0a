//! `[streams.…]`: topics that Braid writes, each derived from a source or another stream by an operator.

use super::{Derived, Measure, Source};
use crate::expression::Expression;

pub use crate::expression::{Look, LookKind};

/// The field that identifies an output: `<stream>/<generation>/<log>/<partition>/<offset>/<n>`.
pub const OUTPUT_ID: &str = "output_id";
/// The field of an output's event time.
pub const OUTPUT_TIME: &str = "output_time";
/// Where a window starts.
pub const WINDOW_START: &str = "window_start";
/// Where a window ends; it is not part of it.
pub const WINDOW_END: &str = "window_end";
/// The first event of a session.
pub const SESSION_START: &str = "session_start";
/// The last event of a session.
pub const SESSION_END: &str = "session_end";
/// The rule that an alert is of.
pub const RULE: &str = "rule";
/// The offset of the event that an alert is about.
pub const JUDGED_OFFSET: &str = "judged_offset";
/// What a rule saw of the past: an object, which is declared as no field.
pub const LOOKED_AT: &str = "looked_at";
/// True of an alert whose key had more events than `history_max`; else left out.
pub const TRUNCATED: &str = "truncated";
/// True of an output that was decided from an incomplete past; else left out.
pub const INCOMPLETE: &str = "incomplete";

/// The fields that outputs of maps have besides those that the catalog names.
pub(super) const OF_MAPS: &[&str] = &[OUTPUT_ID, OUTPUT_TIME, INCOMPLETE];
/// Those of windows.
pub(super) const OF_WINDOWS: &[&str] = &[OUTPUT_ID, OUTPUT_TIME, WINDOW_START, WINDOW_END, INCOMPLETE];
/// Those of sessions.
pub(super) const OF_SESSIONS: &[&str] = &[OUTPUT_ID, OUTPUT_TIME, SESSION_START, SESSION_END, INCOMPLETE];
/// Those of detectors.
pub(super) const OF_DETECTORS: &[&str] =
    &[OUTPUT_ID, OUTPUT_TIME, RULE, JUDGED_OFFSET, LOOKED_AT, TRUNCATED, INCOMPLETE];

/// The place of the record that caused an output, by the output's id: log, partition and offset. `None` if it is no such id.
pub fn origin_of(output_id: &str) -> Option<(&str, i32, i64)> {
    let mut parts = output_id.rsplitn(5, '/').skip(1);
    let (offset, partition) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    Some((parts.next()?, partition, offset))
}

/// A topic that Braid writes, derived from a source or another stream.
///
/// As what is read, it is a [`Source`](super::Source) of the same name, with `is_stream`.
#[derive(Debug, Clone, PartialEq)]
pub struct Stream {
    /// The stream's name, the key of its table in the catalog. No source is called so.
    pub name: String,
    /// The name of the source or stream that it reads.
    pub from: String,
    /// The topic that it writes, which is its name unless given; no other stream or source has it.
    pub topic: String,
    /// Which events it takes (a null result excludes the event); `None` means all. The front counts the others too.
    pub filter: Option<Expression>,
    /// What it does with them.
    pub kind: StreamKind,
    /// How long it waits for events that are out of order: the watermark is the front less this. Microseconds; of no meaning for
    /// a map.
    pub lateness_us: i64,
}

/// What a stream does with the events that it takes.
#[derive(Debug, Clone, PartialEq)]
pub enum StreamKind {
    /// One output for each event.
    Map(Map),
    /// Aggregates of fixed intervals, each written once when the watermark reaches its end.
    Window(Window),
    /// Aggregates of activity between gaps, each written once when the watermark says that it has ended.
    Session(Session),
    /// Rules over an event and the recent past of its key.
    Detect(Detect),
}

/// Keeps, renames, computes and re-keys fields.
#[derive(Debug, Clone, PartialEq)]
pub struct Map {
    /// The output's field that its records are keyed by anew; one of `fields`, and never null. `None`: records keep their key and
    /// their partition.
    pub key: Option<String>,
    /// The output's fields, in order; all fields of the source when the file names none.
    pub fields: Vec<(String, Expression)>,
    /// What outputs have besides, from tables, in the order of the file.
    pub lookups: Vec<Lookup>,
}

/// Columns that an output takes from the row of a table that its event names (B4, B5). No other part of the same stream reads them: so
/// the row decides neither whether there is an output, nor where it goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lookup {
    /// The name of the table. A stream looks into a table once.
    pub table: String,
    /// The field of the source that holds the key of the row, of the type of the table's key. Where it is absent, there is no row.
    pub on: String,
    /// The fields of the table that outputs take, at least one.
    pub take: Vec<String>,
    /// Whether an event without a row goes to the side output. Otherwise its output lacks these fields.
    pub require: bool,
}

impl Lookup {
    /// The field that says of an output as of which changes the row is: `<log>/<partition>/<cursor>`.
    pub fn seen(&self) -> String {
        format!("{}_seen", self.table)
    }
}

/// Tumbling and sliding windows `[start, start + size)`.
#[derive(Debug, Clone, PartialEq)]
pub struct Window {
    /// The columns that are aggregated by: fields that are not floats. An optional one may be absent, which is a key of its own.
    pub by: Vec<String>,
    /// How long a window is, in microseconds; a multiple of `slide_us`.
    pub size_us: i64,
    /// How far apart windows start, in microseconds; `size_us` if they do not overlap.
    pub slide_us: i64,
    /// Windows start at multiples of `slide_us` since 1970, and this much later. Microseconds, from 0, below `slide_us`.
    pub offset_us: i64,
    /// What is aggregated, in the order of the file; at least one.
    pub measures: Vec<Measure>,
    /// Values computed from the measures, in the order of the file.
    pub derived: Vec<Derived>,
}

/// Activity separated by gaps.
#[derive(Debug, Clone, PartialEq)]
pub struct Session {
    /// The columns that are aggregated by: fields that are not floats. An optional one may be absent, which is a key of its own.
    pub by: Vec<String>,
    /// Events at least this far apart belong to two sessions. Microseconds.
    pub gap_us: i64,
    /// A session never crosses a multiple of this since 1970. Microseconds, at least `gap_us`; `None`: it may last for ever.
    pub longest_us: Option<i64>,
    /// What is aggregated, in the order of the file; at least one.
    pub measures: Vec<Measure>,
    /// Values computed from the measures, in the order of the file.
    pub derived: Vec<Derived>,
}

/// Rules over an event and the recent past of its key.
#[derive(Debug, Clone, PartialEq)]
pub struct Detect {
    /// The field whose values have a past each.
    pub key: String,
    /// How far back a key remembers, in microseconds.
    pub history_us: i64,
    /// How many events of a key are remembered at most; then the oldest go.
    pub history_max: usize,
    /// How many events are judged again at most when an earlier one arrives, the newest of them.
    pub rejudge_max: usize,
    /// The rules, in the order of the file; at least one.
    pub rules: Vec<Rule>,
}

/// A condition that is an alert where it is true.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// The rule's name, which alerts carry.
    pub name: String,
    /// What its condition says of the past, each once, in the order of the text.
    pub looks: Vec<Look>,
    /// A condition over the event's fields and the columns of `looks`.
    pub condition: Expression,
}

impl Stream {
    /// Whether it keys records anew, so that they leave the partition that they were read from.
    pub fn rekeys(&self) -> bool {
        matches!(&self.kind, StreamKind::Map(Map { key: Some(_), .. }))
    }

    /// Whether each output is made of one event, which its id names.
    pub fn is_map(&self) -> bool {
        matches!(self.kind, StreamKind::Map(_))
    }

    /// The columns whose values have a state each; none of a map.
    pub fn grouped_by(&self) -> &[String] {
        match &self.kind {
            StreamKind::Map(_) => &[],
            StreamKind::Window(window) => &window.by,
            StreamKind::Session(session) => &session.by,
            StreamKind::Detect(detect) => std::slice::from_ref(&detect.key),
        }
    }

    /// T10: how many windows or sessions of a key can be open at a time, of a source whose events are at most so many microseconds ahead of
    /// their records. So far an event can be ahead of the front as well, and what is open ends behind the watermark. Where a map keys
    /// the source anew, those come on top by which its lanes are apart. `None`: nothing is ever open.
    pub fn open_per_key(&self, max_ahead_us: i64) -> Option<i64> {
        let span_us = self.lateness_us.saturating_add(max_ahead_us);
        // So many instants, which are that far apart from each other, lie in the span and in what an event is in.
        let within = |length_us: i64, apart_us: i64| {
            let all_us = span_us.saturating_add(length_us);
            all_us / apart_us + i64::from(all_us % apart_us > 0)
        };
        match &self.kind {
            StreamKind::Map(_) | StreamKind::Detect(_) => None,
            StreamKind::Window(window) => Some(within(window.size_us, window.slide_us)),
            // A border divides two that are nearer to each other than the gap.
            StreamKind::Session(session) => {
                let borders = session.longest_us.map_or(0, |longest_us| within(session.gap_us, longest_us));
                Some(within(session.gap_us, session.gap_us).saturating_add(borders))
            }
        }
    }

    /// T12: whether the events of a group lie in one partition of that source, which it reads, however many the topic has.
    pub fn groups_meet(&self, source: &Source) -> bool {
        let columns = self.grouped_by();
        columns.is_empty() || columns.iter().any(|column| source.key.as_ref() == Some(column))
    }

    /// Whether it has a side output: for events that can be too late for it, which is so for all but maps, or that lack a row which
    /// they must have.
    pub fn has_side_output(&self) -> bool {
        if let StreamKind::Map(map) = &self.kind { map.lookups.iter().any(|lookup| lookup.require) } else { true }
    }

    /// What it looks up in tables.
    pub fn lookups(&self) -> &[Lookup] {
        if let StreamKind::Map(map) = &self.kind { &map.lookups } else { &[] }
    }

    /// The topic of its side output.
    pub fn late_topic(&self) -> String {
        format!("{}.late", self.topic)
    }
}
